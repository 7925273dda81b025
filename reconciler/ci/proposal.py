"""The one pull request by which a command proposes edits of the YAML: opened, changed, or given up.

`retrain` proposes new versions so, and `drift --accept --pull-request` what drifted.

At the whiteboard: a job runs every day and has no memory, and it must neither open a second pull
request nor ask again what people have answered. All that it needs to know is kept where people
work. The branch has a fixed name, so there is one proposal per environment and kind. The commit
carries a digest of the files as they are to be: the same digest on the branch means that nothing is
to be done, and the same digest on a closed pull request means no, until the world asks for
something else.

The branch is written as base plus edits each time, and never rebased, for it holds nothing else. If
it has a commit of somebody else, that is work, and it is refused instead of overwritten. Edits are
made on the file as the base has it, and only if that is the file that was looked at: otherwise a
checkout that is a day old would take back what was merged since.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from reconciler import __version__, git
from reconciler.ci import branches
from reconciler.ci import comment_text as rendering
from reconciler.ci import connection as github
from reconciler.ci.branches import Commit
from reconciler.ci.github import GitHub
from reconciler.console import say
from reconciler.errors import ConfigurationError, RefusedError, StalePlanError
from reconciler.model import Plan

_TRAILER = "Reconciler-Proposal:"


@dataclass(frozen=True)
class Kind:
    """A subject of pull requests: the word in its branch and its mark, its title up to the name
    of the environment, why it is closed, and the command that writes such an edit."""

    word: str
    title: str
    done: str
    command: str


RETRAINED = Kind(
    "retrain", "Retrain outdated versions in", "no version needs retraining", "retrain"
)
ACCEPTED = Kind(
    *("accept-drift", "Accept what drifted in", "nothing drifted that it could accept"),
    "drift --accept",
)


class Edited(Protocol):
    """A file before and after its new versions."""

    @property
    def path(self) -> str:
        """Where it is in the working tree."""

    @property
    def before(self) -> bytes:
        """The content that was read."""

    @property
    def after(self) -> bytes:
        """The content that is proposed."""

    def on(self, text: str) -> str:
        """Another text of the file, with the new versions in it."""


def propose(
    environment: str,
    base: str,
    reasons: Sequence[str],
    edits: Sequence[Edited],
    make_plan: Callable[[], Plan],
    kind: Kind = RETRAINED,
) -> None:
    """Let the pull request propose the edits and say what they would do; without any, close it."""
    with github.opened_on(base, "--base") as (door, base):
        proposal = _Proposal(door, base, environment, kind)
        if not reasons:
            proposal.give_up()
            return
        proposal.write(edits)
        if not proposal.declined:
            proposal.show(reasons, make_plan())


class _Proposal:
    """The branch and the pull request of one environment, of one kind."""

    def __init__(self, door: GitHub, base: str, environment: str, kind: Kind) -> None:
        self._door, self._base, self._kind = door, base, kind
        self.branch = f"reconciler/{kind.word}-{environment}"
        self.environment = environment
        self.declined = False
        owner = door.repository.split("/")[0]
        head = quote(f"{owner}:{self.branch}", safe="")
        self._query = f"head={head}&base={quote(base, safe='')}"

    def give_up(self) -> None:
        """Close what is proposed, for the world asks for nothing new any more."""
        for pull in list(self._door.pulls(f"state=open&{self._query}", "looking for the proposal")):
            branches.change_pull(self._door, pull, state="closed")
            say(f"closed: {pull.url}; {self._kind.done}")

    def write(self, edits: Sequence[Edited]) -> None:
        """Let the branch be the base and the edits, unless it is or somebody declined just that."""
        files = {_below(edit.path): edit for edit in edits}
        digest = _digest(files)
        if self._is_declined(digest):
            return
        there = branches.head_of(self._door, self.branch)
        if there:
            message = branches.commit(self._door, there).message
            if _TRAILER not in message:
                raise RefusedError(
                    f"branch {self.branch} has a commit that this program did not make; merge or "
                    "close its pull request and delete the branch"
                )
            if f"{_TRAILER} {digest}" in message:
                say(f"{self.branch} proposes it already")
                return
        base, texts = self._edited_base(files)
        message = f"{self._title}\n\n{_TRAILER} {digest}\n"
        branches.write(self._door, self.branch, base, texts, message)
        say(f"wrote branch {self.branch}")

    def show(self, reasons: Sequence[str], plan: Plan) -> None:
        """Open the pull request, or change what it says."""
        context = rendering.Context(rendering.Shown(plan.digest, plan.commit), __version__)
        try:
            body = rendering.proposal(reasons, plan, context, self._kind.word)
        except ValueError as exc:
            why = f"{exc}; write and merge a part first: reconciler {self._kind.command} -t GLOB"
            raise RefusedError(why) from exc
        open_pulls = list(self._door.pulls(f"state=open&{self._query}", "looking for the proposal"))
        if not open_pulls:
            made = branches.open_pull(self._door, self._title, body, self.branch, self._base)
            say(f"opened: {made.url}")
            return
        pull = open_pulls[0]
        if pull.title == self._title and rendering.is_as(pull.body, body):
            say(f"shown before: {pull.url}")
        else:
            changed = branches.change_pull(self._door, pull, title=self._title, body=body)
            say(f"changed: {changed.url}")

    @property
    def _title(self) -> str:
        return f"{self._kind.title} {self.environment}"

    def _is_declined(self, digest: str) -> bool:
        """Whether people closed a pull request that proposed the same."""
        for pull in self._door.pulls(f"state=closed&{self._query}", "looking for what was closed"):
            if not pull.merged and f"{_TRAILER} {digest}" in self._message(pull.head):
                say(f"{pull.url} proposed this and was closed; it is not proposed again")
                self.declined = True
                return True
        return False

    def _message(self, commit: str) -> str:
        return branches.commit(self._door, commit).message

    def _edited_base(self, files: dict[str, Edited]) -> tuple[Commit, dict[str, str]]:
        """The head of the base, and its files with the new versions: as they are in the repository,
        where lines may end otherwise than here. StalePlanError where it has other files.
        """
        head = branches.head_of(self._door, self._base)
        if not head:
            raise ConfigurationError(f"there is no branch {self._base}; pass --base")
        texts = {}
        for path, edit in files.items():
            blob = branches.content(self._door, path, head)
            root = git.top(Path(edit.path).parent)
            is_here = edit.before == blob or (
                blob is not None
                and root is not None
                and git.is_commit_of(root, path, edit.before, blob)
            )
            if blob is None or not is_here:
                raise StalePlanError(
                    f"{path} differs between the head of {self._base} ({head[:12]}) and this "
                    "checkout; run this again on a fresh checkout"
                )
            texts[path] = edit.on(blob.decode())
        return branches.commit(self._door, head), texts


def _below(path: str) -> str:
    """The path from the root of the repository around the file, else of the job's workspace."""
    whole = Path(path).resolve()
    root = git.top(whole.parent)
    if root is None:
        root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    if not whole.is_relative_to(root.resolve()):
        raise ConfigurationError(f"{path} is not below {root}; run this in the repository")
    return whole.relative_to(root.resolve()).as_posix()


def _digest(files: dict[str, Edited]) -> str:
    """16 hex over what the files are to be."""
    hashed = hashlib.sha256()
    for path, edit in sorted(files.items()):
        hashed.update(f"{path}\0{len(edit.after)}\0".encode() + edit.after)
    return hashed.hexdigest()[:16]
