"""The workflows of this program's repository, as another repository uses them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from reconciler import git
from reconciler.errors import ConfigurationError

NAMES = ("validate", "plan", "comment", "reconcile", "drift")
OWNER = "OWNER/reconciler"  # where nobody knows who owns the copy that the workflows are to use
OWNERS = """\
# Whoever is named here reviews what GitHub runs, and what endpoints serve. Write your team for
# @OWNER/TEAM, take out the "# ", and let the rules of the branch require reviews of code owners.
# /.github/ @OWNER/TEAM
# /services/{environment}/ @OWNER/TEAM
"""
_ACTION = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
_REMOTE = re.compile(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")
# The step that starts an emulator, with the comment above it.
_STEP = re.compile(
    r"(?:^      # .*\n)*^      - uses: \./\.github/actions/emulator.*\n", re.MULTILINE
)
_ENVIRONMENT = re.compile(r"(?<=          environment: )local\b|(?<=[a-z]-)local\b")


@dataclass(frozen=True)
class Wanted:
    """For whom workflows are written.

    `action` is `OWNER/REPOSITORY@COMMIT` of this program, and `environment` the environment of the
    desired state. The `emulator` is a folder with the seed of one, "" where the jobs need none;
    `secrets` are the variables that they need then. `here` says that only a runner of one's own
    reaches what they are about.
    """

    action: str
    environment: str
    emulator: str = ""
    secrets: tuple[str, ...] = ()
    here: bool = False


def workflow(text: str, wanted: Wanted) -> str:
    """A workflow of this program's repository, for another repository."""
    head, *jobs = re.split(r"^(?=  [a-z]+:\n)", text, flags=re.MULTILINE)
    text = head + "".join(_job(job, wanted) for job in jobs)
    # A function, because a name such as 1 behind a group would be another group.
    text = _ENVIRONMENT.sub(lambda _: wanted.environment, text)
    repository, _, commit = wanted.action.partition("@")
    return re.sub(
        r"uses: \./(\.github/actions/\w+)", rf"uses: {repository}/\g<1>@{commit}", text
    ).replace("; the emulator needs none", "")


def _job(job: str, wanted: Wanted) -> str:
    """The text of one job: with an emulator, or its runner and secrets, as it is wanted."""
    if not _STEP.search(job):
        return job
    if wanted.emulator:
        started = "      - uses: ./.github/actions/emulator\n"
        return _STEP.sub(f"{started}        with:\n          folder: {wanted.emulator}\n", job)
    job = _STEP.sub("", job)
    if wanted.here:
        job = re.sub(r"(?<=    runs-on: )\S+", "self-hosted", job)
    if not wanted.secrets:
        return job
    lines = [f"      {name}: ${{{{ secrets.{name} }}}}\n" for name in wanted.secrets]
    origins = "      RECONCILER_ORIGINS: ${{ vars.RECONCILER_ORIGINS }}\n"
    return job.replace("    steps:\n", f"    env:\n{''.join(lines)}{origins}    steps:\n", 1)


def action_of(given: str) -> str:
    """The action that workflows use: the given one, else that of the running program.

    ConfigurationError where nobody knows which commit that is.
    """
    if given and not _ACTION.fullmatch(given):
        raise ConfigurationError(
            f'"{given}" is no action; write OWNER/REPOSITORY@ and the 40 digits of a commit'
        )
    if action := given or _installed() or _checked_out():
        return action
    raise ConfigurationError(
        "the commit of the running program is not known, and workflows use it by its commit; pass "
        "--action OWNER/REPOSITORY@COMMIT"
    )


def _installed() -> str:
    """`OWNER/NAME@COMMIT` of a program that was installed from a repository (PEP 610); ""
    otherwise."""
    try:
        text = distribution("endpoint-reconciler").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    origin = json.loads(text or "{}")
    commit = origin.get("vcs_info", {}).get("commit_id", "")
    return f"{_repository(origin.get('url', ''))}@{commit}" if commit else ""


def _checked_out() -> str:
    """`OWNER/NAME@COMMIT` of a program that runs in a clone of its repository; "" otherwise."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".github" / "actions" / "reconcile").is_dir():
        return ""
    commit = git.run(root, "rev-parse", "--verify", "HEAD")
    if commit.returncode:
        return ""
    remote = git.run(root, "remote", "get-url", "origin").stdout.decode(errors="replace")
    return f"{_repository(remote.strip())}@{commit.stdout.decode().strip()}"


def _repository(url: str) -> str:
    match = _REMOTE.search(url)
    return match[1] if match else OWNER


def texts(folder: Path, wanted: Wanted) -> Iterable[tuple[str, str]]:
    """The name and the text of each file that GitHub reads, from a folder of workflows."""
    for name in NAMES:
        text = (folder / f"{name}.yml").read_text(encoding="utf-8")
        yield f"workflows/{name}.yml", workflow(text, wanted)
    yield "CODEOWNERS", OWNERS.format(environment=wanted.environment)
