"""Secrets in the desired state are found and never printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import (
    BASE64_KEY,
    HEX_TOKEN,
    Row,
    each,
    environment,
    model,
    said_of,
    whole,
)
from tests.desired.trees import BINDING, ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ENV = "put it into an environment variable and write env:NAME"
MUST = "must be the name of an environment variable; put the secret there and write env:NAME, in capitals"
OUT = "looks like a secret; take it out, and renew it: git keeps what was committed"
BY_NAME = (
    "holds a secret by its name, and git keeps its value; write env:NAME where that is allowed, else "
    "let the code read it where it runs; if it is no secret, give it another name"
)
SECRET = "c2VjcmV0"


def workspace(token: str) -> str:
    """The good environment with a workspace and its token."""
    return f"{ENVIRONMENT}    workspace: {{id: {HEX_TOKEN}, region: r, token: {token}}}\n"


SECRETS = [
    environment(
        "a storage key",
        "env:STORE_KEY",
        BASE64_KEY,
        f"5:41: spec.store.key looks like a secret; {ENV}",
    ),
    environment(
        "a short key", "env:STORE_KEY", "hunter2", f"5:41: spec.store.key: the value {MUST}"
    ),
    environment(
        "a key of digits", "env:STORE_KEY", "1234509876", f"5:41: spec.store.key: the value {MUST}"
    ),
    environment(
        "an odd variable", "env:STORE_KEY", "env:1-KEY", f"5:41: spec.store.key: the value {MUST}"
    ),
    environment(
        "a secret behind env:",
        "env:STORE_KEY",
        "env:hunter2",
        f"5:41: spec.store.key: the value {MUST}",
    ),
    environment(
        "a webhook",
        "spec:\n",
        f"spec:\n  notify: {{url: {SECRET}}}\n",
        f"5:17: spec.notify.url: the value {MUST}",
    ),
    environment(
        "a password in a URL",
        "/workspaces/w/services/s",
        f"https://user:{SECRET}@example.org/x",
        f"12:29: spec.studio.trainingServices.churn-training.url looks like a secret; {ENV}",
    ),
    whole(
        "a storage key in a comment",
        "binding",
        f"{BINDING}  # it was {BASE64_KEY}\n",
        f"12:3: a comment {OUT}",
    ),
    whole(
        "a connection string in a comment behind a value",
        "binding",
        BINDING.replace("probe.json", f"probe.json  # a;AccountKey={SECRET}"),
        f"11:26: a comment {OUT}",
    ),
    whole(
        "a SAS in a file that is not YAML",
        "binding",
        f"a: [\nb: https://x/y?sig={SECRET}\n",
        "1:4: not YAML: did not find expected ',' or ']'",
        f"2:1: this line {OUT}",
    ),
    whole(
        "a workspace token",
        "environment",
        workspace(HEX_TOKEN[::-1]),
        f"13:73: spec.studio.workspace.token looks like a secret; {ENV}",
    ),
    whole(
        "a token of digits only",
        "environment",
        workspace("12345098" * 4),
        f"13:73: spec.studio.workspace.token looks like a secret; {ENV}",
    ),
    model(
        "a connection string in a parameter",
        "    outputs",
        f"    parameters: {{store: AccountName=a;AccountKey={SECRET}}}\n    outputs",
        f"8:25: spec.training.parameters.store looks like a secret; {ENV}",
    ),
    model(
        "a password in a parameter",
        "    outputs",
        f"    parameters: {{Database password: {SECRET}, Join key: id, FEATURE_KEY: id, eos_token: <s>, Api key: '${{version}}'}}\n    outputs",
        f"8:37: spec.training.parameters.Database password {BY_NAME}",
    ),
    whole(
        "a SAS in an unknown place",
        "binding",
        f"{BINDING}  note: https://x/y?sv=1&sig={SECRET}\n",
        '12:3: unknown key "note"; known: adopt, asset, breaking, create, definition, paused, protect, settings, state',
        f"12:9: spec.note looks like a secret; {ENV}",
    ),
    *(
        whole(f"{what} in a note", "binding", f"{BINDING}  # {text}\n", f"12:3: a comment {OUT}")
        for what, text in (
            ("a key of AWS", f"AKIA{'I0SF0DNN7EXAMPLE'}"),
            ("a secret of AWS", "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCY"),
            ("one in other case", "Aws_Secret_Access_Key: wJalrXUtnFEMIK7MDENGbPxRfiCY"),
            ("a bearer token", "Authorization: Bearer 0123456789abcdef"),
            ("a JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
            ("a token of GitHub", "ghp_" + "a1" * 18),
            ("a token of GitLab", "glpat-" + "a1" * 10),
            ("a token of Hugging Face", "hf_" + "aB" * 17),
            ("a key of OpenAI", "sk-proj-" + "aB1" * 16),
            ("a token of Databricks", "dapi" + "0a" * 16),
            ("a token of Slack", "xoxb-" + "12345678-" * 3),
            ("a key of Google", "AIza" + "aB1_-" * 7),
            ("a client secret of Google", "GOCSPX-" + "aB1-" * 7),
            ("a client secret of Azure", "abc8Q~" + "aB1." * 8),
            ("a key of an online endpoint", "aB" * 26 + "JQQJ99" + "B1" * 13),
            ("a webhook of Slack", "https://hooks.slack.com/services/T0/B0/" + "aB1" * 8),
            ("a webhook of Discord", "https://discord.com/api/webhooks/1234567890/" + "aB1-" * 8),
            ("a webhook of Teams", "https://acme.webhook.office.com/webhookb2/" + "0a1b-" * 9),
            ("a private key", "-----BEGIN RSA PRIVATE KEY-----"),
        )
    ),
    whole(
        "a secret as a key",
        "binding",
        f"{BINDING}  ? sig={SECRET}\n  : x\n",
        f"12:5: a key of spec looks like a secret; {ENV}",
    ),
]


@each(SECRETS)
def test_a_secret_is_named_by_its_place_only(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = said_of(row, tmp_path, monkeypatch)
    assert said == row.expected
    for secret in (BASE64_KEY, HEX_TOKEN[::-1], SECRET, "12345098", "hunter2"):
        assert secret not in "\n".join(said)


def test_a_secret_beside_a_syntax_error_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = whole("", "binding", f"a: *sig={SECRET}\nb: [\n")
    assert SECRET not in "\n".join(said_of(row, tmp_path, monkeypatch))


def test_a_comment_may_speak_of_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# never write AccountKey=…, ?sig=…, Bearer tokens, sk-… keys or aws_secret: here\n"
    text += f"# sk-learn-breast_cancer_classifier_v2, task-{SECRET * 4}\n{BINDING}"
    assert said_of(whole("", "binding", text), tmp_path, monkeypatch) == ()


def test_labels_may_be_called_key_and_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BINDING.replace("metadata:\n", "metadata:\n  labels: {key: a, token: b, design: c}\n")
    assert said_of(whole("", "binding", text), tmp_path, monkeypatch) == ()
