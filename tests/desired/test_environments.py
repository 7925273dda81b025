"""What is refused in an environment, and environments among each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import Row, each, environment, said_of, whole
from tests.desired.trees import BINDING, ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def more(sentence: str, line: str, *said: str) -> Row:
    """A row with the good environment and one line more, the thirteenth."""
    return whole(sentence, "environment", f"{ENVIRONMENT}  {line}\n", *said)


NO_ADDRESS = (
    "is not the address of a service; write /workspaces/ID/services/ID or "
    "/subscriptions/ID/services/ID, with or without https://HOST before it, and nothing behind it: "
    "no /jobs, /execute, /score or /swagger.json"
)
NO_STORE = (
    "is not a store; write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://ACCOUNT/CONTAINER (3 to 24 "
    "lower-case letters and digits; 3 to 63 of these and single dashes), or a folder, without ~ or $"
)
ENVIRONMENTS = [
    environment(
        "a subscription that is no GUID is refused",
        "00000000-0000-4000-8000-000000000001",
        "mine",
        '8:19: spec.studio.subscription: "mine" is not a subscription id; '
        "write a GUID such as 00000000-0000-4000-8000-000000000001",
    ),
    environment(
        "an environment without a region and without a workspace is refused",
        "    region: southcentralus\n",
        "",
        '7:3: spec.studio: "region" is missing (there is no workspace to take it from)',
    ),
    more(
        "an unknown cloud brings the nearest known one",
        "  cloud: azur",
        '13:12: spec.studio.cloud: "azur" is not one of emulator, azure; did you mean "azure"?',
    ),
    more(
        "an unknown way to sign in lists the known ones",
        "  auth: password",
        '13:11: spec.studio.auth: "password" is not one of default, azure-cli, workload-identity, github-oidc, '
        "client-secret, managed-identity",
    ),
    more(
        "a limit out of range is refused",
        "limits: {parallel: 65}",
        "13:22: spec.limits.parallel: 65 is out of range; write 1 to 64",
    ),
    more(
        "a limit of none is refused",
        "limits: {parallel: 0}",
        "13:22: spec.limits.parallel: 0 is out of range; write 1 to 64",
    ),
    more(
        "a limit below none is refused",
        "limits: {retrains: -1}",
        "13:22: spec.limits.retrains: -1 is out of range; write 0 or more",
    ),
    more(
        "a limit as text is refused",
        'limits: {parallel: "8"}',
        '13:22: spec.limits.parallel: "8" is text; write 8',
    ),
    more(
        "a share without its sign is refused, with quotes and without",
        "limits: {changes: 30}",
        "13:21: spec.limits.changes: 30 is not a percentage; write 0% to 100%",
    ),
    more(
        "a limit that is no whole number is refused",
        "limits: {parallel: 1.5}",
        "13:22: spec.limits.parallel: 1.5 is a number; write a whole number",
    ),
    more(
        "a workspace id that is too short is refused",
        "  workspace: {id: abc, region: r, token: env:T}",
        '13:21: spec.studio.workspace.id: "abc" is not a workspace id; write its 32 hexadecimal digits',
    ),
    environment(
        "a store account with dashes is refused",
        "mlprod",
        "ml-prod",
        f'5:16: spec.store.url: "az://ml-prod/models" {NO_STORE}',
    ),
    environment(
        "a container with capitals is refused",
        "prod/models",
        "prod/Models",
        f'5:16: spec.store.url: "az://mlprod/Models" {NO_STORE}',
    ),
    environment(
        "a store whose slashes are missing is refused, and no folder",
        "az://mlprod/models",
        "az:/mlprod/models",
        f'5:16: spec.store.url: "az:/mlprod/models" {NO_STORE}',
    ),
    *(
        environment(
            f"a store in {place}, which only a shell reads, is refused",
            "az://mlprod/models",
            f"'{place}'",
            f'5:16: spec.store.url: "{place}" {NO_STORE}',
        )
        for place in ("~/models", "~", "$HOME/models")
    ),
    environment(
        "a folder with a key is refused",
        "az://mlprod/models, key: env:STORE_KEY}\n  data:",
        "./models, key: env:STORE_KEY}\n  data: ./data #",
        "5:26: spec.store.key: it is for s3:// and gs:// and az:// only; take it out",
    ),
    environment(
        "a region of no bucket is refused",
        "key: env:STORE_KEY",
        "key: env:STORE_KEY, region: eu-west-1",
        "5:56: spec.store.region: it is for s3:// only; take it out",
    ),
    environment(
        "an endpoint with a query is refused",
        "key: env:STORE_KEY",
        "key: env:STORE_KEY, endpoint: 'https://minio.example/?a=b'",
        '5:66: spec.store.endpoint: "https://minio.example/?a=b" is not an endpoint; write https://HOST:PORT',
    ),
    environment(
        "a bucket whose prefix leads up is refused",
        "az://mlprod/models",
        "s3://models/../other",
        f'5:16: spec.store.url: "s3://models/../other" {NO_STORE}',
    ),
    environment(
        "a training service without TLS is refused",
        "/workspaces/w/services/s",
        "http://example.org/x",
        f'12:29: spec.studio.trainingServices.churn-training.url: "http://example.org/x" {NO_ADDRESS}',
    ),
    *(
        environment(
            f"a training service at {url} is refused",
            "/workspaces/w/services/s",
            url,
            f'12:29: spec.studio.trainingServices.churn-training.url: "{url}" {NO_ADDRESS}',
        )
        for start in ("/workspaces/w/services/s", "https://example.org/subscriptions/s/services/s")
        for url in (
            *(f"{start}{end}" for end in ("/jobs", "/Execute", "/score", "/swagger.json")),
            *(f"{start}{end}" for end in ("/jobs/1", "?api-version=2.0", "%2fjobs", "/swagger")),
            start.removesuffix("/services/s"),
            start.replace("/services/", "/webservices/"),
            start.replace("/s/", "/../").replace("/w/", "/../"),
        )
    ),
    environment(
        "a training service without a path is refused",
        "/workspaces/w/services/s",
        "https://example.org",
        f'12:29: spec.studio.trainingServices.churn-training.url: "https://example.org" {NO_ADDRESS}',
    ),
    environment(
        "a resource group that ends with a dot is refused",
        "ml-prod",
        "ml-prod.",
        '9:20: spec.studio.resourceGroup: "ml-prod." is not a resource group; use at most 90 letters, '
        "digits and _ . ( ) -, and no dot at the end",
    ),
    environment(
        "a region that is a URL is refused",
        "southcentralus",
        "https://x",
        '10:13: spec.studio.region: "https://x" is not a region; write its name, such as southcentralus',
    ),
    whole(
        "a second environment in the folder names both places",
        "second.yaml",
        ENVIRONMENT.replace("name: prod", "name: second").replace("ml-prod", "ml-second"),
        "3:18: this folder has an environment already (environment.yaml:3:18); "
        "give each its own folder",
    ),
    whole(
        "two environments of one name name both places",
        "west/environment.yaml",
        f"{ENVIRONMENT.replace('ml-prod', 'ml-west')}---\n{BINDING.split('  verify')[0]}",
        '3:18: the environment "prod" is declared already (environment.yaml:3:18); '
        "names are unique",
    ),
    whole(
        "an environment without any binding is fine",
        "west/environment.yaml",
        ENVIRONMENT.replace("name: prod", "name: west"),
    ),
    whole(
        "two environments that bind one address, whatever its case, name both places",
        "west/all.yaml",
        ENVIRONMENT.replace("name: prod", "name: west").replace("ml-prod", "ML-Prod")
        + f"---\n{BINDING.split('  verify')[0]}".replace("churn-p", "CHURN-P"),
        '17:9: CHURN-Predictive is bound already by the environment "prod" (churn.yaml:4:9); '
        "one of them must own it",
    ),
    whole(
        "one address in two clouds is two",
        "west/all.yaml",
        ENVIRONMENT.replace("name: prod", "name: west").replace(
            "studio:", "studio:\n    cloud: azure"
        )
        + f"---\n{BINDING.split('  verify')[0]}",
    ),
    whole(
        "a binding outside any environment is refused",
        "environment",
        None,
        "churn.yaml:4:9: no environment applies here; "
        "add a document of kind Environment to this folder or one above it",
    ),
]


@each(ENVIRONMENTS)
def test_an_environment_that_cannot_be_is_told_why(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected
