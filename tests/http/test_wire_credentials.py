"""Secrets by name, and tokens that only their own hosts can get."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler import errors
from reconciler.errors import ConfigurationError, RefusedError, UnauthorizedError
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken, Bearer, NoToken, Token, resolve, resolve_all
from reconciler.model import Auth, SecretName, Source
from reconciler.platforms.azure import ARM_SCOPE, SignIn
from reconciler.platforms.studio.hosts import Hosts

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
    token = Bearer("workspace-canary", AZURE.classic_origins)
    assert token.authorization("https://management.azureml.net/a") == "Bearer workspace-canary"
    for url in (ARM, "http://management.azureml.net/a", "https://evil.example/", "x"):
        with pytest.raises(
            RefusedError, match="a token of the Classic management API must not go to"
        ):
            token.authorization(url)


def test_a_refusal_names_the_host_and_no_secret() -> None:
    with pytest.raises(RefusedError) as caught:
        Bearer("workspace-canary", AZURE.classic_origins).authorization(
            "https://a.example/?sig=c4n4ry"
        )
    assert caught.value.message == (
        "a token of the Classic management API must not go to https://a.example, which is not "
        "bound to it outside git"
    )


def test_no_credential_shows_its_secret() -> None:
    assert "canary" not in repr(Bearer("workspace-canary", AZURE.classic_origins))
    assert "emulator" in errors.redact("emulator")
    assert (
        repr(AccessToken(SignIn(Auth.AZURE_CLI, Http()), ARM_SCOPE, AZURE.arm_origins))
        == "AccessToken(https://management.azure.com/.default, SignIn(azure-cli))"
    )


def test_a_refused_request_is_not_sent() -> None:
    told: list[tuple[str, str]] = []
    http = Http(on_request=lambda *request: told.append(request))
    with pytest.raises(RefusedError):
        http.request("GET", ARM, credential=Bearer("workspace-canary", AZURE.classic_origins))
    assert told == []


# --- access tokens ----------------------------------------------------------------------------


class Scripted(SignIn):
    """Gives what it is told and counts; a token lives for an hour of the test's clock."""

    def __init__(self, now: list[float]) -> None:
        super().__init__(Auth.AZURE_CLI, Http())
        self.now = now
        self.asked = 0
        self.failing: NoToken | None = None
        self.lifetime_s = 3600
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def token(self, scope: str) -> Token | NoToken:
        assert scope == "https://management.azure.com/.default"
        self.asked += 1
        number = self.asked
        self.entered.set()
        assert self.go_on.wait(10)
        return self.failing or Token(f"arm-canary-{number}", int(self.now[0]) + self.lifetime_s)


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def sign_in(now: list[float]) -> Scripted:
    return Scripted(now)


@pytest.fixture
def token(sign_in: Scripted, now: list[float]) -> AccessToken:
    return AccessToken(sign_in, ARM_SCOPE, AZURE.arm_origins, lambda: now[0])


FAILED = NoToken(UnauthorizedError, "signing in to Azure: AADSTS7000215")


def test_threads_ask_once_for_all(token: AccessToken, sign_in: Scripted) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(token.authorization, [ARM] * 64)) == {"Bearer arm-canary-1"}
    assert sign_in.asked == 1


def test_a_token_is_renewed_five_minutes_before_it_expires(
    token: AccessToken, sign_in: Scripted, now: list[float]
) -> None:
    said = []
    for seconds in (0, 3299, 1, 1):
        now[0] += seconds
        said.append(token.authorization(ARM))
    assert said == [f"Bearer arm-canary-{number}" for number in (1, 1, 2, 2)]


def test_while_one_renews_the_others_go_on_with_a_token_that_lives(
    token: AccessToken, sign_in: Scripted, now: list[float]
) -> None:
    token.authorization(ARM)
    now[0] += 3400
    sign_in.entered.clear()
    sign_in.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(token.authorization, ARM)
        assert sign_in.entered.wait(10)
        assert token.authorization(ARM) == "Bearer arm-canary-1"
        sign_in.go_on.set()
        assert renewing.result(10) == "Bearer arm-canary-2"
    assert sign_in.asked == 2


def test_a_failed_renewal_leaves_the_old_token_until_it_expires(
    token: AccessToken, sign_in: Scripted, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    token.authorization(ARM)
    sign_in.failing = FAILED
    now[0] += 3400
    assert token.authorization(ARM) == token.authorization(ARM) == "Bearer arm-canary-1"
    assert sign_in.asked == 2
    assert [record.message for record in caplog.records] == [
        f"the old access token is used until it expires: {FAILED.message}"
    ]
    now[0] += 200
    with pytest.raises(UnauthorizedError):
        token.authorization(ARM)


def test_many_threads_hear_of_one_failure_and_it_is_tried_again_later(
    token: AccessToken, sign_in: Scripted, now: list[float]
) -> None:
    sign_in.failing = FAILED

    def ask(_: int) -> str:
        with pytest.raises(UnauthorizedError) as caught:
            token.authorization(ARM)
        return caught.value.message

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(64))) == {FAILED.message}
    assert sign_in.asked == 1
    sign_in.failing = None
    now[0] += 30
    assert token.authorization(ARM) == "Bearer arm-canary-2"


def test_a_token_that_lives_for_seconds_is_not_used_after_them(
    token: AccessToken, sign_in: Scripted, now: list[float]
) -> None:
    sign_in.lifetime_s = 10
    token.authorization(ARM)
    now[0] += 11
    assert token.authorization(ARM) == "Bearer arm-canary-2"


def test_a_token_that_lives_for_minutes_is_not_asked_for_at_every_request(
    token: AccessToken, sign_in: Scripted
) -> None:
    sign_in.lifetime_s = 200
    assert {token.authorization(ARM) for _ in range(5)} == {"Bearer arm-canary-1"}
    assert sign_in.asked == 1


def test_a_clock_that_was_set_back_does_not_stop_the_renewal(
    token: AccessToken, sign_in: Scripted, now: list[float]
) -> None:
    sign_in.failing = FAILED
    with pytest.raises(UnauthorizedError):
        token.authorization(ARM)
    sign_in.failing = None
    now[0] -= 500
    assert token.authorization(ARM) == "Bearer arm-canary-2"


@pytest.mark.parametrize(
    "url",
    [
        "https://management.azureml.net/",
        "http://management.azure.com/",
        "https://management.azure.com:8443/",
        "https://management.azure.com.evil.example/",
        "https://management.azure.com@evil.example/",
    ],
)
def test_another_host_gets_no_token_and_nobody_signs_in(
    token: AccessToken, sign_in: Scripted, url: str
) -> None:
    with pytest.raises(RefusedError, match="a token of Azure Resource Manager must not go to"):
        token.authorization(url)
    assert sign_in.asked == 0


def test_the_emulator_needs_no_azure_identity() -> None:
    program = (
        "import sys; from reconciler.http.credentials import AccessToken;"
        "from reconciler.platforms.arm import EmulatorSignIn;"
        "from reconciler.platforms.studio.hosts import Hosts;"
        "origins = Hosts('', 'http://127.0.0.1:1').arm_origins;"
        "token = AccessToken(EmulatorSignIn(), 'any', origins); token.check();"
        "print(token.authorization('http://127.0.0.1:1/'), 'azure' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "Bearer emulator False"


def test_the_emulators_word_goes_only_to_the_emulator(sign_in: Scripted) -> None:
    with pytest.raises(RefusedError):
        AccessToken(sign_in, ARM_SCOPE, EMULATOR.arm_origins).authorization(ARM)
