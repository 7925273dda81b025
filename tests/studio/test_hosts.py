"""Where Studio is, and who may hear its secrets."""

from __future__ import annotations

import pytest

from reconciler.errors import ConfigurationError
from reconciler.http.origins import Origins
from reconciler.model import SecretName, Source
from reconciler.platforms.studio.connection import CloudName, Studio, Workspace
from reconciler.platforms.studio.hosts import REGIONS, Hosts, hosts_of

AZURE = Hosts("southcentralus")
EMULATOR = Hosts("southcentralus", "http://127.0.0.1:8400")
SECRETS = ["arm", "classic", "scoring", "blob"]


def origins(hosts: Hosts, secret: str) -> Origins:
    return hosts.blob.origins if secret == "blob" else getattr(hosts, f"{secret}_origins")


def environment(
    cloud: CloudName, region: str = "southcentralus", *, workspace: bool = True
) -> Studio:
    name = SecretName("A")
    return Studio(
        cloud=cloud,
        subscription="s",
        resource_group="g",
        region=region,
        workspace=Workspace("0" * 32, region, name) if workspace else None,
        source=Source("services/e/environment.yaml", 3, 1),
    )


def test_azure_has_the_documented_hosts() -> None:
    hosts = hosts_of(environment(CloudName.AZURE), "http://127.0.0.1:1")
    assert hosts.arm == "https://management.azure.com"
    assert hosts.classic == "https://management.azureml.net"
    assert hosts.scoring == "https://ussouthcentral.services.azureml.net"
    assert hosts.blob.of("account") == "https://account.blob.core.windows.net/"


@pytest.mark.parametrize("written", ["West Europe", "westeurope", "WestEurope"])
def test_a_region_may_be_written_as_people_write_it(written: str) -> None:
    hosts = hosts_of(environment(CloudName.AZURE, written))
    assert hosts.classic == "https://europewest.management.azureml.net"
    assert hosts.scoring == "https://europewest.services.azureml.net"


def test_an_unknown_region_of_a_workspace_lists_the_known_ones_at_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        hosts_of(environment(CloudName.AZURE, "atlantis"))
    assert caught.value.message == (
        "services/e/environment.yaml:3:1: 'atlantis' is not a region with Classic services;"
        f" write one of: {', '.join(sorted(REGIONS))}"
    )


def test_new_services_need_no_region_of_the_classic_table() -> None:
    hosts = hosts_of(environment(CloudName.AZURE, "East US 2", workspace=False))
    assert hosts.arm == "https://management.azure.com"
    with pytest.raises(ConfigurationError, match="not a region with Classic"):
        _ = hosts.classic
    with pytest.raises(ConfigurationError, match="not a region with Classic"):
        _ = hosts.scoring


def test_a_scoring_host_that_nobody_documented_is_not_guessed() -> None:
    with pytest.raises(ConfigurationError, match="not documented"):
        _ = Hosts("germanycentral").scoring


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("", "http://127.0.0.1:8400"),
        ("http://localhost:1234/", "http://localhost:1234"),
        ("https://[::1]:1234", "https://[::1]:1234"),
    ],
)
def test_the_emulator_is_on_this_machine(given: str, base: str) -> None:
    hosts = hosts_of(environment(CloudName.EMULATOR), given)
    assert {hosts.arm, hosts.classic, hosts.scoring} == {base}
    assert hosts.blob.of("account") == f"{base}/blob/account/"


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:8400",
        "http://localhost.example:8400",
        "http://127.0.0.1@evil.example",
        "ftp://127.0.0.1",
        "127.0.0.1:8400",
        "http://127.0.0.1:8400/path",
        "http://127.0.0.1:99999",
        "http://[::1",
    ],
)
def test_the_emulator_is_nowhere_else(url: str) -> None:
    with pytest.raises(ConfigurationError):
        hosts_of(environment(CloudName.EMULATOR), url)


@pytest.mark.parametrize(
    ("secret", "url"),
    [
        ("arm", "https://management.azure.com/subscriptions/1?api-version=2"),
        ("arm", "https://MANAGEMENT.azure.com:443/"),
        ("arm", "https://westcentralus.management.azure.com/subscriptions/1"),
        ("classic", "https://management.azureml.net/workspaces/1"),
        ("scoring", "https://ussouthcentral.services.azureml.net/workspaces/1"),
        ("scoring", "https://eastus2.services.azureml.net/subscriptions/1"),
        ("blob", "https://account.blob.core.windows.net/c/b?sig=x"),
    ],
)
def test_a_secret_goes_to_its_own_hosts(secret: str, url: str) -> None:
    assert url in origins(AZURE, secret)


@pytest.mark.parametrize(
    ("secret", "url"),
    [
        ("arm", "http://management.azure.com/"),
        ("arm", "https://management.azure.com:8443/"),
        ("arm", "https://management.azure.com.evil.example/"),
        ("arm", "https://evil.example/management.azure.com"),
        ("arm", "https://management.azure.com@evil.example/"),
        ("arm", "https://evil.example\\@management.azure.com/"),
        ("arm", "https://management.azure.com\t/"),
        ("arm", "https://management.azureml.net/"),
        ("arm", "https://a.b.management.azure.com/"),
        ("arm", "https://evil-management.azure.com/"),
        ("arm", "https://.management.azure.com/"),
        ("arm", "https://evil.westcentralus.management.azure.com/"),
        ("arm", "https://westcentralus.management.azure.com.evil.example/"),
        ("arm", "http://127.0.0.1:8400/"),
        ("arm", "//management.azure.com/"),
        ("arm", "https://management.azure.com./"),
        ("scoring", "https://.services.azureml.net/"),
        ("classic", "https://europewest.management.azureml.net/"),
        ("classic", "https://management.azure.com/"),
        ("scoring", "https://evilservices.azureml.net/"),
        ("scoring", "https://services.azureml.net/"),
        ("scoring", "https://ussouthcentral.services.azureml.net.evil.example/"),
        ("blob", "https://account.blob.core.windows.net.evil.example/"),
        ("blob", "https://a.b.blob.core.windows.net/"),
        ("blob", "https://blob.core.windows.net/"),
    ],
)
def test_a_secret_goes_nowhere_else(secret: str, url: str) -> None:
    assert url not in origins(AZURE, secret)


@pytest.mark.parametrize("secret", SECRETS)
def test_on_the_emulator_secrets_stay_on_its_port(secret: str) -> None:
    assert "http://127.0.0.1:8400/any" in origins(EMULATOR, secret)
    for url in ("http://127.0.0.1:8401/", "https://127.0.0.1:8400/", "http://localhost:8400/"):
        assert url not in origins(EMULATOR, secret)
    assert "https://management.azure.com/" not in origins(EMULATOR, secret)


def test_another_host_hears_the_key_of_a_training_service_if_it_is_bound_outside_git() -> None:
    there = ("https", "germanycentral.services.azureml.de", 443)
    hosts = hosts_of(environment(CloudName.AZURE), bound=frozenset([there]))
    url = "https://germanycentral.services.azureml.de/workspaces/1"
    assert url in hosts.scoring_origins
    assert url not in AZURE.scoring_origins
    assert url not in hosts.arm_origins
    assert url not in hosts.classic_origins
