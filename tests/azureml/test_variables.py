"""One version with other settings: secret variables, rotated ones, those changed by hand, and the way
back from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.cli.main import run
from reconciler.engine.history import history
from reconciler.engine.required import missing
from reconciler.model import Action, Cause, EventKind, Reason, Requires, VersionState
from reconciler.offline.redaction import kept_json
from reconciler.render.text import plan_text
from tests.azureml.server import served as serving
from tests.azureml.test_endpoint import NAME, keep_warm, mine, target_of
from tests.twins.contract import FIRST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.twins.azureml import Endpoints


def test_a_secret_variable_goes_to_the_service_and_into_no_plan(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a-secret-of-the-code"
    environ = {**served.environ, "CODE_TOKEN": secret}
    monkeypatch.setattr(type(served), "environ", property(lambda _: environ))
    served.edit(
        "all.yaml", "  code: code\n", "  code: code\n  variables: {TOKEN: env:CODE_TOKEN}\n"
    )
    assert secret not in plan_text(served.plan())
    assert served.apply().failures == ()
    served.workspace.settle()
    (made,) = [d for (e, _), d in served.workspace.deployments.items() if e == NAME]
    assert made["properties"]["environmentVariables"]["TOKEN"] == secret
    exported = target_of(served).export(served.binding())
    assert secret not in json.dumps(exported)
    assert served.plan().converged


def with_token(served: Endpoints, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a run whose variable is a secret, once it is served."""
    environ = {**served.environ, "CODE_TOKEN": "a-secret-of-the-code"}
    monkeypatch.setattr(type(served), "environ", property(lambda _: environ))
    variables = "variables: {TOKEN: env:CODE_TOKEN, LEVEL: low}"
    served.edit("all.yaml", "  code: code\n", f"  code: code\n  {variables}\n")
    assert served.apply().failures == ()
    served.workspace.settle()
    return environ


def variables_of(served: Endpoints) -> dict[str, str]:
    serving = served.workspace.deployments[NAME, served.workspace.serving(NAME)]
    found: dict[str, str] = serving["properties"]["environmentVariables"]
    return found


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_variable_with_another_value_is_a_new_deployment_which_is_staged_and_proved(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    environ = with_token(served, monkeypatch)
    old = served.workspace.serving(NAME)
    if by_hand:
        variables_of(served).update({"TOKEN": "by-hand", "LEVEL": "high"})
    else:
        environ["CODE_TOKEN"] = "a-rotated-secret"
    (change,) = served.plan().changes
    assert change.action is Action.BIND
    differing = ["LEVEL", "TOKEN"] if by_hand else ["TOKEN"]
    _, *diffs = change.diffs
    assert [d.path.removeprefix("settings.variables.") for d in diffs] == differing
    assert {d.before for d in diffs} == {"another value"}
    said = " ".join(plan_text(served.plan()).split())
    assert "a new deployment of 1 × Standard_DS3_v2 starts beside" in said
    assert not any(secret in said for secret in ("a-secret-of", "a-rotated", "by-hand"))
    served.workspace.requests.clear()
    assert served.apply().failures == ()
    asked = served.workspace.requests
    assert f"PUT /onlineEndpoints/{NAME}/deployments/{old}" not in asked
    assert asked.index(f"PUT /onlineEndpoints/{NAME}/deployments/{old}-2") < asked.index(
        f"PUT /onlineEndpoints/{NAME}"
    )
    served.workspace.settle()
    assert mine(served) == [f"{old}-2"]
    assert variables_of(served)["TOKEN"] == environ["CODE_TOKEN"]
    assert variables_of(served)["LEVEL"] == "low"
    assert served.plan().converged
    environ["CODE_TOKEN"] = "yet-another-secret"
    assert served.apply().failures == ()
    served.workspace.settle()
    assert mine(served) == [old]


def test_a_rotated_secret_that_the_code_does_not_take_never_gets_traffic(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = with_token(served, monkeypatch)
    old, kept = served.workspace.serving(NAME), dict(variables_of(served))
    environ["CODE_TOKEN"] = "a-rotated-secret"
    served.workspace.answers = lambda name, content: (
        (200, {"rows": [{"text": content.decode()}]}) if name in ("", old) else (424, {})
    )
    (failure,) = served.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert f"version {FIRST} was proved here with other settings" in failure.message
    assert "so it is not rejected" in failure.message
    served.workspace.settle()
    assert (mine(served), served.workspace.serving(NAME)) == ([old], old)
    assert variables_of(served) == kept
    # Each later run tries again, and says so; the history does not grow by that.
    before = history(served.world(read_only=True), served.binding())
    (event,) = [event for event in before.events if event.what is EventKind.FAILED]
    assert "does not answer" in event.why
    assert [made.state for made in before.versions] == [VersionState.TRAINED]
    (change,) = served.plan().changes
    assert (change.action, change.cause) == (Action.BIND, Cause.FAILED)
    assert f"try again: with these settings it failed at {event.at}: " in change.why
    assert served.apply().failures != ()
    again = history(served.world(read_only=True), served.binding())
    assert len(again.events) == len(before.events)
    environ["CODE_TOKEN"] = "a-secret-of-the-code"
    assert served.plan().converged
    served.workspace.settle()
    environ["CODE_TOKEN"] = "a-secret-that-fits"
    served.workspace.answers = lambda _, content: (200, {"rows": [{"text": content.decode()}]})
    assert served.apply().failures == ()
    served.workspace.settle()
    assert served.workspace.serving(NAME) != old
    assert served.plan().converged


def fail_with_traffic(served: Endpoints) -> None:
    """From now on, any other deployment than the one that serves fails once it has the traffic."""
    old = served.workspace.serving(NAME)

    def answers(name: str, content: bytes) -> tuple[int, Any]:
        serving = served.workspace.serving(NAME)
        fails = serving != old and name in ("", serving)
        return (424, {}) if fails else (200, {"rows": [{"text": content.decode()}]})

    served.workspace.answers = answers


@pytest.mark.parametrize(("change", "warm"), [("secret", "24h"), ("secret", ""), ("machine", "")])
def test_a_version_that_fails_with_traffic_leaves_it_to_the_deployment_that_was_proved_before(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch, change: str, warm: str
) -> None:
    if warm:
        keep_warm(served, warm)
    environ = with_token(served, monkeypatch)
    old = served.workspace.serving(NAME)
    environ["CODE_TOKEN"] = "a-rotated-secret" if change == "secret" else environ["CODE_TOKEN"]
    if change == "machine":
        served.edit("all.yaml", "Standard_DS3_v2", "Standard_DS2_v2")

    fail_with_traffic(served)
    (failure,) = served.apply().failures
    assert "is not rejected: correct the settings; rolled back, and proved" in failure.message
    served.workspace.settle()
    assert served.workspace.serving(NAME) == old
    assert variables_of(served)["TOKEN"] == "a-secret-of-the-code"
    events = history(served.world(read_only=True), served.binding()).events
    told = [event.what.value for event in events][-4:]
    assert told == ["swap", "failed", "roll back", "proof"]
    assert "try again" in served.plan().changes[0].why


@pytest.mark.parametrize("gone", [False, True])
def test_of_several_deployments_of_a_version_the_one_that_was_proved_last_gets_the_traffic_back(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    keep_warm(served, "24h")
    environ = with_token(served, monkeypatch)
    first = served.workspace.serving(NAME)
    environ["CODE_TOKEN"] = "a-second-secret"
    assert served.apply().failures == ()
    proved = served.workspace.serving(NAME)
    assert {first, proved} <= set(mine(served))
    environ["CODE_TOKEN"] = "a-third-secret"
    fail_with_traffic(served)

    def instead(method: str, path: str) -> None:
        if gone and served.workspace.serving(NAME) not in ("", proved):
            served.workspace.deployments.pop((NAME, proved), None)

    served.workspace.instead = instead
    (failure,) = served.apply().failures
    served.workspace.settle()
    if gone:
        assert f"its deployment {proved}, which served before, is gone" in failure.message
        assert "it is not rolled back" in failure.message
        assert served.workspace.serving(NAME) not in (first, proved)
    else:
        assert served.workspace.serving(NAME) == proved
        assert variables_of(served)["TOKEN"] == "a-second-secret"


def test_settings_of_what_serves_are_written_without_its_rotated_secret(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = with_token(served, monkeypatch)
    environ["CODE_TOKEN"] = "a-rotated-secret"
    target, binding = target_of(served), served.binding()
    served.edit("all.yaml", "  instances: 1\n", "  instances: 3\n")
    target.observe(binding)
    target.update(served.binding())
    served.workspace.settle()
    assert variables_of(served)["TOKEN"] == "a-secret-of-the-code"
    serving = served.workspace.deployments[NAME, served.workspace.serving(NAME)]
    assert serving["sku"]["capacity"] == 3


def test_what_was_rotated_and_is_kept_warm_is_no_way_back_to_the_old_secret(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_warm(served, "24h")
    environ = with_token(served, monkeypatch)
    old = served.workspace.serving(NAME)
    environ["CODE_TOKEN"] = "a-rotated-secret"
    assert served.apply().failures == ()
    new = served.workspace.serving(NAME)
    assert {old, new} <= set(mine(served))
    assert served.plan().converged
    environ["CODE_TOKEN"] = "a-third-secret-of-it"
    assert served.apply().failures == ()
    assert served.workspace.serving(NAME) == f"{old}-3"


def test_a_snapshot_holds_no_variable_and_finds_no_drift_in_one(
    served: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_token(served, monkeypatch)
    kept = kept_json(served.workspace.deployments[NAME, served.workspace.serving(NAME)])
    assert set(kept["properties"]["environmentVariables"].values()) == {"***"}
    variables_of(served).update(kept["properties"]["environmentVariables"])
    assert served.plan().converged


# --- back by hand ---------------------------------------------------------------------------------


@pytest.fixture
def faster(twin: Endpoints, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    """The version serves with another machine than before, whose deployment is still warm."""
    keep_warm(twin, "24h")
    with serving(twin.workspace) as workspace:
        monkeypatch.setenv(EMULATOR_VARIABLE, workspace.url)
        assert twin.apply().failures == ()
        twin.edit("all.yaml", "Standard_DS3_v2", "Standard_DS2_v2")
        assert twin.apply().failures == ()
        twin.workspace.settle()
        yield twin


def typed(twin: Endpoints, *words: str) -> int:
    return run([*words, "-f", str(twin.services)])


def test_a_roll_back_by_hand_from_other_settings_spares_the_version(
    faster: Endpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = set(mine(faster)) - {faster.workspace.serving(NAME)}
    new = faster.workspace.serving(NAME)
    assert typed(faster, "rollback", "m", "--reason", "too slow", "--yes") == errors.SUCCESS
    said = " ".join(capsys.readouterr().err.split())
    assert f"roll back from {new} to {old}, and reject the settings of {new}" in said
    assert f"and not version {FIRST}" in said
    assert "write its settings in" in said
    faster.workspace.settle()
    assert faster.workspace.serving(NAME) == old
    world, binding = faster.world(read_only=True), faster.binding()
    told = history(world, binding)
    assert [made.state for made in told.versions] == [VersionState.TRAINED]
    assert [event.what.value for event in told.events][-3:] == [
        *("settings rejected", "roll back", "proof"),
    ]
    assert missing(world.ledger.record(binding.address), FIRST, Requires("here", 1.0), 1e12) == ""
    # No run binds it again with these settings, until a person says so.
    (change,) = faster.plan().changes
    assert (change.action, change.code, change.cause) == (
        *(Action.BLOCK, Reason.REJECTED, Cause.FAILED),
    )
    assert change.why.startswith("too slow (these settings were rejected by ")
    assert "; correct its settings, or declare another version, or take the " in change.why
    assert f": reconciler reinstate m {FIRST}" in change.why
    assert faster.written_by(faster.apply) == []
    assert faster.workspace.serving(NAME) == old
    assert typed(faster, "rollback", "m", "--yes") == errors.REFUSED
    assert typed(faster, "reinstate", "m", FIRST, "--yes") == errors.SUCCESS
    assert typed(faster, "reinstate", "m", FIRST, "--yes") == errors.REFUSED
    assert faster.apply().failures == ()
    assert faster.workspace.serving(NAME) == new


def test_what_was_rolled_back_from_is_in_sync_with_its_earlier_settings(faster: Endpoints) -> None:
    new = faster.workspace.serving(NAME)
    assert typed(faster, "rollback", "m", "--yes") == errors.SUCCESS
    faster.edit("all.yaml", "Standard_DS2_v2", "Standard_DS3_v2")
    assert faster.plan().converged
    # Somebody gives the traffic to what was rolled back from, and git declares it again.
    faster.workspace.settle()
    properties = dict(faster.workspace.deployments[NAME, faster.workspace.serving(NAME)])
    faster.workspace.deployments[NAME, new] = {
        **properties,
        "name": new,
        "properties": {**properties["properties"], "instanceType": "Standard_DS2_v2"},
    }
    faster.workspace.endpoints[NAME]["properties"]["traffic"] = {new: 100}
    faster.edit("all.yaml", "Standard_DS3_v2", "Standard_DS2_v2")
    (change,) = faster.plan().changes
    assert change.code == Reason.ROLL_BACK


def test_a_roll_back_to_settings_whose_deployment_is_gone_rejects_nothing(
    faster: Endpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    new = faster.workspace.serving(NAME)
    (old,) = set(mine(faster)) - {new}
    del faster.workspace.deployments[NAME, old]
    assert typed(faster, "rollback", "m", "--yes") == errors.REFUSED
    said = " ".join(capsys.readouterr().err.split())
    assert f"{old}, which served {FIRST} with other settings, runs no more" in said
    assert faster.plan().converged
    assert faster.workspace.serving(NAME) == new
