"""Versions that somebody else made: a file of the data, or of a registry, is taken into the store.

It is an engine like any other, whose job is to copy. So such a version is claimed, judged by its
gates, rejected and rolled back as one that was trained; and once it is taken in, nothing that
happens to the original changes it.

Copying can be cut off anywhere, and a half copy must not look whole. So the note that a job is done
is written last, after every file, and a job without it has not happened: it is started again and
writes the same files over. Several files must also be of one moment. Their fingerprints are
compared before and after: a producer that replaces data and labels while they are copied would
otherwise leave the data of one day beside the labels of the next, and no gate would notice.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from reconciler.engine.tables import MOST_POINTER, NOT_FETCHED, is_pointer
from reconciler.errors import NotFoundError, RefusedError, UnavailableError, UnreadableError
from reconciler.model import METRICS, MODEL
from reconciler.platforms.contract import Job, JobState, Order, Registry, Trainer
from reconciler.stores.contract import Place, Properties, Store, copy_file, name_in
from reconciler.strict_json import parse_json

_EMPTY = "it is empty, as an upload that was cut off leaves it; write it again"


class _Taker(Trainer):
    """Copies to the store. A job that is done has a file of its own there."""

    grants = False

    def __init__(self, store: Store) -> None:
        self._store = store

    def look(self, job: str) -> Job:
        """Finished, if that is noted and the files are there; else it can be started again."""
        done = self._store.get(_done(job))
        if done is None:
            return Job(JobState.NOT_STARTED)
        try:
            made = {role: Place(uri) for role, uri in parse_json(done.content).items()}
            gone = any(
                self._store.head(_name(self._store, place)) is None for place in made.values()
            )
        except (ValueError, AttributeError, TypeError) as exc:
            raise UnreadableError(f"{_done(job)} in the store is damaged; delete it") from exc
        return Job(JobState.NOT_STARTED) if gone else Job(JobState.FINISHED, outputs=made)

    def cancel(self, job: str) -> None:
        """Nothing: a copy ends with the call that makes it."""

    def _note(self, job: str, order: Order, roles: Iterable[str]) -> None:
        """Note, after the files, that all of them are there."""
        places = {role: order.outputs[role].uri for role in roles}
        self._store.put(_done(job), json.dumps(places).encode())


class Taking(_Taker):
    """Copies files of the data."""

    def __init__(self, data: Store, store: Store) -> None:
        super().__init__(store)
        self._data = data

    def start(self, job: str, order: Order) -> None:
        """Copy the files, and note at last that all are there.

        Another shard may have taken them in by now, and have proved them: then nothing is copied.
        Files that change meanwhile may not belong together, so they are copied again.
        """
        if self.look(job).state is JobState.FINISHED:
            return
        names = {role: _name(self._data, place) for role, place in order.inputs.items()}
        seen = {role: self._data.head(name) for role, name in names.items()}
        for role, name in names.items():
            if flaw := self._flaw(name, seen[role]):
                raise RefusedError(f"{order.inputs[role].uri}: {flaw}")
            made = _name(self._store, order.outputs[role])
            if copy_file(self._data, name, self._store, made) is None:
                raise NotFoundError(f"there is no {order.inputs[role].uri}; put it there")
        for role, name in names.items():
            before, now = seen[role], self._data.head(name)
            if before is None or now is None or now.fingerprint != before.fingerprint:
                uri = order.inputs[role].uri
                raise UnavailableError(f"{uri} changed while it was copied; it is copied again")
        self._note(job, order, [role for role, _ in order.recipe.outputs])

    def _flaw(self, name: str, seen: Properties | None) -> str:
        """Why a file of the data is not what it should be; "" where nothing is seen of that."""
        file = self._data.get(name) if seen and seen.size <= MOST_POINTER else None
        return "" if file is None else _flaw(file.content)


class TakingRegistered(_Taker):
    """Copies versions of a registry, each with the metrics of its run."""

    def __init__(self, registry: Registry, store: Store) -> None:
        super().__init__(store)
        self._registry = registry

    def start(self, job: str, order: Order) -> None:
        """Copy the artifact, write the metrics beside it, and note at last that both are there.

        A metric that is no finite number is left out, so no gate that asks for it lets it pass.
        Many runs log none, and some versions have no run: then only the artifact is taken in.
        """
        if self.look(job).state is JobState.FINISHED:
            return
        version = self._registry.look(order.recipe)
        if version.refusal:
            raise RefusedError(version.refusal)
        with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
            path = Path(folder) / "artifact"
            self._registry.fetch(order.recipe, path)
            with path.open("rb") as file:
                flaw = _flaw(file.read(MOST_POINTER))
            if flaw:
                raise RefusedError(f"the file of version {version.version}: {flaw}")
            self._store.put_file(_name(self._store, order.outputs[MODEL]), path)
        if metrics := version.finite:
            metrics_name = _name(self._store, order.outputs[METRICS])
            self._store.put(metrics_name, json.dumps(metrics, sort_keys=True).encode())
        self._note(job, order, [MODEL, METRICS] if metrics else [MODEL])


def _flaw(head: bytes) -> str:
    """Why a file with this head is no model and no metrics; "" where it may be one."""
    return NOT_FETCHED if is_pointer(head) else "" if head else _EMPTY


def _done(job: str) -> str:
    return f"_taken/{job}.json"


def _name(store: Store, place: Place) -> str:
    name = name_in(store.base, place.uri)
    if name is None:
        raise RefusedError(f"{place.uri} is not in {store.uri}")
    return name
