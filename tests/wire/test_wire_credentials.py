"""Secrets by name, and tokens that only their own hosts can get."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import azure.identity
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from reconciler import errors
from reconciler.errors import ConfigurationError, RefusedError, UnauthorizedError
from reconciler.model import SecretName, Source
from reconciler.wire.credentials import ArmToken, Bearer, resolve, resolve_all
from reconciler.wire.hosts import Hosts
from reconciler.wire.http import Http

AZURE = Hosts("southcentralus")
EMULATOR = Hosts("southcentralus", "http://127.0.0.1:8400")
ARM = "https://management.azure.com/subscriptions/1"
NAME = SecretName("CENSUS_KEY", Source("services/a.yaml", 4, 9))


# --- names ----------------------------------------------------------------------------------


def test_a_secret_is_hidden_from_the_moment_it_is_known() -> None:
    value = base64.b64encode(b"canary of a key?" * 2).decode()
    assert resolve(NAME, {"CENSUS_KEY": value}) == value
    assert errors.redact(f"a {value} b") == "a *** b"
    assert errors.redact(f"?key={value.replace('/', '%2F').replace('=', '%3D')}") == "?key=***"


def test_all_missing_secrets_are_told_at_once_with_their_places() -> None:
    other = SecretName("A_TOKEN", Source("services/b.yaml", 1, 2))
    with pytest.raises(ConfigurationError) as caught:
        resolve_all([NAME, other, NAME], {"CENSUS_KEY": ""})
    assert caught.value.message == (
        "services/a.yaml:4:9: environment variable CENSUS_KEY is not set;"
        " export it or add it to the CI secrets\n"
        "services/b.yaml:1:2: environment variable A_TOKEN is not set;"
        " export it or add it to the CI secrets"
    )


def test_a_missing_secret_without_a_place_is_still_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(SecretName("X_KEY"), {})
    assert caught.value.message == (
        "environment variable X_KEY is not set; export it or add it to the CI secrets"
    )


@pytest.mark.parametrize(
    "value", ["canary-0123\n", " canary-0123", "canary\r\n0123", "canary–0123"]
)
def test_a_secret_that_no_header_can_carry_is_refused_unseen(value: str) -> None:
    with pytest.raises(ConfigurationError, match="CENSUS_KEY holds a line break") as caught:
        resolve(NAME, {"CENSUS_KEY": value})
    assert "canary" not in caught.value.message


# --- bearer tokens --------------------------------------------------------------------------


def test_a_bearer_gives_its_token_only_to_hosts_of_its_role() -> None:
    token = Bearer("workspace-canary", "classic", AZURE)
    assert token.authorization("https://management.azureml.net/a") == "Bearer workspace-canary"
    for url in (ARM, "http://management.azureml.net/a", "https://evil.example/", "x"):
        with pytest.raises(RefusedError, match="a classic token must not go to"):
            token.authorization(url)


def test_a_refusal_names_the_host_and_no_secret() -> None:
    with pytest.raises(RefusedError) as caught:
        Bearer("workspace-canary", "classic", AZURE).authorization("https://a.example/?sig=c4n4ry")
    assert caught.value.message == (
        "a classic token must not go to https://a.example: not a classic host of this cloud"
    )


def test_no_credential_shows_its_secret() -> None:
    assert "canary" not in repr(Bearer("workspace-canary", "classic", AZURE))
    assert "emulator" in errors.redact("emulator")
    assert repr(ArmToken("azure-cli", AZURE)) == "ArmToken(auth='azure-cli')"


def test_a_refused_request_is_not_sent() -> None:
    told: list[tuple[str, str]] = []
    http = Http(on_request=lambda *request: told.append(request))
    with pytest.raises(RefusedError):
        http.request("GET", ARM, credential=Bearer("workspace-canary", "classic", AZURE))
    assert told == []


# --- tokens of Azure Resource Manager ---------------------------------------------------------


class Fake:
    """Stands where an azure-identity class stands, and counts."""

    def __init__(self, token: str = "arm-canary-1", expires_on: int = 3600) -> None:
        self.token = token
        self.expires_on = expires_on
        self.made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.scopes: list[str] = []
        self.error: Exception | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Fake:
        self.made.append((args, kwargs))
        return self

    def get_token(self, scope: str) -> SimpleNamespace:
        self.scopes.append(scope)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(token=self.token, expires_on=self.expires_on)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Fake]:
    def install(name: str) -> Fake:
        standing = Fake()
        monkeypatch.setattr(azure.identity, name, standing)
        return standing

    return install


@pytest.mark.parametrize(
    ("auth", "name"),
    [
        ("default", "DefaultAzureCredential"),
        ("azure-cli", "AzureCliCredential"),
        ("workload-identity", "WorkloadIdentityCredential"),
        ("managed-identity", "ManagedIdentityCredential"),
        ("client-secret", "ClientSecretCredential"),
    ],
)
def test_the_environment_chooses_the_credential(
    fake: Callable[[str], Fake], auth: str, name: str
) -> None:
    standing = fake(name)
    environ = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    token = ArmToken(auth, AZURE, environ=environ, clock=lambda: 0.0)
    assert token.authorization(ARM) == "Bearer arm-canary-1"
    assert standing.scopes == ["https://management.azure.com/.default"]
    assert "arm-canary" not in repr(token) + errors.redact("arm-canary-1")


def test_an_unknown_auth_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="write one of: default, azure-cli, "):
        ArmToken("magic", AZURE)


def test_a_client_secret_names_what_it_misses() -> None:
    token = ArmToken("client-secret", AZURE, environ={"AZURE_TENANT_ID": "t"})
    with pytest.raises(ConfigurationError, match="AZURE_CLIENT_ID, AZURE_CLIENT_SECRET"):
        token.authorization(ARM)


def test_a_token_is_fetched_once_and_again_before_it_expires(fake: Callable[[str], Fake]) -> None:
    standing, now = fake("DefaultAzureCredential"), [0.0]
    token = ArmToken("default", AZURE, clock=lambda: now[0])
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(token.authorization, [ARM] * 64))) == 1
    assert (len(standing.made), len(standing.scopes)) == (1, 1)
    now[0], standing.token, standing.expires_on = 3400.0, "arm-canary-2", 7200
    assert token.authorization(ARM) == "Bearer arm-canary-2"
    assert (len(standing.made), len(standing.scopes)) == (1, 2)


@pytest.mark.parametrize(
    "error",
    [
        ClientAuthenticationError("AADSTS7000215: Invalid client secret.\nTrace: 1"),
        CredentialUnavailableError("AADSTS7000215: Invalid client secret.\nattempted: all"),
        ValueError("AADSTS7000215: Invalid client secret."),
    ],
)
def test_no_token_is_an_unauthorized_error_in_one_line(
    fake: Callable[[str], Fake], error: Exception
) -> None:
    fake("DefaultAzureCredential").error = error
    with pytest.raises(UnauthorizedError) as caught:
        ArmToken("default", AZURE).authorization(ARM)
    assert "AADSTS7000215: Invalid client secret.; sign in" in caught.value.message
    assert len(caught.value.message.splitlines()) == 1
    assert caught.value.__context__ is None


def test_another_host_gets_no_token_and_none_is_fetched(fake: Callable[[str], Fake]) -> None:
    standing = fake("DefaultAzureCredential")
    with pytest.raises(RefusedError):
        ArmToken("default", AZURE).authorization("https://management.azureml.net/")
    assert standing.made == []


def test_the_emulator_needs_no_azure_identity() -> None:
    program = (
        "import sys; from reconciler.wire.credentials import ArmToken;"
        "from reconciler.wire.hosts import Hosts;"
        "hosts = Hosts('', 'http://127.0.0.1:1');"
        "print(ArmToken('default', hosts).authorization('http://127.0.0.1:1/'),"
        "'azure.identity' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "Bearer emulator False"


def test_the_emulators_word_goes_only_to_the_emulator() -> None:
    with pytest.raises(RefusedError):
        ArmToken("default", EMULATOR).authorization(ARM)
