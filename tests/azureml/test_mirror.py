"""A copy of live traffic for a candidate: how long, what stops it, and what it leaves."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from reconciler import emulator, errors
from reconciler.errors import ConfigurationError
from reconciler.model import Action, Reason
from tests.azureml.emulated import Emulated
from tests.azureml.test_endpoint import NAME, mine
from tests.emulator.azureml import WS
from tests.lab import URL, LabClock
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from tests.twins.azureml import Endpoints

Written = list[tuple[dict[str, int], dict[str, int]]]
GOOD = {"200": 50.0}
BAD = {"200": 90.0, "424": 10.0}


class KilledError(BaseException):
    """The run ends here, with nothing tidied up."""


def mirroring(twin: Endpoints, how: str = "share: 10%, for: 10m") -> Written:
    """The traffic and mirrors that are written, from now on, with a mirror declared."""
    twin.edit("all.yaml", "  code: code\n", f"  code: code\n  mirror: {{{how}}}\n")
    twin.ask_for(SECOND)
    twin.engine_clock.least_s = 5.0  # ten minutes of a mirror are 120 short waits
    written: Written = []
    serve = twin.workspace._endpoint

    def noting(name: str, body: dict[str, Any]) -> Any:
        properties = body["properties"]
        written.append((properties["traffic"], properties["mirrorTraffic"]))
        return serve(name, body)

    twin.workspace._endpoint = noting  # type: ignore[method-assign]
    return written


def mirror_of(twin: Endpoints) -> dict[str, int]:
    found: dict[str, int] = twin.workspace.endpoints[NAME]["properties"]["mirrorTraffic"]
    return found


@pytest.mark.parametrize("metrics", [GOOD, {}])
def test_a_candidate_gets_a_copy_for_a_while_and_then_the_traffic(
    served: Endpoints, metrics: dict[str, float]
) -> None:
    old, written = served.workspace.serving(NAME), mirroring(served)
    served.workspace.metrics = metrics
    began = served.engine_clock.now()
    assert served.apply().failures == ()
    new = served.workspace.serving(NAME)
    on, off = {old: 100}, {new: 100}
    assert written == [(on, {new: 10}), (on, {}), (off, {})]
    assert served.engine_clock.now() - began >= 600
    said = " ".join(detail for _, _, detail in served.progress.said)
    assert f"mirrors 10 % for 5 of 10 min: {'0 of about 50' if metrics else 'no answer'}" in said
    assert "reconciler-mirrored" not in served.workspace.endpoints[NAME]["tags"]
    assert served.plan().converged


def test_a_candidate_whose_copies_fail_is_stopped_and_never_gets_traffic(served: Endpoints) -> None:
    old, written = served.workspace.serving(NAME), mirroring(served)
    served.workspace.metrics, served.workspace.log = BAD, "KeyError: 'x'"
    (failure,) = served.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "10 of about 100 failed, more than 1 %" in failure.message
    assert "KeyError: 'x'" in failure.message
    assert all(traffic == {old: 100} for traffic, _ in written)
    served.workspace.settle()
    assert (mirror_of(served), mine(served)) == ({}, [old])
    (change,) = served.plan().changes
    assert change.code == Reason.REJECTED


def test_a_bound_may_allow_what_fails(served: Endpoints) -> None:
    mirroring(served, "share: 10%, for: 10m, errors: 10%")
    served.workspace.metrics = BAD
    assert served.apply().failures == ()
    assert served.serving() == SECOND


def test_few_requests_stop_nobody_before_the_end(served: Endpoints) -> None:
    mirroring(served)
    served.workspace.metrics = {"200": 1.0, "500": 1.0}
    began = served.engine_clock.now()
    (failure,) = served.apply().failures
    assert "1 of about 2 failed" in failure.message
    assert served.engine_clock.now() - began >= 600


def test_a_mirror_that_somebody_switched_off_is_no_fault_of_the_version(served: Endpoints) -> None:
    mirroring(served)

    def instead(method: str, path: str) -> None:
        tags = served.workspace.endpoints[NAME]["tags"]
        since = int(tags.get("reconciler-mirrored", "x 0").split()[1])
        if since and served.engine_clock.now() - since > 180:
            served.workspace.endpoints[NAME]["properties"]["mirrorTraffic"] = {}

    served.workspace.instead = instead
    (failure,) = served.apply().failures
    assert "was changed outside git; apply again" in failure.message
    served.workspace.instead = lambda *_: None
    assert served.apply().failures == ()
    assert served.serving() == SECOND


@pytest.mark.parametrize(
    ("step", "stale"),
    [(7, 0), (11, 3), *(pytest.param(1, n, marks=pytest.mark.long) for n in (0, 3))],
)
def test_runs_that_are_killed_anywhere_leave_no_mirror(
    served: Endpoints, step: int, stale: int
) -> None:
    """Each run is killed at a later request than the one before; `stale` reads show the old
    traffic and mirror after a write."""
    written = mirroring(served)
    served.workspace.metrics, served.workspace.stale = GOOD, stale
    for last in range(3, 400, step):
        left = [last]

        def instead(method: str, path: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError

        served.workspace.instead = instead
        try:
            report = served.apply()
        except BaseException:  # it was killed
            continue
        break
    assert report.failures == ()
    assert last > 30
    assert served.serving() == SECOND
    served.workspace.settle()
    assert (mirror_of(served), len(mine(served))) == ({}, 1)
    assert not [mirror for traffic, mirror in written if set(traffic) & set(mirror)]


def test_a_mirror_of_a_run_that_was_killed_ends_although_git_went_back(served: Endpoints) -> None:
    old, written = served.workspace.serving(NAME), mirroring(served)

    def instead(method: str, path: str) -> None:
        if written and "metrics" in path:
            raise KilledError

    served.workspace.instead = instead
    with pytest.raises(BaseException):  # noqa: B017, PT011
        served.apply()
    assert mirror_of(served)
    served.workspace.instead = lambda *_: None
    served.workspace.settle()
    served.ask_for(FIRST)
    (change,) = served.plan().changes
    assert (change.action, change.code) == (Action.UPDATE, Reason.RETIRE)
    assert "still runs, and nothing needs it any more" in change.why
    assert served.apply().failures == ()
    served.workspace.settle()
    assert (mirror_of(served), mine(served)) == ({}, [old])
    assert served.plan().converged


def test_only_one_deployment_has_a_copy_and_that_of_others_is_left_alone(served: Endpoints) -> None:
    written = mirroring(served)
    served.workspace.add(NAME, "shadow", 0)
    served.workspace.endpoints[NAME]["properties"] |= {"mirrorTraffic": {"shadow": 20}}
    (change,) = served.plan().changes
    assert change.action is Action.BLOCK
    assert "others mirror its traffic to shadow" in change.why
    served.edit("all.yaml", "  mirror: {share: 10%, for: 10m}\n", "")
    assert served.apply().failures == ()
    assert [mirror for _, mirror in written] == [{"shadow": 20}]
    assert served.serving() == SECOND


def test_who_may_not_read_metrics_changes_nothing(served: Endpoints) -> None:
    written = mirroring(served)
    denied = 403, {"error": {"code": "AuthorizationFailed", "message": "no metrics/read"}}
    served.workspace.instead = lambda _, path: denied if "Insights" in path else None
    (failure,) = served.apply().failures
    assert "reading the metrics of" in failure.message
    assert written == []


@pytest.mark.parametrize("mirror", [["blue"], {"blue": "10"}, {"blue": 101}])
def test_a_mirror_of_another_shape_is_refused_by_the_plan(
    served: Endpoints, mirror: object
) -> None:
    served.workspace.endpoints[NAME]["properties"]["mirrorTraffic"] = mirror
    (change,) = served.plan().changes
    assert change.code == Reason.UNREADABLE
    assert "mirrorTraffic" in change.why


@pytest.mark.parametrize(
    ("mirror", "place", "words"),
    [
        ("share: 60%, for: 10m", "spec.mirror.share", "write 1% to 50%"),
        ("share: 10%, for: 2h", "spec.mirror.for", "at most 30m"),
        ("share: 10%", "spec.mirror", "for"),
    ],
)
def test_a_mirror_that_cannot_be_is_an_error_with_its_place(
    twin: Endpoints, mirror: str, place: str, words: str
) -> None:
    twin.edit("all.yaml", "  code: code\n", f"  code: code\n  mirror: {{{mirror}}}\n")
    with pytest.raises(ConfigurationError) as caught:
        twin.desired()
    assert re.search(r"all.yaml:\d+:\d+: " + place, str(caught.value))
    assert words in str(caught.value)


# --- where containers run -------------------------------------------------------------------------


class Asked(Emulated):
    """The sample with a mirror of half the traffic; while it shows, a client asks every 3 s."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.heard: list[tuple[int, str]] = []
        self.next_s = 0.0
        how = "  keepWarm: 24h\n"
        self.edit("churn.yaml", how, f"{how}  mirror: {{share: 50%, for: 5m}}\n")

    @property
    def engine_clock(self) -> Any:
        return AskingClock(self)

    def ask(self) -> None:
        if self.clock() < self.next_s:
            return
        self.next_s = self.clock() + 3
        properties = self.get("onlineEndpoints/churn")["properties"]
        if not properties["mirrorTraffic"]:
            return
        session = requests.Session()
        session.mount(URL, emulator.InProcessAdapter(self.cloud))
        headers = {"Authorization": "Bearer local-churn-key"}
        rows = {"rows": [{"months": 9.0, "calls": 1.0}]}
        answer = session.post(properties["scoringUri"], json=rows, headers=headers)
        self.heard.append((answer.status_code, answer.headers["azureml-model-deployment"]))
        for thread in [each for each in threading.enumerate() if each.name == "mirror"]:
            thread.join()

    def counts(self, name: str) -> dict[str, int]:
        """How many requests a deployment of the emulator had."""
        path = f"{WS}/onlineEndpoints/churn/deployments/{name}"
        found: dict[str, int] = self.cloud._core.world.resources[path].kept["counts"]
        return found


class AskingClock(LabClock):
    def __init__(self, world: Asked) -> None:
        super().__init__(world.clock)
        self._world = world

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self._world.ask()


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    made = Asked(tmp_path)
    yield made
    made.close()


def test_a_running_candidate_answers_copies_that_nobody_hears_and_gets_the_traffic(
    asked: Asked,
) -> None:
    assert asked.apply().failures == ()
    (new,) = asked.get("onlineEndpoints/churn")["properties"]["traffic"]
    assert {name for _, name in asked.heard} == {"blue"}
    copies = asked.counts(new)
    assert copies["failed"] == 0
    # What shows a little late is asked once or twice more, or less.
    assert abs(copies["mirrored"] - len(asked.heard) / 2) <= 3
    assert copies["mirrored"] > 20
    said = " ".join(detail for _, _, detail in asked.progress.said)
    assert re.search("mirrors 50 % for [0-9] of 5 min: 0 of about [1-9][0-9]+ failed", said)
    assert asked.get("onlineEndpoints/churn")["properties"]["mirrorTraffic"] == {}
    assert asked.plan().converged


def test_a_running_candidate_that_fails_copies_is_taken_back_and_no_client_hears_of_it(
    asked: Asked,
) -> None:
    script = asked.files / "scoring" / "score.py"
    strict = (
        "    if any(row['months'] > 5 for row in rows):\n        raise ValueError('too long')\n"
    )
    before, line, after = script.read_text().partition("    sums = [")
    script.write_text(before + strict + line + after)
    (failure,) = asked.apply().failures
    # Its own probe, which it answered while it was staged, is counted as well.
    assert re.search(
        "mirrored to the candidate, (19 of about 20|2. of about 2.) failed", failure.message
    )
    assert "too long" in failure.message
    assert "version 2 is rejected; the endpoint was not changed" in failure.message
    assert set(asked.heard) == {(200, "blue")}
    asked.clock.advance(60)
    shown = asked.get("onlineEndpoints/churn")["properties"]
    assert (shown["traffic"], shown["mirrorTraffic"]) == ({"blue": 100}, {})
    listed = asked.get("onlineEndpoints/churn/deployments")["value"]
    assert [deployment["name"] for deployment in listed] == ["blue"]
    assert asked.changes()["churn"].code == Reason.REJECTED
