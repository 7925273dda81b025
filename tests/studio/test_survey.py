"""One look at many: as many requests as there are lists, and the answers that single reads give."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator import Fault
from reconciler.emulator import blob as emulated_blob
from reconciler.emulator.messages import answer
from reconciler.engine.observe import fingerprints, observe
from reconciler.engine.survey import survey
from reconciler.ledger import Attempt, Evaluation, Manifest
from reconciler.model import Record
from reconciler.plan import make_plan
from reconciler.stores.azure_blob import AzureBlob
from reconciler.stores.azure_lists import copy_of, md5_of
from reconciler.stores.survey import MOST_ALONE, Survey
from tests.fleet import SERVICE, make_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model import Plan
    from tests.lab import Lab


STAMP = "2026-11-23T14:09:57Z"


def alone(lab: Lab) -> Plan:
    """The plan by single reads, which is what a step sees."""
    wanted, world = lab.desired(), lab.world(read_only=True)
    return make_plan(wanted.environment, [observe(world, one) for one in wanted.bindings])


def asked(lab: Lab) -> Counter[str]:
    """How often the plan asks on each route."""
    lab.cloud.log.clear()
    lab.plan()
    return Counter(entry.route for entry in lab.cloud.log)


def shown(lab: Lab, monkeypatch: pytest.MonkeyPatch, edit: Any) -> None:
    """Let the list of endpoints be edited on its way."""
    from reconciler.emulator import classic

    real = classic._of_service

    def edited(core: Any, request: Any, service: Any) -> Any:
        given = real(core, request, service)
        if not request.path.endswith("/endpoints"):
            return given
        return answer(200, edit(classic_list(given)))

    monkeypatch.setattr(classic, "_of_service", edited)


def classic_list(response: Any) -> list[dict[str, Any]]:
    import json

    return json.loads(response.body)


def settled(lab: Lab) -> None:
    """Write into the store what an apply would have left there, without the training."""
    world, service = lab.world(), lab.cloud.world.classic[SERVICE]
    for binding in lab.desired().bindings:
        ref = world.ledger.ref(binding.version)
        file = world.ledger.model_name(binding.version)
        lab.cloud._core.blobs.put("mllocal", "models", file, b"model")
        inputs = fingerprints(world, binding)
        attempt = Attempt("a" * 32, STAMP, inputs, STAMP)
        evaluation = Evaluation({"Root Mean Squared Error": 50.0}, "0" * 64, STAMP, ref=ref)
        made = Manifest(binding.version, binding.key, binding.recipe, STAMP, "run")
        world.ledger.claim(replace(made, attempts=(attempt,), evaluation=evaluation))
        world.ledger.keep_record(binding.address, Record(ref, ref, None, True, STAMP))
        place = {"BaseLocation": f"{ref.url.partition('/models/')[0]}/", "SasBlobToken": ""}
        place["RelativeLocation"] = ref.url.removeprefix(place["BaseLocation"])
        resource = service.endpoints[binding.name.replace("fleet-", "e")].resources[0]
        resource["Location"] = place


def test_a_plan_of_a_fleet_in_sync_sends_as_many_requests_as_there_are_lists(
    tmp_path: Path,
) -> None:
    few, many = make_fleet(tmp_path / "few", 6), make_fleet(tmp_path / "many", 60)
    for lab in (few, many):
        settled(lab)
        assert lab.plan().converged
    assert asked(few) == asked(many)
    assert asked(many) == {"classic.services.get": 1, "classic.endpoints.get": 1, "blob.list": 3}


def test_a_fleet_that_serves_the_version_before_is_read_by_lists_too(tmp_path: Path) -> None:
    lab = make_fleet(tmp_path, 30)
    settled(lab)
    lab.edit("fleet.yaml", "2026-10", "2026-11")
    routes = asked(lab)
    assert routes["blob.list"] == 4
    # The versions that are wanted are on no list, and each is asked for; so are their data.
    assert routes["blob.get"] + routes["blob.head"] <= 2 * 30 + MOST_ALONE
    assert lab.plan() == alone(lab)


def test_a_version_that_many_endpoints_serve_is_read_once_where_lists_show_no_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AzureBlob, "lists_contents", False)
    lab = make_fleet(tmp_path, 12)
    lab.edit("fleet.yaml", ', with: {slice: "${slice}"}', ', with: {slice: "001"}')
    lab.cloud.log.clear()
    assert len(lab.plan().changes) == 12
    manifests = [e.path for e in lab.cloud.log if e.path.endswith("/manifest.json")]
    assert len(manifests) == 1


def test_endpoints_of_one_service_are_read_by_one_request(tmp_path: Path) -> None:
    few, many = (asked(make_fleet(tmp_path / str(n), n)) for n in (3, 9))
    for route in ("classic.services.get", "classic.endpoints.get"):
        assert few[route] == many[route] == 1
    assert few["classic.endpoint.get"] == many["classic.endpoint.get"] == 0


def test_a_service_that_is_named_by_its_id_is_read_once(tmp_path: Path) -> None:
    lab = make_fleet(tmp_path, 5)
    lab.edit("fleet.yaml", "Diabetes Scoring", SERVICE)
    routes = asked(lab)
    assert routes["classic.service.get"] == routes["classic.endpoints.get"] == 1
    assert routes["classic.services.get"] == routes["classic.endpoint.get"] == 0


# What a list may get wrong, and how many of three endpoints are then asked for one by one.
LISTS: dict[str, tuple[Any, int]] = {
    "none": (lambda _: [], 3),
    "one is missing": (lambda found: [e for e in found if e["Name"] != "e002"], 1),
    "one stands there twice": (lambda found: [*found, *found[-1:]], 1),
    "another case": (lambda found: [{**e, "Name": e["Name"].upper()} for e in found], 3),
    "no resources": (lambda found: [{**e, "Resources": None} for e in found], 3),
    "no locations": (
        lambda found: [
            {**e, "Resources": [{**r, "Location": None} for r in e["Resources"]]} for e in found
        ],
        3,
    ),
}


@pytest.mark.parametrize("how", LISTS)
def test_what_a_list_does_not_show_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    lab = make_fleet(tmp_path, 3)
    right = alone(lab)
    edit, singly = LISTS[how]
    shown(lab, monkeypatch, edit)
    lab.cloud.log.clear()
    assert lab.plan() == right
    assert Counter(entry.route for entry in lab.cloud.log)["classic.endpoint.get"] == singly


def test_a_list_of_nameless_things_plans_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_fleet(tmp_path, 3)
    shown(lab, monkeypatch, lambda found: [*found, {"Resources": []}])
    assert {change.code for change in lab.plan().changes} == {"unreadable"}


def test_a_list_that_is_late_swaps_nothing_again(tmp_path: Path) -> None:
    lab = make_fleet(tmp_path, 1)
    lab.cloud.faults.script(Fault("classic.endpoints.get", "stale", times=10_000))
    lab.apply()
    assert not lab.plan().converged, "the list still shows what was there first"
    lab.sent.clear()
    lab.run()
    assert lab.writes == []
    lab.cloud.faults.forget()
    assert lab.plan().converged


# What a list of blobs may get wrong: name, properties and metadata of each as they are shown.
BLOBS: dict[str, Any] = {
    "no metadata": lambda name, shown, _: (name, shown, {}),
    "a damaged copy": lambda name, shown, _: (name, shown, {"content": "eJwDAAAAAAE="}),
    "no base64": lambda name, shown, _: (name, shown, {"content": "é"}),
    "a copy of other content": lambda name, shown, _: (name, shown, copy_of("a.json", b"{}")),
    "no MD5": lambda name, shown, meta: (name, shown | {"Content-MD5": ""}, meta),
    "another MD5": lambda name, shown, meta: (name, shown | {"Content-MD5": md5_of(b"")}, meta),
    "other names": lambda name, shown, meta: (f"{name}~", shown, meta),
}


@pytest.mark.parametrize("how", BLOBS)
def test_a_blob_that_a_list_does_not_wholly_show_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    lab = make_fleet(tmp_path, 3)
    settled(lab)
    real = emulated_blob._listed

    def edited(kind: str, name: str, shown: Any, meta: Any, full: bool) -> str:
        if not name.endswith(".json"):  # the fingerprints of data are for `plan` to warn of
            return real(kind, name, shown, meta, full)
        return real(kind, *BLOBS[how](name, shown, meta), full)

    monkeypatch.setattr(emulated_blob, "_listed", edited)
    assert lab.plan() == alone(lab)
    assert lab.plan().converged
    assert asked(lab)["blob.get"] == 6


def test_a_page_that_breaks_off_costs_single_reads_and_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_fleet(tmp_path, 6)
    settled(lab)
    monkeypatch.setattr(AzureBlob, "list", lambda *_: iter(()))
    assert lab.plan().converged
    assert asked(lab) == {
        **{"classic.services.get": 1, "classic.endpoints.get": 1},
        **{"blob.get": 12, "blob.head": 6},
    }


def test_a_survey_refuses_to_write(tmp_path: Path) -> None:
    lab = make_fleet(tmp_path, 1)
    seen = Survey(lab.world().store, [], lambda work: work)
    with pytest.raises(RuntimeError, match="a write in a command that only reads"):
        seen.put("name", b"")


def test_who_only_reads_has_stores_that_are_only_read(tmp_path: Path) -> None:
    """Not every store is reached by a client that refuses to write."""
    world = make_fleet(tmp_path, 1).world(read_only=True)
    for store in (world.store, world.data, world.ledger._locks):
        with pytest.raises(RuntimeError, match="a write in a command that only reads"):
            store.put("models/name", b"")


def test_one_at_a_time_is_enough_for_the_lists(tmp_path: Path) -> None:
    lab = make_fleet(tmp_path, 3)
    wanted = lab.desired()
    seen = survey(lab.world(read_only=True), wanted.bindings, 1)[0]
    assert make_plan(wanted.environment, seen) == alone(lab)
