"""Versions that were made elsewhere, published to the registry once each.

MLflow numbers versions, and two equal requests make two versions. So a version is looked for by its
tags before it is made: the version's own name, the SHA-256 of its file, and the mark of the
environment. Its file goes into a run of its own through the server's artifact proxy, with the
metrics, and the version links to the run. A publication that was cut off goes on with the run that
it left. Threads, and runs of other shards, publish a version by turns, so nobody else makes it
meanwhile.

At the whiteboard, what a crash leaves at each step, and what the next run makes of it:

    model created            it is there, and is not created again
    run created, nothing in  the search by tags finds the run, and it is filled
    file uploaded            it is uploaded again to the same path, with the same bytes
    version created          the search by tags finds it, and nothing is made

The tags are written together with the run and with the version, so there is no moment at which
either exists and cannot be recognised. A number could not do that: MLflow draws it in the answer,
and the answer is what a crash loses. The turn is taken before the second search, because of two
runs that both found nothing each would make a version.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Callable

from reconciler.errors import RefusedError, RejectedError, UnreadableError, WireError
from reconciler.model import Model
from reconciler.platforms.mlflow.rest import Mlflow, ModelVersion
from reconciler.platforms.platform import Turn
from reconciler.stores.contract import Store, fetched, name_in

EXPERIMENT = "reconciler"
_NOT_TAKEN = re.compile(r"[^\w/.: -]")  # nor one that is no plain path
VERSION, SHA256, KEY, MARK = (f"reconciler.{n}" for n in ("version", "sha256", "key", "mark"))


class Publisher:
    """Publishes from the store of an environment, with its mark, to one tracking server; one `turn`
    after the other."""

    def __init__(self, mlflow: Mlflow, mark: str, store: Store, turn: Turn) -> None:
        self._mlflow = mlflow
        self._mark = mark
        self._store = store
        self._turn = turn

    def folder_of(self, version: ModelVersion) -> str:
        """Our name of a version that this environment published; "" of any other."""
        ours = version.tags.get(MARK) == self._mark
        return version.tags.get(VERSION, "") if ours else ""

    def number(self, name: str, model: Model, called: str = "") -> str:
        """The number of a model in the registry, where it is published if it is not there yet.

        RefusedError where it is not there, and not in the store either.
        """
        folder = called or (model.version.folder if model.version else "")
        tags = {VERSION: folder, MARK: self._mark}
        tags |= {SHA256: model.sha256} if model.sha256 else {}
        if folder and (versions := self._mlflow.versions(name, tags)):
            return versions[-1].number
        file = name_in(self._store.base, model.ref.url)
        if file is None or not folder:
            raise RefusedError(
                f"{model.ref} is no version of {name}, and not in {self._store.uri} either; it "
                "cannot be published"
            )
        with self._turn(f"publishing {folder} to {name} of {self._mlflow.url}") as check:
            if versions := self._mlflow.versions(name, tags):
                return versions[-1].number
            return self._publish(name, model, file, tags, check)

    def _publish(
        self, name: str, model: Model, file: str, tags: dict[str, str], check: Callable[[], None]
    ) -> str:
        """The number of the version that was made now; nothing else is published meanwhile."""
        what, mlflow = f"publishing {tags[VERSION]} to {name}", self._mlflow
        if mlflow.model(name) is None:
            try:
                mlflow.post("/registered-models/create", what, name=name)
            except RejectedError:  # also of what was made meanwhile
                if mlflow.model(name) is None:
                    raise
        more = {_taken(f"reconciler.{n}"): value for n, value in model.labels.items()}
        more |= {KEY: model.key} if model.key else {}
        listed = [{"key": key, "value": value} for key, value in sorted((tags | more).items())]
        check()
        run, artifacts = self._run(what, tags, listed)
        now = int(time.time() * 1000)
        metrics = [
            {"key": _taken(key), "value": value, "timestamp": now, "step": 0}
            for key, value in sorted(model.metrics.items())
        ]
        if metrics:
            mlflow.post("/runs/log-batch", what, run_id=run, metrics=metrics)
        with fetched(self._store, file, model.sha256) as path:
            if path is None:
                raise RefusedError(f"{model.ref} is gone from the store; it cannot be published")
            mlflow.upload(f"{artifacts}/model/{file.rpartition('/')[2]}", what, path)
        mlflow.post("/runs/update", what, run_id=run, status="FINISHED", end_time=now)
        source = {"source": f"{artifacts}/model", "run_id": run}
        check()
        mlflow.post("/model-versions/create", what, name=name, **source, tags=listed)
        made = mlflow.versions(name, tags)
        if not made:
            raise WireError(f"{what}: MLflow took the version, and does not show it; apply again")
        return made[-1].number

    def _run(
        self, what: str, tags: dict[str, str], listed: list[dict[str, str]]
    ) -> tuple[str, str]:
        """The run of a version, and where its artifacts are; one that was left is used again."""
        experiment = self._experiment(what)
        filter_ = " and ".join(f"tags.`{key}` = '{value}'" for key, value in sorted(tags.items()))
        wanted = {"experiment_ids": [experiment], "filter": filter_, "max_results": 1}
        runs = self._mlflow.post("/runs/search", what, **wanted).get("runs") or []
        if not runs:
            name = {"experiment_id": experiment, "run_name": tags[VERSION]}
            made = self._mlflow.post("/runs/create", what, **name, tags=listed)
            runs = [made.get("run")]
        try:
            info = runs[0]["info"]
            return str(info["run_id"]), str(info["artifact_uri"])
        except (KeyError, TypeError) as exc:
            raise UnreadableError(f"{what}: the answer shows no run") from exc

    def _experiment(self, what: str) -> str:
        """The id of the experiment of published versions."""
        path, name = "/experiments/get-by-name", {"experiment_name": EXPERIMENT}
        if (answer := self._mlflow.find(path, what, **name)) is None:
            try:
                self._mlflow.post("/experiments/create", what, name=EXPERIMENT)
            except RejectedError:
                if self._mlflow.find(path, what, **name) is None:
                    raise
            answer = self._mlflow.get(path, what, **name)
        try:
            return str(answer["experiment"]["experiment_id"])
        except (KeyError, TypeError) as exc:
            raise UnreadableError(f"{what}: the answer shows no experiment") from exc


def _taken(name: str) -> str:
    """The name of a metric or tag as MLflow takes it: `precision_10` for `precision@10`."""
    name = _NOT_TAKEN.sub("_", name)[:250]
    plain = posixpath.normpath(name) == name and name[:1] not in (".", "/")
    return name if plain else name.replace("/", "_").lstrip(".") or "_"
