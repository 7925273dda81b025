"""One writer for all applications of a cluster: many changes, few requests.

Ray has no request for one application. PUT takes the configurations of all of them, and deletes
every application that it does not name; there is no ETag, and the last writer wins. So whoever
changes one application here hands in an edit, and waits. The first that comes leads: it waits a
moment for others, reads the cluster, lets each edit say what its application is to be, and sends
one request, if anything differs, with the configurations of all others as they were read. What they
hold may be secret: it is sent back, and is in no message. While it writes the next edits gather.

Two writers that know nothing of each other may both read before one of them writes. Only reading
again helps, for they need not share a store that could have a lock. So the cluster is read once
more just before the request, and if it changed meanwhile the edits are asked anew. It is read
afterwards too, and whoever finds that its own change is not there takes up the newer state and
writes once more. A request that was on its way longer undoes a change later: then the application
shows again just what it showed before the change. Whoever asks how far that is sees it, and the
change is made again (`Writer.undone`). Starting a replica takes much longer than a request, so
nobody takes an application for started that was undone.

An empty list is dangerous, for a PUT that is built on it deletes everything. Ray answers one with
200 where it could not ask its own controller (serve_head.py), and for some seconds while another
client starts Serve. So a list without a controller is believed only if the list of actors has none
either, and one with a controller and no application only if it is empty a second time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from reconciler.errors import (
    ConflictError,
    ReconcilerError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)
from reconciler.http.urls import is_loopback, split_url
from reconciler.platforms.members import at
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.serve_config import Config, fingerprint, hides
from reconciler.platforms.ray.serve_live import Reading, Seen, Status, other_proxy, reading_of

# What an application is to be, None: gone. It is asked just before the write, and raises what
# forbids that.
Edit = Callable[[Reading, Seen | None], Config | None]

PATH = "/api/serve/applications/"
ACTORS = (  # those that live: Ray lists dead ones for long, and cuts a list by ids
    "/api/v0/actors?limit=10&filter_keys=class_name&filter_predicates=%3D"
    "&filter_values=ServeController"
    "&filter_keys=state&filter_predicates=%21%3D&filter_values=DEAD"
)
GATHER_S = 0.1  # how long the first edit waits for others
EMPTY_S = 5.0  # how long Serve may show no application while another client starts it (3.2 s seen)
MOST_WRITES = 3  # of one edit, where others write over it


class Readings:
    """Readings of the cluster for many threads: those who ask at one time share an answer,
    which began after all of them had asked."""

    def __init__(self, cluster: Cluster, pause: Callable[[float], object]) -> None:
        self._cluster = cluster
        self._pause = pause
        self._guard = threading.Lock()
        self._asking = threading.Lock()
        self._next: Future[Reading] | None = None
        self._empty = False  # whether it was seen twice that there is no application

    def __call__(self) -> Reading:
        """All applications of the cluster, by a request from now."""
        with self._guard:
            if self._next is None:
                self._next = Future()
            mine = self._next
        with self._asking:
            if not mine.done():
                with self._guard:
                    self._next = None  # whoever asks from here on wants a later answer
                try:
                    mine.set_result(self._ask())
                except BaseException as exc:
                    mine.set_exception(exc)
        return mine.result()

    def _ask(self) -> Reading:
        """The reading, where nobody can mistake it for less than there is."""
        reading = self._asked(self._cluster.reading())
        if reading.applications:
            self._empty = False
            return reading
        client = self._cluster.reading_again()
        if reading.started and not self._empty:
            self._pause(EMPTY_S)
            reading = self._asked(client)
        if not reading.started and _has_controller(client):
            raise UnavailableError(
                f"{client.ray.host} says that Serve does not run, and it does; look again later"
            )
        self._empty = reading.started and not reading.applications
        return reading

    def _asked(self, client: Client) -> Reading:
        answer = client.get(PATH, "listing the applications of Ray")
        reading = replace(reading_of(answer.json_object()), surges=client.surges)
        return replace(reading, astray=self._astray(client, reading))

    def _astray(self, client: Client, reading: Reading) -> str:
        """Why nothing answers at `spec.ray.serve`; "" where something does: a forwarded port."""
        serve = client.ray.serve
        listens = other_proxy(reading, serve)
        if not listens or client.reaches(serve):
            return ""
        why = f"nothing answers at {serve}, for the proxy of Serve listens at {listens}"
        return f"{why}; correct spec.ray.serve"


def _has_controller(client: Client) -> bool:
    """Whether Ray's list of actors has a controller of Serve that is not dead."""
    answer = client.get(ACTORS, "looking for the controller of Serve").json_object()
    listed = at(answer, "data", "result", "result")
    if not isinstance(listed, list):
        raise UnavailableError(f"{client.ray.host} does not list its actors; look again later")
    return any(not isinstance(a, dict) or a.get("state") != "DEAD" for a in listed)


class Writer:
    """The one writer of a cluster in this process, used from many threads."""

    def __init__(
        self, cluster: Cluster, readings: Readings, pause: Callable[[float], object]
    ) -> None:
        self._cluster = cluster
        self._readings = readings
        self._pause = pause
        self._guard = threading.Lock()
        self._leading = threading.Lock()
        self._waiting: list[_Change] = []
        self._made: dict[str, _Made] = {}

    @property
    def session(self) -> str:
        """The session of the cluster, as it was last seen."""
        return self._cluster.session

    def change(self, name: str, edit: Edit, session: str = "") -> Config | None:
        """The configuration that the application has now by this edit; None where it is gone.

        ConflictError where the cluster has another session by now, and so has forgotten what was
        made ready for the edit."""
        mine = _Change(name, edit, session or self.session)
        with self._guard:
            self._waiting.append(mine)
        with self._leading:
            if not mine.outcome.done():
                self._pause(GATHER_S)
                with self._guard:
                    changes, self._waiting = self._waiting, []
                self._lead(changes)
        return mine.outcome.result()

    def undone(self, name: str, seen: Seen | None) -> bool:
        """Whether another writer undid the last change of an application, going by how it is seen
        now. Then it is made again, a bounded number of times."""
        made = self._made.get(name)
        if made is None or made.session != self.session:  # it was forgotten, and not undone
            return False
        if made.again >= MOST_WRITES or not made.is_undone(seen):
            return False
        made.again += 1

        def edit(_: Reading, seen: Seen | None) -> Config | None:
            current = seen.config if seen is not None else None
            return made.after if made.is_undone(seen) else current

        self.change(name, edit, made.session)
        self._made[name] = made  # which counts on
        return True

    def _lead(self, changes: list[_Change]) -> None:
        """Carry out the changes; whatever goes wrong with all of them is told to each."""
        left = changes
        try:
            for _ in range(MOST_WRITES):
                client = self._cluster.writing()
                left = self._written(client, left)
                if not left:
                    return
            raise ConflictError(
                f"somebody else writes the applications of {client.ray.host} at the same time, and "
                "what this run declared was replaced; let one run at a time write to a cluster"
            )
        except BaseException as exc:
            for change in left:
                if not change.outcome.done():
                    change.outcome.set_exception(exc)
            if not isinstance(exc, ReconcilerError):
                raise

    def _written(self, client: Client, changes: list[_Change]) -> list[_Change]:
        """The changes that were lost to another writer, after one request for all of them."""
        reading = self._readings()
        before = _configs(reading, client.ray.host)
        after, pending = _edited(reading, before, changes, self.session)
        if after == before:
            _answer(pending, after)
            return []
        if _configs(self._readings(), client.ray.host) != before:
            return pending
        doubt: UnavailableError | UnreachableError | None = None
        try:
            _put(client, reading, after)
        except (UnavailableError, UnreachableError) as exc:
            if not exc.in_doubt:
                raise
            doubt = exc  # it may have happened: what is there says whether it did
        seen = self._readings().applications
        there = [change for change in pending if _shows(seen.get(change.name), after, change.name)]
        for change in there:
            was, made = before.get(change.name), after.get(change.name)
            self._made[change.name] = _Made(change.session, was, made)
        _answer(there, after)
        lost = [change for change in pending if not change.outcome.done()]
        if lost and doubt is not None:
            raise doubt
        return lost


class _Change:
    """An edit of one application, made ready in a session of the cluster, and what comes of it."""

    def __init__(self, name: str, edit: Edit, session: str) -> None:
        self.name = name
        self.edit = edit
        self.session = session
        self.outcome: Future[Config | None] = Future()


@dataclass
class _Made:
    """A change that was made: in which session of the cluster, the configuration before and after
    it, None where there is none, and how often it was made again."""

    session: str
    before: Config | None
    after: Config | None
    again: int = 0

    def is_undone(self, seen: Seen | None) -> bool:
        """Whether the application shows just what it did before."""
        if self.before is None or seen is None or seen.config is None:
            return self.before is None and seen is None and self.after is not None
        was, now = fingerprint(self.before), fingerprint(seen.config)
        return now == was and (self.after is None or now != fingerprint(self.after))


def _configs(reading: Reading, host: str) -> dict[str, Config]:
    """The configurations of all applications that a request must name, as they were read.

    UnavailableError where one cannot be read: without it the request would delete that application.
    An application that a program made (`serve.run`) has none, and is not touched by the request.
    """
    configs = {}
    for name, seen in reading.applications.items():
        if seen.config is not None and hides(seen.config):
            raise RefusedError(
                f"{host} does not show all of the application {name}; sending it back would "
                "replace its secrets; does a proxy make requests look like a browser's?"
            )
        if seen.config is not None:
            configs[name] = seen.config
        elif seen.is_declared and seen.status is not Status.DELETING:
            raise UnavailableError(f"{host} does not show how {name} is configured; try later")
    return configs


def _edited(
    reading: Reading, before: Mapping[str, Config], changes: Iterable[_Change], session: str
) -> tuple[dict[str, Config], list[_Change]]:
    """All configurations with the changes that may be made; the others are told why not."""
    after, pending = dict(before), []
    for change in changes:
        try:
            if change.session != session:
                raise ConflictError("the cluster was restarted meanwhile, and is empty; look again")
            config = change.edit(reading, reading.applications.get(change.name))
            if config is not None:
                _check_route(config, after)
        except Exception as exc:
            change.outcome.set_exception(exc)
            continue
        pending.append(change)
        if config is None:
            after.pop(change.name, None)
        elif fingerprint(config) != fingerprint(before.get(change.name, {})):
            after[change.name] = config
    return after, pending


def _check_route(config: Config, others: Mapping[str, Config]) -> None:
    """RefusedError for a route that two would have: Ray refuses the whole request then."""
    for name, other in others.items():
        if name != config["name"] and other.get("route_prefix") == config.get("route_prefix"):
            raise RefusedError(
                f"the route {config.get('route_prefix')} is that of the application {name}; "
                "declare another spec.route"
            )


def _put(client: Client, reading: Reading, configs: Mapping[str, Config]) -> None:
    """Declare all applications of the cluster."""
    around = dict(reading.around)
    if not reading.started:
        around |= _first_options(client.ray.serve)
    body = {**around, "applications": list(configs.values())}
    client.put(PATH, "declaring the applications of Ray", json=body, once=True)


def _first_options(serve: str) -> dict[str, Any]:
    """Where Serve is to answer, if this request starts it on this machine; else it has its own
    way."""
    parts = split_url(serve) if serve else None
    if parts is None or not is_loopback(parts.hostname or "") or parts.port is None:
        return {}
    options = {"host": parts.hostname, "port": parts.port}
    return {"proxy_location": "HeadOnly", "http_options": options}


def _shows(seen: Seen | None, after: Mapping[str, Config], name: str) -> bool:
    """Whether the cluster shows an application as it was sent, or gone where it was left out."""
    config = seen.config if seen is not None else None
    if config is None or name not in after:
        return config is None and name not in after
    return fingerprint(config) == fingerprint(after[name])


def _answer(changes: Iterable[_Change], configs: Mapping[str, Config]) -> None:
    for change in changes:
        if not change.outcome.done():
            change.outcome.set_result(configs.get(change.name))
