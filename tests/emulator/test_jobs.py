"""Batch jobs and scoring (STUDIO_PROTOCOL.md §4, §5)."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.conftest import BASE, Client

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = f"{BASE}/blob/mllocal/"
DATA = "datasets/breast-cancer/2026-10.csv"


def jobs(client: Client) -> tuple[str, str]:
    service = client.new("breast-cancer-training")
    sub32 = service["subscription"].replace("-", "")
    return f"/subscriptions/{sub32}/services/{service['id']}/jobs", service["key"]


def send(client: Client, method: str, below: str = "", **more: Any) -> Any:
    path, key = jobs(client)
    more.setdefault("token", key)
    return client.send(method, f"{path}{below}?api-version=2.0", **more)


def connection(client: Client) -> str:
    key = client.seed["storage"]["mllocal"]["key"]
    return f"DefaultEndpointsProtocol=https;AccountName=mllocal;AccountKey={key}"


def body(client: Client, **more: Any) -> dict[str, Any]:
    reference = {"ConnectionString": connection(client), "RelativeLocation": f"/{DATA}"}
    outputs = {
        "output1": {**reference, "RelativeLocation": "models/m.ilearner"},
        "output2": {**reference, "RelativeLocation": "models/m.csv"},
    }
    return {"Inputs": {"input1": reference}, "Outputs": outputs, "GlobalParameters": {}, **more}


def submitted(client: Client, **more: Any) -> str:
    answer = send(client, "POST", json=body(client, **more))
    assert answer.status_code == 200, answer.text
    return str(answer.json())


def finished(client: Client, **more: Any) -> dict[str, Any]:
    job = submitted(client, **more)
    assert send(client, "POST", f"/{job}/start").status_code == 204
    client.clock.advance(10)
    return send(client, "GET", f"/{job}").json()


def test_a_job_is_submitted_started_and_finished(client: Client) -> None:
    job = submitted(client)
    assert len(job) == 32
    look = send(client, "GET", f"/{job}").json()
    assert look == {"StatusCode": "NotStarted", "Results": None, "Details": None}
    client.clock.advance(3600)
    assert send(client, "GET", f"/{job}").json()["StatusCode"] == "NotStarted"
    assert send(client, "POST", f"/{job}/start").status_code == 204
    assert send(client, "GET", f"/{job}").json()["StatusCode"] == "Running"
    client.clock.advance(10)
    assert send(client, "GET", f"/{job}").json()["StatusCode"] == "Finished"


def test_results_lead_to_a_model_and_real_metrics(client: Client) -> None:
    results = finished(client)["Results"]
    assert results["output1"]["BaseLocation"] == PLACE
    assert results["output1"]["ConnectionString"] is None
    content = {}
    for port, place in results.items():
        url = place["BaseLocation"] + place["RelativeLocation"] + place["SasBlobToken"]
        content[port] = client.send("GET", url.removeprefix(BASE), token="").content
    assert content["output1"].startswith(b"{")
    names, values = csv.reader(io.StringIO(content["output2"].decode()))
    assert float(dict(zip(names, values, strict=True))["AUC"]) > 0.95


def test_every_look_issues_a_fresh_sas(client: Client) -> None:
    job = submitted(client)
    send(client, "POST", f"/{job}/start")
    client.clock.advance(10)
    looks = []
    for _ in range(2):
        looks.append(send(client, "GET", f"/{job}").json()["Results"]["output1"]["SasBlobToken"])
        client.clock.advance(100)
    assert looks[0] != looks[1]


def test_the_same_job_twice_makes_the_same_bytes(client: Client) -> None:
    finished(client)
    first = client.blob_bytes("models/m.ilearner")
    finished(client)
    assert client.blob_bytes("models/m.ilearner") == first != None  # noqa: E711


def test_an_output_without_an_override_goes_to_the_default_storage(client: Client) -> None:
    client.cloud._core.blobs.add_container("mllocal", "experimentoutput")
    place = finished(client, Outputs={})["Results"]["output1"]["RelativeLocation"]
    container, folder, name = place.split("/")
    assert (container, name) == ("experimentoutput", f"{folder}.ilearner")


def test_states_can_be_numbers(client_of: Callable[..., Client]) -> None:
    client = client_of(status_codes="numbers")
    assert finished(client)["StatusCode"] == 4


@pytest.mark.parametrize("spelling", ["Cancelled", "Canceled"])
def test_a_deleted_job_is_cancelled_in_either_spelling(
    client_of: Callable[..., Client], spelling: str
) -> None:
    client = client_of(cancelled=spelling)
    job = submitted(client)
    assert send(client, "DELETE", f"/{job}").status_code == 204
    assert send(client, "GET", f"/{job}").json()["StatusCode"] == spelling


def test_a_job_cannot_be_started_twice(client: Client) -> None:
    job = submitted(client)
    send(client, "POST", f"/{job}/start")
    again = send(client, "POST", f"/{job}/start")
    assert again.status_code == 400
    error = again.json()["error"]
    assert error["code"] == "InvalidOperation"
    assert error["details"][0]["code"] == "CannotStartJob"


def test_more_than_forty_running_jobs_are_queued(client: Client) -> None:
    ids = [submitted(client) for _ in range(42)]
    for job in ids:
        assert send(client, "POST", f"/{job}/start").status_code == 204
    states = [send(client, "GET", f"/{job}").json()["StatusCode"] for job in ids]
    assert (states.count("Running"), states.count("NotStarted")) == (40, 2)


_SHORT = {"ConnectionString": "x", "RelativeLocation": "a/b.csv"}
INVALID = [
    ({"Inputs": {}}, "BatchJobInputsNotSpecified"),
    ({"Inputs": {"Input1": _SHORT}}, "InvalidInputNames"),
    ({"Input": _SHORT}, "DuplicateInputInBatchCall"),
    ({"Outputs": {"output9": {}}}, "InvalidOutputOverrideName"),
    ({"Outputs": {"output1": None}}, "MissingOutputOverrideSpecification"),
    ({"Outputs": {"output1": _SHORT}}, "InvalidBlobExtension"),
    ({"Outputs": {"output1": {**_SHORT, "RelativeLocation": "b"}}}, "InputBlobRelativeLocationInvalid"),
    ({"Outputs": {"output1": {"RelativeLocation": "a/b.ilearner"}}}, "MissingInputBlobInformation"),
    ({"GlobalParameters": {"regularization": "1"}}, "UnexpectedParameter"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "code"), INVALID, ids=[row[1] for row in INVALID])
def test_arguments_are_checked_at_submit(client: Client, more: dict[str, Any], code: str) -> None:
    answer = send(client, "POST", json=body(client, **more))
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["code"] == code


def test_a_missing_blob_and_a_bad_csv_fail_at_run_with_details(client: Client) -> None:
    client.blob("datasets/bad.csv", b"a,b\n1,2\n")
    for path, said in (("datasets/none.csv", "BlobNotFound"), ("datasets/bad.csv", "diagnosis")):
        reference = {"ConnectionString": connection(client), "RelativeLocation": path}
        look = finished(client, Inputs={"input1": reference})
        assert (look["StatusCode"], look["Results"]) == ("Failed", None)
        assert said in look["Details"]


def test_a_wrong_account_key_fails_the_job(client: Client) -> None:
    wrong = "AccountName=mllocal;AccountKey=" + "A" * 86 + "=="
    reference = {"ConnectionString": wrong, "RelativeLocation": DATA}
    look = finished(client, Inputs={"input1": reference})
    assert "InvalidBlobConnectionString" in look["Details"]


def test_a_sas_that_may_only_read_cannot_take_an_output(client: Client) -> None:
    reference = {
        "BaseLocation": PLACE,
        "RelativeLocation": "models/m.ilearner",
        "SasBlobToken": client.sas("models/m.ilearner"),
    }
    look = finished(client, Outputs={"output1": reference})
    assert (look["StatusCode"], "does not allow writing" in look["Details"]) == ("Failed", True)


def test_keys_versions_and_bodies_are_checked(client: Client) -> None:
    path, key = jobs(client)
    assert send(client, "POST", token="wrong", json=body(client)).status_code == 401
    wrong_version = client.send("POST", f"{path}?api-version=1.0", token=key, json=body(client))
    assert wrong_version.json()["error"]["details"][0]["code"] == "BadVersionCall"
    for content in (b"", b"<xml/>", b"[1]", b"\xff\xfe"):
        assert send(client, "POST", data=content).status_code == 400


def scoring(client: Client, query: str = "", inputs: Any = None) -> Any:
    from tests.emulator.test_arm import get

    base = get(client)["properties"]["swaggerLocation"].removesuffix("/swagger.json")
    arm = client.arm("breast-cancer-predictive")
    key = client.send("GET", f"{arm}/listKeys?api-version=2017-01-01").json()["primary"]
    lines = list(csv.reader(io.StringIO((client.blob_bytes(DATA) or b"").decode())))
    columns, row = lines[0][:-1], lines[1][:-1]
    if inputs == "records":
        given: Any = [dict(zip(columns, row, strict=True))]
    else:
        given = inputs or {"ColumnNames": columns, "Values": [row, row]}
    path = f"{base.removeprefix(BASE)}/execute?api-version=2.0{query}"
    return client.send("POST", path, token=key, json={"Inputs": {"input1": given}})


def test_a_table_is_scored_with_text_cells(client: Client) -> None:
    output = scoring(client).json()["Results"]["output1"]
    assert output["type"] == "table"
    assert output["value"]["ColumnNames"] == ["Scored Labels", "Scored Probabilities"]
    assert "ColumnTypes" not in output["value"]
    label, probability = output["value"]["Values"][0]
    assert label in ("malignant", "benign")
    assert isinstance(probability, str)


def test_details_add_the_column_types(client: Client) -> None:
    value = scoring(client, "&details=true").json()["Results"]["output1"]["value"]
    assert value["ColumnTypes"] == ["String", "Double"]


def test_records_are_scored_in_the_swagger_format(client: Client) -> None:
    output = scoring(client, "&format=swagger", "records").json()["Results"]["output1"]
    assert list(output[0]) == ["Scored Labels", "Scored Probabilities"]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"ColumnNames": ["a"], "Values": [["1"]]}, "InputMismatchError"),
        ({"ColumnNames": "a"}, "InputParseError"),
        ([], "InputParseError"),
    ],
)
def test_wrong_input_is_a_bad_user_argument(client: Client, inputs: Any, code: str) -> None:
    answer = scoring(client, inputs=inputs or [1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadUserArgument")
    assert answer.json()["error"]["details"][0]["code"] == code
