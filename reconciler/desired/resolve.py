"""Documents to environments with their bindings: who belongs where, and who names whom.

A document that the schema refused takes part as far as its kind and name can be read: others may
refer to it, and saying that it does not exist would be untrue. If some document could not be read
at all, nothing is said to be missing, because it might be in there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from reconciler.desired import build
from reconciler.desired.files import JsonFiles
from reconciler.desired.nodes import problem
from reconciler.desired.part import Part
from reconciler.desired.part import notify as notify_of
from reconciler.desired.probes import probe as probe_of
from reconciler.desired.probes import with_compared
from reconciler.desired.rollout import mixed_rollouts, rollout_for, unknown_proofs, with_times
from reconciler.errors import ConfigurationError
from reconciler.model import PUBLISHED_TO, TAKEN_FROM, Binding, Creation, Desired, Environment
from reconciler.near import near
from reconciler.platforms.platform import Engine, How

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from reconciler.desired.nodes import Document
    from reconciler.desired.tree import Budget
    from reconciler.errors import Problem
    from reconciler.model import Address, AddressId, Source
    from reconciler.platforms.platform import Block, Platform

T = TypeVar("T")
CORE_KINDS = ("Environment", "Model")
_SINGLE = {"kinds": "kind", "engines": "engine", "registries": "registry"}


@dataclass(frozen=True)
class Declared:
    """A document, the folder of its file below the root, and whether the schema accepts it."""

    document: Document
    folder: PurePosixPath
    valid: bool

    @property
    def kind(self) -> str | None:
        """The kind, if it is a text."""
        return self.document.text("kind")

    @property
    def name(self) -> str | None:
        """The name, if it is a text."""
        return self.document.text("metadata", "name")

    @property
    def place(self) -> Source:
        """Where the name is."""
        return self.document.at("metadata", "name")

    @property
    def shown(self) -> str:
        """The place, and the element where a `forEach` made this."""
        element = self.document.element
        return f"{self.place}, {element}" if element else str(self.place)


@dataclass
class _Site:
    """An environment and what was found below it."""

    declared: Declared
    environment: Environment | None
    bindings: list[Binding] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


class Resolver:
    """Joins the documents of one tree; `problems` grows while it does.

    `doubtful` are the names of environments that need what is wrong, wherever that is written.
    `complete`: every document could be read, so whatever is not found is missing.
    """

    def __init__(
        self,
        platforms: Mapping[str, Platform],
        root: Path,
        budget: Budget,
        today: date | None = None,
        *,
        complete: bool,
    ) -> None:
        self._platforms = platforms
        self._kinds = {name: k for p in platforms.values() for name, k in p.kinds.items()}
        self._engines = {name: e for p in platforms.values() for name, e in p.engines.items()}
        self._engines[build.FILE] = Engine(_taken)
        self._registries = {n: r for p in platforms.values() for n, r in p.registries.items()}
        self._root = root
        self._files = JsonFiles(root, budget)
        self._budget = budget
        self._today = today
        self.complete = complete
        self._sites: dict[PurePosixPath, _Site] = {}
        self._models: dict[str, Declared] = {}
        self._doubtful_models: set[str] = set()
        self._hows: dict[tuple[str | None, str], How | ConfigurationError] = {}
        self._addresses: dict[tuple[str, str, AddressId], tuple[_Site, str]] = {}
        self.problems: list[Problem] = []
        self.doubtful: set[str | None] = set()

    def resolve(self, declared: Iterable[Declared]) -> dict[str, Desired]:
        """Environment name → what it must look like; meaningless if there are problems."""
        ordered = list(declared)
        known = (*CORE_KINDS, *self._kinds)
        self.complete &= all(d.kind in known and d.name for d in ordered)
        self._collect_environments(d for d in ordered if d.kind == "Environment")
        self._collect_models(d for d in ordered if d.kind == "Model")
        for d in ordered:
            if d.kind in self._kinds:
                self._bind(d)
        if self.complete and all(d.kind == "Model" for d in ordered):
            for d in ordered:
                message = "models alone change nothing; add an Environment and a binding"
                self._say(d.place, message)
        self._refuse_too_many()
        sites = [site for site in self._sites.values() if site.environment]
        names = [site.declared.name for site in self._sites.values()]
        for site in sites:
            site.bindings, wrong = with_compared(site.bindings)
            if wrong and site.declared.name not in self.doubtful and self.complete:
                self.problems += wrong
            more = unknown_proofs(site.environment, site.declared.document, names)
            more += mixed_rollouts(site.bindings)
            self.problems += more if self.complete else []
            if wrong or (more and self.complete):
                self.doubtful.add(site.declared.name)
        made = (
            Desired(site.environment, tuple(sorted(site.bindings, key=lambda b: str(b.address))))
            for site in sites
            if site.environment
        )
        return {d.environment.name: d for d in sorted(made, key=lambda d: d.environment.name)}

    def environment_of(self, folder: PurePosixPath) -> str | None:
        """The name of the environment that applies to a folder; None if none does."""
        site = self._nearest(folder)
        return site.declared.name if site else None

    def _collect_environments(self, environments: Iterable[Declared]) -> None:
        names: dict[str, str] = {}
        for declared in environments:
            if not self._once(names, declared, f'the environment "{declared.name}"'):
                self.doubtful.add(declared.name)
            if (other := self._sites.get(declared.folder)) is not None:
                message = f"this folder has an environment already ({other.declared.place})"
                self._say(declared.place, f"{message}; give each its own folder")
                self.doubtful.add(declared.name)
                continue
            made: Environment | None = None
            problems: list[Problem] = []
            if declared.valid:
                made, problems = build.environment(
                    declared.document, self._platforms, self._root, declared.folder
                )
                if made is not None:
                    made, problems = with_times(made, declared.document)
                    made = replace(made, notify=notify_of(declared.document)) if made else None
            self.problems.extend(problems)
            if problems:
                self.doubtful.add(declared.name)
            self._sites[declared.folder] = _Site(declared, made)

    def _collect_models(self, models: Iterable[Declared]) -> None:
        names: dict[str, str] = {}
        for declared in models:
            once = self._once(names, declared, f'the model "{declared.name}"')
            if declared.name:
                self._models.setdefault(declared.name, declared)
            more: list[Problem] = []
            if declared.valid:
                more = build.source_problems(declared.document, self._registries)
            if declared.valid and not more and "training" in declared.document.data["spec"]:
                engine = self._engines[build.training(declared.document)["engine"]]
                more = build.training_problems(self._training(declared), engine)
            self.problems.extend(more)
            if declared.name and (more or not once):
                self._doubtful_models.add(declared.name)

    def _bind(self, declared: Declared) -> None:
        """Bind, and say of every problem to which element of a `forEach` it belongs."""
        before = len(self.problems)
        site = self._nearest(declared.folder)
        if site is None and self.complete:
            message = "no environment applies here; add a document of kind Environment"
            self._say(declared.place, f"{message} to this folder or one above it")
        bound = self._check_and_bind(declared, site)
        element = declared.document.element
        self.problems[before:] = [replace(p, element=element) for p in self.problems[before:]]
        if site is not None and (not bound or len(self.problems) > before):
            self.doubtful.add(site.declared.name)

    def _check_and_bind(self, declared: Declared, site: _Site | None) -> bool:
        """Check everything about a binding; whether it was added to its environment."""
        model = self._model(declared)
        if site is None or not declared.valid:
            return False
        self._once(site.names, declared, f'the binding "{declared.name}" of {_named(site)}')
        before = len(self.problems)
        spec = Part(declared.document, ("spec",), self._root, declared.folder, self._files)
        kind, environment = self._kinds[declared.kind or ""], site.environment
        address = self._address(declared, site)
        made = self._recipe(declared, model, site) if model else None
        probe, creation = self._or_say(lambda: probe_of(spec)), Creation() if kind.makes else None
        if environment is not None and not kind.makes:
            creation = self._or_say(lambda: kind.creation(spec, environment))
        self.problems.extend(kind.problems(spec, self._today))
        if not (model and made and address is not None) or len(self.problems) > before:
            return False
        terms = [(name, term) for name, term in kind.terms(spec).items() if term]
        if spec.data.get("breaking") == "allow":
            terms.append(("breaking", "allow"))
        if terms:
            made = replace(made, terms=(*made.terms, *terms))
        binding = build.binding(kind, spec, model.document, made, address)
        rollout = rollout_for(environment, binding)
        site.bindings.append(replace(binding, probe=probe, create=creation, rollout=rollout))
        return True

    def _or_say(self, make: Callable[[], T]) -> T | None:
        """The value that `make` returns; None where it raised, after its problems were noted."""
        try:
            return make()
        except ConfigurationError as exc:
            self.problems.extend(exc.problems)
            return None

    def _recipe(self, declared: Declared, model: Declared, site: _Site) -> build.Made | None:
        if site.environment is None:
            return None
        document, block = model.document, self._training(model)
        if name := build.registry_of(document, self._registries):
            engine, place = self._registries[name], document.at("spec", build.REGISTRY, name)
            connected = self._connects(site, "registries", name, place)
        else:
            name = build.training(document)["engine"]
            engine, place = self._engines[name], document.at("spec", "training", "engine")
            connected = name == build.FILE or self._connects(site, "engines", name, place)
        named = document.data["spec"].get(build.PUBLISH, {})
        for name in named:
            place = document.at("spec", build.PUBLISH, name)
            connected &= self._connects(site, "registries", name, place)
        if not connected:
            return None
        document, environment = declared.document, site.environment
        asked = partial(self._how, model.name, engine, block, environment)
        made, problems = build.recipe(block, document, self._budget, engine, environment, asked)
        self.problems.extend(problems)
        if made is None or not named:
            return made
        published = ", ".join(f"{registry} {name}" for registry, name in sorted(named.items()))
        return replace(made, terms=(*made.terms, (PUBLISHED_TO, published)))

    def _how(self, model: str | None, engine: Engine, block: Part, environment: Environment) -> How:
        """The engine's words on a model, which may read all of its code: once for a fleet."""
        key = model, environment.name
        if key not in self._hows:
            try:
                self._hows[key] = engine.how(block, environment)
            except ConfigurationError as exc:
                self._hows[key] = exc
        how = self._hows[key]
        if isinstance(how, ConfigurationError):
            raise how
        return how

    def _training(self, model: Declared) -> Part:
        part = build.REGISTRY if build.REGISTRY in model.document.data["spec"] else "training"
        return Part(model.document, ("spec", part), self._root, model.folder)

    def _connects(self, site: _Site, group: str, name: str, place: Source) -> bool:
        """Whether the environment connects the platform that offers a kind, engine or registry."""
        assert site.environment is not None
        owner = next(
            p for p, platform in self._platforms.items() if name in getattr(platform, group)
        )
        if owner in site.environment.connections:
            return True
        message = f"{_named(site)} does not connect the platform of {name}; add spec.{owner} to it"
        self._say(place, f"{_SINGLE[group]}: {message}")
        return False

    def _nearest(self, folder: PurePosixPath) -> _Site | None:
        """The nearest environment that encloses a folder."""
        above = (self._sites.get(at) for at in (folder, *folder.parents))
        return next(filter(None, above), None)

    def _model(self, declared: Declared) -> Declared | None:
        """The model that the binding names, if it is usable."""
        name = declared.document.text("spec", "model", "name")
        if not name:
            return None
        if name not in self._models:
            if self.complete:
                message = f'spec.model.name: there is no model "{name}"'
                hint = near(name, self._models) or "; declare it (kind: Model)"
                self._say(declared.document.at("spec", "model", "name"), message + hint)
            return None
        model = self._models[name]
        return model if model.valid and name not in self._doubtful_models else None

    def _address(self, declared: Declared, site: _Site) -> Address | None:
        name = declared.kind or ""
        if site.environment is None or not self._connects(
            site, "kinds", name, declared.document.at("kind")
        ):
            return None
        place, kind = declared.document.at_key("spec"), self._kinds[name]
        try:
            address = kind.address(declared.document.data["spec"], site.environment)
        except ValueError as exc:
            self._say(place, f"spec: {exc}")
            return None
        except ConfigurationError as exc:
            self.problems.extend(exc.problems or [problem(place, f"spec: {exc.message}")])
            return None
        self._refuse_second(declared, site, address)
        return address

    def _refuse_second(self, declared: Declared, site: _Site, address: Address) -> None:
        """Complain if the address is bound already, by any environment of the tree; the platform of
        the kind says where it is, whatever else an environment connects."""
        assert site.environment is not None
        owner = next(name for name, p in self._platforms.items() if declared.kind in p.kinds)
        at = self._platforms[owner].where(site.environment.connections[owner])
        where = at, address.within, address.id
        other, place = self._addresses.setdefault(where, (site, declared.shown))
        if place == declared.shown:
            return
        by = "" if other is site else f" by {_named(other)}"
        why = "an address serves one model" if other is site else "one of them must own it"
        self._say(declared.place, f"{address} is bound already{by} ({place}); {why}")
        self.doubtful.add(other.declared.name)

    def _refuse_too_many(self) -> None:
        for site in self._sites.values():
            most = site.environment.most_bindings if site.environment else len(site.bindings)
            if len(site.bindings) > most:
                message = f"{len(site.bindings):,} bindings, and limits.bindings is {most:,}"
                self._say(site.declared.place, f"{message}; declare fewer, or raise the limit")

    def _once(self, names: dict[str, str], declared: Declared, what: str) -> bool:
        """Whether the name was not seen before; complain if it was."""
        if declared.name in names:
            already = f"is declared already ({names[declared.name]})"
            self._say(declared.place, f"{what} {already}; names are unique")
            return False
        if declared.name:
            names[declared.name] = declared.shown
        return True

    def _say(self, source: Source, message: str) -> None:
        self.problems.append(problem(source, message))


def _taken(_: Block, environment: Environment) -> How:
    """How versions come that somebody else makes: people approve from where."""
    return How(terms={TAKEN_FROM: environment.data.url})


def _named(site: _Site) -> str:
    name = site.declared.name
    return f'the environment "{name}"' if name else "its environment"
