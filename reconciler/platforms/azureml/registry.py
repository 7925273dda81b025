"""Registered models of a workspace or of a shared registry as a source of versions; and those of
the workspace as a place to publish to.

A version is files, and perhaps the job that wrote them. Its metrics are not in ARM: they are in the
workspace's own MLflow, as those of the run that is called like the job. A version without a job has
those that are noted with it. Only files in a datastore of blobs can be taken, or those of a shared
registry; of any other place the refusal says what to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.errors import NotFoundError, RefusedError, WireError
from reconciler.model import Model, Recipe
from reconciler.near import near
from reconciler.platforms.artifacts import NEAR, asked, nearest
from reconciler.platforms.azureml.assets import METRIC, Assets, files_below, take
from reconciler.platforms.azureml.ids import label_of, shared_in
from reconciler.platforms.azureml.shared import SharedRegistry, UnknownRegistryError
from reconciler.platforms.azureml.tracking import Tracking
from reconciler.platforms.azureml.workspace import Workspace, part, state_of
from reconciler.platforms.contract import Registered, Registry
from reconciler.platforms.members import member, objects, text, texts


@dataclass(eq=False)
class AzureMlRegistry(Registry):
    """The registered models of one workspace, and those of shared registries.

    `_mark` decides what published versions are called; `_shared` leads to a registry by its name.
    """

    _workspace: Workspace
    _assets: Assets
    _tracking: Tracking
    _mark: str
    _shared: Callable[[str], SharedRegistry]

    def look(self, recipe: Recipe) -> Registered:
        """The version with the metrics of its run, and why it must not be taken in."""
        name, number = asked(recipe)
        try:
            asset = self._version(name, number)
        except UnknownRegistryError as exc:
            return Registered(number, self._no_registry(name, exc.message))
        if asset is None:
            return Registered(number, self._absent(name, number))
        properties = objects(asset, "properties")
        refusal = _refusal(name, number, asset) or self._without_files(recipe, properties)
        # A shared registry has no runs: what it was told of a job is of some workspace.
        job = "" if shared_in(name)[0] else text(properties, "jobName")
        metrics = self._tracking.metrics(job) if job and not refusal else _noted(properties)
        if metrics is None:
            refusal = f"the job {job}, which made version {number} of {name}, is gone, and its "
            refusal += "metrics with it; declare another version"
        return Registered(number, refusal, metrics or {}, tuple(_notes(properties, job)))

    def offers(self, recipe: Recipe, follow: str) -> Iterable[str]:  # noqa: ARG002
        """The versions that are newer by their number, the newest first."""
        name, number = asked(recipe)
        newer = (n for n in self._numbers(name) if not number.isdecimal() or int(n) > int(number))
        return tuple(sorted(newer, key=int, reverse=True))

    def publish(self, name: str, model: Model) -> str:
        """Register a model of the store, once; what the version is called."""
        if model.version is None:
            raise RefusedError(f"{model.ref} is no version that could be published to {name}")
        called = label_of(model.version, self._mark)
        self._assets.register(name, called, model)
        return called

    def fetch(self, recipe: Recipe, path: Path) -> None:
        """Write the named file of the version, its only one, or all of its files as an archive."""
        name, number = asked(recipe)
        asset = self._version(name, number)
        if asset is None:
            raise NotFoundError(f"version {number} of {name} is gone")
        (registry, model), uri = shared_in(name), _uri(objects(asset, "properties"))
        if registry:
            store, below = self._shared(registry).opened(model, number, uri)
        else:
            store, below = self._assets.opened(uri)
        files = files_below(store, below)
        wanted = dict(recipe.how).get("path", "")
        if not files or (wanted and wanted not in files):
            raise NotFoundError(_gone(name, number, wanted, files))
        take(store, {wanted: files[wanted]} if wanted else files, path)

    # --- versions and their files ---------------------------------------------------------------

    def _shelf(self, name: str) -> tuple[Workspace | SharedRegistry, str]:
        """Where a registered model is, and its path there."""
        registry, model = shared_in(name)
        shelf = self._shared(registry) if registry else self._workspace
        return shelf, f"/models/{part(model)}"

    def _version(self, name: str, number: str) -> dict[str, Any] | None:
        shelf, path = self._shelf(name)
        return shelf.find(f"{path}/versions/{part(number)}", f"reading version {number} of {name}")

    def _numbers(self, name: str) -> list[str]:
        shelf, path = self._shelf(name)
        listed = shelf.list(f"{path}/versions", f"listing the versions of {name}")
        names = (text(item, "name") for item in listed if not _archived(item))
        return [each for each in names if each.isdecimal()]

    def _no_registry(self, name: str, why: str) -> str:
        """That there is no such registry, with those of the workspace's subscription."""
        with contextlib.suppress(WireError):  # who may not list them is told the rest
            why += near(shared_in(name)[0], self._workspace.registries())
        return f"{why}; correct spec.registry"

    def _absent(self, name: str, number: str) -> str:
        """That there is no such version, with those that are near."""
        shelf, path = self._shelf(name)
        if shelf.find(path, f"reading the model {name}") is None:
            listed = shelf.list("/models", "listing the registered models")
            known = near(shared_in(name)[1], (text(item, "name") for item in listed))
            return f'there is no registered model "{name}"{known}; correct spec.registry'
        wanted = int(number) if number.isdecimal() else 0
        close = nearest(map(int, self._numbers(name)), wanted)
        there = f"it has {close}" if close else "it has none with a number"
        return f"{name} has no version {number} (never registered, or deleted); {there}"

    def _without_files(self, recipe: Recipe, properties: Mapping[str, Any]) -> str:
        """Why the files of a version cannot be taken; of one in a shared registry, which must not
        be asked for them while nothing is changed, only what its address says."""
        (name, number), uri = asked(recipe), _uri(properties)
        if shared_in(name)[0]:
            return "" if uri.startswith("https://") else f"its files are at {uri or 'no place'}"
        try:
            store, below = self._assets.opened(uri)
        except RefusedError as exc:
            return exc.message
        files = files_below(store, below)
        wanted = dict(recipe.how).get("path", "")
        if files and (not wanted or wanted in files):
            return ""
        return f"{_gone(name, number, wanted, files)} ({uri})"


def _uri(properties: Mapping[str, Any]) -> str:
    return text(properties, "modelUri")


def _gone(name: str, number: str, wanted: str, files: Iterable[str]) -> str:
    some = ", ".join(list(files)[:NEAR])
    if some and wanted:
        return f"version {number} of {name} has no file {wanted}; it has {some}"
    return f"the files of version {number} of {name} are gone"


def _noted(properties: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that a version says of itself, as `Assets.register` writes them: of one that no
    job of the workspace made."""
    noted = texts(properties, "properties").items()
    pairs = ((n.removeprefix(METRIC), v) for n, v in noted if n.startswith(METRIC))
    metrics = {}
    for name, value in pairs:
        with contextlib.suppress(ValueError):  # a property of somebody else's
            metrics[name] = float(value)
    return metrics


def _archived(asset: Mapping[str, Any]) -> bool:
    return member(objects(asset, "properties"), "isArchived") is True


def _refusal(name: str, number: str, asset: Mapping[str, Any]) -> str:
    """Why a version that is there must not be taken in; "" where it may."""
    if _archived(asset):
        return f"version {number} of {name} is archived; declare another version"
    if (state := state_of(asset)) not in ("", "succeeded"):
        return f"version {number} of {name} is {state}; register it again, or wait"
    return ""


def _notes(properties: Mapping[str, Any], job: str) -> Iterator[str]:
    if stage := text(properties, "stage"):
        yield f"stage {stage}"
    if tags := texts(properties, "tags"):
        yield f"tags {', '.join(f'{n}={v}' for n, v in sorted(tags.items()))}"[:200]
    if not job and not _noted(properties):
        yield "no job made it, so it has no metrics"
