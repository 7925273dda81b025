"""Environments whose pages the tests look at: none, a few endpoints, a fleet, and a hostile one."""

from __future__ import annotations

import random
from dataclasses import replace

from reconciler.model import (
    Action,
    Cause,
    Drift,
    Event,
    EventKind,
    Failure,
    FieldDiff,
    Health,
    HealthCode,
    History,
    Live,
    MadeVersion,
    ModelRef,
    Plan,
    Proof,
    Report,
    Score,
    Wave,
)
from reconciler.render.status import status_row
from reconciler.report import Endpoint, Overview
from tests.render.cases import AUC, BETTER, NO_WORSE, PASSED, PENDING, STORE, change

AT = "2026-11-25T14:03:00Z"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "https://github.com/acme/models"
VERSIONS = [f"2026-{month:02}" for month in range(4, 12)]


def ref(model: str, version: str) -> ModelRef:
    return ModelRef(f"{STORE}/{model}/{version}/model.ilearner")


def made(version: str, auc: float, state: str = "trained", why: str = "") -> MadeVersion:
    metrics = {"AUC": auc, "Accuracy": auc - 0.03, "Mean Absolute Error": 41.25}
    at = f"{version}-03T08:15:00Z"
    return MadeVersion(version, state, at, COMMIT, "9f" * 16, metrics, why, 60 * 700 * auc)


def history(name: str, model: str, seed: float, live: str = "2026-10") -> History:
    """Eight versions, the fourth of which was rolled back, and what was done at the endpoint."""
    numbers = random.Random(seed)
    versions = [made(v, 0.85 + at * 0.01 + numbers.random() / 50) for at, v in enumerate(VERSIONS)]
    versions[3] = replace(versions[3], state="rejected", why="the answer had no column Scored")
    versions[-1] = replace(versions[-1], metrics={}, state="begun", took_s=None)
    events = []
    for version in VERSIONS[:-1]:
        at = f"{version}-04T09:30:00Z"
        events.append(Event(at, EventKind.SWAP, ref(model, version), f"run{version}", COMMIT))
        rejected = version == VERSIONS[3]
        what = EventKind.ROLL_BACK if rejected else EventKind.PROOF
        back = ref(model, VERSIONS[2] if rejected else version)
        events.append(Event(at, what, back, f"run{version}", COMMIT))
    events.append(
        Event("2026-11-20T10:00:00Z", EventKind.SWAP, ref(model, "2026-10"), "heal", COMMIT)
    )
    events.append(
        Event("2026-11-20T10:01:00Z", EventKind.PROOF, ref(model, "2026-10"), "heal", COMMIT)
    )
    events = [replace(event, version=event.model.path.split("/")[-2]) for event in events]
    return History(name, f"webServices/ml/{name}", live, tuple(versions), tuple(events))


def endpoint(
    name: str, model: str, action: Action, code: str, why: str = "", **more: object
) -> Endpoint:
    health = more.pop("health", Health(HealthCode.HEALTHY))
    one = change(name, action, code, why, **{"before": "2026-10", "after": "2026-10", **more})
    live = Live(health, ref(model, one.before))  # type: ignore[arg-type]
    told = history(name, model, float(len(name)))
    return Endpoint(
        status_row(one, live, live.health),
        one,
        told,
        model,
        bounds=((AUC, 0.9), (NO_WORSE, 0.915)),
        keeps=True,
    )


def overview(*endpoints: Endpoint, **more: object) -> Overview:
    plan = Plan("production", "azure", tuple(one.change for one in endpoints), commit=COMMIT)
    return Overview(plan, endpoints, AT, "reconciler 0.1.0", REPOSITORY, **more)  # type: ignore[arg-type]


EMPTY = overview()

FEW = overview(
    endpoint(
        "churn",
        "churn",
        Action.BLOCK,
        "default_endpoint",
        "the default endpoint follows its experiment and its model cannot be replaced",
        before="unknown",
        after="2026-11",
    ),
    endpoint(
        "fraud-eu",
        "fraud",
        Action.TRAIN,
        "not_trained",
        "this version was never trained",
        after="2026-11",
        gates=(PENDING,),
    ),
    endpoint(
        "fraud-us",
        "fraud",
        Action.BIND,
        "version_changed",
        "drifted from 2026-10, proved here on 2026-11-20; swap it back in",
        before="2026-09",
        gates=(PASSED, BETTER),
        probe="ab",
        drift=Drift((FieldDiff("model", "2026-10", "2026-09"),), "2026-11-20T09:00:00Z"),
    ),
    endpoint("spam", "spam", Action.NOOP, "in_sync"),
    endpoint(
        "tickets",
        "tickets",
        Action.WAIT,
        "updating",
        "the service is being updated",
        health=Health(HealthCode.PROGRESSING, "the service is being updated"),
    ),
)

RUN = Report(
    plan=FEW.plan,
    done=("webServices/ml-local/fraud-us",),
    proofs=(
        Proof(
            "fraud-us",
            "webServices/ml-local/fraud-us",
            "2026-10",
            True,
            Health(HealthCode.HEALTHY),
            Score(("Scored Labels",), (("0.25",),)),
            Score(("Scored Labels",), (("0.75",),)),
        ),
    ),
    failures=(Failure("churn", "webServices/ml-local/churn", "refused: the default endpoint", 4),),
    elapsed_s=61.2,
    forced="the yearly move",
)
AFTER_A_RUN = replace(FEW, run=RUN, notes=("From a snapshot 3 h old.",))


def _of_fleet(number: int) -> Endpoint:
    name = f"bike-rental-{number:04}"
    if number % 37 == 0:
        one = endpoint(
            name,
            "bike-rental",
            Action.BIND,
            "version_changed",
            "the trained model is ready; swap it in",
            after="2026-11",
            gates=(BETTER,),
        )
    elif number % 91 == 0:
        one = endpoint(
            name,
            "bike-rental",
            Action.BLOCK,
            "gate",
            f"not accepted: AUC is 0.{number}",
            after="2026-11",
        )
    else:
        one = endpoint(name, "bike-rental", Action.NOOP, "in_sync")
    return replace(
        one,
        arguments=f"location={number}",
        history=history(name, "bike-rental", number),
        bounds=((AUC, 0.9),),
    )


def fleet(size: int) -> Overview:
    """One model with so many arguments, beside the few."""
    return overview(*(_of_fleet(number) for number in range(1, size + 1)), *FEW.endpoints)


BAD = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}{% if %}\x1b[31m\u202egnp.exe"
    + "w" * 200
)


def rollout() -> Overview:
    """A version that goes out in waves, beside one that was rejected at its first endpoint."""
    why = "rejected: the answer had no column Scored (rejected by run 4f0a at 2026-11-25T13:00:00Z)"
    refused = [
        endpoint(
            f"scooter-{number:02}",
            "scooter",
            Action.BLOCK,
            "rejected",
            why,
            after="2026-11",
            cause=Cause.FAILED,
        )
        for number in range(12)
    ]
    sizes, waves = (1, 5, 14), [1] * 1 + [2] * 5 + [3] * 14
    given = [
        endpoint(
            f"bike-{number:02}",
            "bike",
            Action.BIND,
            "version_changed",
            "the trained model is ready; swap it in",
            after="2026-11",
            wave=Wave(wave, sizes, pause_s=600),
        )
        for number, wave in enumerate(waves)
    ]
    return overview(*refused, *given, *FEW.endpoints)


def states() -> dict[str, Overview]:
    """A page in each state that somebody on call may meet."""
    went_out, few = rollout(), {one.row.name: one for one in FEW.endpoints}
    lost = "it is gone; create it again with the proved model"
    gone = endpoint(
        *("gone", "fraud", Action.CREATE, "created", lost),
        before="",
        health=Health(HealthCode.MISSING, "there is no such service"),
        drift=Drift((FieldDiff("model", "2026-10", None),), "2026-11-20T09:00:00Z"),
    )
    unread = "the service answered 503 five times"
    unreadable = endpoint(
        *("mute", "spam", Action.BLOCK, "unreadable", unread),
        before="unknown",
        health=Health(HealthCode.UNKNOWN, unread),
    )
    rejected = [one for one in went_out.endpoints if one.model == "scooter"]
    waves = [one for one in went_out.endpoints if one.model == "bike"]
    return {
        "in sync": overview(few["spam"], endpoint("ham", "spam", Action.NOOP, "in_sync")),
        "drifted": overview(few["fraud-us"], replace(gone, keeps=False), few["spam"]),
        "rejected": overview(*rejected[:4], few["spam"]),
        "waves": overview(*waves),
        "failed": AFTER_A_RUN,
        "refused": overview(few["churn"], unreadable, few["tickets"]),
        "all at once": went_out,
        "thousand": fleet(1_000),
        "empty": EMPTY,
    }


def hostile() -> Overview:
    """Markup, scripts, control characters and endless words wherever a text can come from."""
    event = Event(BAD, BAD, ref("m", "1"), BAD, BAD, BAD)
    version = MadeVersion(
        BAD,
        BAD,
        BAD,
        BAD,
        BAD,
        {BAD: float("nan"), "AUC": 0.5, "x": float("inf")},
        BAD,
        float("nan"),
    )
    event = replace(event, version=BAD)
    told = History(BAD, BAD, BAD, (version, made("2026-10", 0.5)), (event,), BAD)
    one = change(
        BAD,
        Action.BIND,
        BAD,
        BAD,
        before=BAD,
        after=BAD,
        address=BAD,
        kind=BAD,
        warnings=(BAD,),
        gates=(replace(BETTER, message=BAD),),
        drift=Drift((FieldDiff(BAD, BAD, BAD),), BAD),
    )
    live = Live(Health(HealthCode.DEGRADED, BAD), None)
    point = Endpoint(
        status_row(one, live, live.health),
        one,
        told,
        BAD,
        BAD,
        ((replace(AUC, metric=BAD), 0.9), (AUC, float("nan"))),
    )
    failed = Failure(BAD, BAD, BAD, 1)
    proof = Proof(
        BAD,
        BAD,
        BAD,
        False,
        Health(HealthCode.UNKNOWN, BAD),
        None,
        Score((BAD,), ((BAD,),)),
        (BAD,),
    )
    plan = Plan(BAD, BAD, (one,), (BAD,), commit=BAD)
    run = Report(plan, (BAD,), (proof,), (failed,), 1.0, BAD, 99)
    return Overview(plan, (point,), BAD, BAD, REPOSITORY, (BAD,), run)
