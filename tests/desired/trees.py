"""A small good tree, and what loading a changed one says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.desired import load
from reconciler.errors import ConfigurationError
from reconciler.model import Address
from reconciler.platforms.studio import PLATFORM
from reconciler.platforms.studio.connection import studio_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model import Desired, Environment

ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: prod}
spec:
  store: {url: az://mlprod/models, key: env:STORE_KEY}
  data: az://mlprod
  studio:
    subscription: 00000000-0000-4000-8000-000000000001
    resourceGroup: ml-prod
    region: southcentralus
    trainingServices:
      churn-training: {url: /workspaces/w/services/s, key: env:TRAINING_KEY}
"""
MODEL = """\
apiVersion: reconciler/v1
kind: Model
metadata: {name: churn}
spec:
  training:
    service: churn-training
    inputs: {input1: "datasets/churn/${version}.csv"}
    outputs: {model: output1, metrics: output2}
    engine: studio
  accept:
    - {metric: AUC, atLeast: "0.85"}
"""
BINDING = """\
apiVersion: reconciler/v1
kind: WebService
metadata:
  name: churn
spec:
  webService: churn-predictive
  model:
    name: churn
    version: "2026-10"
  verify:
    request: probe.json
"""
GOOD: Mapping[str, str] = {
    "environment.yaml": ENVIRONMENT,
    "models/churn.yaml": MODEL,
    "churn.yaml": BINDING,
    "probe.json": '{"Inputs": {}}',
}


@dataclass(frozen=True)
class Place(Address):
    """An address of the tests."""

    name: str
    group: str = ""

    def __str__(self) -> str:
        """The name."""
        return self.name

    @property
    def key(self) -> str:
        """The name with the resource group."""
        return f"{self.group}/{self.name}"


def address(spec: Mapping[str, Any], environment: Environment) -> Place:
    """Service, and endpoint if there is one; refuses services whose name begins with bad."""
    if spec["webService"].startswith("bad"):
        raise ValueError(f"{environment.name} has nothing called {spec['webService']}")
    name = "/".join([spec["webService"], *filter(None, [spec.get("endpoint")])])
    return Place(name, studio_of(environment).resource_group)


_STUDIO = PLATFORM.kinds
KINDS = {
    "WebService": replace(_STUDIO["WebService"], address=address),
    "ClassicEndpoint": replace(_STUDIO["ClassicEndpoint"], address=address),
}
PLATFORMS = {"studio": replace(PLATFORM, kinds=KINDS)}


def write(root: Path, files: Mapping[str, str | bytes | None]) -> Path:
    """The root, with these files; None is a file that is not there."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data)
    return root


def loaded(root: Path) -> dict[str, Desired]:
    """What `load` says with the addresses of the tests."""
    return load(root, PLATFORMS)


def complaints(root: Path) -> list[str]:
    """The problems of a tree, one a line; none if it loads."""
    try:
        loaded(root)
    except ConfigurationError as exc:
        return [str(each) for each in exc.problems] or [f"without a place: {exc}"]
    return []
