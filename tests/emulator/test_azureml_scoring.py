"""Scoring an online endpoint: who answers, what a failing model looks like, and whose files run."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.emulator import Fault
from tests.emulator.azureml import ENDPOINT, ROWS, Wire, deployment

GREEN = "onlineEndpoints/churn/deployments/green"
WireOf = Callable[..., Wire]


def script(wire: Wire, text: str, **properties: Any) -> str:
    """A deployment `green` that runs this script."""
    wire.cloud._core.blobs.put("mlazure", "workspace", "other/main.py", text.encode())
    uri = "azureml://datastores/workspaceblobstore/paths/other/"
    wire.send("PUT", "codes/other/versions/1", {"properties": {"codeUri": uri}})
    code = {"codeId": "azureml:other:1", "scoringScript": "main.py"}
    assert (
        wire.put(GREEN, deployment(codeConfiguration=code, **properties))["status"] == "Succeeded"
    )
    return "green"


def test_the_model_answers_as_the_inference_server_does(wire: Wire) -> None:
    answer = wire.score()
    assert answer.status_code == 200
    assert answer.json() == {"predictions": [pytest.approx(0.3318122278318339)]}
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0
    assert answer.headers["x-request-id"]
    assert answer.headers["azureml-model-deployment"] == "blue"


def test_a_staged_deployment_answers_who_names_it_and_nobody_else(wire: Wire) -> None:
    wire.put(GREEN, deployment("churn:2"))
    assert wire.score(deployment="green").json() != wire.score().json()
    by = [entry.by for entry in wire.cloud.log if entry.route == "azureml.score"]
    assert by == ["green", "blue"]
    assert wire.score(deployment="red").status_code == 404


def test_a_hundred_requests_are_shared_out_as_the_traffic_says(wire: Wire) -> None:
    wire.put(GREEN, deployment("churn:2"))
    wire.traffic(blue=90, green=10)
    answers = Counter(wire.score().headers["azureml-model-deployment"] for _ in range(100))
    assert answers == {"blue": 90, "green": 10}


def test_without_traffic_nobody_answers(wire: Wire) -> None:
    wire.traffic()
    assert wire.score().status_code == 404
    assert wire.score(deployment="blue").status_code == 200


def test_a_mirror_gets_copies_and_answers_nobody(wire: Wire) -> None:
    script(wire, "def init():\n    pass\n\ndef run(text):\n    raise ValueError(text)\n")
    body = {"authMode": "Key", "traffic": {"blue": 100}, "mirrorTraffic": {"green": 20}}
    wire.put("onlineEndpoints/churn", {**ENDPOINT, "properties": body})
    assert {wire.score().status_code for _ in range(10)} == {200}
    for thread in [t for t in threading.enumerate() if t.name.startswith("mirror")]:
        thread.join()
    kept = {
        each.name: each.kept["counts"] for each in wire.cloud.world.resources.named("deployments")
    }
    assert kept["blue"] == {"served": 10, "mirrored": 0, "failed": 0}
    assert kept["green"] == {"served": 0, "mirrored": 2, "failed": 2}
    logged = wire.send("POST", f"{GREEN}/getLogs", {}).json()["content"]
    assert (
        len(re.findall(r" I \[\d+\] azmlinfsrv - POST /score 500 [\d.]+ms 92\n", logged + "\n"))
        == 2
    )


@pytest.mark.parametrize(("late", "by"), [("shown", "green"), ("both", "blue")])
def test_routing_may_be_as_late_as_what_is_shown(wire_of: WireOf, late: str, by: str) -> None:
    wire = wire_of(traffic_late=late)
    wire.put(GREEN, deployment("churn:2"))
    body = {"authMode": "Key", "traffic": {"green": 100}}
    wire.put("onlineEndpoints/churn", {**ENDPOINT, "properties": body})
    assert wire.score().headers["azureml-model-deployment"] == by
    wire.clock.advance(3)
    assert wire.score().headers["azureml-model-deployment"] == "green"


def test_answers_may_not_say_which_deployment_they_are_of(wire_of: WireOf) -> None:
    wire = wire_of(answer_names=False)
    assert "azureml-model-deployment" not in wire.score().headers
    assert wire.cloud.log[-1].by == "blue"


def test_a_model_that_fails_is_424_and_tells_its_log(wire: Wire) -> None:
    failed = wire.score({"rows": [{}]})
    assert failed.status_code == 424
    assert failed.headers["ms-azureml-model-error-statuscode"] == "500"
    assert failed.headers["ms-azureml-model-error-reason"] == "INTERNAL SERVER ERROR"
    assert failed.headers["x-ms-run-function-failed"] == "True"
    logs = wire.send("POST", "onlineEndpoints/churn/deployments/blue/getLogs", {}).json()
    assert "KeyError: 'months'" in logs["content"]
    assert wire.score().status_code == 200


def test_a_container_that_ends_is_424_and_starts_again(wire: Wire) -> None:
    text = "import json, os\n\ndef init():\n    pass\n\ndef run(text):\n    return os._exit(1) if 'end' in text else None\n"
    green = script(wire, text)
    assert wire.score({"end": 1}, deployment=green).status_code == 424
    assert wire.score({}, deployment=green).text == "{}"


def test_a_slow_model_is_408_and_one_with_a_queue_is_429(wire: Wire) -> None:
    text = (
        "import threading\n\ndef init():\n    pass\n\n"
        "def run(text):\n    threading.Event().wait()\n"
    )
    settings = {"requestTimeout": "PT0.3S", "maxConcurrentRequestsPerInstance": 1}
    green = script(wire, text, requestSettings=settings)
    assert [wire.score({}, deployment=green).status_code for _ in range(3)] == [*(408, 408, 429)]


def test_what_a_script_prints_and_returns_is_kept_apart(wire: Wire) -> None:
    text = "import os\n\ndef init():\n    print('hello')\n\ndef run(text):\n    return os.environ['COLOUR']\n"
    green = script(wire, text, environmentVariables={"COLOUR": "teal"})
    assert wire.score({}, deployment=green).text == '"teal"'
    assert "hello" in wire.send("POST", f"{GREEN}/getLogs", {}).json()["content"]


def test_nobody_scores_without_the_key_that_the_mode_asks_for(wire: Wire) -> None:
    assert wire.score(key="anything").status_code == 401
    assert wire.score(key="local-churn-second-key").status_code == 200


@pytest.mark.parametrize("mode", ["AMLToken", "aadToken"])
def test_tokens_are_for_the_endpoint_or_for_the_right_audience(wire: Wire, mode: str) -> None:
    body = {"location": "westeurope", "properties": {"authMode": mode}}
    wire.put("onlineEndpoints/other", body)
    shown = wire.get("onlineEndpoints/other")["properties"]
    assert shown["authMode"].casefold() == mode.casefold()
    token = wire.send("POST", "onlineEndpoints/other/token").json()
    assert token["refreshAfterTimeUtc"] < token["expiryTimeUtc"]

    def status(bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return wire.session.post(shown["scoringUri"], json=ROWS, headers=headers).status_code

    arm = "e30.eyJhdWQiOiAiaHR0cHM6Ly9tYW5hZ2VtZW50LmF6dXJlLmNvbS8ifQ.x"
    ml = "e30.eyJhdWQiOiAiaHR0cHM6Ly9tbC5henVyZS5jb20vIn0.x"
    good = token["accessToken"] if mode == "AMLToken" else ml
    assert (status(good), status(arm)) == (404, 401)  # allowed, and no deployment has traffic
    wire.clock.advance(13 * 3600)
    assert status(token["accessToken"]) == (401 if mode == "AMLToken" else 404)


def test_the_host_of_an_endpoint_is_its_own_too(wire: Wire) -> None:
    wire.base = "https://management.azure.com"
    uri = wire.get("onlineEndpoints/churn")["properties"]["scoringUri"]
    assert uri == "https://churn.westeurope.inference.ml.azure.com/score"
    assert wire.score().status_code == 200
    assert wire.session.get(f"{uri}s", headers={"Authorization": "x"}).status_code == 401


def test_answers_can_be_late_and_wrong_by_script(wire: Wire) -> None:
    wire.cloud.faults.script(Fault("azureml.score", "delay", delay_s=4.0))
    before = wire.clock()
    assert wire.score().status_code == 200
    assert wire.clock() - before == pytest.approx(4.0)
    wire.cloud.faults.script(Fault("azureml.score", "html"))
    assert "<html>" in wire.score().text


@pytest.mark.parametrize("counted", ["counted", "absent"])
def test_metrics_count_answers_by_deployment_and_status(counted: str) -> None:
    wire = Wire({"mirror_metrics": counted})
    wire.put("onlineEndpoints/churn/deployments/green", deployment("churn:2"))
    body = {**ENDPOINT, "properties": {"authMode": "Key", "traffic": {"blue": 100}}}
    body["properties"]["mirrorTraffic"] = {"green": 50}
    wire.put("onlineEndpoints/churn", body)
    wire.clock.advance(5)
    for _ in range(10):
        assert wire.score().status_code == 200
        for thread in [t for t in threading.enumerate() if t.name == "mirror"]:
            thread.join()
    found = {}
    for name in ("blue", "green"):
        now = datetime.fromtimestamp(wire.clock(), UTC)
        span = f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}/{now:%Y-%m-%dT%H:%M:%SZ}"
        only = f"$filter=deployment eq '{name}' and statusCode eq '*'"
        path = "onlineEndpoints/churn/providers/Microsoft.Insights/metrics?api-version=2018-01-01"
        path += f"&metricnames=RequestsPerMinute&aggregation=Average&timespan={span}&{only}"
        (metric,) = wire.get(path)["value"]
        for each in metric["timeseries"]:
            status = each["metadatavalues"][1]["value"]
            found[name, status] = sum(point["average"] for point in each["data"])
    assert found.pop(("blue", "200")) == 10.0
    assert list(found) == ([("green", "200")] if counted == "counted" else [])
    assert wire.send("GET", path.replace("Average", "Total")).status_code == 400
    wire.close()
