"""The REST interface of one Ray cluster: the token, the errors, and whether it is Ray at all.

A dashboard often stands behind a proxy that signs people in. Its page, or its redirect, is never
taken for an answer of Ray: a redirect is not followed (http/), and every answer that is used here
is JSON, or has the words that Ray itself uses (`find`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Container
from typing import Any, TypeVar

from reconciler.errors import (
    RefusedError,
    UnauthorizedError,
    UnreachableError,
    UnreadableError,
    WireError,
)
from reconciler.http.client import Http, Response
from reconciler.http.credentials import Bearer
from reconciler.http.response import error_of
from reconciler.platforms.ray.connection import Ray

OLDEST = (2, 9)  # the first whose Serve interface has PUT /api/serve/applications/ with all fields
SURGING = (2, 60)  # the oldest that is known to have max_surge_percent; others drop it unsaid
ABSENT = b"does not exist"  # job_head.py: of jobs and of packages
NO_ROUTE = b"404: Not Found"  # aiohttp's: this Ray has no such route
_E = TypeVar("_E", UnauthorizedError, UnreadableError)


class Client:
    """A client of one cluster, for many threads. Paths begin with a slash, below the dashboard."""

    def __init__(self, http: Http, ray: Ray, credential: Bearer | None) -> None:
        self.ray = ray
        self._http = http
        self._credential = credential
        self._known = threading.Lock()
        self._version: dict[str, Any] = {}

    @property
    def version(self) -> dict[str, Any]:
        """The cluster's answer about itself, asked once: `ray_version`, `session_name`.

        RefusedError for a Ray that is too old, UnreadableError for what is no Ray.
        """
        with self._known:
            if not self._version:
                self._version = self._asked_version()
        return self._version

    def asked_again(self) -> dict[str, Any]:
        """The cluster's answer about itself, asked again."""
        with self._known:
            self._version = {}
        return self.version

    @property
    def surges(self) -> bool:
        """Whether this Ray can start a new replica before it ends the old one."""
        return _numbers(self.version.get("ray_version")) >= SURGING

    def reaches(self, url: str) -> bool:
        """Whether any server answers at an address, asked without the token."""
        try:
            self._http.request("GET", f"{url}/-/healthz", what="asking the proxy of Ray", once=True)
        except UnreachableError:
            return False
        except WireError:  # whatever it answers, it is there
            return True
        return True

    def get(self, path: str, what: str, **sending: Any) -> Response:
        """The answer to a read, its body unread."""
        return self._request("GET", path, what, **sending)

    def put(self, path: str, what: str, **sending: Any) -> Response:
        """The answer to a write that may be repeated."""
        return self._request("PUT", path, what, **sending)

    def post(self, path: str, what: str, **sending: Any) -> Response:
        """The answer to a write that is sent once."""
        return self._request("POST", path, what, **sending)

    def find(self, path: str, what: str, absent: bytes = ABSENT) -> Response | None:
        """The answer to a read; None where Ray itself says that there is no such thing.

        A proxy has a 404 of its own, and so has a dashboard without the module that is asked.
        """
        answer = self._request("GET", path, what, expect=(200, 404))
        if answer.status == 200:
            return answer
        if absent in answer.body:
            return None
        raise error_of(answer)

    def _asked_version(self) -> dict[str, Any]:
        """The cluster's answer about itself; RefusedError for a Ray that is too old,
        UnreadableError for none."""
        answer = self._request("GET", "/api/version", "asking for the version of Ray")
        try:
            about = answer.json_object()
        except UnreadableError as exc:
            raise self._not_ray(exc) from exc
        version = about.get("ray_version")
        if not (numbers := _numbers(version)):
            raise UnreadableError(f"{self.ray.host} does not answer as Ray; correct spec.ray.url")
        if numbers < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise RefusedError(
                f"{self.ray.host} runs Ray {version}; update it to Ray {oldest} or newer"
            )
        return about

    def _request(
        self, method: str, path: str, what: str, *, expect: Container[int] = (200,), **sending: Any
    ) -> Response:
        try:
            answer = self._http.request(
                method,
                self.ray.url + path,
                what=what,
                expect=expect,
                credential=self._credential,
                **sending,
            )
        except UnauthorizedError as exc:
            raise self._unauthorized(exc) from exc
        except UnreadableError as exc:
            raise self._not_ray(exc) from exc
        if answer.is_page:
            raise self._not_ray(answer.unreadable("an answer of Ray"))
        return answer

    def _unauthorized(self, error: UnauthorizedError) -> UnauthorizedError:
        """Ray says 401 where it heard no token, and 403 where it heard a wrong one."""
        token = self.ray.token
        if token is None:
            fix = "this cluster wants a token; name it: spec.ray: {token: env:NAME}"
        elif error.status == 403:
            fix = f"the token in {token.variable} is not that of this cluster, or has expired"
        else:
            fix = f"it did not receive the token in {token.variable}; a proxy may remove it"
        return _with(error, fix)

    def _not_ray(self, error: UnreadableError) -> UnreadableError:
        fix = (
            "if that is a page to sign in, let spec.ray.url lead to the dashboard itself, or let "
            "the proxy accept the token"
        )
        return _with(error, fix)


def _numbers(version: object) -> tuple[int, ...]:
    """The first two numbers of a version, () where it has none."""
    match = re.match(r"(\d+)\.(\d+)", version) if isinstance(version, str) else None
    return (int(match[1]), int(match[2])) if match else ()


def _with(error: _E, fix: str) -> _E:
    made = type(error)(f"{error.message}; {fix}", status=error.status)
    made.in_doubt = error.in_doubt
    return made
