"""The cloud: finds the door of a request, settles what is due, keeps the log and the state."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from reconciler.emulator import arm, classic, jobs, operations, rights, served
from reconciler.emulator.azureml import door, scoring
from reconciler.emulator.azureml.failures import Unready
from reconciler.emulator.blob_xml import BlobError
from reconciler.emulator.core import Core
from reconciler.emulator.faults import Fault
from reconciler.emulator.messages import Refused, Request, Response, answer, bug, json_object
from reconciler.emulator.options import Options
from reconciler.emulator.seed import plant
from reconciler.emulator.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.emulator.faults import Faults
    from reconciler.emulator.world import World

CONTROL = "/_emulator/"
ASKED_AS = "x-ms-client-request-id"
MOST_LOGGED = 100_000  # of the latest requests; a server may run for weeks
MOST_LETTERS = {"method": 20, "host": 100, "path": 1000}  # in the log
MOST_BYTES = 16 * 1024 * 1024  # of a body that is no blob; the real ARM takes 4 MB
# Blob storage takes 5,000 MiB in one body; in blocks the emulator takes more than this, too.
MOST_BLOB = 256 * 1024 * 1024
MOST_SCRIPT = 64 * 1024  # of a body for the emulator's own doors
MOST_KEPT = 256 * 1024 * 1024  # of what exists beside blobs, as JSON
MOST_STORED = 4 * 1024 * 1024 * 1024  # of blobs and blocks
_RECORD = 10_000  # bytes that a write of few may add: an operation, a job, a service
# Who calls us by another name than these is a web page whose name was bent to this machine.
_OWN_HOST = re.compile(
    r"(127\.0\.0\.1|localhost|\[::1\]|([a-z0-9-]+\.)?management\.azure\.com"
    r"|([a-z0-9-]+\.)*azureml\.(net|de|ms)|[a-z0-9]+\.blob\.core\.windows\.net"
    r"|[a-z0-9-]+\.[a-z0-9]+\.inference\.ml\.azure\.com)(:[0-9]{1,5})?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Logged:
    """One request as the log keeps it: no query, no headers, no bodies, so no secrets."""

    at: float
    route: str
    method: str
    host: str
    path: str
    status: int  # 0: dropped without an answer
    by: str = ""  # the deployment that scored


class Cloud:
    """An emulated cloud. Every request first settles the jobs and updates that are due.

    `state` is a folder that keeps the world between processes; ValueError or OSError when it
    cannot be used.
    """

    def __init__(
        self,
        options: Options | None = None,
        clock: Callable[[], float] = time.time,
        state: Path | None = None,
    ) -> None:
        self._core = Core(options or Options(), clock)
        self._guard = threading.RLock()
        self._state = State(state, self._core) if state is not None else None
        self.log: list[Logged] = []
        self.planted = False  # a seed, by this process
        # How much there is of blobs and of the rest at most; the first write measures it.
        self._most = {True: MOST_STORED, False: MOST_KEPT}
        if self._state is not None:
            self._state.load()

    @property
    def options(self) -> Options:
        """The switches."""
        return self._core.options

    @property
    def faults(self) -> Faults:
        """The faults that are to come."""
        return self._core.faults

    @property
    def world(self) -> World:
        """The records of all that exists, for tests to look at."""
        return self._core.world

    def seed(self, path: Path) -> bool:
        """Whether the seed file was planted; a world that is not empty is left alone.

        Raises ValueError, naming the file, when the seed is wrong.
        """
        with self._guard:
            if not self._core.world.empty:
                return False
            plant(self._core, path)
            self.planted = True
            self._save()
            return True

    def close(self) -> None:
        """Let go of the state folder, and end what runs."""
        self._core.containers.close()
        for process in self._core.processes.values():
            process.close()
        if self._state is not None:
            self._state.close()

    def handle(self, request: Request) -> Response:
        """The answer to a request; faults.Dropped when the connection is to be closed instead."""
        try:
            _check_caller(request)
            if request.path.startswith(CONTROL):
                return self._control(request)
            route = self.route_of(request)
            if request.method not in ("GET", "HEAD"):
                self._check_room(request, route.startswith("blob."))
        except BlobError as exc:
            return self._core.blobs.refuse(request, exc)
        except Refused as exc:
            return exc.response
        status, by = 0, ""
        try:
            response = self._core.faults.around(
                route, request.path, lambda: self._serve(route, request)
            )
            status, by = response.status, response.by
            if asked_as := request.headers.get(ASKED_AS):  # a stale answer names this request, too
                return replace(response, headers={**response.headers, ASKED_AS: asked_as})
            return response
        finally:
            method, host, path = (
                getattr(request, name)[:most] for name, most in MOST_LETTERS.items()
            )
            self.log.append(Logged(self._core.now(), route, method, host, path, status, by))
            del self.log[:-MOST_LOGGED]

    def _serve(self, route: str, request: Request) -> Response:
        """The answer; while a process starts that it waits for, others are served."""
        while True:
            try:
                return self._try(route, request)
            except Unready as unready:
                unready.wait()

    def _try(self, route: str, request: Request) -> Response:
        try:
            with self._guard:
                changed = self._settle()
                if route in scoring.ROUTES:
                    respond = scoring.admit(self._core, request)
                elif not route.startswith("blob."):
                    response = self._dispatch(route, request)
                    self._save_after(request, changed)
                    return response
            if route in scoring.ROUTES:
                return respond()  # a model may take its time, and nobody else's
            # Blobs have a lock of their own, so that no transfer waits for a fit.
            response = self._blob(request)
            with self._guard:
                self._save_after(request, changed)
            return response
        except Refused as exc:
            return exc.response
        except Unready:
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return bug()

    def _check_room(self, request: Request, of_blobs: bool) -> None:
        """Refused for a body that is too large, and for a write into a world that is full.

        It is measured when it could be full, were all kept that was sent since.
        """
        if not of_blobs and len(request.body) > MOST_BYTES:
            why = f"The body is larger than {MOST_BYTES} bytes."
            raise Refused(413, "RequestEntityTooLarge", why)
        most = MOST_STORED if of_blobs else MOST_KEPT
        with self._guard:
            sent = len(request.body) + sum(map(len, request.headers.values())) + _RECORD
            self._most[of_blobs] += sent
            if self._most[of_blobs] > most:
                kept = self._core.blobs.size if of_blobs else self.world.size
                self._most[of_blobs] = kept + sent
            full = self._most[of_blobs] > most and request.method != "DELETE"
        if full:
            why = f"This world is full: {most} bytes. Start with an empty --state folder."
            if of_blobs:
                raise BlobError(507, "InsufficientStorage", why)
            raise Refused(507, "InsufficientStorage", why)

    def settle(self) -> None:
        """Let everything happen that is due by now, as the next request would."""
        while True:
            try:
                with self._guard:
                    self._settle()
                return
            except Unready as unready:
                unready.wait()

    def _settle(self) -> bool:
        """Whether anything was due."""
        now = self._core.now()
        settled = [part.settle(self._core, now) for part in (jobs, operations, classic, door)]
        return any(settled)

    def _dispatch(self, route: str, request: Request) -> Response:
        rights.check(self._core, request, route)
        if route == rights.ROUTE:
            return rights.handle(self._core, request)
        if route.startswith("arm."):
            return arm.handle(self._core, request)
        if route.startswith("azureml."):
            return door.handle(self._core, request)
        if route.startswith("classic."):
            return classic.handle(self._core, request)
        if route:
            return served.handle(self._core, request)
        raise Refused(
            501, "NotImplemented", f"The emulator does not know {request.method} {request.path}."
        )

    def _blob(self, request: Request) -> Response:
        account, rest = self._blob_place(request)
        return self._core.blobs.handle(request, account, rest)

    def _save_after(self, request: Request, changed: bool) -> None:
        """Keep the world after anything that may have changed it."""
        looks_count = self.options.pace == "looks"
        if changed or looks_count or request.method not in ("GET", "HEAD"):
            self._save()

    def _save(self) -> None:
        if self._state is not None:
            self._state.save()

    def route_of(self, request: Request) -> str:
        """The name of a request's route, as faults and the log call it; "" for an unknown one."""
        if self._blob_place(request)[0]:
            listing = request.method == "GET" and request.parameters.get("comp") == "list"
            return "blob.list" if listing else f"blob.{request.method.casefold()}"
        doors = (rights, door, arm, served, classic)
        return next((route for each in doors if (route := each.route(request))), "")

    def _blob_place(self, request: Request) -> tuple[str, str]:
        """The account of a blob request and the path below it; "" for what is no blob request.

        An account is called by host name, by `/blob/{account}/…`, or by `/{account}/…` as Azurite
        is and as the official clients read the URL of an emulator.
        """
        if ".blob.core." in request.host:
            return request.host.partition(".")[0], request.path
        below = request.path.removeprefix("/blob/")
        account, _, rest = below.removeprefix("/").partition("/")
        known = below != request.path or account in self._core.blobs.accounts
        return (account, f"/{rest}") if known else ("", "")

    def most_bytes(self, request: Request) -> int:
        """How large the body of a request may be."""
        return MOST_BLOB if self.route_of(request).startswith("blob.") else MOST_BYTES

    def unreadable(self, request: Request, status: int, message: str) -> Response:
        """The refusal of a request without its body, in the shape of the service it was sent to."""
        if not self.route_of(request).startswith("blob."):
            return Refused(status, "BadArgument", message).response
        if status != 413:
            return self._core.blobs.refuse(request, BlobError(status, "InvalidInput", message))
        error = BlobError(413, "RequestBodyTooLarge", message, details={"MaxLimit": str(MOST_BLOB)})
        return self._core.blobs.refuse(request, error)

    # --- the control door ---

    def _control(self, request: Request) -> Response:
        what = (request.method, request.path.removeprefix(CONTROL))
        if what == ("GET", "health"):
            return answer(200, {"status": "ok", "world": self.world.id})
        if what == ("GET", "log"):
            return answer(200, [asdict(entry) for entry in list(self.log)])
        if what == ("DELETE", "log"):
            self.log.clear()
            return answer(204)
        if what == ("POST", "faults"):
            return self._script(request)
        return Refused(501, "NotImplemented", f"No control route {request.path}.").response

    def _script(self, request: Request) -> Response:
        """Either a fault of the wire, or `{"trick": …, "of": "operation", "times": 1}`.

        Only as JSON: any web page may send a form or plain text here, and is asked nothing.
        """
        try:
            kind = request.headers.get("content-type", "").partition(";")[0].strip()
            if kind.casefold() != "application/json":
                raise Refused(415, "UnsupportedMediaType", "Send Content-Type: application/json.")
            if len(request.body) > MOST_SCRIPT:
                raise Refused(413, "RequestEntityTooLarge", f"At most {MOST_SCRIPT} bytes.")
            body = json_object(request)
            if "trick" in body:
                self.faults.play(body["of"], body["trick"], body.get("times", 1))
            else:
                self.faults.script(Fault(**body))
        except Refused as exc:
            return exc.response
        except (KeyError, TypeError, ValueError) as exc:
            return Refused(400, "BadArgument", f"Not a fault: {json.dumps(str(exc))}").response
        return answer(204)


def _check_caller(request: Request) -> None:
    """Refused for what a web page sends, or was sent by, without knowing it (DNS rebinding)."""
    if not _OWN_HOST.fullmatch(request.host):
        why = "The Host is not one of this emulator; call it as 127.0.0.1 or localhost."
        raise Refused(403, "Forbidden", why)
    origin = request.headers.get("origin", request.base)
    foreign = origin.casefold() != request.base.casefold()
    if foreign or request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Refused(403, "Forbidden", "The emulator obeys no web page of another origin.")
