"""`promote`: the version of one environment, written into the YAML of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.cli import compose
from reconciler.cli.editing import finish, loaded, make_edits
from reconciler.console import say, show_kept
from reconciler.desired.edit import NewText
from reconciler.desired.promotion import Promotion, environments, notes, promotions, some
from reconciler.errors import ConfigurationError
from reconciler.model import Desired
from reconciler.outcome import Outcome


def promote(services: Path, name: str, from_: str, to: str, *, dry_run: bool) -> Outcome:
    """`promote`: 0 when the target declares the version, also if it did before."""
    both = compose.load(services, from_, to)
    source, target = environments(both, from_, to)
    chosen = promotions(source, target, name)
    if chosen.left_out:
        say(f"{some(chosen.left_out)}: left out, not in both environments")
    for promotion in chosen.found:
        if promotion.old == promotion.new:
            say(f"{promotion}: {to} has version {promotion.new} already")
    to_do = [promotion for promotion in chosen.found if promotion.old != promotion.new]
    if not to_do:
        return Outcome()
    edits = make_edits(NewText(p.source, p.old, p.new) for p in to_do)
    after = loaded(services, edits, from_, to)
    _prove(both, after, target, to_do)
    for note in notes(to_do, source.environment, target.environment, after[to].bindings):
        say(note)
    show_kept("".join(map(str, edits)))
    finish(edits, dry_run=dry_run)
    return Outcome()


def _prove(
    before: Mapping[str, Desired],
    after: Mapping[str, Desired],
    target: Desired,
    promotions: Iterable[Promotion],
) -> None:
    """Raise unless exactly the promoted bindings changed, in their version and its recipe."""
    new = {binding.name: p.new for p in promotions for binding in p.bindings}
    name = target.environment.name
    got = after[name].bindings if name in after else ()
    recipes = {binding.name: binding.recipe for binding in got}
    bindings = tuple(
        replace(b, version=replace(b.version, version=new[b.name]), recipe=recipes[b.name])
        if b.name in new and b.name in recipes
        else b
        for b in target.bindings
    )
    if {**before, name: replace(target, bindings=bindings)} != after:
        raise ConfigurationError("the desired state was changed meanwhile; run this again")
