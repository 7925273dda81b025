"""`requires`: a version is bound where it was proved long enough in another environment."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from reconciler import errors
from reconciler.engine.required import differ, missing, not_yet
from reconciler.ledger import Evaluation, Manifest
from reconciler.model import (
    Artifact,
    ArtifactState,
    Event,
    EventKind,
    ModelRef,
    Recipe,
    Record,
    Requires,
    Version,
)
from tests.test_plan import NEW, binding, observed, of
from tests.twins import twin_of
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.twins.contract import Twin

    Command = Callable[..., Ran]

STAGING = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: staging}
spec: {store: store, data: ../toys/data, shelves: {folder: shelves}}
---
"""


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    """Production serves the first version and is to get the second; staging has none of it yet."""
    with twin_of("shelves, folder", tmp_path, monkeypatch) as made:
        assert made.apply().failures == ()
        made.ask_for(SECOND)
        staging = made.services / "staging"
        for folder in (staging / "store", staging / "shelves"):
            folder.mkdir(parents=True)
        (staging / "store" / "before").write_text("before")
        before = f'"file://{staging}/store/before"'
        (staging / "shelves" / "beside.json").write_text(
            f'{{"served": {before}, "told": {before}}}'
        )
        (staging / "probe.json").write_text("{}")
        shelf = (made.services / "toys" / "toys.yaml").read_text().split("---\n")[-1]
        (staging / "all.yaml").write_text(STAGING + shelf.replace("shelf: top", "shelf: beside"))
        monkeypatch.chdir(tmp_path)
        yield made


def require(twin: Twin, requires: str) -> None:
    twin.edit("toys.yaml", "spec: {store", f"spec: {{requires: {requires}, store")


def test_a_version_waits_for_its_proof_elsewhere(twin: Twin, command: Command) -> None:
    require(twin, "{proved: staging}")
    ran = command("plan", "-e", "toys")
    assert ran.code == errors.REFUSED
    assert "version 2026-11 was not proved in staging" in ran.out
    assert command("apply", "-e", "toys", "--yes").code == errors.REFUSED
    assert twin.serving() == FIRST
    assert command("apply", "-e", "staging", "--yes").code == errors.SUCCESS
    assert command("apply", "-e", "toys", "--yes").code == errors.SUCCESS
    assert twin.serving() == SECOND


def test_a_version_that_another_endpoint_there_disproved_is_not_bound(
    twin: Twin, command: Command
) -> None:
    require(twin, "{proved: staging}")
    assert command("apply", "-e", "staging", "--yes").code == errors.SUCCESS
    (path,) = (twin.services / "staging" / "store").rglob(f"{SECOND}/manifest.json")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "rejected": "it answered nonsense"}))
    ran = command("plan", "-e", "toys")
    assert ran.code == errors.REFUSED
    assert "was rejected in staging: it answered nonsense" in " ".join(ran.out.split())


def test_a_version_by_another_recipe_than_was_proved_there_is_not_bound(
    twin: Twin, command: Command
) -> None:
    require(twin, "{proved: staging}")
    assert command("apply", "-e", "staging", "--yes").code == errors.SUCCESS
    twin.edit("toys.yaml", "metrics: x", "metrics: z")
    ran = command("plan", "-e", "toys")
    assert ran.code == errors.REFUSED
    assert "was made by another recipe in staging" in " ".join(ran.out.split())


def test_a_plan_says_from_when_on_it_may_be_bound(twin: Twin, command: Command) -> None:
    require(twin, "{proved: staging, for: 24h}")
    assert command("apply", "-e", "staging", "--yes").code == errors.SUCCESS
    told = " ".join(command("plan", "-e", "toys").out.split())
    assert "version 2026-11 was proved in staging at 20" in told
    assert "; bind it from 20" in told
    assert command("apply", "-e", "toys", "--yes", "--force", "a fix").code == errors.SUCCESS
    assert twin.serving() == SECOND


def test_what_was_proved_here_before_is_put_back_at_any_time(twin: Twin, command: Command) -> None:
    assert command("apply", "-e", "toys", "--yes").code == errors.SUCCESS
    require(twin, "{proved: staging}")
    twin.put_back(FIRST)
    assert command("apply", "-e", "toys", "--yes").code == errors.SUCCESS
    assert twin.serving() == SECOND


TRAINED = Recipe("local", "here", how=(("command", "sh train.sh"),))
TAKEN = Recipe("registry", "mlflow", how=(("name", "words"),))


@pytest.mark.parametrize(
    ("here", "sha256", "there", "differs"),
    [
        (TAKEN, "a", TAKEN, False),
        (TAKEN, "b", TAKEN, True),
        (TAKEN, "", TAKEN, False),  # it is not known yet
        (TRAINED, "b", TAKEN, True),
        (TRAINED, "b", TRAINED, False),  # trained again, by one recipe
        (TRAINED, "b", replace(TRAINED, place="there"), False),
        (TRAINED, "b", replace(TRAINED, code="other"), True),
        (TRAINED, "a", replace(TRAINED, code="other"), False),
    ],
)
def test_a_model_of_one_name_that_is_another_one_was_not_proved_there(
    here: Recipe, sha256: str, there: Recipe, differs: bool
) -> None:
    made = Manifest(Version("words", SECOND), "key", there, "2026-11-29T10:00:00Z", "run")
    made = replace(made, evaluation=Evaluation({}, "a", "2026-11-29T10:00:00Z"))
    artifact = Artifact(ArtifactState.READY, ModelRef("file://m"), recipe=here, sha256=sha256)
    assert differ(artifact, made) is differs
    assert not differ(artifact, replace(made, evaluation=None))


def test_another_model_of_the_name_is_refused_and_says_so() -> None:
    wanted = binding("churn")
    event = Event("2026-11-29T10:00:00Z", EventKind.PROOF, NEW, "run", "", version="2026-11")
    record = Record(NEW, None, None, True, event.at, history=(event,))
    made = Manifest(wanted.version, "key", wanted.recipe, "2026-11-29T09:00:00Z", "run")
    made = replace(made, evaluation=Evaluation({}, "there", "2026-11-29T09:30:00Z"))
    ledger = Mock(record=Mock(return_value=record), read=Mock(return_value=Mock(manifest=made)))
    there = Mock(bindings=(wanted,))
    here = of(ArtifactState.READY, recipe=replace(wanted.recipe, code="other"), sha256="here")
    seen = [observed(artifact=here, binding=wanted)]
    reasons = not_yet(ledger, there, Requires("staging"), seen, 1e12, 1)
    assert reasons == {
        "churn": f"version {wanted.version.version} is another model here than the "
        "one that was proved in staging; declare a version that was made alike"
    }
    same = [observed(artifact=replace(here, sha256="there"), binding=wanted)]
    assert not_yet(ledger, there, Requires("staging"), same, 1e12, 1) == {}


@pytest.mark.parametrize("name", ["stagin", "toys"])
def test_a_requirement_names_another_environment(twin: Twin, command: Command, name: str) -> None:
    require(twin, f"{{proved: {name}}}")
    ran = command("validate")
    assert ran.code == errors.CONFIGURATION
    assert f'spec.requires.proved: "{name}" is no other environment' in ran.err


def test_a_promotion_says_that_its_version_waits(twin: Twin, command: Command) -> None:
    twin.ask_for(FIRST)
    require(twin, "{proved: staging}")
    ran = command("promote", "top", "--from", "staging", "--to", "toys", "--dry-run")
    assert "toys binds a version once it was proved long enough in staging" in ran.err


DAY = Requires("staging", 86_400.0)
NOON = 1_796_040_000.0  # 2026-11-30T12:00:00Z


def history(*events: str) -> Record:
    """What was done there, as `29T12 proof 2`: day and hour, event, version."""
    made = []
    for text in events:
        at, _, rest = text.partition(" ")
        what, _, version = rest.rpartition(" ")
        ref = ModelRef(f"file:///store/m/{version}/m")
        stamp = f"2026-11-{at}:00:00Z"
        made.append(Event(stamp, EventKind(what), ref, "run", "", version=version))
    return Record(made[-1].model, None, None, True, made[-1].at, history=tuple(made))


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (["29T12 swap 2", "29T12 proof 2"], ""),
        (["29T13 swap 2", "29T13 proof 2"], "bind it from 2026-11-30T13:00:00Z on"),
        (["29T12 swap 2"], "was not proved"),
        (["29T12 proof 1"], "was not proved"),
        (["29T12 declared 2"], "was not proved"),
        # Drift that was healed begins no new day.
        (["29T11 proof 2", "30T11 swap 2", "30T11 proof 2"], ""),
        # It was proved for a day, and then a newer one came.
        (["28T10 proof 2", "29T11 swap 3", "29T11 proof 3"], ""),
        (["28T10 proof 2", "29T09 swap 3", "29T09 proof 3"], "was not proved"),
        # It was proved for a day, and was taken back.
        (["28T10 proof 2", "29T11 roll back 1", "29T11 proof 1"], "was not proved"),
        (["28T10 proof 2", "29T11 rejected 2"], "was not proved"),
        # It was gone back to: a newer one failed, or other settings of it.
        (["28T10 proof 2", "29T11 swap 3", "29T11 roll back 2", "29T11 proof 2"], ""),
        (["29T11 proof 2", "30T11 swap 2", "30T11 failed 2", "30T11 roll back 2"], ""),
        (["29T11 proof 2", "30T11 proof 2", "30T11 settings rejected 2", "30T11 roll back 2"], ""),
    ],
)
def test_only_a_proof_that_lasted_counts(events: list[str], why: str) -> None:
    found = missing(history(*events), "2", DAY, NOON)
    assert why in found
    assert bool(why) is bool(found)
