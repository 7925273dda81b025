"""The twin of this machine: a command that trains, and a server that follows its pointers."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.platforms.local.pointer import content_of
from tests.twins.contract import VERSIONS, QuickClock, Twin, files_of, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: store, data: data, local: {}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: m}
spec:
  training:
    engine: local
    command: sh HERE/train.sh {inputs.d} {outputs.model} {outputs.metrics} {parameters.v}
    inputs: {d: "${version}.csv"}
    parameters: {v: "${version}"}
    outputs: {model: m.bin, metrics: m.json}
  accept: [{metric: AUC, atLeast: "0.8"}]
---
"""
FILE = """\
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: m}
spec:
  path: serving/m.json
  create: true
  model: {name: m, version: "2026-10"}
  verify:
    {url: "http://127.0.0.1:PORT/m", request: probe.json, answer: /rows, model: /version, columns: [text]}
"""
TRAIN = """\
echo "$4" >> HERE/ran
cp "$1" "$2"
echo '{"AUC": 0.9}' > "$3"
"""


class Home(Twin):
    """A store, data, pointers and jobs in one folder."""

    environment, name = "home", "m"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.services = folder / "services"
        self.folder = self.services / "home"
        for made in ("store", "data", "serving"):
            (self.folder / made).mkdir(parents=True)
        self._clock = QuickClock()
        self._good: set[str] | None = None
        for version in VERSIONS:
            (self.folder / "data" / f"{version}.csv").write_text(f"model {version}")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.file = FILE.replace("PORT", str(self.server.server_port))
        texts = {"all.yaml": DOCUMENTS + self.file, "train.sh": TRAIN, "probe.json": "{}"}
        for name, text in texts.items():
            (self.folder / name).write_text(text.replace("HERE", str(self.folder)))
        (self.folder / "serving" / "somebody's.json").write_text("{}")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def engine_clock(self) -> Any:
        return self._clock

    def answer(self, name: str) -> tuple[str, bytes]:
        """The version and the model that an endpoint answers with."""
        pointer = json.loads((self.folder / "serving" / f"{name}.json").read_text())
        return pointer["version"], Path(pointer["path"]).read_bytes()

    def scored(self, name: str) -> dict[str, Any]:
        """The answer to a probe."""
        version, model = self.answer(name)
        good = self._good is None or sha256(model) in self._good
        return {"version": version, "rows": [{"text" if good else "wrong": model.decode()}]}

    def digest_of(self, name: str) -> str:
        try:
            return sha256(self.answer(name)[1])
        except FileNotFoundError:
            return ""

    def starts(self) -> list[str]:
        ran = self.folder / "ran"
        return ran.read_text().split() if ran.exists() else []

    def spoil(self) -> None:
        self._good = {self.digest_of(binding.name) for binding in self.desired().bindings}

    def mend(self) -> None:
        self._good = None

    def undeclared(self) -> object:
        return (self.folder / "serving" / "somebody's.json").read_text()

    def set_by_hand(self, number: int) -> str:
        pointer = {"path": f"/models/{number}.onnx", "version": str(number)}
        (self.folder / "serving" / "theirs.json").write_text(json.dumps(pointer))
        return ""  # no file tells how the versions that it names are made

    def declare_another(self) -> str:
        text = self.file.replace("name: m}", "name: other}").replace("serving/m", "serving/other")
        (self.folder / "other.yaml").write_text(text.replace('/m"', '/other"'))
        return "other"

    def unmark(self) -> None:
        path = self.folder / "serving" / "m.json"
        path.write_bytes(content_of({**json.loads(path.read_text()), "mark": ""}))

    def touched(self) -> object:
        return files_of(self.folder)


def _handler(home: Home) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status, document = 200, home.scored(self.path.strip("/"))
            except FileNotFoundError:
                status, document = 503, {}
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing is said."""

    return Handler


@contextlib.contextmanager
def local(folder: Path, *_: object) -> Iterator[Twin]:
    """With a store in a folder."""
    made = Home(folder)
    yield made
    made.close()
