"""Azure Machine Learning Studio: New web services, Classic endpoints, batch jobs that train."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from reconciler.model import CloudName
from reconciler.platforms.platform import Kind, Platform
from reconciler.platforms.studio.hosts import hosts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model import Address, Environment


def _kind(name: str, *, from_definition: bool = False) -> Kind:
    path = f"{__name__}.{name}"

    def address(spec: Mapping[str, Any], environment: Environment) -> Address:
        if environment.cloud is CloudName.AZURE:
            hosts_of(environment)  # says what is wrong with its region
        made: Address = importlib.import_module(path).address(spec, environment)
        return made

    def creation(*given: Any) -> Any:
        return importlib.import_module(path).make_creation(*given)

    return Kind(address, creation if from_definition else None, path)


PLATFORM = Platform(
    name="studio",
    kinds={
        "WebService": _kind("web_service", from_definition=True),
        "ClassicEndpoint": _kind("classic_endpoint"),
    },
    engines=("studio",),
)
