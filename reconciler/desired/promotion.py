"""Which version goes where when one environment is to follow another, and what that will cost.

What is written in one place changes in one place: the bindings that a `forEach` makes of one
document share its version, and are promoted together or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reconciler.desired.nodes import problem
from reconciler.errors import ConfigurationError, Problem
from reconciler.model import Binding, Desired, Environment, Source, differences
from reconciler.near import near


@dataclass(frozen=True)
class Promotion:
    """A document of one environment, and the version that another environment has for it.

    `bindings` are what the document makes, at least one; `origins` are the bindings of the other
    environment that have one of their names, all of one version, at least one.
    """

    bindings: tuple[Binding, ...]
    origins: tuple[Binding, ...]

    @property
    def source(self) -> Source:
        """Where the document has its name."""
        return self.bindings[0].source

    @property
    def old(self) -> str:
        """The version that the document declares."""
        return self.bindings[0].version.version

    @property
    def new(self) -> str:
        """The version that it is to declare."""
        return self.origins[0].version.version

    def __str__(self) -> str:
        """Whose version it is."""
        return some(self.bindings)


@dataclass(frozen=True)
class Promotions:
    """The promotions that a name or a pattern stands for; `left_out` is in one environment only."""

    found: tuple[Promotion, ...]
    left_out: tuple[Binding, ...]


def environments(found: Mapping[str, Desired], from_: str, to: str) -> tuple[Desired, Desired]:
    """The two environments of these names; ConfigurationError if they are not two."""
    unknown = [name for name in dict.fromkeys((from_, to)) if name not in found]
    if unknown:
        problems = (f'there is no environment "{name}"{near(name, found)}' for name in unknown)
        raise ConfigurationError("\n".join(problems))
    if from_ == to:
        raise ConfigurationError(f'"{to}" is both --from and --to; name two environments')
    return found[from_], found[to]


def promotions(source: Desired, target: Desired, name: str) -> Promotions:
    """The promotions for a name or a pattern; ConfigurationError if that cannot be said."""
    origins = {binding.name: binding for binding in _chosen(source, target, name)}
    chosen = {binding.name: binding for binding in _chosen(target, source, name)}
    left_out = [b for n, b in (origins | chosen).items() if n not in origins or n not in chosen]
    made: list[Promotion] = []
    problems: list[Problem] = []
    for bindings in by_document(target):
        same = tuple(origins[b.name] for b in bindings if b.name in origins)
        if not same:
            continue
        made.append(Promotion(bindings, same))
        problems.extend(_unlike(bindings, chosen, same))
    if problems:
        raise ConfigurationError(problems)
    if not made:
        known = near(name, [b.name for b in source.bindings])
        raise ConfigurationError(f'no name that matches "{name}" is in both environments{known}')
    followers = {b.name for p in made for b in p.bindings}
    return Promotions(tuple(made), tuple(b for b in left_out if b.name not in followers))


def notes(
    made: Sequence[Promotion], source: Environment, target: Environment, after: Iterable[Binding]
) -> Iterator[str]:
    """Why versions would be trained again in the target; nothing if none would be.

    `after` are the bindings of the target as the promotions leave them.
    """
    by_name = {binding.name: binding for binding in after}
    source_store, target_store = (d.store.named for d in (source, target))
    if source_store != target_store:
        yield (
            f"{source.name} keeps its models in {source_store} and {target.name} in "
            f"{target_store}; what is not there yet, {target.name} trains itself"
        )
    if target.requires is not None:
        yield (
            f"{target.name} binds a version once it was proved long enough in "
            f"{target.requires.proved}; its plan says when"
        )
    for p in made:
        if others := [o for o in p.origins if by_name[o.name].key != o.key]:
            was, now = _made_of(others[0]), _made_of(by_name[others[0].name])
            why = "; ".join(
                f"{diff.path} is {diff.after or 'nothing'} and not {diff.before or 'nothing'}"
                for diff in differences(was, now, "")
            )
            yield (
                f"{some(others)}: {target.name} does not take the {p.new} of {source.name} but "
                f"trains its own, for the recipes differ: {why}"
            )


def some(bindings: Sequence[Binding]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(bindings) - 1:,} more" if len(bindings) > 1 else ""
    return f"{bindings[0].name}{more}"


def _chosen(here: Desired, there: Desired, name: str) -> list[Binding]:
    """The bindings of an environment that a name or a pattern means, at least one."""
    matches = [binding for binding in here.bindings if fnmatchcase(binding.name, name)]
    if matches:
        return matches
    also = any(fnmatchcase(binding.name, name) for binding in there.bindings)
    only = f" ({there.environment.name} has)" if also else ""
    known = near(name, [binding.name for binding in here.bindings])
    raise ConfigurationError(f'{here.environment.name} has no binding "{name}"{only}{known}')


def by_document(desired: Desired) -> list[tuple[Binding, ...]]:
    """The bindings that each document makes, document by document."""
    by_source: dict[Source, list[Binding]] = defaultdict(list)
    for binding in desired.bindings:
        by_source[binding.source].append(binding)
    return [tuple(by_source[place]) for place in sorted(by_source)]


def _unlike(
    bindings: Sequence[Binding], chosen: Mapping[str, Binding], origins: Sequence[Binding]
) -> Iterator[Problem]:
    """The problems that keep the bindings of one document from getting one version."""
    if rest := [b for b in bindings if b.name not in chosen]:
        yield problem(
            bindings[0].source,
            f"forEach makes {some(rest)} of this version too; name them all by a pattern, or "
            "write a separate document for the binding that must differ",
        )
    first = origins[0]
    for other in origins:
        if other.version.version != first.version.version:
            yield problem(
                bindings[0].source,
                f"forEach gives these one version, but {first.name} has {first.version.version} "
                f"and {other.name} has {other.version.version}; promote when they agree",
            )
            return


def _made_of(binding: Binding) -> dict[str, object]:
    arguments = dict(binding.version.arguments)
    return {"model": binding.version.model, **binding.recipe.as_json(), "with": arguments}
