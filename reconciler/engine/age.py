"""Reasons for which a version is to be made anew: its age, its data, and newer data beside it.

Only reads. The name of a file is a template here: what stands for the version is `{}`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler import gates
from reconciler.engine.observe import heads
from reconciler.engine.world import World, seconds_since_epoch
from reconciler.errors import UnreadableError
from reconciler.ledger import Manifest
from reconciler.model import Binding, Version

SLOT = "{}"


@dataclass(frozen=True)
class Made:
    """A version as it was made: when (seconds since the epoch), and what of its data changed since.

    `changed` has the path of each input that is another one now, and the day of that.
    """

    at: float
    changed: Mapping[str, datetime.date] = field(default_factory=dict, hash=False)
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)


def made(world: World, binding: Binding) -> Made | None:
    """How the version of a binding was made; None where it was not, or not by this recipe."""
    entry = world.ledger.read(binding.version)
    if entry is None or entry.manifest.evaluation is None:
        return None
    manifest = entry.manifest
    if manifest.recipe != binding.recipe or manifest.rejected:
        return None
    assert manifest.evaluation is not None
    at = seconds_since_epoch(manifest.evaluation.noted_at)
    return Made(at, _changed(world, manifest), manifest.evaluation.metrics)


def may_take(world: World, binding: Binding, version: Version) -> bool:
    """Whether a version is nobody's yet, or was made of the data that is there now.

    The first is a new name; the second one that was given before, and is still right.
    """
    entry = world.ledger.read(version)
    if entry is None or entry.manifest.vacant:
        return True
    manifest = entry.manifest
    same = manifest.recipe.inputs == binding.recipe.inputs and not manifest.rejected
    return same and not _changed(world, manifest)


def is_refused(world: World, version: Version) -> bool:
    """Whether the version was made already, and is not to be served."""
    entry = world.ledger.read(version)
    return entry is not None and bool(entry.manifest.rejected or entry.manifest.refused)


def registered(world: World, binding: Binding, version: str) -> str:
    """Why a version of the registry must not take the place of the declared one; "" where it may.

    Its gates are asked with the metrics of its run, and with those of the declared version as the
    live ones, where that was taken in.
    """
    if is_refused(world, replace(binding.version, version=version)):
        return "it was refused"
    recipe = replace(binding.recipe, parameters=(("version", version),))
    offered = world.registries[recipe.trainer].look(recipe)
    if offered.refusal:
        return offered.refusal
    now = made(world, binding)
    judged = gates.judge(binding.accept, offered.finite, now.metrics if now else None)
    return "" if gates.allows(judged) else gates.verdict(judged)


def versions_with_data(world: World, templates: Iterable[str]) -> set[str]:
    """The versions for which the file of every template is there."""
    by_template: list[set[str]] = []
    for template in sorted(set(templates)):
        before, after = template.split(SLOT)[0], template.rsplit(SLOT, 1)[1]
        slot = re.escape(SLOT)
        pattern = re.compile(re.escape(template).replace(slot, "([^/]+)", 1).replace(slot, r"\1"))
        names = (file.name for file in world.data.list(before) if file.name.endswith(after))
        by_template.append({match[1] for name in names if (match := pattern.fullmatch(name))})
    return set.intersection(*by_template) if by_template else set()


def order(version: str) -> list[tuple[int, int, str]]:
    """Versions in the order that people mean: 9 before 10, 2026-9 before 2026-10."""
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _changed(world: World, manifest: Manifest) -> dict[str, datetime.date]:
    """By path, the day on which an input changed after the version was trained on it."""
    if not manifest.attempts:
        return {}
    attempt = manifest.attempts[-1]
    changed = attempt.changed(heads(world, attempt.inputs))
    days = {}
    for path, now in changed.items():
        if now is None:
            continue
        if now.modified is None:
            raise UnreadableError(f"the store does not say when {path} was written")
        days[path] = now.modified.date()
    return days
