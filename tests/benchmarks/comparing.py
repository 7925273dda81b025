"""What it costs to compare a large definition with what is declared, beside parsing it."""

from __future__ import annotations

import io
import json
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from reconciler.cli import compose
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.http import response
from reconciler.http.client import Http
from reconciler.model import Artifact, ArtifactState, Observed
from reconciler.plan import decide
from reconciler.platforms.arm_marks import with_mark
from reconciler.platforms.studio.new import WebServiceAddress
from tests.benchmarks import fleets
from tests.benchmarks.cloud.definitions import HOST, NAME, URI, definition, payload
from tests.benchmarks.fleets import Fleet
from tests.benchmarks.rows import Row, Setting, judged
from tests.door import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model import Desired

SIZE = 3_000_000
_URL = "http://127.0.0.1:8400"
_PAYLOAD = f"{_URL}/blob/{fleets.ACCOUNT}/payloads/large.json"


class _Answers(BaseAdapter):
    """Every URL answered at once from memory."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        super().__init__()
        self._bodies = bodies

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        found = next(body for part, body in self._bodies.items() if part in str(request.url))
        answer = requests.Response()
        answer.status_code, answer.url = 200, str(request.url)
        answer.raw = HTTPResponse(io.BytesIO(found), preload_content=False)
        return answer

    def close(self) -> None:
        pass


@dataclass
class _Watch:
    """The seconds of processor time that were spent in what it watches."""

    spent_s: float = 0.0
    kept: list[Any] = field(default_factory=list)  # taking down what was parsed is no comparing

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            found = function(*arguments, **named)
            self.spent_s += time.process_time() - began
            self.kept.append(found)
            return found

        return timed


def definitions(setting: Setting) -> Iterator[Row]:
    """Definitions of 3 MB, inline and with their payload in a blob."""
    services = fleets.write(setting.folder / "large", Fleet("new", 1))
    wanted = compose.load(services)["fleet"]
    tags = with_mark({}, wanted.environment.mark, protect=False)
    inline = {"webServices": json.dumps(definition(SIZE, tags=tags)).encode()}
    in_blob = {
        "webServices": json.dumps(definition(SIZE, in_blob=_PAYLOAD, tags=tags)).encode(),
        "payloads": json.dumps(payload(SIZE)).encode(),
    }
    for what, bodies in (("inline", inline), ("payload in a blob", in_blob)):
        filled = {part: _filled(body, wanted) for part, body in bodies.items()}
        found = [_costs(wanted, filled) for _ in range(2 * setting.repeats + 3)]
        parse_s = statistics.median(parse for parse, _ in found)
        diff_s = statistics.median(diff for _, diff in found)
        yield judged(
            f"definitions of 3 MB, {what}: diff cost ÷ parse cost",
            100 * diff_s / parse_s,
            5,
            unit=" %",
            said=f"{1000 * diff_s:.2g} ms of {1000 * parse_s:.3g} ms",
        )


def _filled(body: bytes, wanted: Desired) -> bytes:
    """The model that is declared serves, so a comparison that finds nothing is measured."""
    (binding,) = wanted.bindings
    model = (
        f"{_URL}/blob/{fleets.ACCOUNT}/{fleets.CONTAINER}/{binding.version.folder}/model.ilearner"
    )
    assert isinstance(binding.address, WebServiceAddress)
    for mark, value in ((NAME, binding.address.name), (URI, model), (HOST, _URL)):
        body = body.replace(mark.encode(), value.encode())
    return body


def _costs(wanted: Desired, bodies: dict[str, bytes]) -> tuple[float, float]:
    """Processor seconds of parsing JSON, and of all that is done with it until the change is known."""
    (binding,) = wanted.bindings
    environ = {**fleets.SECRETS, EMULATOR_VARIABLE: _URL}
    sending, parsing = _Watch(), _Watch()
    with Http() as http:
        http.mount("http://", Door(_Answers(bodies)))
        world = compose.connect(wanted, http, environ=environ)
        ready = Artifact(ArtifactState.READY, world.ledger.ref(binding.version))
        with (
            patch.object(Http, "request", sending.over(Http.request)),
            patch.object(response, "parse_json", parsing.over(response.parse_json)),
        ):
            began = time.process_time()
            live = world.targets[binding.kind].observe(binding)
            change = decide(Observed(binding, live, ready))
            whole_s = time.process_time() - began
    if change.code != "in_sync":
        raise RuntimeError(f"{change.code}: {change.why}")
    return parsing.spent_s, whole_s - sending.spent_s - parsing.spent_s
