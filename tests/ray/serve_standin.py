"""What answers as Ray Serve does, its proxy included: one request for all applications.

As in Ray 2.60: a request replaces the world, unknown members are dropped, and a new configuration
whose replicas do not start stays declared while the old replicas answer on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.ray.standin import Standin

APPLICATIONS = "/api/serve/applications/"


@dataclass
class Shown:
    """One application: as it is configured, and what answers."""

    config: Any
    serves: Any = None
    status: str = "RUNNING"
    message: str = ""
    source: str = "declarative"
    looks: int = 0  # how many it takes until its replicas run

    def look(self) -> None:
        """Let its replicas come closer to running."""
        if self.looks:
            self.looks -= 1
            if not self.looks:
                self.status, self.serves = "RUNNING", self.config

    def as_json(self, name: str) -> dict[str, Any]:
        replicas = [{"state": "RUNNING", "node_id": "n"}] if self.serves else []
        deployment = {
            "message": self.message,
            "replicas": replicas,
            "target_num_replicas": 1,
        }
        return {
            "name": name,
            "route_prefix": (self.config or {}).get("route_prefix", "/"),
            "status": self.status,
            "message": "Failed to update the deployments." if self.message else "",
            "deployed_app_config": self.config,
            "source": self.source,
            "deployments": {"Model": deployment},
        }


@dataclass
class Serve:
    """The applications of a cluster. `breaks` and `slow` say of a configuration that its replicas
    do not start, or not yet, and `looks` how many it takes until they run; `between` is what another
    writer does before the next request."""

    applications: dict[str, Shown] = field(default_factory=dict)
    started: bool = False
    hidden: bool = False  # the dashboard cannot ask its controller, and answers an empty list
    dead: int = 0  # controllers of Serve that ran before, and that Ray still lists
    breaks: Callable[[Any], bool] = lambda _: False
    slow: Callable[[Any], bool] = lambda _: False
    looks: int = 0
    between: list[Callable[[], None]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    around: dict[str, Any] = field(default_factory=dict)

    def show(self) -> Any:
        if self.hidden or not self.started:
            return {"controller_info": {}, "proxies": {}, "applications": {}}
        for each in self.applications.values():
            each.look()
        shown = {name: each.as_json(name) for name, each in self.applications.items()}
        return {"controller_info": {"node_id": "n"}, "applications": shown, **self.around}

    def controllers(self, path: str) -> list[dict[str, str]]:
        """The controllers that a list of actors shows, the oldest first, as many as are asked."""
        asked = parse_qs(path.partition("?")[2])
        states = ["DEAD"] * self.dead + ["ALIVE" if self.started else "DEAD"]
        if "DEAD" in asked["filter_values"]:
            states = [state for state in states if state != "DEAD"]
        return [{"state": state} for state in states[: int(asked["limit"][0])]]

    def put(self, body: Any) -> None:
        for other in self.between[:1]:
            self.between.pop(0)
            other()
        self.bodies.append(body)
        self.declare(body["applications"])

    def declare(self, configs: list[Any]) -> None:
        """Replace the applications, but for those that a program made."""
        self.started = True
        made = {n: a for n, a in self.applications.items() if a.source == "imperative"}
        for config in configs:
            before = self.applications.get(config["name"])
            made[config["name"]] = self._next(before, config)
        self.applications = made

    def answer(self, route: str) -> tuple[int, Any, dict[str, str]]:
        """What the replicas behind a route answer, with the header that names their model."""
        for shown in self.applications.values():
            if shown.serves and shown.config.get("route_prefix", "/") == route:
                model = shown.serves["args"]["model"]
                rows = [{"version": model["version"]}]
                return 200, {"rows": rows}, {"X-Reconciler-Model": model["uri"]}
        return 404, "Path not found", {}

    def _next(self, before: Shown | None, config: Any) -> Shown:
        if before is not None and before.config == config:
            return before
        serves = before.serves if before else None
        if self.breaks(config):
            why = "Error:\nTraceback …\nValueError: the model is broken"
            return Shown(config, serves, "DEPLOY_FAILED", why)
        if self.looks or self.slow(config):
            return Shown(config, serves, "DEPLOYING", looks=self.looks)
        return Shown(config, config)


class ServeStandin(Standin):
    """The server; `serve` are its applications, and each answer takes `latency_s` at least."""

    def __init__(self) -> None:
        super().__init__()
        self.serve = serve = Serve()
        self.latency_s = 0.0
        self.at = f"{self.url}/at"  # its proxy
        standin = self
        base: Any = self._server.RequestHandlerClass

        class Handler(base):  # type: ignore[misc]
            def do_POST(self) -> None:
                """Its proxy is open to all, and must not hear the token."""
                if not self.path.startswith("/at/"):
                    super().do_POST()
                    return
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                assert "Authorization" not in self.headers
                status, answer, names = serve.answer(self.path.removeprefix("/at"))
                kind = "application/json"
                self._answer(status, json.dumps(answer).encode(), kind, **names)

            def _serve(self) -> None:
                time.sleep(standin.latency_s)
                super()._serve()

            def _made(self, path: str, body: bytes) -> tuple[int, Any]:
                if (self.command, path) == ("GET", APPLICATIONS):
                    return 200, serve.show()
                if (self.command, path) == ("PUT", APPLICATIONS):
                    serve.put(json.loads(body))
                    return 200, ""
                if path == "/api/v0/actors":
                    return 200, {"data": {"result": {"result": serve.controllers(self.path)}}}
                found: tuple[int, Any] = super()._made(path, body)
                return found

        self._server.RequestHandlerClass = Handler

    def restart(self, *, kept: bool = False, down: int = 0) -> None:
        """A new head, which refuses some requests first. Without the state of the old one it has no
        application, and Serve does not run; with it, all replicas start again."""
        self.world.restart(kept=kept, down=down)
        if not kept:
            self.serve.applications, self.serve.started = {}, False
        for shown in self.serve.applications.values():
            shown.status, shown.serves, shown.looks = "DEPLOYING", None, self.serve.looks or 1
