"""The cloud: finds the door of a request, settles what is due, keeps the log and the state."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from reconciler.emulator import arm, classic, jobs, operations, served
from reconciler.emulator.blob_xml import BlobError
from reconciler.emulator.core import Core
from reconciler.emulator.faults import Fault
from reconciler.emulator.messages import Refused, Request, Response, answer, json_object
from reconciler.emulator.options import Options
from reconciler.emulator.seed import plant
from reconciler.emulator.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.emulator.faults import Faults
    from reconciler.emulator.world import World

CONTROL = "/_emulator/"
MOST_LOGGED = 100_000  # of the latest requests; a server may run for weeks


@dataclass(frozen=True)
class Logged:
    """One request as the log keeps it: no query, no headers, no bodies, so no secrets."""

    at: float
    route: str
    method: str
    host: str
    path: str
    status: int  # 0: dropped without an answer


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
        if self._state is not None:
            self._state.load()

    @property
    def options(self) -> Options:
        """The switches."""
        return self._core.options

    @property
    def faults(self) -> Faults:
        """What will go wrong."""
        return self._core.faults

    @property
    def world(self) -> World:
        """What exists, for tests to look at."""
        return self._core.world

    def seed(self, path: Path) -> bool:
        """Whether the seed file was planted; a world that is not empty is left alone.

        Raises ValueError, naming the file, when the seed is wrong.
        """
        with self._guard:
            if not self._core.world.empty:
                return False
            plant(self._core, path)
            self._save()
            return True

    def close(self) -> None:
        """Let go of the state folder."""
        if self._state is not None:
            self._state.close()

    def handle(self, request: Request) -> Response:
        """The answer to a request; faults.Dropped when the connection is to be closed instead."""
        if request.path.startswith(CONTROL):
            return self._control(request)
        route = self.route_of(request)
        status = 0
        try:
            response = self._core.faults.around(
                route, request.path, lambda: self._serve(route, request)
            )
            status = response.status
            return response
        finally:
            path = request.path
            self.log.append(
                Logged(self._core.now(), route, request.method, request.host, path, status)
            )
            del self.log[:-MOST_LOGGED]

    def _serve(self, route: str, request: Request) -> Response:
        try:
            with self._guard:
                changed = self._settle()
                if not route.startswith("blob."):
                    response = self._dispatch(route, request)
                    self._save_after(request, changed)
                    return response
            # Blobs have a lock of their own, so that no transfer waits for a fit.
            response = self._blob(request)
            with self._guard:
                self._save_after(request, changed)
            return response
        except Refused as exc:
            return exc.response
        except Exception:
            # A bug of ours; the client sees the shape of §4.8 and the operator the traceback.
            traceback.print_exc(file=sys.stderr)
            message = "The emulator has a bug; see its own output."
            return Refused(500, "InternalError", message).response

    def settle(self) -> None:
        """Let everything happen that is due by now, as the next request would."""
        with self._guard:
            self._settle()

    def _settle(self) -> bool:
        """Whether anything was due."""
        now = self._core.now()
        settled = [part.settle(self._core, now) for part in (jobs, operations, classic)]
        return any(settled)

    def _dispatch(self, route: str, request: Request) -> Response:
        if route.startswith("arm."):
            return arm.handle(self._core, request)
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
        return arm.route(request) or served.route(request) or classic.route(request)

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

    def unreadable(self, request: Request, status: int, message: str, limit: int) -> Response:
        """The refusal of a request without its body, in the shape of the service it was sent to."""
        if not self.route_of(request).startswith("blob."):
            return Refused(status, "BadArgument", message).response
        if status != 413:
            return self._core.blobs.refuse(request, BlobError(status, "InvalidInput", message))
        error = BlobError(413, "RequestBodyTooLarge", message, details={"MaxLimit": str(limit)})
        return self._core.blobs.refuse(request, error)

    # --- the control door ---

    def _control(self, request: Request) -> Response:
        what = (request.method, request.path.removeprefix(CONTROL))
        if what == ("GET", "health"):
            return answer(200, {"status": "ok"})
        if what == ("GET", "log"):
            return answer(200, [asdict(entry) for entry in list(self.log)])
        if what == ("DELETE", "log"):
            self.log.clear()
            return answer(204)
        if what == ("POST", "faults"):
            return self._script(request)
        return Refused(501, "NotImplemented", f"No control route {request.path}.").response

    def _script(self, request: Request) -> Response:
        """Either a fault of the wire, or `{"trick": …, "of": "operation", "times": 1}`."""
        try:
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
