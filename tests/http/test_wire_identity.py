"""Signing in with the real classes of azure-identity, against a token endpoint on this machine."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from scripted_server import Answer
from token_endpoint import (
    ID_TOKEN,
    Authority,
    answer,
    authority,
    certificates,
    given,
    turned_down,
)

from reconciler.errors import (
    ConfigurationError,
    ReconcilerError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
    redact,
)
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken, NoToken, Token
from reconciler.model import Auth
from reconciler.platforms.azure import ARM_SCOPE, SignIn
from reconciler.platforms.studio.hosts import Hosts

ARM = "https://management.azure.com/subscriptions/1"
SCOPE = "https://management.azure.com/.default"
FEDERATED = "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOiJmZWQifQ.c2lnbmF0dXJl"
CANARIES = ("access-canary", "secret-canary", "request-canary", "eyJhbGciOi", "eyJjYW5hcnk")
ENTRA = [Auth.CLIENT_SECRET, Auth.WORKLOAD_IDENTITY, Auth.GITHUB_OIDC]
HERE = [*ENTRA, Auth.DEFAULT]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def entra(tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    with authority(tls[1]) as endpoint:
        yield endpoint


@pytest.fixture
def environ(entra: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What all ways need; `default` reads the process's own variables."""
    (tmp_path / "federated").write_text(FEDERATED)
    variables = {
        "AZURE_AUTHORITY_HOST": entra.url,
        "AZURE_TENANT_ID": "tenant-1",
        "AZURE_CLIENT_ID": "client-1",
        "AZURE_CLIENT_SECRET": "secret-canary-1",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "federated"),
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{entra.url}/idtoken?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-canary-1",
        "GITHUB_SERVER_URL": entra.url,
        "GITHUB_ACTIONS": "true",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def ask(environ: dict[str, str], http: Http) -> Callable[..., Token | NoToken]:
    def asked(auth: Auth, **more: str) -> Token | NoToken:
        return SignIn(auth, http, environ | more).token(SCOPE)

    return asked


Ask = Callable[..., Token | NoToken]


def failed(found: Token | NoToken) -> NoToken:
    assert isinstance(found, NoToken)
    assert len(found.message.splitlines()) == 1
    assert found.message.isprintable()
    assert not [canary for canary in CANARIES if canary in found.message]
    return found


def access(sign_in: SignIn) -> AccessToken:
    """By the clock of azure-identity, which a test may have set."""
    return AccessToken(sign_in, ARM_SCOPE, Hosts("southcentralus").arm_origins, lambda: time.time())


# --- each way gives a token -----------------------------------------------------------------


@pytest.mark.parametrize("auth", HERE)
def test_a_token_comes_of_the_authority(ask: Ask, entra: Authority, auth: Auth) -> None:
    found = ask(auth)
    assert isinstance(found, Token)
    assert found.value == "access-canary-1"
    assert 3500 < found.expires_on - time.time() <= 3600
    (form,) = entra.asked
    assert (form["client_id"], form["scope"], form["grant_type"]) == (
        "client-1",
        SCOPE,
        "client_credentials",
    )
    proof = {
        Auth.WORKLOAD_IDENTITY: ("client_assertion", FEDERATED),
        Auth.GITHUB_OIDC: ("client_assertion", ID_TOKEN),
    }.get(auth, ("client_secret", "secret-canary-1"))
    assert form[proof[0]] == proof[1]
    assert redact(f"{found.value} {proof[1]}") == "*** ***"
    assert "canary" not in repr(found)


def test_a_managed_identity_gives_a_token(
    entra: Authority, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.url}/msi")
    monkeypatch.setenv("IDENTITY_HEADER", "header-canary-1")
    in_an_hour = int(time.time()) + 3600
    entra.reply = lambda _: answer({"access_token": "access-canary-1", "expires_on": in_an_hour})
    found = SignIn(Auth.MANAGED_IDENTITY, http).token(SCOPE)
    assert found == Token("access-canary-1", in_an_hour)
    assert redact("header-canary-1") == "***"


def az(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `az` that is found before any other."""
    program = folder / "az"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_azure_cli_gives_a_token(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_an_hour = int(time.time()) + 3600
    said = json.dumps({"accessToken": "access-canary-1", "expires_on": in_an_hour})
    az(tmp_path, f"echo '{said}'", monkeypatch)
    found = SignIn(Auth.AZURE_CLI, http, {}).token(SCOPE)
    assert found == Token("access-canary-1", in_an_hour)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Please run az login' >&2; exit 1", "Please run 'az login'"),
        (
            'echo \'{"accessToken": "access-canary-1", "expires\'',
            "Unexpected output from Azure CLI",
        ),
        ("exit 127", "Azure CLI not found on path"),
    ],
)
def test_the_azure_cli_says_why_not(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    az(tmp_path, script, monkeypatch)
    found = failed(SignIn(Auth.AZURE_CLI, http, {}).token(SCOPE))
    assert found.kind is UnauthorizedError
    assert words in found.message
    assert "install the Azure CLI and sign in with `az login`" in found.message


def test_the_default_chain_says_why_each_of_it_failed(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    monkeypatch.setenv("HOME", str(tmp_path))
    az(tmp_path, "echo 'Please run az login' >&2; exit 1", monkeypatch)
    found = failed(SignIn(Auth.DEFAULT, http, {}).token(SCOPE))
    assert "AzureCliCredential: Please run 'az login' to set up an account." in found.message
    assert "choose one way by `auth` or --auth" in found.message


# --- tokens age -------------------------------------------------------------------------------


def test_each_renewal_presents_a_fresh_id_token(
    entra: Authority, environ: dict[str, str], http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = [f"eyJhbGciOiJSUzI1NiJ9.eyJuIjo{n}0.c2lnbmF0dXJl" for n in range(3)]
    entra.id_reply = lambda: answer({"value": fresh[len(entra.id_tokens) - 1]})
    offset, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    token = access(SignIn(Auth.GITHUB_OIDC, http, environ))
    said = []
    for seconds in (0, 600, 2800, 3400):
        offset[0] += seconds
        said.append(token.authorization(ARM))
    assert said == [f"Bearer access-canary-{n}" for n in (1, 1, 2, 3)]
    assert [form["client_assertion"] for form in entra.asked] == fresh
    heard = entra.id_tokens[0]
    assert heard.headers["Authorization"] == "Bearer request-canary-1"
    assert parse_qs(urlsplit(heard.path).query) == {
        "api-version": ["2.0"],
        "audience": ["api://AzureADTokenExchange"],
    }


@pytest.mark.parametrize("auth", ENTRA)
def test_a_renewal_that_fails_leaves_the_living_token(
    entra: Authority,
    environ: dict[str, str],
    http: Http,
    monkeypatch: pytest.MonkeyPatch,
    auth: Auth,
) -> None:
    offset, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    token = access(SignIn(auth, http, environ))
    assert token.authorization(ARM) == "Bearer access-canary-1"
    entra.reply = lambda _: turned_down("invalid_client", "AADSTS7000222: the secret expired")
    offset[0] = 3400
    assert token.authorization(ARM) == "Bearer access-canary-1"
    offset[0] = 3700
    with pytest.raises(UnauthorizedError, match="AADSTS7000222"):
        token.authorization(ARM)


# --- the authority says no, or nothing, or nonsense ---------------------------------------------


@pytest.mark.parametrize("auth", HERE)
@pytest.mark.parametrize(
    ("code", "words", "status"),
    [
        ("invalid_client", "AADSTS7000215: Invalid client secret secret-canary-1", 401),
        ("invalid_grant", f"AADSTS700024: assertion {ID_TOKEN} of {FEDERATED} is too old", 400),
        ("\x1b[31m", "AADSTS1: \x1b[2J\x07", 400),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_authority(
    ask: Ask, entra: Authority, auth: Auth, code: str, words: str, status: int
) -> None:
    entra.reply = lambda _: turned_down(code, words, status)
    found = failed(ask(auth))
    assert found.kind is UnauthorizedError
    assert f"(auth: {auth.value})" in found.message
    assert words[: words.index(" ")] in found.message
    assert "Trace ID" not in found.message


JSON = {"Content-Type": "application/json"}
NONSENSE = {
    "a page": Answer(200, b"<html>access-canary</html>", {"Content-Type": "text/html"}),
    "nothing": Answer(200, b"", JSON),
    "a list": answer(["access-canary"]),
    "a text": answer("access-canary"),
    "null": answer(None),
    "no token": answer({"expires_in": 3600}),
    "no expiry": answer({"access_token": "access-canary-1"}),
    "expiry in words": given("access-canary-1", "soon"),
    "expired": given("access-canary-1", -5),
    "a number for a token": given(5),  # type: ignore[arg-type]
    "a line break in the token": given("access-canary\r\nX-Evil: 1"),
    "an endless token": given("access-canary" * 10_000),
    "deep": Answer(200, b"[" * 100_000, JSON),
    "not UTF-8": Answer(200, b"\xff\xfe\x00", JSON),
    "a redirect": Answer(307, b"", {"Location": "https://localhost:1/token"}),
    "half an answer": Answer(200, b'{"access_token": "access-canary', JSON, length=5000),
}


@pytest.mark.parametrize("auth", ENTRA)
@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_no_token(ask: Ask, entra: Authority, auth: Auth, case: str) -> None:
    entra.reply = lambda _: NONSENSE[case]
    found = failed(ask(auth))
    assert found.kind is UnreadableError
    assert found.message.startswith(f"signing in to Azure at {entra.url} (auth: {auth.value}): the")


def test_an_expiry_in_another_age_is_not_believed(ask: Ask, entra: Authority) -> None:
    entra.reply = lambda _: given("access-canary-1", 10**300)
    found = ask(Auth.CLIENT_SECRET)
    assert isinstance(found, Token)
    assert found.expires_on <= time.time() + 24 * 3600


@pytest.mark.parametrize("auth", ENTRA)
def test_an_authority_that_is_down_is_tried_again_with_short_pauses(
    ask: Ask, entra: Authority, auth: Auth, pauses: list[float]
) -> None:
    entra.reply = lambda _: answer({}, 503, **{"Retry-After": "86400"})
    found = failed(ask(auth))
    assert found.kind is UnavailableError
    assert "it answers 503; try again later" in found.message
    assert len(entra.asked) == 4
    assert pauses
    assert max(pauses) <= 20


@pytest.mark.parametrize("auth", ENTRA)
def test_an_authority_that_hangs_up_is_unreachable(ask: Ask, entra: Authority, auth: Auth) -> None:
    entra.reply = lambda _: Answer(hang_up=True)
    found = failed(ask(auth))
    assert found.kind is UnreachableError
    assert "the connection was closed before the answer came" in found.message


@pytest.mark.parametrize("auth", ENTRA)
def test_a_slow_authority_is_given_up(
    entra: Authority, environ: dict[str, str], auth: Auth, silent_authority: str
) -> None:
    environ["AZURE_AUTHORITY_HOST"] = silent_authority
    with Http(sleep=lambda _: None, timeout_s=(5.0, 0.05)) as impatient:
        found = failed(SignIn(auth, impatient, environ).token(SCOPE))
    assert found.kind is UnreachableError
    assert "no answer in time" in found.message


@pytest.fixture
def silent_authority(tls: tuple[Path, Path]) -> Iterator[str]:
    """One that takes requests and never answers."""
    over = threading.Event()

    def wait(_: Any) -> Answer:
        over.wait(10)
        return Answer(hang_up=True)

    with authority(tls[1]) as endpoint:
        endpoint.reply = wait
        endpoint._discovery = wait  # type: ignore[method-assign]
        yield endpoint.url
        over.set()


def test_a_certificate_of_nobody_is_not_trusted(
    ask: Ask, entra: Authority, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with Http(sleep=lambda _: None) as strict:
        for auth in (Auth.CLIENT_SECRET, Auth.WORKLOAD_IDENTITY):
            found = failed(SignIn(auth, strict, environ).token(SCOPE))
            assert found.kind is UnreachableError
            assert "TLS failed: unable to get local issuer certificate" in found.message
    assert entra.asked == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_each_variable_of_certificates_is_heeded(
    entra: Authority,
    environ: dict[str, str],
    tls: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv(name, str(tls[0]))
    for auth in ENTRA:
        assert isinstance(SignIn(auth, Http(), environ).token(SCOPE), Token)


# --- secrets stay with those who may have them ----------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example",
        "evil.example",
        "https://login.microsoftonline.com.evil.example",
        "https://login.microsoftonline.com@evil.example",
        "https://login.microsoftonline.com:8443",
        "http://login.microsoftonline.com",
        "https://login.microsoftonline.com\\@evil.example",
    ],
)
@pytest.mark.parametrize("auth", HERE)
def test_an_authority_that_is_not_azures_is_refused(
    environ: dict[str, str], http: Http, auth: Auth, host: str
) -> None:
    sign_in = SignIn(auth, http, environ | {"AZURE_AUTHORITY_HOST": host})
    with pytest.raises(RefusedError, match=r"AZURE_AUTHORITY_HOST names .*; unset it"):
        sign_in.check()
    assert failed(sign_in.token(SCOPE)).kind is RefusedError


@pytest.mark.parametrize(
    "host", ["", "login.microsoftonline.com", "https://LOGIN.microsoftonline.com/"]
)
def test_azures_own_authority_is_taken(environ: dict[str, str], http: Http, host: str) -> None:
    SignIn(Auth.CLIENT_SECRET, http, environ | {"AZURE_AUTHORITY_HOST": host}).check()


def test_a_discovery_document_does_not_lead_the_secret_away(
    ask: Ask, entra: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(entra._discovery("/tenant-1").body)
    led = answer(document | {"token_endpoint": "https://evil.example/token"})
    monkeypatch.setattr(entra, "_discovery", lambda _: led)
    found = failed(ask(Auth.CLIENT_SECRET))
    assert found.kind is RefusedError
    assert "must not go to https://evil.example" in found.message


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://evil.example/idtoken", "https://github.com"),
        ("http://a.actions.githubusercontent.com/x", "https://github.com"),
        ("https://a.actions.githubusercontent.com:8443/x", "https://github.com"),
        ("https://actions.githubusercontent.com.evil.example/", "https://github.com"),
        ("https://evilactions.githubusercontent.com/x", "https://github.com"),
        ("https://raw.githubusercontent.com/evil", "https://github.com"),
        ("https://evil.example/idtoken", ""),
        ("https://evil.example/idtoken", "http://evil.example"),
        ("https://a.actions.githubusercontent.com@evil.example/", "https://github.com"),
    ],
)
def test_the_jobs_token_goes_only_to_github(
    ask: Ask, entra: Authority, http: Http, url: str, server: str
) -> None:
    found = failed(
        ask(Auth.GITHUB_OIDC, ACTIONS_ID_TOKEN_REQUEST_URL=url, GITHUB_SERVER_URL=server)
    )
    assert found.kind is RefusedError
    assert entra.asked == entra.id_tokens == []


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (answer({"message": f"no: {ID_TOKEN}"}, 403), UnauthorizedError, "403 no: ***"),
        (answer({}, 503), UnavailableError, "503"),
        (answer({"count": 0}), UnreadableError, "the answer holds no ID token"),
        (answer({"value": "access-canary"}), UnreadableError, "the answer holds no ID token"),
        (answer({"value": f"{ID_TOKEN}\r\nX: 1"}), UnreadableError, "the answer holds no ID token"),
        (answer([ID_TOKEN]), UnreadableError, "expected a JSON object"),
        (Answer(200, f'{{"value": "{ID_TOKEN}'.encode()), UnreadableError, "expected JSON"),
        (Answer(302, b"", {"Location": "https://evil.example/"}), UnreadableError, "redirects"),
        (Answer(200, b" " * 100_000), UnreadableError, "larger than"),
        (Answer(hang_up=True), UnreachableError, "the connection was closed"),
    ],
)
def test_no_id_token_is_told_as_such(
    ask: Ask, entra: Authority, reply: Answer, kind: type[ReconcilerError], words: str
) -> None:
    entra.id_reply = lambda: reply
    found = failed(ask(Auth.GITHUB_OIDC))
    assert found.kind is kind
    assert found.message.startswith("asking GitHub for an ID token: GET https://localhost:")
    assert words in found.message
    assert entra.asked == []


@pytest.mark.parametrize("auth", HERE)
def test_no_secret_is_in_a_traceback_or_a_log(
    entra: Authority,
    environ: dict[str, str],
    http: Http,
    auth: Auth,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    token = access(SignIn(auth, http, environ))
    entra.reply = lambda form: turned_down("invalid_client", json.dumps(form))
    with pytest.raises(UnauthorizedError) as caught:
        token.authorization(ARM)
    assert caught.value.__context__ is None
    told = "".join(traceback.format_exception(caught.value)) + repr(token)
    entra.reply = entra.token
    assert isinstance(token._sign_in.token(SCOPE), Token)
    printed = capfd.readouterr()
    said = told + caplog.text + printed.out + printed.err
    assert not [canary for canary in CANARIES if canary in said]
    assert printed.err == ""


# --- what is missing ------------------------------------------------------------------------------


def missing(http: Http, auth: Auth, environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        SignIn(auth, http, environ).check()
    return caught.value.message.splitlines()


def test_all_missing_variables_are_named_with_their_fix(http: Http) -> None:
    assert missing(http, Auth.CLIENT_SECRET, {"AZURE_TENANT_ID": ""}) == [
        f"auth: client-secret: environment variable AZURE_{name} is not set; export it or add it to"
        " the CI secrets"
        for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
    ]
    assert len(missing(http, Auth.WORKLOAD_IDENTITY, {})) == 3


APP = {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "client-1"}


def test_a_missing_permission_names_the_line_the_job_and_the_workflow(http: Http) -> None:
    job = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_JOB": "plan",
        "GITHUB_WORKFLOW_REF": "octo/models/.github/workflows/plan.yml@refs/pull/7/merge",
    }
    (line,) = missing(http, Auth.GITHUB_OIDC, APP | job)
    assert line == (
        "auth: github-oidc: ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are"
        " not set: this job may not ask for an ID token; add the line `id-token: write` below"
        " `permissions:` of job plan in .github/workflows/plan.yml, and keep `contents: read`"
        " there. GitHub gives none to pull requests of forks: plan those with --live"
    )


def test_a_missing_permission_of_an_unnamed_job_still_names_the_line(http: Http) -> None:
    (line,) = missing(http, Auth.GITHUB_OIDC, APP | {"GITHUB_ACTIONS": "true"})
    assert "add the line `id-token: write` below `permissions:` of this job in the workflow" in line


def test_github_oidc_elsewhere_says_what_to_use_instead(http: Http) -> None:
    (line,) = missing(http, Auth.GITHUB_OIDC, APP)
    assert line.endswith("this is not a job of GitHub Actions; use --auth azure-cli here")


def test_a_secret_that_no_header_can_carry_is_named(http: Http, environ: dict[str, str]) -> None:
    wrong = environ | {"AZURE_CLIENT_SECRET": "secret-canary-1\n"}
    (line,) = missing(http, Auth.CLIENT_SECRET, wrong)
    assert "AZURE_CLIENT_SECRET holds a line break" in line
    assert "canary" not in line


def test_a_federated_token_that_goes_away_is_named(environ: dict[str, str], http: Http) -> None:
    sign_in = SignIn(Auth.WORKLOAD_IDENTITY, http, environ)
    sign_in._credential  # noqa: B018
    Path(environ["AZURE_FEDERATED_TOKEN_FILE"]).unlink()
    found = failed(sign_in.token(SCOPE))
    assert found.kind is ConfigurationError
    assert f"{environ['AZURE_FEDERATED_TOKEN_FILE']} cannot be read: No such file" in found.message


@pytest.mark.parametrize("auth", HERE)
def test_a_wrong_tenant_is_invalid_configuration(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, auth: Auth
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "a b")
    assert failed(ask(auth, AZURE_TENANT_ID="a b")).kind is ConfigurationError
