"""The choice that a command works on: which environment, which of its bindings, and of which
commit."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import git
from reconciler.ci.event import pull_head, read_event
from reconciler.cli.compose import load, signed_in_by
from reconciler.cli.options import SERVICES, Named, Some, Where
from reconciler.cli.selection import Selection
from reconciler.cli.since import since
from reconciler.console import say
from reconciler.errors import ConfigurationError
from reconciler.model import Auth, Desired
from reconciler.near import near

if TYPE_CHECKING:
    from reconciler.plan import Prune

MOST_UNCOMMITTED = 10


def desired(where: Where, some: Some | None = None) -> Desired:
    """The part that a command works on: the selected bindings of the environment that was asked
    for."""
    return among(where, some)[0]


def among(where: Where, some: Some | None = None) -> tuple[Desired, dict[str, Desired]]:
    """The environment that a command works on, and every one of the folder by its name."""
    services, selection = where.services, some.selection() if some else None
    environments = load(services, *filter(None, [where.environment]))
    chosen = committed(choose(environments, where.environment, where.auth), services, os.environ)
    named = replace(chosen.environment, options=typed(where, chosen.environment.name))
    chosen = replace(chosen, environment=named)
    if selection is not None:
        chosen = selection.of(chosen)
        if selection.since:  # nothing may be left of it
            names = since(services, chosen, selection.since)
            chosen = replace(chosen, bindings=tuple(b for b in chosen.bindings if b.name in names))
    return chosen, environments


def typed(where: Named, name: str, some: Some | None = None) -> str:
    """The options of the running command that lead to an environment, and to its bindings, for a
    command that people are told to type next."""
    words = ["-e", name]
    if where.services != SERVICES:
        words += ["--services", str(where.services)]
    if isinstance(where, Where) and where.auth is not None:
        words += ["--auth", where.auth]
    selection = some.selection() if some else Selection()
    words += [word for glob in selection.targets for word in ("-t", glob)]
    words += [word for glob in selection.excludes for word in ("-x", glob)]
    words += [word for label in selection.labels for word in ("-l", label)]
    words += ["--shard", selection.shard] if selection.shard else []
    words += ["--since", selection.since] if selection.since else []
    return shlex.join(words)


def name_of(named: Named) -> str:
    """The name of the environment that was asked for, or of the only one."""
    environments = load(named.services, *filter(None, [named.environment]))
    return choose(environments, named.environment).environment.name


def unprotected(desired: Desired) -> Desired:
    """The desired state without the protection that --force overrides."""
    free = tuple(replace(binding, forced=True) for binding in desired.bindings)
    return replace(desired, bindings=free)


def pruning(desired: Desired, prune: bool, force: str | None) -> Prune | None:
    """The order to prune, None where nothing is; ConfigurationError where a selection hides who
    declares it."""
    from reconciler.plan import Prune
    from reconciler.render.cells import few

    if prune and not desired.whole:
        raise ConfigurationError(
            "--prune is of a whole environment, or of a shard of it: what a selection leaves out "
            "looks as if nothing declared it; leave the selection out"
        )
    if prune and desired.unseen:
        raise ConfigurationError(
            "--prune is of all that git declares, and not all is in this working tree: "
            f"{few(desired.unseen, MOST_UNCOMMITTED)}; fetch it: "
            "`git submodule update --init`, `git sparse-checkout disable`"
        )
    return Prune(forced=bool(force)) if prune else None


def choose(
    environments: Mapping[str, Desired], name: str | None, auth: Auth | None = None
) -> Desired:
    """The environment that was asked for, or the only one; `auth` overrides its own."""
    chosen = _chosen(environments, name)
    if chosen.environment.requires is not None:
        chosen = replace(chosen, there=environments.get(chosen.environment.requires.proved))
    if auth is None:
        return chosen
    return replace(chosen, environment=signed_in_by(chosen.environment, auth))


def _chosen(environments: Mapping[str, Desired], name: str | None) -> Desired:
    """The environment of that name, or the only one; ConfigurationError names those there are."""
    if name is None and len(environments) == 1:
        return next(iter(environments.values()))
    known = ", ".join(sorted(environments))
    if name is None:
        raise ConfigurationError(
            f"there are {len(environments)} environments; choose one by -e: {known}"
        )
    if name not in environments:
        hint = near(name, environments)
        raise ConfigurationError(f'there is no environment "{name}"{hint}')
    return environments[name]


def committed(desired: Desired, services: Path, environ: Mapping[str, str]) -> Desired:
    """The desired state with the commit that it is of, as the repository of its folder says.

    For a pull request GitHub checks out a merge that nobody has seen: what people push, and the
    pull request is at, is its head. Otherwise it is what is checked out, which may be younger than
    the push that a job runs for. Where no repository is, GitHub's variables say it.
    """
    job, head = environ.get("GITHUB_SHA", ""), pull_head(read_event(environ))
    try:
        here = git.checkout(services)
    except ConfigurationError as exc:
        say(f"the commit of {services} is not known: {exc.message}")
        return desired
    if here is None:
        here = git.Checkout(job)
    if here.uncommitted:
        return replace(desired, uncommitted=here.uncommitted, unseen=here.unseen)
    of_pull = environ.get("GITHUB_EVENT_NAME") == "pull_request" and head
    return replace(desired, commit=head if of_pull and here.commit == job else here.commit)


def name_uncommitted(desired: Desired, what: str) -> None:
    """Say which files keep a document that is written from being of a commit."""
    if desired.uncommitted:
        from reconciler.render.cells import few

        names = few(desired.uncommitted, MOST_UNCOMMITTED)
        say(f"{what} is of no commit, for these files are not as the commit has them: {names}")
