"""Each layer hides secrets by itself: here every layer is alone, with a text that no other hid.

A message passes several of them on its way. So no test from end to end would miss one.
"""

from __future__ import annotations

import importlib
import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import console, errors, secrecy
from reconciler.ci import connection as github
from reconciler.ci import job as actions
from reconciler.ci import outputs
from reconciler.cli import commands, ending
from reconciler.cli.output import Page, _Redacting
from reconciler.cli.progress import HeartbeatProgress
from reconciler.console import redacted, say
from reconciler.errors import Problem, ReconcilerError, redact, remember_secret
from reconciler.http.client import Http
from reconciler.http.credentials import Bearer
from reconciler.http.origins import Origins
from reconciler.http.response import Headers, Response, one_line
from reconciler.model import Source
from reconciler.offline import snapshot_file
from reconciler.offline.recorded import Answers
from reconciler.offline.redaction import kept_json, kept_text
from reconciler.offline.stores import Memory
from reconciler.outcome import Kept, Outcome
from reconciler.render.findings import Finding
from reconciler.stores.azure_sas import account_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAIN = importlib.import_module("reconciler.cli.main")  # the package has a function of its name
SECRET = "s3cr3tC4n4ryOfALayer+0123456789=="


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known but what a test makes known."""
    for name in ("_known_secrets", "_words"):
        monkeypatch.setattr(secrecy, name, set())
    monkeypatch.setattr(secrecy, "_parts", {})


def bug(_: str) -> str:
    """What `_meaning` says of an error that is not ours, which hides nothing itself."""
    return ending._meaning(RuntimeError(SECRET))[1]


def snapshot(text: str) -> str:
    answers = Answers(stores={"az://a/c": Memory(texts={"m/1/manifest.json": text})})
    place = snapshot_file.Place("e", "studio", "az://a/c")
    return snapshot_file.snapshot_json(
        snapshot_file.Snapshot("2026-11-23T14:09:57Z", "", "", place, "", answers)
    )


def summary(text: str, folder: Path) -> str:
    path = folder / "summary"
    outcome = Outcome(Kept("", page=text))
    assert not actions._summarize(outcome, {"GITHUB_STEP_SUMMARY": str(path)})
    return path.read_text()


def record(text: str) -> str:
    made = logging.LogRecord("reconciler", logging.DEBUG, "", 0, "%s", (text,), None)
    return _Redacting("%(message)s").format(made)


def urllib3s(text: str) -> str:
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda made: heard.append(made.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addHandler(handler)
    with Http():
        logger.error("%s", text)
    logger.removeHandler(handler)
    return heard[0]


def placed(text: str, folder: Path) -> str:
    finding = Finding(Source("a", 1, 1), "error", text, text)
    return repr(actions._placed(finding, folder))


def beat(text: str) -> str:
    shown = io.StringIO()
    HeartbeatProgress(shown, clock=lambda: 0.0).phase("name", "phase", text)
    return shown.getvalue()


LAYERS: dict[str, Callable[[str], str]] = {
    "the root error": lambda text: str(ReconcilerError(text)),
    "a problem": lambda text: str(Problem("a.yaml", 1, 1, text)),
    "an error's text": lambda text: one_line(text, 900),
    "an answer": lambda text: Response(200, Headers({}), text.encode()).describe(),
    "a value": lambda text: repr(redacted({"a": (text,)})),
    "a document": lambda text: commands._json({"a": text}),
    "a snapshot": snapshot,
    "an output": lambda text: outputs._output("name", text),
    "the log": record,
    "the log of urllib3": urllib3s,
    "a bug": bug,
    "a heartbeat": beat,
    "a kept answer": lambda text: str(kept_json({"a": text})),
    "a kept document": lambda text: kept_text("m/1/manifest.json", text.encode()),
    "the report file": lambda text: ending._document(ending.Ending("apply", error=text), ""),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_layer_hides_a_secret_by_itself(layer: Callable[[str], str]) -> None:
    remember_secret(SECRET)
    text = layer(f"before {SECRET} after")
    assert "before" in text or "bug" in text
    assert SECRET not in text
    assert "***" in text


@pytest.mark.parametrize("layer", [placed, summary])
def test_what_github_is_told_hides_a_secret(
    layer: Callable[[str, Path], str], tmp_path: Path
) -> None:
    remember_secret(SECRET)
    text = layer(f"before {SECRET}", tmp_path)
    assert "before ***" in text
    assert SECRET not in text


PRINTED: dict[str, Callable[[str], Any]] = {
    "say": say,
    "kept output": console.show_kept,
    "a text": lambda text: Page("text")._text(text),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("layer", PRINTED.values(), ids=PRINTED)
def test_what_is_printed_hides_a_secret(
    layer: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    remember_secret(SECRET)
    layer(f"before {SECRET}")
    shown = "".join(capsys.readouterr())
    assert "before ***" in shown
    assert SECRET not in shown


def test_the_traceback_of_a_bug_hides_a_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_secret(SECRET)

    def broken(**_: object) -> None:
        raise RuntimeError(f"before {SECRET}")

    monkeypatch.setattr(MAIN, "_commands", lambda: broken)
    assert MAIN._run([]).exit_code == errors.BUG
    shown = "".join(capsys.readouterr())
    assert "before ***" in shown
    assert SECRET not in shown


# --- where secrets become known -----------------------------------------------------------------


def test_a_key_that_a_service_hands_out_is_known() -> None:
    """Of `listKeys`, and of Classic endpoints."""
    Bearer(SECRET, Origins("a key"))
    assert redact(SECRET) == "***"


def test_the_key_of_a_storage_account_is_known() -> None:
    account_key("account", "c2VjcmV0IGtleSBvZiBhIHN0b3JhZ2UgYWNjb3VudA==")
    assert "c2VjcmV0" not in redact("c2VjcmV0IGtleSBvZiBhIHN0b3JhZ2UgYWNjb3VudA==")


def test_the_token_of_github_is_known() -> None:
    environ = {"GITHUB_TOKEN": SECRET, "GITHUB_REPOSITORY": "owner/name"}
    with github.opened(environ):
        assert redact(SECRET) == "***"
