"""`-o json`: a program that reads stdout finds a document there on every end, errors included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from reconciler import errors
from reconciler.cli import applying, commands, rollback
from reconciler.errors import LockError, RefusedError, StalePlanError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/error.schema.json").read_text())
EVERY = {
    "plan": (commands, "plan"),
    "apply": (applying, "apply_now"),
    "train": (applying, "train_now"),
    "status": (commands, "status"),
    "verify": (commands, "verify"),
    "drift": (commands, "drift"),
    "history": (rollback, "history"),
    "rollback": (rollback, "rollback"),
}
NAMED = {"history": ["breast-cancer"], "rollback": ["breast-cancer", "--yes"]}


def check(ran: Ran, code: int) -> dict[str, object]:
    """The document of an error with this exit code."""
    document: dict[str, object] = json.loads(ran.out)
    Draft202012Validator(SCHEMA).validate(document)
    assert (ran.code, document["exit_code"]) == (code, code)
    return document


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("written", [["-o", "json"], ["--output=json"], ["-vojson"]])
def test_invalid_configuration_is_a_document_of_every_command(
    lab: Lab, command: Command, name: str, written: list[str]
) -> None:
    lab.edit("breast-cancer.yaml", "spec:", "spec: {}\nspeck:")
    ran = command(name, *NAMED.get(name, []), *written)
    document = check(ran, errors.CONFIGURATION)
    assert [p["rule"] for p in document["problems"]] != []  # type: ignore[attr-defined]
    assert {p["path"] for p in document["problems"]} == {"services/local/breast-cancer.yaml"}  # type: ignore[attr-defined]
    assert [f"error: {line}" for line in str(document["error"]).split("\n")] == [
        line for line in ran.err.split("\n") if line.startswith("error: ")
    ]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WireError("x"), errors.ERROR),
        (RefusedError("x"), errors.REFUSED),
        (StalePlanError("x"), errors.STALE),
        (LockError("x"), errors.LOCKED),
        (KeyboardInterrupt(), errors.INTERRUPTED),
        (ZeroDivisionError("x"), errors.BUG),
    ],
)
def test_every_error_is_a_document_of_every_command(
    lab: Lab,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
    code: int,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    module, function = EVERY[name]
    monkeypatch.setattr(module, function, fail)
    check(command(name, *NAMED.get(name, []), "-o", "json"), code)


def test_wrong_usage_is_a_document(lab: Lab, command: Command) -> None:
    for more in (["--nonsense"], ["--max-age", "x"], ["a", "b"]):
        check(command("plan", "-o", "json", *more), errors.USAGE)


def test_what_is_shown_stays_the_only_document(lab: Lab, command: Command) -> None:
    ran = command("plan", "-o", "json", "--out", "services")
    assert ran.code == errors.CONFIGURATION
    assert json.loads(ran.out)["schema"] == "reconciler/plan/v1"


def test_without_it_stdout_stays_empty(lab: Lab, command: Command) -> None:
    assert command("plan", "-e", "x").out == ""
    assert command("plan", "-e", "x", "-o", "markdown").out == ""


def test_no_secret_is_in_it(lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret-value-of-a-key"
    errors.remember_secret(secret)
    monkeypatch.setattr(commands, "status", lambda *_: (_ for _ in ()).throw(ValueError(secret)))
    assert secret not in command("status", "-o", "json").out
