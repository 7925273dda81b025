"""The platforms that this installation knows: kinds of endpoints and training engines.

A platform is one folder here and one line in `BUILT_IN`, or an entry point of the group
`reconciler.platforms` of another package. Either way its module offers a `PLATFORM`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConfigurationError
from reconciler.model import FILE, REGISTRY
from reconciler.platforms.platform import Kind, Platform

if TYPE_CHECKING:
    Loader = tuple[str, str, Callable[[], Any]]  # the platform's name, who offers it, how to load

GROUP = "reconciler.platforms"
_NAMES = ("studio", "local", "ray", "mlflow", "azureml")
BUILT_IN = {name: f"reconciler.platforms.{name}" for name in _NAMES}


@cache
def platforms() -> Mapping[str, Platform]:
    """Every platform by its name; ConfigurationError if they contradict each other."""
    built_in = ((name, module, partial(_offered, module)) for name, module in BUILT_IN.items())
    return registry([*built_in, *_installed()])


def kinds() -> dict[str, Kind]:
    """Every kind of endpoint by its name."""
    return {
        name: kind for platform in platforms().values() for name, kind in platform.kinds.items()
    }


def _offered(module: str) -> Any:
    return importlib.import_module(module).PLATFORM


def _installed() -> Iterable[Loader]:
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        package = point.dist.name if point.dist else "an unknown package"
        yield point.name, f"{point.value} of {package}", point.load


def registry(loaders: Iterable[Loader]) -> dict[str, Platform]:
    """The loaded platforms by name, each kind and engine offered once."""
    registered: dict[str, Platform] = {}
    offered = {("engine", name): "reconciler" for name in (FILE, REGISTRY)}  # which none may take
    for name, place, load in loaders:
        platform = _loaded(name, place, load)
        if name in ("store", "data", "limits") or name in registered:
            raise ConfigurationError(
                f'the platform name "{name}" ({place}) is taken; uninstall that package, or rename '
                "its entry point"
            )
        registered[name] = platform
        claims = [("kind", kind) for kind in platform.kinds]
        claims += [("engine", engine) for engine in platform.engines]
        for claim in claims + [("registry", registry) for registry in platform.registries]:
            other = offered.setdefault(claim, name)
            if other != name:
                raise ConfigurationError(
                    f'the platforms "{other}" and "{name}" ({place}) both offer the {claim[0]} '
                    f"{claim[1]}; uninstall one of them"
                )
    return registered


def _loaded(name: str, place: str, load: Callable[[], Any]) -> Platform:
    """The platform behind one loader. Whatever a foreign package raises is a sentence here."""
    try:
        platform = load()
    except Exception as exc:
        why = f"{type(exc).__name__}: {exc}"
        raise ConfigurationError(
            f'the platform "{name}" ({place}) cannot be loaded ({why}); repair or uninstall its '
            "package"
        ) from exc
    if not isinstance(platform, Platform) or platform.name != name:
        raise ConfigurationError(
            f'the platform "{name}" ({place}) is no Platform of that name; its entry point must '
            "lead to one"
        )
    fragment = json.loads(platform.schema)
    for what in ("kinds", "engines", "registries"):
        if set(fragment.get(what, ())) != set(getattr(platform, what)):
            raise ConfigurationError(
                f'the platform "{name}" ({place}) has other {what} than its schema; correct its '
                "package"
            )
    return platform
