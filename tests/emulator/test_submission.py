"""What the batch service refuses at once, what fails a job, and that neither hurts anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from reconciler.emulator import learning
from tests.emulator.conftest import BASE, Client
from tests.emulator.test_jobs import DATA, PLACE, body, connection, finished, send, submitted

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_OBJECTS: list[Any] = [5, "x", [1], [{"a": 1}], True]


def code(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["details"][0]["code"])


@pytest.mark.parametrize("value", NOT_OBJECTS, ids=repr)
@pytest.mark.parametrize("name", ["Inputs", "Outputs", "GlobalParameters"])
def test_a_member_that_is_no_object_is_refused(client: Client, name: str, value: Any) -> None:
    assert code(send(client, "POST", json=body(client, **{name: value}))) == "RequestBodyInvalid"


@pytest.mark.parametrize("value", [5, [1], {"a": 1}, True], ids=repr)
@pytest.mark.parametrize(
    "part", ["ConnectionString", "RelativeLocation", "BaseLocation", "SasBlobToken"]
)
def test_a_part_of_a_reference_that_is_no_text_is_refused(
    client: Client, part: str, value: Any
) -> None:
    reference = {"ConnectionString": connection(client), "RelativeLocation": DATA, part: value}
    answer = send(client, "POST", json=body(client, Inputs={"input1": reference}))
    assert code(answer) == "MissingInputBlobInformation"


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"{" + b"9" * 9999])
def test_a_body_that_no_parser_can_bear_is_refused(client: Client, content: bytes) -> None:
    assert code(send(client, "POST", data=content)) == "RequestBodyInvalid"


REFERENCES = [
    ("datasets/x.txt", "InvalidBlobExtension"),
    ("datasets/model.ilearner", "InvalidBlobExtension"),
    ("Data Sets/x.csv", "ContainerSegmentInvalid"),
    ("x.csv", "InputBlobRelativeLocationInvalid"),
    ("datasets/", "InputBlobRelativeLocationInvalid"),
    ("", "InputBlobRelativeLocationInvalid"),
]


@pytest.mark.parametrize(("path", "wanted"), REFERENCES)
def test_an_input_must_be_a_data_file_in_a_container(
    client: Client, path: str, wanted: str
) -> None:
    reference = {"ConnectionString": connection(client), "RelativeLocation": path}
    answer = send(client, "POST", json=body(client, Inputs={"input1": reference}))
    assert code(answer) == wanted


def test_two_inputs_are_too_many(client: Client) -> None:
    reference = body(client)["Inputs"]["input1"]
    answer = send(client, "POST", json=body(client, Inputs=dict.fromkeys("ab", reference)))
    assert code(answer) == "BatchJobInputsTooManySpecified"


def test_a_parameter_without_a_default_is_required(client: Client) -> None:
    client.cloud.world.experiments["breast-cancer"].required = ["Note"]
    assert code(send(client, "POST", json=body(client))) == "MissingRequiredGlobalParameters"
    look = finished(client, GlobalParameters={"Note": "monthly"})
    assert look["StatusCode"] == "Finished", look


def test_member_names_count_in_any_case(client: Client) -> None:
    reference = {name.lower(): v for name, v in body(client)["Inputs"]["input1"].items()}
    document = {**body(client), "Inputs": None, "inputs": {"input1": reference}}
    del document["Inputs"]
    assert send(client, "POST", json=document).status_code == 200


def test_the_old_single_input_is_understood(client: Client) -> None:
    document = body(client)
    document["Input"] = document.pop("Inputs")["input1"]
    assert send(client, "POST", json=document).status_code == 200


@pytest.mark.parametrize("base", ["http://[", "https://", "?", "blob://mllocal/", "\x00"])
def test_a_place_that_is_no_storage_fails_its_own_job_only(client: Client, base: str) -> None:
    reference = {"BaseLocation": base, "RelativeLocation": DATA, "SasBlobToken": "?sig=x"}
    look = finished(client, Inputs={"input1": reference})
    assert (look["StatusCode"], look["Results"]) == ("Failed", None)
    assert finished(client)["StatusCode"] == "Finished"


def test_a_bug_in_a_job_fails_that_job_and_no_other_request(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(learning, "fit", broken)
    look = finished(client)
    assert look["StatusCode"] == "Failed"
    assert "surprise" not in look["Details"]
    assert "ZeroDivisionError: surprise" in capsys.readouterr().err
    monkeypatch.undo()
    assert finished(client)["StatusCode"] == "Finished"


def test_outputs_without_overrides_come_with_a_sas_for_their_container(client: Client) -> None:
    results = finished(client, Outputs={})["Results"]
    assert set(results) == {"output1", "output2"}
    place = results["output1"]
    assert place["BaseLocation"] == PLACE
    sas = {name: value[0] for name, value in parse_qs(place["SasBlobToken"][1:]).items()}
    assert (sas["sr"], sas["sp"]) == ("c", "rl")
    for other in results.values():
        path = "/blob/mllocal/" + other["RelativeLocation"] + place["SasBlobToken"]
        assert client.send("GET", path, token="").status_code == 200


def test_every_sas_of_a_result_lasts_a_day_and_five_minutes(client: Client) -> None:
    job = submitted(client, Outputs={})
    send(client, "POST", f"/{job}/start")
    client.clock.advance(10)
    place = send(client, "GET", f"/{job}").json()["Results"]["output2"]
    url = (place["BaseLocation"] + place["RelativeLocation"] + place["SasBlobToken"])[len(BASE) :]
    client.clock.advance(24 * 3600 - 1)
    assert client.send("GET", url, token="").status_code == 200
    client.clock.advance(2)
    assert client.send("GET", url, token="").status_code == 403


def test_a_job_that_is_only_looked_at_moves_on_without_a_clock(
    client_of: Callable[..., Client],
) -> None:
    client = client_of(pace="looks", looks=2)
    job = submitted(client)
    client.clock.advance(3600)
    assert send(client, "GET", f"/{job}").json()["StatusCode"] == "NotStarted"
    send(client, "POST", f"/{job}/start")
    client.clock.advance(3600)
    states = [send(client, "GET", f"/{job}").json()["StatusCode"] for _ in range(4)]
    assert states == ["Running", "Running", "Finished", "Finished"]
