"""What a service or the store sends: every parser returns a value or raises our own error."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from reconciler.engine.evaluation import parse_evaluation
from reconciler.errors import UnreadableError
from reconciler.http.asking import _encoded
from reconciler.http.response import Headers, Response, error_of, parse_xml
from reconciler.ledger import lock, parse_manifest, parse_record, plans
from reconciler.model import Plan, Refusal, SecretName, Version, Witness
from reconciler.platforms.arm import operation_state
from reconciler.platforms.members import text
from reconciler.platforms.studio import classic_state, scoring
from reconciler.platforms.studio.bes import parse_job
from reconciler.platforms.studio.new_creation import creation_body, make_creation
from reconciler.platforms.studio.new_definition import (
    assets_with_credentials,
    assets_with_model,
    find_model_asset,
    parse_definition,
    patched_model,
    with_payload,
    without_secrets,
)
from reconciler.platforms.studio.new_state import live_of
from reconciler.stores.azure_blob import AzureBlob
from reconciler.stores.azure_hosts import BlobHosts
from tests.fuzz.mutations import every_other_value, foreign
from tests.fuzz.promise import always, check_types, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.fuzz.bodies import Town

EXAMPLES = 40
ODD_BODIES = 300


def odd(body: bytes, most: int) -> Iterator[bytes]:
    """The body with one odd value in it, if it is JSON."""
    try:
        document = json.loads(body)
    except ValueError:
        return
    yield from every_other_value(document, most)


def response(body: bytes, status: int = 200) -> Response:
    """An answer whose headers say nothing."""
    return Response(status, Headers({"Content-Type": "application/json"}), body, place="GET /x")


def definition(body: bytes, town: Town) -> None:
    """What `observe`, `bind` and `export` do with a definition."""
    binding = town.bindings["breast-cancer"]
    document = response(body).json_object()
    found = parse_definition(document)
    for wanted in (None, binding.part):
        find_model_asset(found, wanted)
    live = live_of(found, binding, town.wanted.environment)
    check_types(live)
    assets_with_credentials(found, live.asset)
    if live.refusal is None:
        ref = town.world.ledger.ref(binding.version)
        assets_with_model(found, live.asset, ref)
        _encoded(patched_model(found, live.asset, ref), None)
    exported = without_secrets(document)
    json.dumps(exported, allow_nan=False)
    created_from(exported, town)


def created_from(document: Mapping[str, Any], town: Town) -> None:
    """What is made of an exported file: the body of a PUT, or words."""
    binding, environment = town.bindings["breast-cancer"], town.wanted.environment
    create = {"commitmentPlan": "plan", "secrets": {"node5/Account Key": "env:KEY"}}
    spec = {"asset": binding.part, "definition": "x.json", "create": create}
    made = make_creation(document, spec, environment, lambda *_: SecretName("KEY"))
    if isinstance(made, list):
        assert made
        assert all(isinstance(why, str) and why for _, why in made)
        return
    check_types(made)
    new = replace(
        binding,
        create=made.creation("x.json"),
        settings=(("maxConcurrentCalls", "20"), ("title", "T")),
    )
    ref = town.world.ledger.ref(binding.version)
    body = creation_body(new, ref, environment, lambda _: "secret")
    _encoded(body, None)
    assert body["properties"]["title"] == "T"


def payload(body: bytes, town: Town) -> object:
    """The payload that stands in a blob, read into a definition that points at it."""
    (told, *_) = town.bodies["definition"]
    document = with_payload(json.loads(told), response(body).json_object())
    return parse_definition(document)


def operation(body: bytes, _: Town) -> str:
    """The state of an update, in words."""
    return operation_state(response(body).json_object())


def endpoint(body: bytes, town: Town) -> object:
    """What `observe` makes of an endpoint, and what `export` keeps of it."""
    binding, service = town.bindings["diabetes-young"], _service(town)
    document = response(body).json_object()
    json.dumps(classic_state.exported(service, document))
    for wanted in (None, binding.part):
        found = classic_state.find_resource(service, document, wanted)
        assert isinstance(found, Refusal | dict)
    return classic_state.live_of(service, document, binding, Witness.SERVICE)


def service_of_an_endpoint(body: bytes, town: Town) -> object:
    """The same for the service that the endpoint is of."""
    binding, (told, *_) = town.bindings["diabetes-young"], town.bodies["endpoint"]
    document = response(body).json_list()
    services: list[Any] = [one for one in document if isinstance(one, dict)]
    lives = [
        classic_state.live_of(one, json.loads(told), binding, Witness.SERVICE) for one in services
    ]
    for live in lives:
        check_types(live)
    return [text(one, "Id") for one in services]


def _service(town: Town) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(town.bodies["services"][0])[0]
    return found


def job(body: bytes, _: Town) -> object:
    """A batch job."""
    return parse_job(response(body).json_object())


def job_id(body: bytes, _: Town) -> object:
    """The id of a job that was submitted."""
    return response(body).json()


def evaluation(body: bytes, _: Town) -> None:
    """Metrics: finite numbers by name."""
    for name, value in parse_evaluation(body).items():
        assert isinstance(name, str)
        assert -1.8e308 < value < 1.8e308


def score(body: bytes, _: Town) -> object:
    """The table of a scoring answer."""
    return scoring.parse_score(response(body).json_object())


def error(body: bytes, _: Town) -> None:
    """The error for each kind of status: one of ours, on one line."""
    for status in (307, 400, 401, 404, 409, 412, 429, 500):
        said = error_of(response(body, status)).message
        assert said.isprintable()
        assert len(said) < 3000


def xml(body: bytes, _: Town) -> None:
    """An XML tree, or None."""
    root = parse_xml(body)
    assert root is None or isinstance(root.tag, str)


class _Stub:
    """An HTTP client that is answered the same over and over."""

    def __init__(self, *bodies: bytes) -> None:
        self._bodies = itertools.cycle(bodies)

    def speaking(self, _: object) -> _Stub:
        """Itself, whatever the names of headers are."""
        return self

    def request(self, *_: object, **__: object) -> Response:
        """The answer."""
        return response(next(self._bodies))


def blobs(body: bytes, _: Town) -> None:
    """The names in a container, whatever it is called."""
    found = re.search(rb'ContainerName="([^"]+)"', body)
    own = found[1].decode("utf-8", "replace") if found else "models"
    assert all(isinstance(name, str) for name in _names(body, container=own))


def _names(*pages: bytes, container: str = "models") -> list[str]:
    hosts = BlobHosts("http://127.0.0.1:1")
    store = AzureBlob(_Stub(*pages), hosts, "abc", "a2V5", container)  # type: ignore[arg-type]
    return [blob.name for blob in store.list()]


def manifest(body: bytes, _: Town) -> object:
    """A manifest of the ledger."""
    try:
        document = json.loads(body)
        arguments = tuple(document["version"]["arguments"].items())
        folder = Version(
            document["version"]["model"], document["version"]["version"], arguments
        ).folder
    except Exception:
        folder = "m/1"
    return parse_manifest(body, f"{folder}/manifest.json")


def record(body: bytes, _: Town) -> object:
    """A record of the ledger."""
    try:
        address = json.loads(body)["address"]
    except Exception:
        address = "classic/a/b"
    return parse_record(body, address, "0x1")


def lock_holder(body: bytes, _: Town) -> None:
    """Who holds a lock, in words."""
    assert str(lock.seen_in(body, ""))


def mark(body: bytes, _: Town) -> None:
    """When a plan was applied, in words."""
    assert isinstance(plans._ended(body, Plan("local", "emulator", (), id="1")), str)


PARSERS: Mapping[str, tuple[Callable[[bytes, Town], object], str]] = {
    "definition": (definition, "definition"),
    "payload of a definition": (payload, "definition"),
    "operation": (operation, "operation"),
    "endpoint": (endpoint, "endpoint"),
    "service of an endpoint": (service_of_an_endpoint, "services"),
    "job": (job, "job"),
    "job id": (job_id, "job id"),
    "evaluation": (evaluation, "evaluation"),
    "score": (score, "score"),
    "error": (error, "error"),
    "XML": (xml, "list of blobs"),
    "list of blobs": (blobs, "list of blobs"),
    "manifest": (manifest, "manifest"),
    "record": (record, "record"),
    "lock": (lock_holder, "lock"),
    "mark of a plan": (mark, "mark"),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_returns_what_it_declares_or_raises_our_own_error(
    name: str, town: Town, times: int
) -> None:
    parse, kind = PARSERS[name]
    strategy = st.one_of([foreign(body) for body in town.bodies[kind]])
    always(EXAMPLES * times, strategy, lambda body: parsed(lambda b: parse(b, town), body))


@pytest.mark.parametrize("name", PARSERS)
def test_one_odd_value_anywhere_in_a_body_is_survived(name: str, town: Town, times: int) -> None:
    parse, kind = PARSERS[name]
    told = town.bodies[kind]
    for each in told:
        for body in odd(each, ODD_BODIES * times // len(told)):
            parsed(lambda b: parse(b, town), body)


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_what_the_cloud_really_sends(name: str, town: Town) -> None:
    parse, kind = PARSERS[name]
    for body in town.bodies[kind]:
        parse(body, town)


def test_a_list_whose_pages_lead_round_in_circles_is_an_error() -> None:
    page = "<EnumerationResults><Blobs><Blob><Name>{0}</Name><Properties><Etag>1</Etag></Properties></Blob></Blobs><NextMarker>{0}</NextMarker></EnumerationResults>"
    with pytest.raises(UnreadableError, match="page 4 leads back to one that was read"):
        _names(*(page.format(name).encode() for name in "abc"))


def test_a_list_that_shows_one_page_under_ever_new_marks_is_an_error() -> None:
    page = "<EnumerationResults><Blobs><Blob><Name>a</Name><Properties><Etag>1</Etag></Properties></Blob></Blobs><NextMarker>{0}</NextMarker></EnumerationResults>"
    with pytest.raises(UnreadableError, match="page 2 leads back"):
        _names(*(page.format(number).encode() for number in range(9)))


def test_a_list_without_end_is_an_error() -> None:
    page = "<EnumerationResults><Blobs/><NextMarker>{0}</NextMarker></EnumerationResults>"
    with pytest.raises(
        UnreadableError, match="listing container models: there is no end after 2,000"
    ):
        _names(*(page.format(number).encode() for number in range(2_001)))
