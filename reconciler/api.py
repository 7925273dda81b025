"""The package for programs: load the desired state, plan, and apply a plan that was approved.

The functions take and return values of `reconciler.model` and raise only errors of
`reconciler.errors`. They ask no questions and print nothing: the messages of commands go to the
logger `reconciler.api`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from reconciler import console
from reconciler.approval import Approval
from reconciler.cli import applying, choose, compose, session
from reconciler.cli.ending import Ending
from reconciler.cli.output import Page
from reconciler.cli.progress import HeartbeatProgress
from reconciler.model import Desired, Plan, Report
from reconciler.outcome import Document

__all__ = ["apply", "load", "plan"]

_log = logging.getLogger("reconciler.api")


def load(services: str | os.PathLike[str] = "services") -> dict[str, Desired]:
    """The desired state of each environment, by its name, with the commit that it is of.

    ConfigurationError has everything that is wrong, with file, line and column.
    """
    folder = Path(services)
    with _logged():
        every = compose.load(folder)
        return {
            name: choose.committed(choose.choose(every, name), folder, os.environ) for name in every
        }


def plan(wanted: Desired) -> Plan:
    """The changes that `apply` would make now; only reads. An endpoint that cannot be changed is in
    the plan as a BLOCK with its reason, and is no error."""
    with _logged(), session.opened(wanted, None) as opened, opened.stop.only_reading():
        return replace(opened.plan(), commit=wanted.commit, id=secrets.token_hex(8))


def apply(wanted: Desired, approved: Plan, *, lock_timeout_s: float = 90.0) -> Report:
    """The report of applying an approved plan of `plan`, or the rest of one that was interrupted.

    A fresh plan is made first: StalePlanError where it does more than the approved one, or that was
    applied before; RefusedError where a limit or a freeze forbids it; LockError where another run
    works on the environment. What failed at single endpoints is in `failures` of the report.
    """
    approval = Approval(plan=approved)
    prune = choose.pruning(wanted, approval.prunes, None)
    order = applying.Order("apply", wanted, _Logged(), approval, None, lock_timeout_s, prune=prune)
    with _logged():
        return applying.apply_now(order, Ending("apply"))


@dataclass(frozen=True)
class _Logged(Page):
    """A page that shows no document, and whose progress is lines of the log."""

    def show(self, document: Document, to: TextIO | None = None) -> None:
        """Show nothing: the caller has the plan, and gets the report."""

    def progress(self, total: int, *, waves: bool = False) -> HeartbeatProgress:
        """The display of so many bindings."""
        return HeartbeatProgress(_Lines(), clock=time.monotonic, total=total, more=waves)


class _Lines(io.StringIO):
    def write(self, text: str) -> int:
        if text.strip():
            _log.info("%s", text.rstrip())
        return len(text)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Let the log have what would be said to a person."""
    console.above.append(_heard)
    try:
        yield
    finally:
        console.above.remove(_heard)


def _heard(text: str) -> None:
    _log.info("%s", text)
