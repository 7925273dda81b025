"""What a cluster shows of an application, and what that means for who serves."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.model import HealthCode, ModelRef, Reason
from reconciler.platforms.contract import DONE, Left, OperationState
from reconciler.platforms.ray.serve_config import (
    Application,
    Placed,
    ServeAddress,
    fingerprint,
    merged,
)
from reconciler.platforms.ray.serve_live import (
    NO_NOTE,
    Note,
    Reading,
    Seen,
    Status,
    Waited,
    live_of,
    progress_of,
    reading_of,
)

MARK = "prod@store"
CHURN = Application("churn", "/churn")
ADDRESS = ServeAddress("ray:8265", "churn")


def config(version: str, mark: str = MARK) -> Any:
    model = Placed(f"s3://models/{version}", "churn", version, "ab" * 32, mark)
    return merged(None, CHURN, {}, model, "gcs://code.zip")


ONE, TWO = ModelRef("s3://models/1"), ModelRef("s3://models/2")
SWAPPED = Note(fingerprint(config("2")), config("1"))
FIRST = Note(fingerprint(config("2")))
STALE = Note("0" * 16, config("1"))


@pytest.mark.parametrize(
    ("status", "note", "served", "configured", "health"),
    [
        (Status.RUNNING, SWAPPED, TWO, None, HealthCode.HEALTHY),
        (Status.UNHEALTHY, SWAPPED, TWO, None, HealthCode.DEGRADED),
        (Status.DEPLOYING, SWAPPED, ONE, TWO, HealthCode.PROGRESSING),
        (Status.NOT_STARTED, SWAPPED, ONE, TWO, HealthCode.PROGRESSING),
        (Status.DEPLOY_FAILED, SWAPPED, ONE, TWO, HealthCode.DEGRADED),
        (Status.DEPLOY_FAILED, FIRST, None, TWO, HealthCode.DEGRADED),
        (Status.DEPLOY_FAILED, STALE, None, TWO, HealthCode.DEGRADED),
        (Status.DEPLOY_FAILED, NO_NOTE, None, TWO, HealthCode.DEGRADED),
    ],
)
def test_configured_is_served_only_while_it_runs(
    status: Status, note: Note, served: Any, configured: Any, health: HealthCode
) -> None:
    seen = Seen("churn", status, config=config("2"))
    live = live_of(Reading(True, {"churn": seen}), ADDRESS, CHURN, MARK, lambda: note)
    assert (live.served, live.configured) == (served, configured)
    assert (live.health.code, live.ours, live.refusal) == (health, True, None)


def test_settings_are_those_of_what_serves() -> None:
    slow = merged(config("1"), CHURN, {"replicas": "2"}, Placed("s3://models/1", mark=MARK), "")
    fast = merged(config("1"), CHURN, {"replicas": "9"}, Placed("s3://models/1", mark=MARK), "")
    seen = Seen("churn", Status.DEPLOY_FAILED, config=fast)
    note = Note(fingerprint(fast), slow)
    live = live_of(Reading(True, {"churn": seen}), ADDRESS, CHURN, MARK, lambda: note)
    assert dict(live.settings)["replicas"] == "2"
    assert (live.served, live.configured) == (ONE, None)


def test_what_is_not_listed_is_missing_and_what_is_deleted_is_on_its_way() -> None:
    live = live_of(Reading(True), ADDRESS, CHURN, MARK, lambda: NO_NOTE)
    assert live.health.code is HealthCode.MISSING
    assert "no application churn on ray:8265" in live.health.message
    seen = Seen("churn", Status.DELETING)
    live = live_of(Reading(True, {"churn": seen}), ADDRESS, CHURN, MARK, lambda: NO_NOTE)
    assert live.health.code is HealthCode.PROGRESSING


@pytest.mark.parametrize(
    ("seen", "note", "adopt", "why"),
    [
        (Seen("churn", Status.RUNNING, is_declared=False), NO_NOTE, True, "by a program"),
        (Seen("churn", Status.RUNNING, config=config("1", "x@y")), NO_NOTE, True, "belongs to x@y"),
        (Seen("churn", Status.RUNNING, config={"args": {}}), NO_NOTE, False, "was not made by"),
        (Seen("churn", Status.RUNNING, config={"args": {}}), NO_NOTE, True, ""),
        (Seen("churn", Status.RUNNING, config={"args": {}}), STALE, False, ""),
        (Seen("churn", Status.RUNNING, config=config("1")), NO_NOTE, False, ""),
    ],
)
def test_what_is_somebody_elses_is_refused(seen: Seen, note: Note, adopt: bool, why: str) -> None:
    reading = Reading(True, {"churn": seen})
    live = live_of(reading, ADDRESS, CHURN, MARK, lambda: note, adopt=adopt)
    assert (live.refusal is None) == (not why)
    if live.refusal:
        assert live.refusal.code == Reason.NOT_OWNED
        assert why in live.refusal.message


def test_a_route_of_another_application_is_refused() -> None:
    other = Seen("other", Status.RUNNING, route="/churn", config={})
    live = live_of(Reading(True, {"other": other}), ADDRESS, CHURN, MARK, lambda: NO_NOTE)
    assert live.refusal is not None
    assert "that of the application other" in live.refusal.message


def seen(status: Status, running: int = 1, **more: Any) -> Seen:
    return Seen("churn", status, config=config("2"), running=running, wanted=1, **more)


@pytest.mark.parametrize(
    ("shown", "waited", "state", "left", "words"),
    [
        (seen(Status.RUNNING), Waited(9), "done", Left.AS_BEFORE, ""),
        (seen(Status.DEPLOYING), Waited(9), "running", Left.AS_BEFORE, "1 of 1 replicas"),
        (seen(Status.DEPLOYING), Waited(61), "failed", Left.CANDIDATE_DECLARED, "after 60 s"),
        (seen(Status.DEPLOYING, 0), Waited(61), "failed", Left.DOWN, "after 60 s"),
        (
            seen(Status.DEPLOY_FAILED, words="ValueError: no"),
            Waited(1),
            "failed",
            Left.CANDIDATE_DECLARED,
            "ValueError: no",
        ),
        (seen(Status.DEPLOY_FAILED, 0), Waited(1), "failed", Left.DOWN, "no reason"),
        (seen(Status.UNHEALTHY), Waited(900, 59), "running", Left.AS_BEFORE, "unhealthy"),
        (seen(Status.UNHEALTHY), Waited(900, 61), "done", Left.AS_BEFORE, ""),
        (None, Waited(1), "failed", Left.AS_BEFORE, "gone"),
        (
            Seen("churn", Status.RUNNING, config=config("1")),
            Waited(1),
            "failed",
            Left.AS_BEFORE,
            "re",
        ),
    ],
)
def test_how_far_a_write_is(
    shown: Seen | None, waited: Waited, state: str, left: Left, words: str
) -> None:
    found = progress_of(shown, fingerprint(config("2")), waited, 60)
    assert (found.state, found.left) == (OperationState(state), left)
    assert words in found.words
    assert (found == DONE) == (state == "done")


def document(**application: Any) -> Any:
    shown = {
        "status": "RUNNING",
        "message": "",
        "deployments": {},
        "deployed_app_config": config("1"),
        **application,
    }
    return {"controller_info": {"node_id": "n"}, "applications": {"churn": shown}}


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ("ValueError: bad model", "ValueError: bad model"),
        ("ActorDiedError()", "the process of a replica died while it started (ActorDiedError); if"),
    ],
)
def test_the_words_are_the_last_line_of_the_replica(last: str, words: str) -> None:
    message = f"The deployment failed to start.\nTraceback:\n  File x\n{last}\n"
    deployment = {"message": message, "target_num_replicas": 2, "replicas": [{"state": "STARTING"}]}
    shown = reading_of(document(message="Failed.", deployments={"Model": deployment}))
    app = shown.applications["churn"]
    assert (app.words.startswith(words), app.running, app.wanted) == (True, 0, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"controller_info": {}},
        {"controller_info": None, "applications": {}},
        {"controller_info": {}, "applications": []},
        document(status="NEW_STATUS"),
        document(deployments=[]),
        {"controller_info": {}, "applications": {"churn": "x"}},
    ],
)
def test_another_shape_is_unreadable(wrong: Any) -> None:
    with pytest.raises(UnreadableError):
        reading_of(wrong)
