"""Online endpoints in the middle of something: refusals, deletions and hands of others meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import RefusedError
from reconciler.model import Action, Model, ModelRef
from reconciler.render.text import plan_text
from tests.azureml.standin import WORKSPACE
from tests.azureml.test_endpoint import NAME, in_shares, keep_warm, live_of, mine, target_of
from tests.twins.contract import FIRST, SECOND, THIRD

if TYPE_CHECKING:
    from tests.twins.azureml import Endpoints

BUSY = (409, {"error": {"code": "Conflict", "message": "an operation is running"}})
DOWN = (503, {"error": {"code": "ServiceError", "message": "try later"}})


def test_all_that_was_kept_long_enough_is_retired_by_one_run(served: Endpoints) -> None:
    keep_warm(served, "24h")
    for version in (SECOND, THIRD):
        served.ask_for(version)
        assert served.apply().failures == ()
    assert len(mine(served)) == 3
    tags = served.workspace.endpoints[NAME]["tags"]
    tags["reconciler-switched"] = str(int(tags["reconciler-switched"]) - 86_400)
    assert served.apply().failures == ()
    served.workspace.settle()
    assert mine(served) == [served.workspace.serving(NAME)]
    assert served.plan().converged


def test_what_follows_a_write_is_tried_again(served: Endpoints) -> None:
    served.edit("all.yaml", "  instances: 1\n", "  instances: 3\n")
    served.edit("all.yaml", "  code: code\n", "  code: code\n  settings: {tags: {team: risk}}\n")
    answers = [BUSY]
    served.workspace.instead = lambda method, path: (
        answers.pop() if answers and method == "PUT" and "/deployments/" in path else None
    )
    assert served.apply().failures == ()
    served.workspace.settle()
    (deployment,) = [d for (e, _), d in served.workspace.deployments.items() if e == NAME]
    assert deployment["sku"]["capacity"] == 3
    assert served.plan().converged


def test_a_version_whose_deployment_is_being_deleted_is_deployed_anew(served: Endpoints) -> None:
    (name,) = mine(served)
    properties = served.workspace.deployments[NAME, name]["properties"]
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    served.workspace.settle()
    served.workspace.add(NAME, name, 0, **properties)
    deployment = served.workspace.deployments[NAME, name]
    deployment["tags"] = dict(served.workspace.endpoints[NAME]["tags"])
    noted = f"{served.workspace.url}{WORKSPACE}/operations/mfeOperationsStatus/1"
    deployment["properties"]["properties"] = {"AzureAsyncOperationUri": noted}
    served.workspace.polls = 20
    served.workspace._answer("DELETE", f"/onlineEndpoints/{NAME}/deployments/{name}", {}, None)
    served.ask_for(FIRST)
    assert served.apply().failures == ()
    assert served.serving() == FIRST


def test_a_deployment_that_others_gave_another_model_is_not_taken_for_the_version(
    served: Endpoints,
) -> None:
    (name,) = mine(served)
    properties = served.workspace.deployments[NAME, name]["properties"]
    properties["model"] = properties["model"].replace("/models/m/", "/models/other/")
    served.plan()
    model = Model(ModelRef("file:///m"), served.binding().version)
    with pytest.raises(RefusedError, match=f"others gave {name} of .* another model"):
        target_of(served).stage(served.binding(), model)
    served.workspace.endpoints[NAME]["properties"]["traffic"] = {}
    assert served.apply().failures == ()
    assert served.serving() == FIRST


@pytest.mark.parametrize("answers", [[BUSY] * 3, [DOWN] * 12])
def test_a_share_that_cannot_be_given_now_is_given_later(
    served: Endpoints, answers: list[tuple[int, Any]]
) -> None:
    written = in_shares(served)
    served.ask_for(SECOND)
    served.workspace.instead = lambda method, path: (
        answers.pop()
        if written and answers and (method, path) == ("PUT", f"/onlineEndpoints/{NAME}")
        else None
    )
    assert served.apply().failures == ()
    assert answers == []
    assert served.serving() == SECOND


def test_a_deployment_of_others_keeps_the_spelling_of_its_name(served: Endpoints) -> None:
    old, written = served.workspace.serving(NAME), in_shares(served)
    deployment = served.workspace.deployments[NAME, old]
    deployment["name"] = old.upper()
    properties = served.workspace.endpoints[NAME]["properties"]
    properties["traffic"] = {old.upper(): 100}
    served.ask_for(SECOND)
    assert live_of(served).served is not None
    assert served.apply().failures == ()
    assert written[0].get(old.upper()) == 90


def test_a_third_version_in_the_middle_of_a_rollout_begins_with_its_own_share(
    served: Endpoints,
) -> None:
    old, written = served.workspace.serving(NAME), in_shares(served)
    served.workspace.add(NAME, "theirs", 0)
    properties = served.workspace.endpoints[NAME]["properties"]
    properties["traffic"] = {"theirs": 10, old: 90}
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    new = served.workspace.serving(NAME)
    assert written == [{new: 10, old: 90}, {new: 50, old: 50}, {new: 100}]


def test_a_new_deployment_has_as_many_machines_where_git_names_no_number(
    served: Endpoints,
) -> None:
    served.workspace.deployments[NAME, served.workspace.serving(NAME)]["sku"]["capacity"] = 4
    served.edit("all.yaml", "  instances: 1\n", "")
    served.ask_for(SECOND)
    assert "a new deployment of 4 × " in " ".join(plan_text(served.plan()).split())
    assert served.apply().failures == ()
    new = served.workspace.deployments[NAME, served.workspace.serving(NAME)]
    assert new["sku"]["capacity"] == 4


def test_a_candidate_is_dropped_beside_a_deployment_whose_last_change_failed(
    served: Endpoints,
) -> None:
    (old,) = mine(served)
    served.workspace.deployments[NAME, old]["properties"]["provisioningState"] = "Failed"
    served.spoil()
    served.ask_for(SECOND)
    served.workspace.requests.clear()
    (failure,) = served.apply().failures
    assert "the endpoint was not changed" in failure.message
    assert f"PUT /onlineEndpoints/{NAME}/deployments/{old}" not in served.workspace.requests
    served.workspace.settle()
    assert mine(served) == [old]


@pytest.mark.parametrize("there", [True, False])
def test_a_model_that_brings_no_environment_needs_one_before_it_is_trained(
    twin: Endpoints, there: bool
) -> None:
    twin.edit("all.yaml", "  environment: sklearn:3\n  code: code\n", "")
    if there:
        twin.workspace.add(NAME, "blue")
    (change,) = twin.plan().changes
    assert change.action is Action.BLOCK
    assert change.warnings == (), "nothing is deployed, so nothing is paid for"
    assert "write environment: NAME:VERSION" in change.why


def test_a_candidate_that_fails_in_a_later_run_loses_its_share_and_is_dropped(
    served: Endpoints,
) -> None:
    (old,), written = mine(served), in_shares(served)
    served.ask_for(SECOND)
    served.workspace.instead = lambda method, path: (
        BUSY if written and (method, path) == ("PUT", f"/onlineEndpoints/{NAME}") else None
    )
    assert served.apply().failures
    served.workspace.instead = lambda *_: None
    served.workspace.answers = lambda name, content: (
        200,
        {"rows": [{"text" if name in ("", old) else "wrong": content.decode()}]},
    )
    (failure,) = served.apply().failures
    assert "is rejected" in failure.message
    assert written[-1] == {old: 100}
    served.workspace.settle()
    assert mine(served) == [old]
