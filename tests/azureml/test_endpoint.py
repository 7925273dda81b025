"""Online endpoints: staged at 0 %, proved, switched, kept warm, retired; and what is refused."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.approval import only_ends
from reconciler.engine.survey import survey
from reconciler.errors import ConflictError, RefusedError, UnreadableError
from reconciler.model import Action, HealthCode, Model, ModelRef, Reason
from reconciler.platforms import kinds
from reconciler.render.text import plan_text
from tests.azureml.emulated import Emulated
from tests.azureml.standin import KEY
from tests.twins.contract import FIRST, SECOND, THIRD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.twins.azureml import Endpoints

NAME = "churn-m"
IDENTITY = (
    "subscriptions/s/resourceGroups/ml/providers/Microsoft.ManagedIdentity/"
    "userAssignedIdentities/scorer"
)


def target_of(twin: Endpoints) -> Any:
    return twin.world().targets["OnlineEndpoint"]


def live_of(twin: Endpoints) -> Any:
    return target_of(twin).observe(twin.binding())


def mine(twin: Endpoints) -> list[str]:
    return sorted(name for endpoint, name in twin.workspace.deployments if endpoint == NAME)


def keep_warm(twin: Endpoints, how_long: str) -> None:
    twin.edit("all.yaml", "  code: code\n", f"  code: code\n  keepWarm: {how_long}\n")


def test_an_endpoint_that_another_tool_manages_keeps_its_tags(served: Endpoints) -> None:
    served.unmark()
    tags = served.workspace.endpoints[NAME]["tags"]
    tags["managed-by"] = "terraform"
    assert served.plan().converged
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    tags = served.workspace.endpoints[NAME]["tags"]
    assert tags["managed-by"] == "terraform"
    assert "reconciler-environment" not in tags
    assert served.plan().converged


# --- a swap ---------------------------------------------------------------------------------------


def test_a_candidate_is_asked_by_name_before_any_traffic_moves(served: Endpoints) -> None:
    served.workspace.requests.clear()
    served.workspace.heard.clear()
    (old,) = mine(served)
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    asked = served.workspace.requests
    moved = asked.index(f"PUT /onlineEndpoints/{NAME}")
    staged = next(
        n for n, line in enumerate(asked) if line.startswith(f"PUT /onlineEndpoints/{NAME}/d")
    )
    new = served.workspace.serving(NAME)
    named = [deployment for _, deployment, _ in served.workspace.heard]
    assert staged < moved
    assert new in named
    assert old != new


def test_a_candidate_that_fails_its_probe_never_gets_traffic(served: Endpoints) -> None:
    old = served.workspace.serving(NAME)
    served.spoil()
    served.ask_for(SECOND)
    served.workspace.requests.clear()
    (failure,) = served.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert f"PUT /onlineEndpoints/{NAME}" not in served.workspace.requests
    served.workspace.settle()
    assert mine(served) == [old]


def test_the_old_traffic_that_is_shown_for_a_while_is_waited_out(served: Endpoints) -> None:
    served.workspace.stale = 4
    served.ask_for(SECOND)
    report = served.apply()
    assert report.failures == ()
    assert served.serving() == SECOND


@pytest.mark.parametrize("code", ["OutOfQuota", "ImageBuildFailure"])
def test_a_deployment_that_does_not_start_shows_why_and_what_its_container_said(
    served: Endpoints, code: str
) -> None:
    served.workspace.fails = [{"code": code, "message": "not enough of it", "details": []}] * 2
    served.workspace.log = "starting\nModuleNotFoundError: no module sklearn\n"
    served.ask_for(SECOND)
    (failure,) = served.apply().failures
    assert f"{code}: not enough of it" in failure.message
    assert "ModuleNotFoundError" in failure.message
    assert served.serving() == FIRST


def test_a_container_that_fails_shows_its_log(served: Endpoints) -> None:
    good = served.workspace.serving(NAME)

    def answers(deployment: str, content: bytes) -> tuple[int, Any]:
        return (200, {"rows": [{"text": content.decode()}]}) if deployment == good else (424, {})

    served.workspace.answers = answers
    served.workspace.log = "KeyError: 'x'"
    served.ask_for(SECOND)
    (failure,) = served.apply().failures
    assert "424" in failure.message
    assert "KeyError: 'x'" in failure.message
    assert served.serving() == FIRST


def test_traffic_that_somebody_moved_meanwhile_is_not_overwritten(served: Endpoints) -> None:
    target, binding = target_of(served), served.binding()
    target.observe(binding)
    served.workspace.add(NAME, "theirs", 0)
    (ours,) = [name for name in mine(served) if name != "theirs"]
    served.workspace.endpoints[NAME]["properties"]["traffic"] = {ours: 50, "theirs": 50}
    model = Model(ModelRef("file:///m"), binding.version)
    with pytest.raises(ConflictError, match="was changed meanwhile"):
        target.switch(binding, model)


def test_traffic_that_others_share_serves_no_model(served: Endpoints) -> None:
    for name in ("blue", "green"):
        served.workspace.add(NAME, name, 0)
    served.workspace.endpoints[NAME]["properties"]["traffic"] = {"blue": 50, "green": 50}
    live = live_of(served)
    assert live.served is None
    assert "50 %" in live.model_text
    assert served.apply().failures == ()
    assert served.serving() == FIRST


# --- kept warm ------------------------------------------------------------------------------------


def test_the_previous_deployment_is_kept_warm_and_retired_by_a_later_run(served: Endpoints) -> None:
    keep_warm(served, "24h")
    served.ask_for(SECOND)
    said = " ".join(plan_text(served.plan()).split())
    assert "are paid for and count as quota for 24 h after the proof" in said
    assert served.apply().failures == ()
    assert len(mine(served)) == 2
    assert served.plan().converged
    assert len(live_of(served).retired) == 1
    tags = served.workspace.endpoints[NAME]["tags"]
    tags["reconciler-switched"] = str(int(tags["reconciler-switched"]) - 86_400)
    (change,) = served.plan().changes
    assert (change.action, change.code) == (Action.UPDATE, Reason.RETIRE)
    assert served.apply().failures == ()
    served.workspace.settle()
    assert mine(served) == [served.workspace.serving(NAME)]
    assert served.plan().converged


def test_the_way_back_is_the_deployment_that_is_still_warm(served: Endpoints) -> None:
    keep_warm(served, "24h")
    served.ask_for(SECOND)
    served.apply()
    served.workspace.requests.clear()
    served.ask_for(FIRST)
    said = " ".join(plan_text(served.plan()).split())
    assert re.search("the deployment rc-[0-9a-f]{16} runs already beside the one that serves", said)
    assert served.apply().failures == ()
    assert served.serving() == FIRST
    assert not [
        r for r in served.workspace.requests if r.startswith("PUT") and "/deployments/" in r
    ]


# --- what is fixed, and settings -------------------------------------------------------------------


def test_other_code_is_a_new_deployment_which_is_staged_and_proved(served: Endpoints) -> None:
    old = served.workspace.serving(NAME)
    (served.folder / "code" / "score.py").write_text("def run(data): return 1\n")
    (change,) = served.plan().changes
    assert change.action is Action.BIND
    assert "settings.code" in [diff.path for diff in change.diffs]
    assert any("a new deployment of 1 × Standard_DS3_v2 starts" in w for w in change.warnings)
    assert served.apply().failures == ()
    served.workspace.settle()
    assert served.workspace.serving(NAME) != old
    assert served.serving() == FIRST
    assert served.plan().converged


def test_other_code_that_fails_leaves_the_deployment_of_the_same_version(served: Endpoints) -> None:
    old = served.workspace.serving(NAME)
    served.workspace.answers = lambda name, _: (
        200,
        {"rows": [{"text" if name == old else "wrong": "x"}]},
    )
    (served.folder / "code" / "score.py").write_text("def run(data): return 1\n")
    (failure,) = served.apply().failures
    assert failure.exit_code == errors.UNPROVED
    served.workspace.settle()
    assert mine(served) == [old]
    assert served.workspace.serving(NAME) == old


def test_settings_are_owned_one_by_one_and_nothing_else_is_touched(served: Endpoints) -> None:
    deployment = served.workspace.deployments[NAME, served.workspace.serving(NAME)]
    deployment["properties"]["livenessProbe"]["period"] = "PT77S"
    served.edit("all.yaml", "  instances: 1\n", "  instances: 3\n")
    settings = "  settings:\n    requests: {timeout: 1m}\n    tags: {team: risk}\n"
    served.edit("all.yaml", "  code: code\n", f"  code: code\n{settings}")
    (change,) = served.plan().changes
    differing = ["settings.instances", "settings.requests.timeout", "settings.tags.team"]
    assert change.action is Action.UPDATE
    assert [diff.path for diff in change.diffs] == differing
    assert served.apply().failures == ()
    served.workspace.settle()
    (deployment,) = [d for (e, _), d in served.workspace.deployments.items() if e == NAME]
    assert deployment["sku"]["capacity"] == 3
    assert deployment["properties"]["requestSettings"]["requestTimeout"] == "PT60S"
    assert deployment["properties"]["requestSettings"]["maxConcurrentRequestsPerInstance"] == 1
    assert deployment["properties"]["livenessProbe"]["period"] == "PT77S"
    assert served.workspace.endpoints[NAME]["tags"]["team"] == "risk"
    assert served.plan().converged


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"authMode": "AADToken"}, "its callers sign in by AADToken"),
        ({"traffic": {"theirs": 60}}, "adds up to 60 %"),
    ],
)
def test_an_endpoint_that_cannot_be_ours_is_refused(
    served: Endpoints, change: dict[str, Any], words: str
) -> None:
    served.workspace.endpoints[NAME]["properties"] |= change
    served.ask_for(SECOND)
    (change_,) = served.plan().changes
    assert change_.action is Action.BLOCK
    assert words in change_.why
    assert change_.warnings == (), "nothing is deployed, so nothing is paid for"


@pytest.mark.parametrize("named", [f"/{IDENTITY}", "SystemAssigned", ""])
def test_an_endpoint_keeps_the_identity_that_it_was_made_with(twin: Endpoints, named: str) -> None:
    line = "  code: code\n"
    twin.edit("all.yaml", line, f"{line}  identity: {named}\n" if named else line)
    assert twin.apply().failures == ()
    shown = twin.workspace.endpoints[NAME]["identity"]
    users = {"type": "UserAssigned", "userAssignedIdentities": {named: {}}}
    assert shown == (users if IDENTITY in named else {"type": "SystemAssigned"})
    twin.ask_for(SECOND)
    assert twin.apply().failures == ()
    assert twin.workspace.endpoints[NAME]["identity"] == shown
    assert twin.plan().converged
    if named:
        other = "SystemAssigned" if IDENTITY in named else f"/{IDENTITY}"
        twin.edit("all.yaml", named, other)
        (change,) = twin.plan().changes
        assert change.action is Action.BLOCK
        assert f"its code has the rights of {named}, which cannot be changed" in change.why


def test_an_endpoint_of_another_region_is_refused(served: Endpoints) -> None:
    served.edit("all.yaml", "workspace: prod}", "workspace: prod, region: eastus}")
    (change,) = served.plan().changes
    assert change.action is Action.BLOCK
    assert "it is in westeurope, and azureml.region is eastus" in change.why


def test_an_endpoint_of_another_environment_is_refused(served: Endpoints) -> None:
    served.workspace.endpoints[NAME]["tags"]["reconciler-environment"] = "other@elsewhere"
    (change,) = served.plan().changes
    assert change.code == Reason.NOT_OWNED
    with pytest.raises(RefusedError):
        target_of(served).delete(served.binding().address)


def test_a_model_of_another_workspace_is_told_apart_and_gets_its_traffic_back(
    served: Endpoints,
) -> None:
    """It has the name and version of ours, and is neither in sync nor to be deployed again."""
    name = served.workspace.serving(NAME)
    ours = served.workspace.deployments[NAME, name]["properties"]["model"]
    theirs = ours.replace("/workspaces/prod", "/workspaces/lab")
    served.workspace.add(NAME, "by-hand", 0, model=theirs)
    served.workspace.endpoints[NAME]["properties"]["traffic"] = {"by-hand": 100}
    served.ask_for(SECOND)
    (change,) = served.plan().changes
    assert change.action is Action.TRAIN
    version = theirs.rpartition("/")[2]
    told = f"by-hand serves version {version} of m in the workspace lab; nothing but that"
    assert any(told in warning for warning in change.warnings)
    served.ask_for(FIRST)
    (change,) = served.plan().changes
    assert (change.action, change.before) == (Action.BIND, "by-hand")
    assert served.apply().failures == ()
    assert served.serving() == FIRST
    assert served.plan().converged


def test_an_endpoint_with_a_deployment_of_others_is_not_deleted(served: Endpoints) -> None:
    served.workspace.add(NAME, "theirs", 0)
    with pytest.raises(RefusedError, match="others made the deployment theirs"):
        target_of(served).delete(served.binding().address)


def test_an_absent_endpoint_is_deleted_where_we_made_it(served: Endpoints) -> None:
    served.edit("all.yaml", "  create: true\n", "  create: true\n  state: absent\n")
    assert served.apply().failures == ()
    assert NAME not in served.workspace.endpoints
    assert "theirs" in served.workspace.endpoints


# --- reading, closed --------------------------------------------------------------------------------


def test_a_404_of_a_proxy_is_no_missing_endpoint(served: Endpoints) -> None:
    path = f"/onlineEndpoints/{NAME}"
    served.workspace.instead = lambda _, asked: (404, {}) if asked == path else None
    (change,) = served.plan().changes
    assert change.code == Reason.UNREADABLE


def test_a_404_that_the_list_contradicts_is_no_missing_endpoint(served: Endpoints) -> None:
    path = f"/onlineEndpoints/{NAME}"
    gone = (404, {"error": {"code": "ResourceNotFound", "message": "gone"}})
    served.workspace.instead = lambda _, asked: gone if asked == path else None
    (change,) = served.plan().changes
    assert change.code == Reason.UNREADABLE
    assert "the list shows it" in change.why


def test_a_list_without_the_serving_deployment_is_unreadable(served: Endpoints) -> None:
    path = f"/onlineEndpoints/{NAME}/deployments"
    served.workspace.instead = lambda _, asked: (200, {"value": []}) if asked == path else None
    (change,) = served.plan().changes
    assert change.code == Reason.UNREADABLE


def test_what_somebody_else_does_to_the_endpoint_is_waited_for(served: Endpoints) -> None:
    served.workspace.polls = 1_000
    served.workspace._deployment(
        NAME, "theirs", {"sku": {}, "tags": {}, "properties": {"model": "m"}}
    )
    assert live_of(served).health.code is HealthCode.PROGRESSING


def test_a_fleet_is_read_by_one_list_and_the_deployments_of_each(served: Endpoints) -> None:
    for number in range(25):
        name = f"churn-{number:02}"
        text = (served.folder / "all.yaml").read_text().rpartition("---\n")[2]
        text = text.replace("{name: m}\n", f"{{name: n{number}}}\n", 1).replace(NAME, name)
        (served.folder / f"{name}.yaml").write_text(text)
        served.workspace.add(name, "blue")
    served.workspace.requests.clear()
    assert len(served.plan().changes) == 26
    asked = served.workspace.requests
    assert asked.count("GET /onlineEndpoints") == 1
    assert len([each for each in asked if each.endswith("/deployments")]) == 26
    assert len(asked) == 27
    asked.clear()
    wanted = served.desired().bindings
    survey(served.world(read_only=True), wanted, 8, wanted)  # with what is not declared
    assert len(asked) == 27


def test_a_plan_waits_for_the_budget_of_reads_and_comes_to_its_end(tmp_path: Path) -> None:
    world = Emulated(tmp_path, arm_budget=3)
    assert world.plan().changes[0].action is Action.TRAIN
    world.close()


# --- operations and secrets -------------------------------------------------------------------------


def test_signed_operations_are_followed_and_shown_nowhere(
    served: Endpoints, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signature = "s" * 4_200
    served.workspace.signature = f"&t=1&c=2&s={signature}&h=3"
    served.ask_for(SECOND)
    report = served.apply()
    assert report.failures == ()
    said = caplog.text + repr(report) + repr(served.progress.said)
    assert signature not in said
    assert KEY not in said


def test_an_operation_elsewhere_gets_no_token(served: Endpoints) -> None:
    def instead(method: str, path: str) -> Any:
        if method != "PUT" or "/deployments/" not in path:
            return None
        return 201, {}, {"Azure-AsyncOperation": "https://evil.example/operations/1"}

    served.workspace.instead = instead
    served.ask_for(SECOND)
    (failure,) = served.apply().failures
    assert "must not get a token" in failure.message
    assert "evil.example" in failure.message


def test_a_409_is_waited_for(served: Endpoints) -> None:
    busy = 409, {"error": {"code": "Conflict", "message": "an operation is already running"}}
    left = [3]

    def instead(method: str, _: str) -> Any:
        left[0] -= method == "PUT"
        return busy if method == "PUT" and left[0] >= 0 else None

    served.workspace.instead = instead
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    assert served.serving() == SECOND


def test_a_name_that_the_region_has_is_refused_with_the_way_out(served: Endpoints) -> None:
    said = "The region has an endpoint churn-o already"
    taken = 400, {"error": {"code": "UserError", "message": said, "details": []}}
    served.declare_another()
    path = "/onlineEndpoints/churn-o"
    served.workspace.instead = lambda m, asked: taken if (m, asked) == ("PUT", path) else None
    (failure,) = served.apply().failures
    assert said in failure.message
    assert "where it is taken, write another endpoint" in failure.message
    assert "other.yaml:" in failure.message


def test_a_deployment_of_that_name_that_somebody_else_made_is_refused(served: Endpoints) -> None:
    name = served.workspace.serving(NAME)
    served.workspace.deployments[NAME, name]["tags"] = {}
    (change,) = served.plan().changes
    assert change.code == Reason.NOT_OWNED
    assert f"it has a deployment {name} that others made" in change.why


@pytest.mark.parametrize(
    "odd",
    [
        {"properties": []},
        {"properties": {"authMode": "Key", "traffic": {"x": "100"}}},
        {"properties": {"authMode": "Key", "traffic": {"x": 101}}},
        {"properties": {"authMode": "Key", "traffic": ["x"]}},
        {"tags": {"a": 1}},
        {"id": "/subscriptions/other"},
    ],
)
def test_an_answer_of_another_shape_is_unreadable_and_changes_nothing(
    served: Endpoints, odd: dict[str, Any]
) -> None:
    served.workspace.endpoints[NAME] |= odd
    served.workspace.requests.clear()
    (change,) = served.plan().changes
    assert (change.action, change.code) == (Action.BLOCK, Reason.UNREADABLE)
    assert all(line.startswith("GET") for line in served.workspace.requests)


def test_a_token_of_the_wrong_audience_is_named(served: Endpoints) -> None:
    error = {"code": "InvalidAuthenticationTokenAudience", "message": "the audience is wrong"}
    served.workspace.instead = lambda *_: (401, {"error": error})
    (change,) = served.plan().changes
    assert change.code == Reason.UNREADABLE
    assert "InvalidAuthenticationTokenAudience" in change.why


def test_an_export_tells_what_served(served: Endpoints) -> None:
    binding = served.binding()
    document = json.loads(json.dumps(target_of(served).export(binding)))
    module = kinds()["OnlineEndpoint"].module
    assert module.live_from_export(document, binding).served == live_of(served).served
    with pytest.raises(UnreadableError):
        module.live_from_export({**document, "schema": "other"}, binding)


def test_a_third_version_follows_a_second_that_somebody_put_there(served: Endpoints) -> None:
    served.ask_for(SECOND)
    served.apply()
    served.put_back(FIRST)
    served.ask_for(THIRD)
    assert served.apply().failures == ()
    assert served.serving() == THIRD


# --- in shares ------------------------------------------------------------------------------------


def in_shares(twin: Endpoints) -> list[dict[str, int]]:
    """The traffic that was written, from now on."""
    twin.edit("all.yaml", "  code: code\n", '  code: code\n  rollout: ["10%", "50%"]\n')
    written: list[dict[str, int]] = []
    serve = twin.workspace._endpoint

    def noting(name: str, body: dict[str, Any]) -> Any:
        written.append(body["properties"].get("traffic", {}))
        return serve(name, body)

    twin.workspace._endpoint = noting  # type: ignore[method-assign]
    return written


def test_a_new_model_proves_itself_at_each_share_of_the_traffic(served: Endpoints) -> None:
    old, written = served.workspace.serving(NAME), in_shares(served)
    served.workspace.stale = 3
    served.ask_for(SECOND)
    served.workspace.heard.clear()
    assert served.apply().failures == ()
    new = served.workspace.serving(NAME)
    assert written == [{new: 10, old: 90}, {new: 50, old: 50}, {new: 100}]
    asked = [deployment for _, deployment, _ in served.workspace.heard]
    assert asked.count(new) == 3  # staged, at 10 % and at 50 %
    assert served.serving() == SECOND
    assert served.plan().converged


def test_a_model_that_fails_at_a_share_loses_it(served: Endpoints) -> None:
    old, written = served.workspace.serving(NAME), in_shares(served)
    has_share = lambda: len(served.workspace.endpoints[NAME]["properties"]["traffic"]) > 1  # noqa: E731

    def answers(deployment: str, content: bytes) -> tuple[int, Any]:
        bad = deployment != old and has_share()
        return 200, {"rows": [{"wrong" if bad else "text": content.decode()}]}

    served.workspace.answers = answers
    served.ask_for(SECOND)
    report = served.apply()
    (failure,) = report.failures
    assert failure.exit_code == errors.UNPROVED
    assert "at 10 % of the traffic" in failure.message
    assert [(proof.model, proof.rolled_back, proof.proved) for proof in report.proofs] == [
        (FIRST, True, True)
    ]
    assert written[-1] == {old: 100}
    served.workspace.settle()
    assert mine(served) == [old]


def test_a_run_that_was_killed_between_two_shares_is_continued(served: Endpoints) -> None:
    in_shares(served)
    served.ask_for(SECOND)
    written: list[dict[str, int]] = []

    class KilledError(BaseException):
        pass

    serve = served.workspace._endpoint

    def killing(name: str, body: dict[str, Any]) -> Any:
        done = serve(name, body)
        written.append(body["properties"]["traffic"])
        if len(written) == 1:
            raise KilledError
        return done

    served.workspace._endpoint = killing  # type: ignore[method-assign]
    with pytest.raises(BaseException):  # noqa: B017, PT011
        served.apply()
    served.workspace.settle()
    assert served.apply().failures == ()
    assert served.serving() == SECOND
    assert [max(traffic.values()) for traffic in written] == [90, 50, 100]


def killed_at_its_first_share(twin: Endpoints) -> None:
    class KilledError(BaseException):
        pass

    def instead(method: str, path: str) -> None:
        if len(twin.workspace.endpoints[NAME]["properties"]["traffic"]) > 1:
            raise KilledError

    twin.workspace.instead = instead
    with pytest.raises(BaseException):  # noqa: B017, PT011
        twin.apply()
    twin.workspace.instead = lambda *_: None
    twin.workspace.settle()


def test_what_was_begun_in_shares_is_ended_in_a_freeze(served: Endpoints) -> None:
    in_shares(served)
    served.ask_for(SECOND)
    killed_at_its_first_share(served)
    plan = served.plan()
    (change,) = plan.changes
    assert (change.action, change.code) == (Action.WAIT, Reason.UNPROVED)
    assert "it has 10 % of the traffic" in change.why
    frozen = only_ends(replace(plan, frozen="until Monday"))
    assert frozen.changes == plan.changes
    assert served.apply().failures == ()
    assert served.serving() == SECOND


def test_a_share_that_others_change_rejects_nobody(served: Endpoints) -> None:
    written = in_shares(served)
    served.ask_for(SECOND)

    def instead(method: str, path: str) -> None:
        traffic = served.workspace.endpoints[NAME]["properties"]["traffic"]
        if len(written) == 1 and len(traffic) > 1:
            new = next(name for name, share in traffic.items() if share == 10)
            (old,) = set(traffic) - {new}
            traffic |= {new: 20, old: 80}
            written.append({})

    served.workspace.instead = instead
    (failure,) = served.apply().failures
    assert "reading it back shows" in failure.message
    served.workspace.instead = lambda *_: None
    (change,) = served.plan().changes
    assert change.code == Reason.UNPROVED
    assert served.apply().failures == ()
    assert served.serving() == SECOND
