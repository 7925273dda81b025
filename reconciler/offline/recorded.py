"""Answers that were heard once, and a client that has no others: the cloud of an offline plan.

Everything above asks the same questions as ever, so there is no second notion of what is. Answers
of the management APIs are kept by URL; those of stores as `stores.py` says. Whatever is not known
raises NotKnownError: no answer is ever made up.

The recording stands below the planner and not beside it. To write down what the planner concluded
would be shorter, and it would be another planner: a pull request that changes an `accept` rule
needs the metrics, not yesterday's verdict on them. As it is, the plan of tomorrow's YAML is
computed from yesterday's answers by the very code that computes it online.

Only 200 and 404 are kept. Every other status says something of the moment (busy, signed out), and
replayed weeks later it would be an outage that is long over. A URL is known by the parts of its
query that choose the answer; a signature in it would make each recording unique, and is a secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from reconciler.errors import ConfigurationError, NotKnownError
from reconciler.http.asking import Asked, without_query
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken
from reconciler.http.response import Headers, Response
from reconciler.offline.redaction import kept_json
from reconciler.offline.stores import Heard, Memory, Remembered
from reconciler.stores.contract import Store
from reconciler.strict_json import parse_json

KEPT_STATUSES = (200, 404)
_KEPT_QUERY = ("api-version", "$skiptoken", "$skip", "$top", "$filter")


@dataclass(frozen=True)
class Answer:
    """One answer of a management API: its status and the JSON, without secrets."""

    status: int
    body: Any


@dataclass
class Answers:
    """The answers that were heard: of management APIs by URL, of stores by their URIs.

    `ours` is how the URLs of the stores begin, which are heard as stores and not here.
    """

    management: dict[str, Answer] = field(default_factory=dict)
    stores: dict[str, Memory] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)

    def hear(self, method: str, url: str, answer: Response) -> None:
        """Keep what a read was answered, if it is of a kind that plans ask for."""
        is_asked = method == "GET" and answer.status in KEPT_STATUSES
        if not is_asked or url.startswith(tuple(self.ours)):
            return
        try:
            body = parse_json(answer.body)
        except ValueError:
            return
        self.management[key_of(url)] = Answer(answer.status, kept_json(body))

    def heard(self, store: Store) -> Store:
        """The store, whose answers are kept here."""
        self.ours.add(store.base)
        return Heard(store, self.stores.setdefault(store.uri, Memory()))

    def remembered(self, store: Store) -> Store:
        """The store by the answers that were kept of it; ConfigurationError where none were."""
        if store.uri not in self.stores:
            raise ConfigurationError(
                f"the snapshot holds nothing of {store.uri}; take one of this environment"
            )
        return Remembered(store, self.stores[store.uri])


class Recorded(Http):
    """A client whose only answers are recorded ones. It opens no connection and refuses writes."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(threads=1, retries=0, read_only=True)
        self._known = answers

    def _exchange(self, asked: Asked) -> tuple[Response, bool]:
        return self._answer(asked), False

    def _answer(self, asked: Asked) -> Response:
        """The recorded answer; NotKnownError where none was heard, and for every write."""
        known = self._known.management.get(key_of(asked.url))
        if known is None or asked.method != "GET":
            raise NotKnownError(
                f"not known offline: {asked.what}: the snapshot does not hold the answer to "
                f"{asked.place}; a plan with credentials would ask"
            )
        body = json.dumps(known.body, ensure_ascii=False).encode()
        headers = Headers({"Content-Type": "application/json"})
        return Response(known.status, headers, body, asked.what, asked.place)


class NoToken(AccessToken):
    """The access token of who asks nobody: it is never needed."""

    def __init__(self) -> None:
        """Nothing: there is no way to sign in."""

    def __repr__(self) -> str:
        """Its name."""
        return "NoToken()"

    def check(self) -> None:
        """Return: nothing is missing."""

    def authorization(self, url: str) -> str:
        """Never asked for: a recorded answer needs none."""
        raise AssertionError(f"a token was asked for offline, for {without_query(url)}")


def key_of(url: str) -> str:
    """The URL with only those parts of its query that choose the answer; a SAS is none."""
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    query = urlencode([(name, value) for name, value in pairs if name.lower() in _KEPT_QUERY])
    return f"{without_query(url)}?{query}" if query else without_query(url)
