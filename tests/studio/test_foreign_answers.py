"""An answer that says that it is of another resource decides nothing, and nothing is written by it.

HTTP pairs answers with requests by their order, which proxies and gateways have been seen to lose.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import emulator
from reconciler.engine.steps import Goal
from reconciler.errors import UnreadableError
from reconciler.ledger import manifest_json, parse_manifest, parse_record
from reconciler.model import Model
from reconciler.platforms.members import check_is_of
from tests.lab import URL, Lab

if TYPE_CHECKING:
    from pathlib import Path

    import requests

DIABETES = {"diabetes-young", "diabetes-middle", "diabetes-senior"}
ALL = {"breast-cancer", *DIABETES}


class Mixed(emulator.InProcessAdapter):
    """A door that answers for another path than was asked for."""

    asked, answered = "", ""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        path, mark, query = (request.url or "").partition("?")
        if self.asked and path.endswith(self.asked):
            request.url = path.removesuffix(self.asked) + self.answered + mark + query
        return super().send(request)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(emulator, "InProcessAdapter", Mixed)
    monkeypatch.setattr(Mixed, "asked", "")
    return Lab(tmp_path / "lab")


def unreadable(lab: Lab) -> set[str]:
    """The bindings whose plan says that something was not what was asked for."""
    return {change.name for change in lab.plan().changes if change.code == "unreadable"}


def mix(monkeypatch: pytest.MonkeyPatch, asked: str, answered: str) -> None:
    monkeypatch.setattr(Mixed, "asked", asked)
    monkeypatch.setattr(Mixed, "answered", answered)


def id_of(lab: Lab, name: str) -> str:
    return next(s.id for s in lab.cloud.world.classic.values() if s.name == name)


def test_the_definition_of_another_service(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    mix(monkeypatch, "/breast-cancer-predictive", "/breast-cancer-training")
    assert unreadable(lab) == {"breast-cancer"}
    lab.run()
    assert not any("breast-cancer" in url for _, url in lab.writes if "/webServices/" in url)


def test_a_write_that_is_answered_for_another_service(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the answer is about was read before, so only the answer to the PATCH can be wrong."""
    lab.converge(lab.world(), 8, goal=Goal.TRAINED)
    send = Mixed.send

    def patched(self: Mixed, request: requests.PreparedRequest, *a: Any, **k: Any) -> Any:
        answer = send(self, request, *a, **k)
        if request.method == "PATCH":
            answer._content = answer.content.replace(b"-predictive", b"-training")
        return answer

    monkeypatch.setattr(Mixed, "send", patched)
    report = lab.apply()
    assert "the answer is about another resource" in str(report.failures), (report, lab.sent)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (URL, "https://evil.example"),
        (URL, "https://a.b.management.azure.com"),
        ("operationsStatus/", "operationsStatus/another-"),
    ],
)
def test_a_swap_whose_operation_cannot_be_asked_for_is_proved_by_what_is_read_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, said: str, instead: str
) -> None:
    """Else the new model would serve unproved until the next run."""
    send = Mixed.send

    def elsewhere(self: Mixed, request: requests.PreparedRequest, *a: Any, **k: Any) -> Any:
        answer = send(self, request, *a, **k)
        if place := answer.headers.get("Azure-AsyncOperation"):
            answer.headers["Azure-AsyncOperation"] = place.replace(said, instead)
        return answer

    monkeypatch.setattr(Mixed, "send", elsewhere)
    report = lab.apply()
    assert report.failures == ()
    assert {proof.name for proof in report.proofs} == ALL
    assert lab.plan().converged


def test_the_list_of_another_services_endpoints(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [id_of(lab, f"Diabetes {name}") for name in ("Scoring", "Training")]
    mix(monkeypatch, *(f"{ident}/endpoints" for ident in ids))
    assert unreadable(lab) == DIABETES


def test_another_endpoint_of_the_service(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    target = lab.world().targets["ClassicEndpoint"]
    (binding,) = (b for b in lab.desired().bindings if b.name == "diabetes-young")
    mix(monkeypatch, "/endpoints/young", "/endpoints/middle")
    for ask in (
        target.export,
        lambda b: target.switch(b, Model(lab.world().ledger.ref(b.version))),
    ):
        with pytest.raises(UnreadableError, match="another resource"):
            ask(binding)
    assert lab.writes == []


def test_another_service_by_its_id(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [id_of(lab, f"Diabetes {name}") for name in ("Scoring", "Training")]
    lab.edit("diabetes.yaml", "webService: Diabetes Scoring", f'webService: "{ids[0]}"')
    mix(monkeypatch, f"/{ids[0]}", f"/{ids[1]}")
    assert "diabetes-young" in unreadable(lab)


def test_the_manifest_of_another_version(lab: Lab) -> None:
    lab.converge(lab.world(), 8, goal=Goal.TRAINED)
    young, middle = (
        next(b.version for b in lab.desired().bindings if b.name == f"diabetes-{name}")
        for name in ("young", "middle")
    )
    entry = lab.world().ledger.read(young)
    assert entry is not None
    with pytest.raises(UnreadableError, match=r"slice=middle/manifest.json .*manifest of .*young"):
        parse_manifest(manifest_json(entry.manifest), f"{middle.folder}/manifest.json")


def test_a_metric_that_is_no_number(lab: Lab) -> None:
    """Any comparison with it is false, and so is any gate that asks the other way round."""
    lab.converge(lab.world(), 8, goal=Goal.TRAINED)
    version = lab.desired().bindings[0].version
    entry = lab.world().ledger.read(version)
    assert entry is not None
    assert entry.manifest.evaluation is not None
    evaluation = replace(entry.manifest.evaluation, metrics={"AUC": math.nan})
    damaged = manifest_json(replace(entry.manifest, evaluation=evaluation))
    with pytest.raises(UnreadableError, match="a metric is not a finite number"):
        parse_manifest(damaged, f"{version.folder}/manifest.json")


def test_the_record_of_another_endpoint() -> None:
    record = b'{"schema": "reconciler/record/v1", "proved": true, "address": "classic/a/b"}'
    with pytest.raises(UnreadableError, match="its address is 'classic/a/b'"):
        parse_record(record, "classic/a/c")


def test_the_list_of_another_folder(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.converge(lab.world(), 8, goal=Goal.TRAINED)
    store = lab.world().store
    send = Mixed.send

    def relisted(self: Mixed, request: requests.PreparedRequest, *a: Any, **k: Any) -> Any:
        request.url = (request.url or "").replace("prefix=diabetes", "prefix=breast-cancer")
        return send(self, request, *a, **k)

    monkeypatch.setattr(Mixed, "send", relisted)
    with pytest.raises(UnreadableError, match="expected a list of the blobs below"):
        list(store.list("diabetes/"))


def test_a_job_that_made_another_version_is_not_taken_for_a_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure would be noted, and count as one of few attempts."""
    world = lab.world()
    lab.converge(world, 8, goal=Goal.TRAINED)
    ledger = world.ledger
    by_version = {
        b.name: ledger.read(b.version).manifest.attempts[-1].job  # type: ignore[union-attr]
        for b in lab.desired().bindings
    }
    for name in ("young", "middle"):
        version = next(b.version for b in lab.desired().bindings if b.name == f"diabetes-{name}")
        entry = ledger.read(version)
        assert entry is not None
        ledger.write(entry, replace(entry.manifest, evaluation=None))
    mix(monkeypatch, by_version["diabetes-young"], by_version["diabetes-middle"])
    before = len(lab.writes)
    assert unreadable(lab) == {"diabetes-young"}
    assert len(lab.writes) == before


@pytest.mark.parametrize(
    ("answer", "is_error"),
    [
        ({}, False),
        ({"id": None}, False),
        ({"ID": "/subscriptions/S/resourcegroups/My%20Group"}, False),
        ({"id": "/subscriptions/S/resourceGroups/other"}, True),
        ({"id": 5}, True),
    ],
)
def test_what_an_answer_does_not_say_it_is_not_held_to(
    answer: dict[str, Any], is_error: bool
) -> None:
    def check() -> None:
        check_is_of(answer, "reading X", id="/Subscriptions/s/resourceGroups/my group")

    if not is_error:
        return check()
    with pytest.raises(UnreadableError):
        check()
    return None
