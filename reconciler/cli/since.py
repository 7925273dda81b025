"""`--since`: the bindings that are touched by what was changed after a commit.

The commit's tree is checked out into a folder of its own, by an index of its own: neither the
working tree nor the index of the repository is written to. What is not committed counts too, for
the present tree is the folder as it is.

Why the tree of the commit is read at all, and not the names of the files that changed: a binding is
made of its own document, the model it names, the defaults of its environment, the rows of its
generator and its probe. A comment touches none of them, and one row of a CSV touches one of a
thousand. Both desired states are therefore built, and compared binding by binding
(desired/touched.py). A commit whose state is not valid any more counts as one where everything is
touched: to judge too much costs a minute, to judge too little lets a mistake pass.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reconciler import git
from reconciler.ci.event import base_of_pull
from reconciler.cli import compose
from reconciler.console import say
from reconciler.desired.touched import touched
from reconciler.errors import ConfigurationError
from reconciler.model import Desired
from reconciler.near import near


def since(services: Path, desired: Desired, ref: str) -> frozenset[str]:
    """The names of the bindings of an environment that a change since a commit touches.

    Raises ConfigurationError where git cannot tell.
    """
    from reconciler.render.cells import counted

    repository = _repository(services)
    commit = _commit(repository, ref)
    changed = _changed(repository, commit)
    if not changed and (here := git.checkout(services)):
        changed = len(here.uncommitted)  # also what git was told not to look at
    if changed:
        name = desired.environment.name
        before = _before(repository, commit, f"{ref}:{repository.below}", name)
        names = touched(before.get(name), desired)
    else:
        names = frozenset()
    of_all = f"{len(names):,} of {counted(len(desired.bindings), 'binding')}"
    say(f"since {ref}: {of_all} touched; files changed: {changed:,}")
    return names


def untouched(services: Path, desired: Desired, event: Mapping[str, Any]) -> frozenset[str] | None:
    """The names of the bindings that the pull request of an event leaves as they were; None where
    the event is of none, or git cannot tell.
    """
    if not (base := base_of_pull(event)):
        return None
    try:
        repository = _repository(services)
        both = ("merge-base", _commit(repository, base), "HEAD")
        begin = git.good(git.run(repository.top, *both)).decode().strip()
        names = since(services, desired, begin)
    except ConfigurationError as exc:
        say(f"what this pull request touches is not known, so all is judged: {exc.message}")
        return None
    return frozenset(binding.name for binding in desired.bindings) - names


@dataclass(frozen=True)
class _Repository:
    """A working tree, and the folder of services below it."""

    top: Path
    below: str
    shallow: bool


def _repository(services: Path) -> _Repository:
    """The working tree around the services; ConfigurationError where there is none."""
    questions = ("--show-toplevel", "--show-prefix", "--is-shallow-repository")
    done = git.run(services, "rev-parse", *questions)
    if git.outside(done):
        raise ConfigurationError(
            f"{services} is in no git repository, so nothing is known since a commit; run this in "
            "a clone, or without --since"
        )
    top, below, shallow = os.fsdecode(git.good(done)).removesuffix("\n").split("\n")
    return _Repository(Path(top), below.rstrip("/"), shallow == "true")


def _commit(repository: _Repository, ref: str) -> str:
    """The id of the commit that a person named."""
    revision = f"{ref}^{{commit}}"
    done = git.run(repository.top, "rev-parse", "--verify", "--quiet", "--end-of-options", revision)
    if done.returncode == 0:
        return done.stdout.decode().strip()
    if repository.shallow:
        raise ConfigurationError(
            f'there is no commit "{ref}" in this shallow clone; fetch the history: '
            "`fetch-depth: 0` for actions/checkout, `git fetch --unshallow` by hand"
        )
    names = git.good(git.run(repository.top, "for-each-ref", "--format=%(refname:short)"))
    known = near(ref, os.fsdecode(names).split())
    raise ConfigurationError(f'there is no commit "{ref}" here, or it was not fetched{known}')


def _changed(repository: _Repository, commit: str) -> int:
    """How many files of the services are not as in the commit."""
    below = repository.below or "."
    other = git.run(repository.top, "diff", "--name-only", "-z", commit, "--", below)
    new = git.run(repository.top, "ls-files", "--others", "-z", "--", below)
    return len({*git.good(other).split(b"\0"), *git.good(new).split(b"\0")} - {b""})


def _before(repository: _Repository, commit: str, display: str, name: str) -> Mapping[str, Desired]:
    """The desired state of the commit; nothing where it has none that is valid."""
    with TemporaryDirectory(prefix="reconciler.") as folder:
        # With an index of its own, so that what the person has staged stays as it is.
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        top, below = repository.top, repository.below or "."
        git.good(git.run(top, "read-tree", commit, environ=index))
        paths = git.good(git.run(top, "ls-files", "-z", "--", below, environ=index))
        if not paths:
            return {}
        checkout = ("checkout-index", "--quiet", f"--prefix={Path(folder, 'tree')}/", "-z")
        git.good(git.run(top, *checkout, "--stdin", environ=index, given=paths))
        root = Path(folder, "tree", repository.below)
        if not root.resolve().is_relative_to(Path(folder).resolve()):
            return {}  # a link that leaves the commit: nothing of it is read
        try:
            return compose.loaded(root, only=[name], display=display)
        except ConfigurationError as exc:
            say(f"{exc.message.splitlines()[0]} (so every binding counts as touched)")
            return {}
