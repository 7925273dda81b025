"""git, asked at the folder of services: its repository is the one that holds the desired state.

Nothing here writes to a repository.

Git is asked as if nobody else were there. Hooks and variables of a hook that calls this program are
left out, because they speak of the hook's repository; optional locks are not taken, so that a look
never makes a person's own `git` fail; paths are no patterns, whatever a folder is called; and
messages are in English, since one of them is recognised. That one is "not a git repository (or any
of the parent directories)": every other failure is an error, for a clone that git refuses to read
must not count as a folder without history.

`git status` is not asked alone, for people can tell it what not to see. A file that is marked as
assumed unchanged, or to be skipped in the working tree, is compared with the index by its content.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reconciler.errors import ConfigurationError

# Set in git hooks, and then about the hook's repository, which need not be the one of the folder.
_OF_A_HOOK = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS"),
)
# Other ways to read paths, which git refuses beside ours.
_OF_PATHS = ("GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
# Tags of files that `git status` does not look at: skipped ones, and those assumed unchanged.
_MARKED = ("S ", "s ", "h ")
_AT_ONCE = 500  # so many names fit into one command
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_S = 300.0
_MOST_LINES = 5  # of what git says when it fails; the command that helps is often the last
_READ = (".yaml", ".yml", ".csv", ".json")  # documents, and the files that they name
_OURS = b'"schema": "reconciler/'  # plans, reports and snapshots, which no document names


@dataclass(frozen=True)
class Checkout:
    """The commit that is checked out, "" before the first one, and the files of the desired state
    that are not as it has them; of these, `unseen` are not in the working tree, although
    `git status` calls it clean.
    """

    commit: str
    uncommitted: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def checkout(services: Path) -> Checkout | None:
    """The commit that is checked out at a folder of services; None where that is in no repository,
    or no git is installed.

    Raises ConfigurationError where git cannot tell.
    """
    if shutil.which("git") is None:
        return None
    options = ("--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames")
    parts = ("--untracked-files=no", "--ignore-submodules=none", "--", ".")
    done = run(services, "status", "-z", *options, *parts)
    if outside(done):
        return None
    commit, changed = "", []
    for entry in os.fsdecode(good(done)).split("\0"):
        kind, _, rest = entry.partition(" ")
        if rest.startswith("branch.oid ") and rest != "branch.oid (initial)":
            commit = rest.removeprefix("branch.oid ")
        elif kind in ("1", "u"):
            changed.append(rest.split(" ", 7 if kind == "1" else 9)[-1])
    unseen, others = _beside(services)
    return Checkout(commit, (*changed, *unseen, *others), unseen)


def _beside(services: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files of the desired state that git tracks and left out; and others of which `git status`
    does not tell: that it does not know, or was told not to look at, and that were changed.

    Left out are the files that a sparse checkout does not name, and submodules not yet fetched.
    """
    listing = ("ls-files", "--cached", "--others", "--stage", "-v", "-z", "--", ".")
    unseen, others, marked = list[str](), list[str](), dict[str, str]()
    for entry in os.fsdecode(good(run(services, *listing))).split("\0"):
        head, _, name = entry.partition("\t")
        if head.startswith("? "):
            names, name = others, entry.removeprefix("? ")
        elif head.startswith(_MARKED):
            if os.path.lexists(services / name):
                marked[name] = head.split(" ")[2]
                continue
            names = unseen
        elif head.startswith("H 160000 ") and not (services / name / ".git").exists():
            names, name = unseen, f"{name}/"
        else:
            continue
        if _counts(services, name):
            names.append(str(services / name))
    others += [str(services / name) for name in _edited(services, marked)]
    return tuple(unseen), tuple(others)


def _edited(services: Path, marked: Mapping[str, str]) -> list[str]:
    """The names whose files are no longer the blobs that the index has for them."""
    names, edited = [name for name in marked if _counts(services, name)], list[str]()
    for some in (names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)):
        blobs = good(run(services, "hash-object", "--", *some)).decode().split()
        edited += [name for name, blob in zip(some, blobs, strict=True) if marked[name] != blob]
    return edited


def top(folder: Path) -> Path | None:
    """The root of the working tree around a folder; None where that is in no repository."""
    done = run(folder, "rev-parse", "--show-toplevel")
    return None if outside(done) else Path(os.fsdecode(good(done)).removesuffix("\n"))


def subjects(folder: Path, commits: Iterable[str]) -> dict[str, str]:
    """The first line and the author of each commit, as far as the clone around a folder has them:
    of what was merged on GitHub, the pull request and who merged it."""
    wanted = [commit for commit in dict.fromkeys(commits) if _COMMIT.fullmatch(commit)]
    if not wanted:
        return {}
    try:
        how = ("--no-walk", "--ignore-missing", "--format=%H%x00%s, by %an")
        done = run(folder, "log", *how, *wanted)
    except ConfigurationError:
        return {}
    lines = done.stdout.decode("utf-8", "replace").split("\n") if not done.returncode else []
    known = dict(line.split("\0", 1) for line in lines if "\0" in line)
    return {commit: known[commit] for commit in wanted if commit in known}


def is_commit_of(root: Path, path: str, here: bytes, blob: bytes) -> bool:
    """Whether a file of the working tree would be committed as the blob, line ends converted and
    other filters applied as git does.
    """
    hashed = ("hash-object", "--stdin")
    mine = good(run(root, *hashed, f"--path={path}", given=here))
    return mine == good(run(root, *hashed, "--no-filters", given=blob))


def _counts(services: Path, name: str) -> bool:
    """Whether a file that git does not know, ignored ones too, may be read as desired state; of
    another repository git names only the folder."""
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts):
        return False
    if name.endswith("/"):
        return True
    if path.suffix.lower() not in _READ:
        return False
    try:
        with (services / path).open("rb") as file:
            return path.suffix != ".json" or _OURS not in file.read(1024)
    except OSError:
        return True


def outside(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Whether git says that the folder is in no repository; of one that is there and leads to
    nothing, such as a worktree whose clone was moved, it says which, and that is an error."""
    return done.returncode != 0 and b"not a git repository (or any " in done.stderr


def run(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """The answer of git; paths among the arguments stand for themselves and are no patterns, unless
    `environ` says otherwise.
    """
    left_out = (*_OF_A_HOOK, *_OF_PATHS)
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    alone = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}
    command = ["git", "-c", f"core.hooksPath={os.devnull}", *arguments]
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**inherited, **alone, **(environ or {})},
            input=given,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except OSError as exc:
        why = f"git cannot be run: {exc.strerror}; install it"
        if exc.filename == folder:
            why = f"{folder} cannot be entered: {exc.strerror}; give this user access to the folder"
        raise ConfigurationError(why) from exc
    except subprocess.TimeoutExpired as exc:
        what = f"git {arguments[0]} did not end within {_LONGEST_S:.0f} s"
        raise ConfigurationError(f"{what}; run it in {folder} to see why") from exc


def good(done: subprocess.CompletedProcess[bytes]) -> bytes:
    """The bytes that git printed; ConfigurationError with its own words where it failed."""
    if done.returncode:
        lines = [line.strip() for line in os.fsdecode(done.stderr).split("\n") if line.strip()]
        words = lines[:_MOST_LINES] or [f"exit code {done.returncode}, and no word why"]
        raise ConfigurationError("\n".join(f"git: {line}" for line in words))
    return done.stdout
