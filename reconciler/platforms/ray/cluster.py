"""Which cluster answers: the one that is known, the known one after a restart, or another.

A cluster has an id (GET /cluster_id), a session name and a head node. After a restart of a head
whose state is kept outside (GCS fault tolerance) id and session are as before, and the head node is
another. After any other restart all three are new, and the cluster has forgotten its jobs, packages
and applications: it was reborn. A third party's cluster behind the same address looks just like
that, so nothing is written to it, and nothing that is missing there is believed to be gone, before
somebody says that it is meant.

The store notes the three at the first write, in one file for each address of a cluster. Ids are
compared before anything is read, once in a run, and again before each write and wherever a cluster
says that it does not know what it was given.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.errors import ConflictError, RefusedError, UnreadableError
from reconciler.platforms.members import at
from reconciler.platforms.ray.client import NO_ROUTE, Client
from reconciler.platforms.ray.connection import ANY, named
from reconciler.stores.contract import Store, Stored
from reconciler.strict_json import parse_json

FOLDER = "_clusters"
_HEAD = (
    "/api/v0/nodes?detail=1&limit=100"
    "&filter_keys=is_head_node&filter_predicates=%3D&filter_values=True"
    "&filter_keys=state&filter_predicates=%3D&filter_values=ALIVE"
)


@dataclass(frozen=True)
class Identity:
    """The identity that tells a cluster from all others; `head` is the id of its head node.

    `id` is "" where Ray has no such route; then the session alone decides.
    """

    id: str
    session: str
    head: str

    def is_that_of(self, other: Identity) -> bool:
        """Whether both are one cluster, restarted or not."""
        if self.id and other.id:
            return self.id == other.id
        return self.session == other.session


class Cluster:
    """One cluster as a run knows it, asked from many threads."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._checking = threading.Lock()
        self._begun = self._ended = 0  # checks that began, and the last that succeeded
        self._seen: tuple[Identity, Stored | None] | None = None

    @property
    def name(self) -> str:
        """Its file in the store."""
        return f"{FOLDER}/{named(self._client.ray.host)}.json"

    @property
    def session(self) -> str:
        """Ray's name of its life since it was last empty, as it was last seen."""
        return str(self._client.version.get("session_name"))

    def reading(self) -> Client:
        """The client, once it is sure that the cluster is the known one; RefusedError elsewhere."""
        if self._seen is None:
            self._check()
        return self._client

    def reading_again(self) -> Client:
        """The client, after a look from now: what is missing there is missing in the known
        cluster."""
        self._check()
        return self._client

    def writing(self) -> Client:
        """The client, once the store has noted the cluster and this is still that one."""
        self._note(*self._check())
        return self._client

    def head_started_ms(self) -> float:
        """When the head node that lives now was started, in milliseconds since the epoch."""
        started = self._head().get("start_time_ms")
        if not isinstance(started, int | float):
            raise UnreadableError("Ray does not say when its head node was started")
        return float(started)

    def _check(self) -> tuple[Identity, Stored | None]:
        """What a check says that began after this call; one serves all who wait for it."""
        before = self._begun
        with self._checking:
            if self._ended <= before or self._seen is None:
                self._begun = number = self._begun + 1
                self._seen = self._checked()
                self._ended = number
            return self._seen

    def _checked(self) -> tuple[Identity, Stored | None]:
        """The cluster that answers now, and what the store knows; RefusedError if they differ."""
        now, known = self._now(), self._known()
        meant = self._client.ray.cluster
        if meant and meant not in (ANY, now.id):
            raise RefusedError(
                f"{self._client.ray.host} is now the cluster {_short(now)}, and spec.ray.cluster "
                f"names {meant[:12]}; correct it, or the address"
            )
        if known is None or meant or now.is_that_of(noted := _identity(known)):
            return now, known
        raise RefusedError(self._another(now, noted))

    def _another(self, now: Identity, noted: Identity) -> str:
        """Why a cluster is refused: it was reborn with nothing in it, or it is somebody else's."""
        here = self._client.ray.host
        fix = f'write spec.ray: {{cluster: "{now.id or ANY}"}}'
        if self._is_empty():
            return (
                f"the cluster {_short(noted)} at {here} was restarted and has forgotten all its "
                f"jobs and applications; it is now {_short(now)}; to restore them there, {fix}"
            )
        return (
            f"{here} is another cluster than before, with jobs or applications of its own: it was "
            f"{_short(noted)} and is now {_short(now)}; correct spec.ray.url, or, if it is meant, "
            f"{fix}"
        )

    def _is_empty(self) -> bool:
        jobs = self._client.get("/api/jobs/", "listing the jobs of Ray").json_list()
        if any(isinstance(job, dict) and job.get("type") == "SUBMISSION" for job in jobs):
            return False
        serve = self._client.get("/api/serve/applications/", "listing the applications of Ray")
        return not serve.json_object().get("applications")

    def _now(self) -> Identity:
        session = self._client.asked_again().get("session_name")
        answer = self._client.find("/cluster_id", "asking for the id of the cluster", NO_ROUTE)
        ident = at(answer.json_object(), "data", "clusterId") if answer else ""
        head = self._head().get("node_id")
        if not isinstance(ident, str) or not isinstance(session, str) or not isinstance(head, str):
            raise UnreadableError("Ray does not say which cluster it is: no id, session or head")
        return Identity(ident, session, head)

    def _head(self) -> dict[str, Any]:
        """The head node that lives."""
        answer = self._client.get(_HEAD, "asking for the head node of Ray").json_object()
        nodes = at(answer, "data", "result", "result")
        alive = [
            node
            for node in (nodes if isinstance(nodes, list) else [])
            if isinstance(node, dict) and node.get("is_head_node") and node.get("state") == "ALIVE"
        ]
        if len(alive) != 1:
            raise UnreadableError(
                f"Ray shows {len(alive)} head nodes that live; it may be starting, so try again"
            )
        return alive[0]

    def _known(self) -> Stored | None:
        return self._store.get(self.name)

    def _note(self, now: Identity, known: Stored | None) -> None:
        """Note which cluster this is. Another run may note the same one first, and no other."""
        content = json.dumps(asdict(now), indent=1).encode()
        try:
            if known is None:
                self._store.put_if_absent(self.name, content)
            elif _identity(known) != now:
                self._store.replace(self.name, content, known.etag)
        except ConflictError:
            now_known = self._known()
            if now_known is None or not now.is_that_of(_identity(now_known)):
                raise


def _identity(stored: Stored) -> Identity:
    """The identity in the store's file; UnreadableError says what to do with a damaged one."""
    try:
        document = parse_json(stored.content)
        return Identity(**{name: str(document[name]) for name in ("id", "session", "head")})
    except (ValueError, TypeError, KeyError) as exc:
        raise UnreadableError(
            f"the store's file {FOLDER}/… does not say which Ray cluster is known ({exc}); look at "
            "it, and delete it if the cluster is the right one"
        ) from exc


def _short(identity: Identity) -> str:
    return identity.id[:12] or identity.session
