"""The meaning of `spec.azureml` of an environment: which workspace, and how to sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote

from reconciler.model import NOWHERE, Auth, Environment, Source
from reconciler.platforms.arm import CloudName
from reconciler.platforms.platform import Block

NAME = "azureml"
PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True)
class AzureMl:
    """The connection of an environment to one workspace; `auth` is the way to sign in to Azure.

    `region` is where new endpoints are made, "" where the workspace says it; an endpoint of
    another region is refused where it is given.
    """

    cloud: CloudName
    subscription: str
    resource_group: str
    workspace: str
    region: str = ""
    auth: Auth = Auth.DEFAULT
    source: Source = field(default=NOWHERE, compare=False)

    @cached_property
    def path(self) -> str:
        """The ARM id of the workspace."""
        group = quote(self.resource_group, safe="()")
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{group}"
            f"/providers/{PROVIDER}/workspaces/{self.workspace}"
        )

    @cached_property
    def uri(self) -> str:
        """The beginning of references to its models: short, and in one case."""
        group = quote(self.resource_group.lower(), safe="()")
        return f"azureml://{self.subscription.lower()}/{group}/{self.workspace.lower()}"


def parse(block: Block) -> AzureMl:
    """The connection that a block declares, which the schema accepts."""
    given = block.data
    return AzureMl(
        CloudName(given.get("cloud", CloudName.AZURE)),
        given["subscription"],
        given["resourceGroup"],
        given["workspace"],
        given.get("region", "").replace(" ", "").lower(),
        Auth(given.get("auth", Auth.DEFAULT)),
        block.at("workspace"),
    )


def azureml_of(environment: Environment) -> AzureMl:
    """The environment's connection to its workspace."""
    connection = environment.connections[NAME]
    assert isinstance(connection, AzureMl)
    return connection
