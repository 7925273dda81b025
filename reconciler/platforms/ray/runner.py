"""Runs one training on a node of the cluster. It travels with the code, in the same package.

It uses the standard library only, and any Python: `python reconciler_job.py ORDER`, where ORDER
is JSON that holds no secret, for Ray shows the command of a job to whoever asks. It copies the code
to a folder of its own, because jobs of one package share theirs; brings the inputs there; runs the
command; and puts the outputs where they belong, each whole or not at all.

A place is a path, or a file of a bucket. A path must be one that all nodes share. For a bucket the
job uses the identity of its node (environment variables, instance profile, workload identity)
through `obstore`, which must be installed there: no grant is ever sent through Ray.

Before it writes, it reads the manifest beside the outputs. An attempt that was given up, as when
its node was cut off, must not write over the next one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

GRACE_S = 5.0  # between SIGTERM and SIGKILL
OVERDUE = 124  # as timeout(1) says it


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
    _check_current(order)
    for role, (_, place) in order["outputs"].items():
        _put(made[role], place, order["root"])
    return 0


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


def _put(made: Path, place: str, root: str) -> None:
    if not _is_path(place):
        store, name = _opened(place)
        store.put(name, made)
        return
    if not Path(root).is_dir():
        raise ValueError(f"the store {root} is not on this node; mount it there, or use a bucket")
    target = Path(place)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(made, temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(target)


def _opened(place: str) -> tuple[Any, str]:
    """The bucket of a file, and the file's name in it."""
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
    return from_url(f"{scheme}://{host}"), unquote(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
