"""Approvals: by a digest, a plan file, the plans of merged pull requests, `--yes`, or a person."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from reconciler.approval import Answer, Approval
from reconciler.console import say
from reconciler.errors import ConfigurationError, RefusedError, StalePlanError
from reconciler.ledger.plans import Plans
from reconciler.model import Plan
from reconciler.render import parse_plan


def check(approval: Approval, fresh: Plan, plans: Plans, *, trains: bool = False) -> None:
    """Return when the fresh plan may be applied, or what it trains be trained; StalePlanError or
    RefusedError otherwise."""
    if approval.plan is not None:
        plans.check(approval.plan)
    verdict = approval.judge(fresh, plans)
    if verdict.answer is Answer.STALE:
        raise StalePlanError(verdict.why)
    if verdict.answer is Answer.FROZEN:
        raise RefusedError(f"{verdict.why}; apply again then, or with --force REASON")
    if verdict.answer is Answer.TOO_MUCH:
        raise RefusedError(f"{verdict.why}; raise the limit, or apply with --force REASON")
    if verdict.answer is Answer.ASK and trains:
        confirm(approval, "Train these versions? No endpoint is changed.")
    elif verdict.answer is Answer.ASK:
        _ask(
            "Apply these changes?",
            f"pass --expect {fresh.digest} to apply exactly this plan, a plan file, or --yes to "
            "apply whatever the plan is",
        )


def confirm(approval: Approval, question: str) -> None:
    """Return when `--yes` was given or a person says yes; RefusedError otherwise."""
    if not approval.yes:
        _ask(question, "pass --yes")


def approval(path: Path | None, expect: str | None, *, yes: bool, force: str) -> Approval:
    """The approval that a command line gives; of a folder, every plan in it."""
    if expect is not None:  # copied from a comment it may hold the invisible space of Markdown
        expect = expect.replace("\u200b", "").strip()
    if path is None or not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for some names
        plan = read_plan(path) if path else None
        return Approval(expect, plan, yes=yes, force=force)
    merged = tuple(read_plan(file) for file in sorted(path.glob("*.json")))
    return Approval(expect, merged=merged, yes=yes, force=force)


def read_plan(path: Path) -> Plan:
    """The plan in a file that `plan --out` wrote; ConfigurationError if it is none."""
    try:
        plan = parse_plan(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError.of_file(
            path, f"cannot be read: {exc.strerror}; `reconciler plan --out` writes one"
        ) from exc
    except ValueError as exc:
        why = f"not a plan that `plan --out` wrote: {exc}"
        raise ConfigurationError.of_file(path, why) from exc
    if not plan.id:
        why = (
            "this plan was only printed or made offline, so it approves nothing; write it with "
            "`plan --out`, without `--live`"
        )
        raise ConfigurationError.of_file(path, why)
    return plan


def _ask(question: str, otherwise: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(f"no terminal to ask for approval; {otherwise}")
    say(f"\n{question} Only 'yes' is accepted: ", end="")
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):  # Ctrl-C or Ctrl-D: the line of the question is still open
            say("")
    if answer.strip() != "yes":
        raise RefusedError("not approved; nothing was changed")
