"""Runs one training on a node of the cluster. It travels with the code, in the same package.

It uses the standard library only, and any Python: `python reconciler_job.py ORDER`, where ORDER
is JSON that holds no secret, for Ray shows the command of a job to whoever asks. It copies the code
to a folder of its own, because jobs of one package share theirs; brings the inputs there; runs the
command; and puts the outputs where they belong, each whole or not at all.

A place is a path, or a file of a bucket. A path must be one that all nodes share. For a bucket the
job uses the identity of its node (environment variables, instance profile, workload identity)
through `obstore`, which must be installed there: no grant is ever sent through Ray.

An attempt that was given up, as when its node was cut off, must not write over the next one. So
outputs and manifest are never parted: in a folder the job holds the store's lock while it reads the
manifest and renames its files; in a bucket it looks at what is in a place, then reads the manifest,
and then writes on the condition that the place is still as it was. Whoever loses looks again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TYPE_CHECKING = False  # `typing` is not loaded: each job of thousands would wait for that
if TYPE_CHECKING:
    from typing import Any

GRACE_S = 5.0  # between SIGTERM and SIGKILL
OVERDUE = 124  # as timeout(1) says it
MOST_TRIES = 5  # of a write to a bucket whose place another attempt changed
MOST_BYTES = 5 * 10**9  # of one request to a bucket; more is sent in parts, without a condition
REQUEST_LASTS = "1h"  # at most


def main(text: str) -> int:
    """The exit code of the command, or 1 with one line that says what is wrong."""
    order = json.loads(text)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed
    with tempfile.TemporaryDirectory(prefix="rc-") as name:
        try:
            return _run(order, Path(name))
        except (OSError, ValueError, ImportError, RuntimeError) as exc:
            print(f"reconciler: {exc}", file=sys.stderr)
            return 1


def _run(order: dict[str, Any], folder: Path) -> int:
    code = folder / "code"
    shutil.copytree(Path(__file__).parent, code, symlinks=True)
    (code / Path(__file__).name).unlink()
    for part in ("inputs", "outputs"):
        (folder / part).mkdir()
    words = [word.replace(order["here"], str(folder)) for word in order["command"]]
    for name, place in order["inputs"].items():
        _bring(place, folder / "inputs" / name)
    exit_code = _ended(words, code, order["timeout_s"])
    if exit_code:
        return exit_code
    made = {role: folder / "outputs" / name for role, (name, _) in order["outputs"].items()}
    missing = [r for r, path in made.items() if not path.is_file() or not path.stat().st_size]
    if missing:
        names = " and ".join(f"{{outputs.{role}}}" for role in sorted(missing, reverse=True))
        raise ValueError(f"the command ended well, but wrote nothing to {names}")
    publish(order, made)
    return 0


def publish(order: dict[str, Any], made: dict[str, Path]) -> None:
    """Put the outputs in their places; RuntimeError where another attempt has taken over."""
    places = {place: made[role] for role, (_, place) in order["outputs"].items()}
    if _is_path(order["manifest"]):
        _rename(order, places)
        return
    for place, file in places.items():
        _put(order, place, file)


def _ended(words: list[str], folder: Path, timeout_s: float) -> int:
    try:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL)
    except OSError as exc:
        raise OSError(
            f"the command {words[0]} cannot be run on this node: {exc.strerror}; install it there"
        ) from exc
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        print(f"reconciler: it did not end within {timeout_s:g} s", file=sys.stderr)
        return OVERDUE
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _check_current(order: dict[str, Any]) -> None:
    """RuntimeError where another attempt has taken over: what this one made is not wanted."""
    content = _read(order["manifest"])
    attempts = json.loads(content)["attempts"] if content else []
    if not attempts or attempts[-1]["job"] != order["job"] or attempts[-1].get("failure"):
        raise RuntimeError("this attempt was given up; nothing that it made is kept")


# --- places ---------------------------------------------------------------------------------------


def _is_path(place: str) -> bool:
    return place.startswith("/")


def _read(place: str) -> bytes:
    if _is_path(place):
        return Path(place).read_bytes() if Path(place).exists() else b""
    store, name = _opened(place)
    try:
        return bytes(store.get(name).bytes())
    except FileNotFoundError:
        return b""


def _bring(place: str, folder: Path) -> None:
    """Have an input on this node: where it is, or a copy of what a bucket has."""
    if _is_path(place):
        if not Path(place).is_file():
            raise ValueError(f"{place} is not on this node; store and data must be shared by all")
        return
    store, name = _opened(place)
    folder.mkdir()
    try:
        with (folder / name.rpartition("/")[2]).open("wb") as file:
            for chunk in store.get(name):
                file.write(chunk)
    except FileNotFoundError:
        raise ValueError(f"{place} is not in its bucket") from None


def _rename(order: dict[str, Any], places: dict[str, Path]) -> None:
    """Have all files beside their places first, for nobody may wait for the lock long."""
    import fcntl

    if not Path(order["root"]).is_dir():
        raise ValueError(
            f"the store {order['root']} is not on this node; mount it there, or use a bucket"
        )
    with contextlib.ExitStack() as stack:
        ready = []
        for place, made in places.items():
            target = Path(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            stack.callback(temporary.unlink, missing_ok=True)
            shutil.copyfile(made, temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            ready.append((temporary, target))
        lock = Path(order["lock"])
        lock.parent.mkdir(exist_ok=True)
        fcntl.flock(stack.enter_context(lock.open("ab")), fcntl.LOCK_EX)
        _check_current(order)
        for temporary, target in ready:
            temporary.replace(target)


def _put(order: dict[str, Any], place: str, made: Path) -> None:
    store, name = _opened(place)
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    for _ in range(MOST_TRIES):
        try:
            seen = store.head(name)
        except FileNotFoundError:
            seen = None
        _check_current(order)  # after the look: whoever takes over now writes after it
        if made.stat().st_size > MOST_BYTES:
            store.put(name, made)
            return
        seen_as = {n: seen[n] for n in ("e_tag", "version") if seen.get(n)} if seen else "create"
        try:
            store.put(name, made, mode=seen_as)
            return
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            continue
    raise RuntimeError(f"{place} is written by others all the time")


def _opened(place: str) -> tuple[Any, str]:
    """The bucket of a file, and the file's name in it."""
    from urllib.parse import unquote

    try:
        from obstore.store import from_url
    except ImportError:
        raise ImportError(
            f"{place} is in a bucket, and obstore is not installed on this node; add it there"
        ) from None
    scheme, _, rest = place.partition("://")
    host, _, name = rest.partition("/")
    if scheme == "https":  # https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME
        container, _, name = name.partition("/")
        host += f"/{container}"
    for cloud in ("AWS", "GOOGLE", "AZURE"):  # options of a client would hide its variables
        os.environ.setdefault(f"{cloud}_TIMEOUT", REQUEST_LASTS)
    return from_url(f"{scheme}://{host}"), unquote(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
