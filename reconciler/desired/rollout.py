"""How and when versions are given out, as an environment or a model says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciler.desired.nodes import Document, problem
from reconciler.errors import Problem
from reconciler.freeze import parse_cron
from reconciler.model import Binding, Environment, Freeze, Requires, Rollout, seconds
from reconciler.near import near

MOST_DAYS = 31  # of one freeze


def rollout(document: Document) -> Rollout | None:
    """The rollout that the document declares; None where it says nothing."""
    block = document.data["spec"].get("rollout")
    return None if block is None else _rollout(block)


def _rollout(block: Mapping[str, Any]) -> Rollout:
    """The rollout in its block: `then` is a count or a share in percent, times are in seconds."""
    then = block.get("then", "100%")
    return Rollout(
        first=block.get("first", 1),
        then=int(then.removesuffix("%")),
        percent=then.endswith("%"),
        pause_s=seconds(block.get("pause", "0s")),
        soak_s=seconds(block.get("soak", "0s")),
    )


def rollout_for(environment: Environment | None, binding: Binding) -> Rollout | None:
    """How the binding's version is given out: as its labels say, else its model, else the
    environment."""
    if environment is None:
        return binding.rollout
    has = set(binding.labels)
    by_label = (rollout for labels, rollout in environment.rollouts if has.issuperset(labels))
    return next(by_label, binding.rollout or environment.rollout)


def mixed_rollouts(bindings: Iterable[Binding]) -> list[Problem]:
    """The problem of each version that labels give out in two ways at once: its first endpoint
    must be one for all of them."""
    firsts: dict[str, Binding] = {}
    problems: dict[str, Problem] = {}
    for binding in bindings:
        version = binding.version
        other = binding if binding.absent else firsts.setdefault(version.folder, binding)
        if other.rollout != binding.rollout and version.folder not in problems:
            why = (
                f"{version} goes out as {binding.rollout or 'every version'} here, and as "
                f"{other.rollout or 'every version'} at {other.name} ({other.source}); let one "
                "entry of the environment's rollouts fit both, or none"
            )
            problems[version.folder] = problem(binding.source, f"metadata.labels: {why}")
    return list(problems.values())


def freeze(document: Document) -> tuple[tuple[Freeze, ...], list[Problem]]:
    """The windows in which the environment must not be changed, and what is wrong with them."""
    windows, problems = [], []
    for number, block in enumerate(document.data["spec"].get("freeze", ())):
        place = ("spec", "freeze", number)
        try:
            parse_cron(block["cron"])
        except ValueError as exc:
            problems.append(problem(document.at(*place, "cron"), f"spec.freeze.cron: {exc}"))
        try:
            ZoneInfo(block.get("timezone", "UTC"))
        except (ZoneInfoNotFoundError, ValueError):
            why = f'"{block["timezone"]}" is no time zone; write for example Europe/Berlin'
            problems.append(
                problem(document.at(*place, "timezone"), f"spec.freeze.timezone: {why}")
            )
        if (length := seconds(block["for"])) > MOST_DAYS * 86_400:
            why = f"at most {MOST_DAYS}d; write several windows, or protect what must stay"
            problems.append(problem(document.at(*place, "for"), f"spec.freeze.for: {why}"))
        windows.append(Freeze(block["cron"], length, block.get("timezone", "UTC")))
    return tuple(windows), problems


def with_times(
    environment: Environment, document: Document
) -> tuple[Environment | None, list[Problem]]:
    """The environment with when it may be changed, and get which versions; None, and why."""
    windows, problems = freeze(document)
    block = document.data["spec"].get("requires")
    requires = Requires(block["proved"], seconds(block.get("for", "0s"))) if block else None
    blocks = document.data["spec"].get("rollouts", ())
    rollouts = tuple((tuple(block["labels"].items()), _rollout(block)) for block in blocks)
    timed = replace(environment, freeze=windows, requires=requires, rollouts=rollouts)
    return (None if problems else timed), problems


def unknown_proofs(
    environment: Environment | None, document: Document, names: Iterable[str | None]
) -> list[Problem]:
    """The problem of a `requires` that names no other of these environments."""
    requires = environment.requires if environment else None
    others = [name for name in names if name and environment and name != environment.name]
    if requires is None or requires.proved in others:
        return []
    why = f'"{requires.proved}" is no other environment{near(requires.proved, others)}'
    return [problem(document.at("spec", "requires", "proved"), f"spec.requires.proved: {why}")]
