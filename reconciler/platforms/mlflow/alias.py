"""The kind `ModelAlias`: an alias of a registered model, which says what a server is to serve.

One request shows all aliases of a registered model, with its tags; a plan of many models reads them
by lists. An alias declares: a running `mlflow models serve` does not follow it. Whether anybody
does, only an answer at `verify.url` can show; without one the change is shown as declared only.

MLflow numbers versions itself. So two kinds of versions look different in a plan. Version "7" of a
Model that is registered there is `models:/fraud/7`. A version that was made elsewhere is published
first (publishing.py), gets the next free number, and is known by its tags, not by the number:
`models:/fraud/churn/2026-11`. That way the reference is known before there is a number.

An alias is marked by a tag of the registered model, which names the environment. Of an alias that
this program made, the tag is written before it and deleted after it. So whatever is cut off in
between is found again: as an alias to be made, or as one to be deleted.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.errors import ConflictError, RefusedError, UnreadableError
from reconciler.model import (
    Address,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Owned,
    Reason,
    Refusal,
    Witness,
    seconds,
)
from reconciler.platforms.answers import Server, server_of
from reconciler.platforms.contract import Answer, Can, Target, Unmanaged
from reconciler.platforms.mlflow.publishing import Publisher
from reconciler.platforms.mlflow.rest import called_in, ref_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reconciler.http.client import Http
    from reconciler.model import AddressId, Binding, Environment, Model, Version
    from reconciler.platforms.mlflow.rest import Mlflow, RegisteredModel
    from reconciler.platforms.platform import Turn
    from reconciler.soon import Soon
    from reconciler.stores.contract import Store

SCHEMA = "reconciler/alias/v1"
TAG = "reconciler.alias."  # and the alias: the mark of the environment that made it
_PROTECTED = " (protected)"  # ends a mark whose alias must be kept
_ADOPTED = " (adopted)"  # ends, before that, a mark whose alias somebody else had made
_FEW = 20  # so many registered models are read one by one
NOT_OURS = Refusal(Reason.NOT_OWNED, "the alias does not carry this environment's mark")


@dataclass(frozen=True)
class AliasAddress(Address):
    """An alias by its registered model and its name there. The `server` may take `within_s` to
    follow it."""

    model: str
    alias: str
    server: Server = field(default_factory=Server, compare=False)
    within_s: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        """`aliases/fraud-detector@champion`."""
        return f"aliases/{self.model}@{self.alias}"

    @property
    def key(self) -> str:
        """`aliases/fraud-detector/champion`."""
        return f"aliases/{quote(self.model, safe='')}/{self.alias}"


def address(spec: Mapping[str, Any], _: Environment) -> AliasAddress:
    """The address of a binding of this kind."""
    server, within = server_of(spec), spec.get("verify", {}).get("within", "30s")
    within_s = seconds(within) if server.url else 0.0
    return AliasAddress(spec["registeredModel"], spec["alias"], server, within_s)


class ModelAliases(Target):
    """The aliases of one tracking server. `mark` is what aliases of this environment carry."""

    can = Can(
        shows_served=False,
        answer_names_model=True,
        create=True,
        delete=True,
        serves_at_once=True,
    )

    def __init__(self, mlflow: Mlflow, mark: str, store: Store, http: Http, turn: Turn) -> None:
        self._mlflow = mlflow
        self._mark = mark
        self._publisher = Publisher(mlflow, mark, store, turn)
        self._http = http
        self._listed: Callable[[], dict[str, RegisteredModel]] = dict

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> ModelAliases:
        """This target with many registered models read by lists, and the rest one by one."""
        names = {_of(binding.address).model for binding in bindings}
        if len(names) <= _FEW:
            return self
        reader = copy.copy(self)
        pages = 1 + len(names) // _FEW
        reader._listed = soon(lambda: {m.name: m for m in self._mlflow.models(pages)})
        return reader

    def observe(self, binding: Binding) -> Live:
        """The version that the alias leads to now."""
        at = _of(binding.address)
        registered = self._listed().get(at.model) or self._mlflow.model(at.model)
        if registered is None:
            why = f'there is no registered model "{at.model}"'
            return Live(Health(HealthCode.MISSING, why), place=str(at))
        mark, refusal = _owner(registered, at), self._refusal(registered, at)
        if at.alias not in registered.aliases:
            why = f'"{at.model}" has no alias {at.alias}'
            return Live(Health(HealthCode.MISSING, why), refusal=refusal, place=str(at))
        served, health = self._version(registered, registered.aliases[at.alias], binding)
        return Live(
            health,
            served,
            witness=Witness.DECLARATION,
            refusal=refusal,
            place=str(at),
            ours=mark.environment == self._mark,
            protected=mark.protected,
            unmarked=not mark.environment,
            keep=None if mark.environment == self._mark else NOT_OURS,
        )

    def settles_in_s(self, binding: Binding) -> float:
        """How long its server may take; without one, the write is in effect at once."""
        return _of(binding.address).within_s

    def ref(self, binding: Binding, model: Model) -> ModelRef:
        """By what the registry calls its version."""
        assert model.version is not None
        return _called(binding, model.version)

    def version_of(self, binding: Binding, ref: ModelRef) -> str:
        """The number in the registry that the binding's versions come from."""
        return called_in(_of(binding.address).model, ref) if _is_there(binding) else ""

    def publishes(self, binding: Binding) -> str:
        """The alias' own registered model, unless its versions come from there."""
        return "" if _is_there(binding) else _of(binding.address).model

    def publish(self, binding: Binding, model: Model) -> str:
        """Register a version that was made elsewhere, once."""
        self._number(binding, model)
        return ""

    def switch(self, binding: Binding, model: Model) -> str:
        """Let the alias lead to the version; one that nobody owns is marked first."""
        at = _of(binding.address)
        registered = self._there(at)
        if not _owner(registered, at).environment:
            self.update(binding)
        self._set(at, self._number(binding, model))
        return ""

    def create(self, binding: Binding, model: Model) -> str:
        """Mark the alias as ours, then make it; ConflictError where there is one by now."""
        at, number = _of(binding.address), self._number(binding, model)
        registered = self._mlflow.model(at.model)
        if registered is not None and at.alias in registered.aliases:
            raise ConflictError(f"{at} is there by now; it is not overwritten")
        if registered is not None and (refusal := self._refusal(registered, at)):
            raise RefusedError(f"{at}: {refusal.message}")
        self._write_mark(binding, adopted=False)
        self._set(at, number)
        return ""

    def update(self, binding: Binding) -> str:
        """Write our mark, and whether the alias is protected."""
        at = _of(binding.address)
        mark = _owner(self._there(at), at)
        self._write_mark(binding, adopted=mark.adopted or not mark.environment)
        return ""

    def _there(self, at: AliasAddress) -> RegisteredModel:
        """The registered model that has the alias, which may be written; else RefusedError."""
        registered = self._mlflow.model(at.model)
        if registered is None or at.alias not in registered.aliases:
            raise RefusedError(f"{at} is gone; plan again")
        if refusal := self._refusal(registered, at):
            raise RefusedError(f"{at}: {refusal.message}")
        return registered

    def delete(self, address: Address) -> str:
        """Delete the alias and then its mark, if that is ours."""
        at, what = _of(address), f"deleting {address}"
        registered = self._mlflow.model(at.model)
        there = registered is not None and at.alias in registered.aliases
        if not there and (registered is None or not _owner(registered, at).environment):
            return ""
        self._check_ours(registered, at)
        self._mlflow.delete("/registered-models/alias", what, name=at.model, alias=at.alias)
        key = f"{TAG}{at.alias}"
        self._mlflow.delete("/registered-models/delete-tag", what, name=at.model, key=key)
        return ""

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """The endpoints that carry our mark, by alias or only by tag, and are not declared."""
        owned = []
        for registered in self._mlflow.models():
            for tag in registered.tags:
                at = AliasAddress(registered.name, tag.removeprefix(TAG))
                mark = _owner(registered, at)
                ours = tag.startswith(TAG) and mark.environment == self._mark
                if ours and at.id not in declared:
                    name = f"{at.model}@{at.alias}"
                    owned.append(
                        Owned("ModelAlias", name, at, mark.protected, adopted=mark.adopted)
                    )
        return tuple(owned)

    def unmanaged(self, declared: Collection[AddressId]) -> Iterable[Unmanaged]:
        """The aliases without a mark. Their versions come from the registry that has them."""
        for registered in self._mlflow.models():
            made = {"registry": {"mlflow": registered.name}}
            for alias, number in sorted(registered.aliases.items()):
                at = AliasAddress(registered.name, alias)
                if at.id in declared or _owner(registered, at).environment:
                    continue
                spec = {"registeredModel": registered.name, "alias": alias}
                name = f"{registered.name}-{alias}"
                yield Unmanaged(name, at, spec, model=registered.name, version=number, made=made)

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:  # noqa: ARG002
        """The answer of the server at `verify.url` to the probe."""
        assert binding.probe is not None
        answer = _of(binding.address).server.score(self._http, binding.probe)
        return replace(answer, model=self._named(binding, answer.model))

    def export(self, binding: Binding) -> dict[str, Any]:
        """Where the alias leads."""
        at, live = _of(binding.address), self.observe(binding)
        if live.served is None:
            raise RefusedError(live.health.message)
        model = {"registeredModel": at.model, "alias": at.alias, "model": live.served.url}
        return {"schema": SCHEMA, **model, "marked": not live.unmarked}

    # --- versions and marks -------------------------------------------------------------------

    def _named(self, binding: Binding, model: str) -> str:
        """Our name for the version that a server says it serves. A server that follows an alias
        knows a version that we published by its number only."""
        name = _of(binding.address).model
        number = model.removeprefix(ref_of(name, "").url)
        own = _is_there(binding) or model == binding.version.version
        if own or not (number.isascii() and number.isdecimal()):
            return model
        version = self._mlflow.version(name, number)
        called = self._publisher.folder_of(version) if version else ""
        return ref_of(name, called).url if called else model

    def _version(
        self, registered: RegisteredModel, number: str, binding: Binding
    ) -> tuple[ModelRef, Health]:
        """How we call a version: by its tags where we published it, else by its number."""
        name = registered.name
        shown = (each for each in registered.latest if each.number == number)
        version = next(shown, None) or self._mlflow.version(name, number)
        if version is None:
            why = f"version {number} of {name} is gone"
            return ref_of(name, number), Health(HealthCode.DEGRADED, why)
        called = "" if _is_there(binding) else self._publisher.folder_of(version)
        return ref_of(name, called or number), Health(HealthCode.HEALTHY)

    def _number(self, binding: Binding, model: Model) -> str:
        """The number of a version in the registry; it is published where it has none."""
        name = _of(binding.address).model
        called = called_in(name, model.ref)
        if called.isdecimal():
            return called
        if _is_there(binding) and model.version is not None:
            return model.version.version
        return self._publisher.number(name, model, called)

    def _set(self, at: AliasAddress, number: str) -> None:
        alias = {"name": at.model, "alias": at.alias, "version": number}
        self._mlflow.post("/registered-models/alias", f"setting {at}", **alias)

    def _write_mark(self, binding: Binding, *, adopted: bool) -> None:
        """Mark the alias, and read that back: two may have marked it at a time."""
        at = _of(binding.address)
        mark = self._mark + (_ADOPTED if adopted else "") + (_PROTECTED if binding.protect else "")
        tag = {"name": at.model, "key": f"{TAG}{at.alias}", "value": mark}
        self._mlflow.post("/registered-models/set-tag", f"marking {at}", **tag)
        self._check_ours(self._mlflow.model(at.model), at)

    def _refusal(self, registered: RegisteredModel, at: AliasAddress) -> Refusal | None:
        """Why an alias with the mark of another environment is left alone, whether or not it is
        there: its own run may be about to make it, or to delete the mark."""
        mark = _owner(registered, at).environment
        if mark in ("", self._mark):
            return None
        why = f"the alias belongs to the environment {mark}; delete it there, or take another alias"
        return Refusal(Reason.NOT_OWNED, why)

    def _check_ours(self, registered: RegisteredModel | None, at: AliasAddress) -> None:
        if registered is None or _owner(registered, at).environment != self._mark:
            raise RefusedError(f"{at}: {NOT_OURS.message}")


def _is_there(binding: Binding) -> bool:
    """Whether the binding's versions are versions of the alias' own registered model."""
    recipe, name = binding.recipe, _of(binding.address).model
    return (recipe.engine, recipe.place) == ("registry", "mlflow") and ("name", name) in recipe.how


@dataclass(frozen=True)
class _Mark:
    """Whose an alias is, "" for nobody's; whether it is kept, and was made by somebody else."""

    environment: str
    protected: bool
    adopted: bool


def _owner(registered: RegisteredModel, at: AliasAddress) -> _Mark:
    """The mark of an alias."""
    tag = registered.tags.get(f"{TAG}{at.alias}", "")
    mark = tag.removesuffix(_PROTECTED)
    owner = mark.removesuffix(_ADOPTED)
    return _Mark(owner, mark != tag, owner != mark)


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """The live state that an exported alias shows; UnreadableError if it is none."""
    at = _of(binding.address)
    expected = {"schema": SCHEMA, "registeredModel": at.model, "alias": at.alias}
    if any(document.get(name) != value for name, value in expected.items()):
        raise UnreadableError(f"it is no export of {at}")
    try:
        served = ModelRef(str(document.get("model")))
    except ValueError as exc:
        raise UnreadableError(f"it names no version: {exc}") from exc
    unmarked = document.get("marked") is False
    healthy = Health(HealthCode.HEALTHY)
    return Live(healthy, served, witness=Witness.EXPORT, place=str(at), unmarked=unmarked)


def ref_from_export(_: Mapping[str, Any], binding: Binding) -> ModelRef:
    """How the declared version is called in the registry."""
    return _called(binding, binding.version)


def _called(binding: Binding, version: Version) -> ModelRef:
    """A version by its number in the registry, or by what we call it where it is made elsewhere."""
    name = _of(binding.address).model
    return ref_of(name, version.version if _is_there(binding) else version.folder)


def _of(address: Address) -> AliasAddress:
    assert isinstance(address, AliasAddress)
    return address
