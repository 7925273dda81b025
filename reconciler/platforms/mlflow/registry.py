"""Registered models as a source of versions: what is asked before one is taken in, and its files.

A version of MLflow says little by itself. Its status may be READY while its artifact or its run is
gone, so both are asked for. An artifact is a folder; all of its files become one archive whose
bytes depend on nothing but theirs (no times, sorted names, not compressed), or one named file is
taken.

Only what the tracking server hands out itself can be taken: `mlflow-artifacts:`, and `runs:`,
`models:/m-…` and `models:/NAME/NUMBER` (a copy of another version), which lead there. A file in a
bucket that the server only points to is refused: this program would need the keys of that bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.errors import NotFoundError, RefusedError, UnreadableError
from reconciler.model import Model, Recipe
from reconciler.platforms.artifacts import NEAR, archive, asked, metrics_of, nearest
from reconciler.platforms.contract import Registered, Registry
from reconciler.platforms.mlflow.publishing import Publisher
from reconciler.platforms.mlflow.rest import Mlflow, ModelVersion


class MlflowRegistry(Registry):
    """The registered models of one tracking server."""

    def __init__(self, mlflow: Mlflow, publisher: Publisher) -> None:
        self._mlflow = mlflow
        self._publisher = publisher

    def look(self, recipe: Recipe) -> Registered:
        """The version with the metrics of its run, and why it must not be taken in."""
        name, number = asked(recipe)
        version = self._mlflow.version(name, number)
        if version is None:
            return Registered(number, self._absent(name, number))
        run = self._mlflow.run(version.run) if version.run else None
        refusal = _refusal(version, run) or self._without_files(recipe, version)
        metrics = metrics_of(run, f"reading run {version.run}") if run and not refusal else {}
        return Registered(number, refusal, metrics, tuple(_notes(version)))

    def offers(self, recipe: Recipe, follow: str) -> Iterable[str]:
        """The version that an alias leads to; or those that are newer, the newest first."""
        name, number = asked(recipe)
        if not follow:
            newer = (v.number for v in self._mlflow.versions(name) if int(v.number) > int(number))
            return tuple(newer)
        registered = self._mlflow.model(name)
        if registered is None or follow not in registered.aliases:
            raise RefusedError(f'"{name}" has no alias {follow}; correct spec.registry.follow')
        followed = registered.aliases[follow]
        return (followed,) if followed != number else ()

    def publish(self, name: str, model: Model) -> str:
        """Register a model of the store, once; its number."""
        return self._publisher.number(name, model)

    def fetch(self, recipe: Recipe, path: Path) -> None:
        """Write the named file of the artifact, or all of its files as one archive."""
        name, number = asked(recipe)
        what = f"taking in version {number} of {name}"
        version = self._mlflow.version(name, number)
        uri = self._artifact(version, what) if version else ""
        files = self._mlflow.files(uri, what) if uri else {}
        file = dict(recipe.how).get("path", "")
        if not files or (file and file not in files):
            raise NotFoundError(f"{what}: its artifact is gone")
        if file:
            with path.open("wb") as into:
                self._mlflow.download(f"{uri}/{file}", files[file], what, into)
            return
        archive(
            path,
            files,
            lambda below, into: self._mlflow.download(f"{uri}/{below}", files[below], what, into),
        )

    def _absent(self, name: str, number: str) -> str:
        """That there is no such version, with those that are near."""
        if self._mlflow.model(name) is None:
            return f'there is no registered model "{name}"; correct spec.registry'
        known = (int(version.number) for version in self._mlflow.versions(name))
        near = nearest(known, int(number))
        there = f"it has {near}" if near else "it has none"
        return f"{name} has no version {number} (never registered, or deleted); {there}"

    def _without_files(self, recipe: Recipe, version: ModelVersion) -> str:
        """Why the version has nothing to take, in words; "" where it has."""
        what = f"reading version {version.number} of {version.name}"
        try:
            uri = self._artifact(version, what)
        except RefusedError as exc:
            return exc.message
        files = self._mlflow.files(uri, what) if uri else {}
        if not files:
            at = version.source or "no place"
            return f"the artifact of version {version.number} of {version.name} is gone ({at})"
        file = dict(recipe.how).get("path", "")
        if file and file not in files:
            some = ", ".join(list(files)[:NEAR])
            return f"version {version.number} of {version.name} has no file {file}; it has {some}"
        return ""

    def _artifact(self, version: ModelVersion, what: str) -> str:
        """The URI of the folder with the files; "" where it is gone. RefusedError where the server
        does not hand it out."""
        uri = version.source
        if uri.startswith("models:/") and uri.count("/") > 1:  # a name and a number, no model's id
            uri = self._mlflow.origin_of(version.name, version.number)
        scheme, _, rest = uri.partition(":/")
        if scheme == "models" and rest.startswith("m-"):
            uri = self._mlflow.logged_model(rest)
        elif scheme == "runs":
            ident, _, path = rest.lstrip("/").partition("/")
            run = self._mlflow.run(ident)
            uri = f"{_info(run, what).get('artifact_uri')}/{path}" if run else ""
        if uri:
            self._mlflow.artifact_url(uri, what)
        return uri.rstrip("/")


def _refusal(version: ModelVersion, run: dict[str, Any] | None) -> str:
    """Why a version that is there must not be taken in; "" where it may."""
    named = f"version {version.number} of {version.name}"
    if version.status != "READY":
        why = f": {version.message}" if version.message else ""
        return f"{named} is {version.status}{why}; register it again, or wait"
    if version.stage == "Archived":
        return f"{named} is archived; declare another version"
    if version.run and run is None:
        return f"the run {version.run} of {named} is gone, and its metrics with it"
    if run and _info(run, named).get("lifecycle_stage") == "deleted":
        return f"the run {version.run} of {named} was deleted; restore it, or declare another"
    return ""


def _notes(version: ModelVersion) -> Iterator[str]:
    """Notes for people on a version: its aliases, tags and stage, and whether a run made it."""
    if version.aliases:
        yield f"alias {', '.join(sorted(version.aliases))}"
    tags = [f"{n}={v}" for n, v in sorted(version.tags.items()) if not n.startswith("mlflow.")]
    if tags:
        yield f"tags {', '.join(tags)}"[:200]
    if version.stage != "None":
        yield f"stage {version.stage}"
    if not version.run:
        yield "no run made it, so it has no metrics"


def _info(run: Mapping[str, Any], what: str) -> dict[str, Any]:
    info = run.get("info")
    if not isinstance(info, dict):
        raise UnreadableError(f"{what}: the run has no info")
    return info
