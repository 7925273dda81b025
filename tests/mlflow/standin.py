"""A stand-in of the calls of MLflow's REST that are used, on 127.0.0.1, for its faults.

It answers as MLflow 3.17 does: an unknown model is 404, an unknown alias 400, members that are
empty are left out, and every `model-versions/create` makes a version. Before it answers by itself
it gives what a test put into `instead`. `test_live.py` holds it to a real MLflow.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


class Reply(NamedTuple):
    """What is answered; `lost`: nothing, after the request was carried out."""

    status: int = 200
    body: bytes = b"{}"
    lost: bool = False


class AbsentError(Exception):
    """What is asked for is not there."""


@dataclass
class Registry:
    """What the server knows. `requests` are METHOD and path; a write among them is no GET."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    heard: list[dict[str, str]] = field(default_factory=list)
    instead: Callable[[str, str], Reply | None] = lambda *_: None
    page: int = 1000
    ranges: bool = True  # whether artifacts are handed out in pieces
    sizes: bool = True  # whether a list of files shows their sizes; MLflow never shows a zero
    url: str = ""

    @property
    def writes(self) -> list[str]:
        """The requests that may have changed something; a search is none."""
        return [r for r in self.requests if not r.startswith("GET") and "search" not in r]

    def add(self, name: str, *versions: dict[str, Any], **aliases: str) -> None:
        """A registered model with versions, numbered from 1, and aliases."""
        self.create_model({"name": name})
        for version in versions:
            self.create_version({"name": name, "source": "", **version})
        self.models[name]["aliases"] |= aliases

    def register(self, name: str, files: dict[str, bytes], **metrics: float | str) -> str:
        """Another version, of a run of its own with these metrics; its number."""
        run = self.create_run({})["run"]
        listed = [{"key": key, "value": value} for key, value in metrics.items()]
        run["data"]["metrics"] = listed
        ident, uri = run["info"]["run_id"], run["info"]["artifact_uri"]
        for path, content in files.items():
            self.artifacts[f"{uri.partition(':/')[2]}/model/{path}"] = content
        self.create_model({"name": name})
        asked = {"name": name, "source": f"{uri}/model", "run_id": ident}
        number: str = self.create_version(asked)["model_version"]["version"]
        return number

    # --- registered models --------------------------------------------------------------------

    def create_model(self, asked: dict[str, Any]) -> dict[str, Any]:
        empty: dict[str, Any] = {"versions": {}, "aliases": {}, "tags": {}}
        self.models.setdefault(asked["name"], {"name": asked["name"], **empty})
        return {}

    def model(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"registered_model": self._shown(self._model(asked))}

    def search_models(self, asked: dict[str, Any]) -> dict[str, Any]:
        every = [self._shown(each) for _, each in sorted(self.models.items())]
        return _paged(every, "registered_models", asked, self.page)

    def set_tag(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked)["tags"][asked["key"]] = asked["value"]
        return {}

    def delete_tag(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked)["tags"].pop(asked["key"], None)
        return {}

    def set_alias(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.version(asked)
        self._model(asked)["aliases"][asked["alias"]] = asked["version"]
        return {}

    def delete_alias(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._model(asked)["aliases"].pop(asked["alias"], None)
        return {}

    def _model(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["name"] not in self.models:
            raise AbsentError(f"Registered Model with name={asked['name']} not found")
        return self.models[asked["name"]]

    def _shown(self, model: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {"name": model["name"]}
        if model["versions"]:
            shown["latest_versions"] = [_shown(list(model["versions"].values())[-1])]
        if model["tags"]:
            shown["tags"] = _pairs(model["tags"])
        if model["aliases"]:
            aliases = sorted(model["aliases"].items())
            shown["aliases"] = [{"alias": name, "version": number} for name, number in aliases]
        return shown

    # --- versions and runs --------------------------------------------------------------------

    def create_version(self, asked: dict[str, Any]) -> dict[str, Any]:
        versions = self._model(asked)["versions"]
        number = str(1 + max(map(int, versions), default=0))
        tags = {tag["key"]: tag["value"] for tag in asked.get("tags", [])}
        known = {"current_stage": "None", "status": "READY", **asked}
        versions[number] = {**known, "version": number, "tags": tags}
        return {"model_version": _shown(versions[number])}

    def version(self, asked: dict[str, Any]) -> dict[str, Any]:
        model = self._model(asked)
        if asked["version"] not in model["versions"]:
            name, number = asked["name"], asked["version"]
            raise AbsentError(f"Model Version (name={name}, version={number}) not found")
        shown = _shown(model["versions"][asked["version"]])
        aliases = [
            a for a, number in sorted(model["aliases"].items()) if number == shown["version"]
        ]
        return {"model_version": shown | ({"aliases": aliases} if aliases else {})}

    def origin(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Where a copy comes from in the end, which MLflow keeps when it makes the copy."""
        source = self.version(asked)["model_version"]["source"]
        if copied := re.fullmatch(r"models:/([^/]+)/([0-9]+)", source):
            return self.origin({"name": copied[1], "version": copied[2]})
        return {"artifact_uri": source}

    def search_versions(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = re.search(r"name='([^']*)'", asked["filter"])
        wanted = dict(re.findall(r"tags\.`([^`]*)` ?= ?'([^']*)'", asked["filter"]))
        model = self.models.get(name[1] if name else "", {"versions": {}})
        every = [v for v in model["versions"].values() if wanted.items() <= v["tags"].items()]
        return _paged([_shown(v) for v in reversed(every)], "model_versions", asked, self.page)

    def create_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        ident = uuid.uuid4().hex
        info = {"run_id": ident, "artifact_uri": f"mlflow-artifacts:/1/{ident}/artifacts"}
        info |= {"lifecycle_stage": "active", "status": "RUNNING"}
        self.runs[ident] = {"info": info, "data": {"tags": asked.get("tags", []), "metrics": []}}
        return {"run": self.runs[ident]}

    def run(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["run_id"] not in self.runs:
            raise AbsentError(f"Run with id={asked['run_id']} not found")
        return {"run": self.runs[asked["run_id"]]}

    def search_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = dict(re.findall(r"tags\.`([^`]*)` ?= ?'([^']*)'", asked["filter"]))
        tags = {i: {t["key"]: t["value"] for t in r["data"]["tags"]} for i, r in self.runs.items()}
        found = [run for ident, run in self.runs.items() if wanted.items() <= tags[ident].items()]
        return {"runs": found} if found else {}

    def log_batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.run(asked)["run"]["data"]["metrics"] += asked["metrics"]
        return {}

    def update_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.run(asked)["run"]["info"]["status"] = asked["status"]
        return {}

    # --- artifacts ----------------------------------------------------------------------------

    def artifact(
        self, method: str, path: str, query: dict[str, str], body: bytes, asked: str
    ) -> Reply:
        if method == "PUT":
            self.artifacts[path] = body
            return Reply()
        if "path" in query:
            return Reply(body=json.dumps(self._files(query["path"].rstrip("/") + "/")).encode())
        if path not in self.artifacts:
            return _absent(f"No such artifact: '{path}'")
        content = self.artifacts[path]
        if asked and self.ranges:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            return Reply(206, content[first : last + 1])
        return Reply(body=content)

    def _files(self, folder: str) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for path, content in sorted(self.artifacts.items()):
            if path.startswith(folder):
                name, below, _ = path.removeprefix(folder).partition("/")
                size = {"file_size": len(content)} if content and self.sizes else {}
                file = {"path": name, "is_dir": False, **size}
                found[name] = {"path": name, "is_dir": True} if below else file
        return {"files": list(found.values())} if found else {}


_ROUTES = {
    "GET /registered-models/get": Registry.model,
    "GET /registered-models/search": Registry.search_models,
    "POST /registered-models/create": Registry.create_model,
    "POST /registered-models/set-tag": Registry.set_tag,
    "DELETE /registered-models/delete-tag": Registry.delete_tag,
    "POST /registered-models/alias": Registry.set_alias,
    "DELETE /registered-models/alias": Registry.delete_alias,
    "GET /model-versions/get": Registry.version,
    "GET /model-versions/get-download-uri": Registry.origin,
    "GET /model-versions/search": Registry.search_versions,
    "POST /model-versions/create": Registry.create_version,
    "GET /experiments/get-by-name": lambda *_: {"experiment": {"experiment_id": "1"}},
    "POST /runs/create": Registry.create_run,
    "GET /runs/get": Registry.run,
    "POST /runs/search": Registry.search_runs,
    "POST /runs/log-batch": Registry.log_batch,
    "POST /runs/update": Registry.update_run,
}


def _shown(version: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in version.items() if name != "tags"}
    return shown | ({"tags": _pairs(version["tags"])} if version["tags"] else {})


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def _paged(every: list[Any], name: str, asked: dict[str, Any], page: int) -> dict[str, Any]:
    first, size = int(asked.get("page_token", 0)), min(page, int(asked.get("max_results", 100)))
    shown = every[first : first + size]
    more = {"next_page_token": str(first + size)} if first + size < len(every) else {}
    return ({name: shown} if shown else {}) | more


def _absent(message: str) -> Reply:
    error = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}
    return Reply(404, json.dumps(error).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry
    guard: threading.Lock

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.registry.instead(self.command, parts.path)
        with self.guard:
            self.registry.requests.append(f"{self.command} {parts.path}")
            self.registry.heard.append(dict(self.headers))
            if reply is None or reply.lost:
                done = self._done(parts.path, dict(parse_qsl(parts.query)), body)
                reply = reply or done
        if reply.lost:
            self.close_connection = True
            return
        self.send_response(reply.status)
        kind = "text/html" if reply.body.startswith(b"<") else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def _done(self, path: str, query: dict[str, str], body: bytes) -> Reply:
        if path.startswith(ARTIFACTS):
            file = unquote(path.removeprefix(ARTIFACTS)).lstrip("/")
            asked = self.headers.get("Range", "")
            return self.registry.artifact(self.command, file, query, body, asked)
        route = _ROUTES.get(f"{self.command} {path.removeprefix(API)}")
        if route is None:
            return Reply(404, b"<html>not found</html>")
        try:
            found = route(self.registry, json.loads(body) if body else query)
        except AbsentError as exc:
            return _absent(str(exc))
        return Reply(body=json.dumps(found).encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def registry() -> Iterator[Registry]:
    """A server that runs, and what it knows."""
    known = Registry()
    handler = type("Handler", (_Handler,), {"registry": known, "guard": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
