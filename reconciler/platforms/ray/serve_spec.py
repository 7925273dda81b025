"""The spec of a ServeApplication: as values, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from reconciler.errors import ConfigurationError, Problem, RefusedError
from reconciler.model import Environment, seconds
from reconciler.platforms.code import state_of
from reconciler.platforms.platform import Block
from reconciler.platforms.ray.connection import ray_of
from reconciler.platforms.ray.serve_config import (
    BUILT,
    DEPLOYMENT,
    PACKAGE,
    SURGE,
    Application,
    ServeAddress,
    bytes_of,
    short_name,
    text_of,
)

MOST_START_S = 3600.0  # after which a run gives an operation up, without a way back


def address(spec: Mapping[str, Any], environment: Environment) -> ServeAddress:
    """The address of a binding's spec; ValueError where nothing could be served or proved there."""
    ray = ray_of(environment)
    if "verify" in spec and not ray.serve:
        raise ValueError(
            "verify: the address of applications is missing; add spec.ray.serve to the environment"
        )
    return ServeAddress(ray.host, spec["application"])


def key_prefix(environment: Environment) -> str:
    """The beginning of the keys of all applications of the environment's cluster."""
    return ServeAddress(ray_of(environment).host, "").key


def route_of(spec: Mapping[str, Any]) -> str:
    """Where below the cluster's address the application answers."""
    route: str = spec.get("route", f"/{spec['application']}")
    return route


def application_of(block: Block) -> Application:
    """The application that the spec declares, besides model and settings."""
    spec = block.data
    verify = spec.get("verify", {})
    return Application(
        name=spec["application"],
        route=route_of(spec),
        import_path=spec.get("importPath", BUILT),
        deployment=spec.get("deployment", DEPLOYMENT),
        folder=str(_folder(block)) if "code" in spec else "",
        path=verify.get("path", ""),
        answer=verify.get("answer", ""),
        names=verify.get("model", ""),
        start_s=_start_s(spec),
        protect=spec.get("protect", False),
    )


def _start_s(spec: Mapping[str, Any]) -> float:
    return seconds(spec.get("startTimeout", "10m"))


def settings_of(block: Block, _: Mapping[str, str]) -> Mapping[str, str]:
    """The settings that the spec owns, as people see them."""
    spec = block.data
    owned = {
        "route": route_of(spec),
        "importPath": spec.get("importPath", BUILT),
        **{f"args.{name}": text for name, text in spec.get("args", {}).items()},
    }
    if "importPath" not in spec or "deployment" in spec:
        owned[SURGE] = text_of(SURGE, spec.get(SURGE, 100))
    if "replicas" in spec:
        owned["replicas"] = text_of("replicas", spec["replicas"])
    for group in ("resources", "autoscaling"):
        for name, value in spec.get(group, {}).items():
            owned[f"{group}.{name}"] = _canonical(f"{group}.{name}", value)
    if "code" in spec:
        owned[PACKAGE] = _digest(_folder(block), built="importPath" not in spec)
    return owned


def _canonical(name: str, value: object) -> str:
    """A value as the cluster will show it: `0.50` is `0.5`."""
    if isinstance(value, str):
        return text_of(name, bytes_of(value) if name == "resources.memory" else float(value))
    return text_of(name, value)


def terms_of(block: Block) -> Mapping[str, str]:
    """The terms that people approve: what runs on the cluster, and how it is proved. The digest
    of the code is a setting, which is part of what they approve."""
    spec = block.data
    verify = spec.get("verify", {})
    return {
        "the application": spec.get("importPath", ""),
        "where the probe is asked": f"{route_of(spec)}{verify.get('path', '')}" if verify else "",
        "the part of its answer": f"{verify.get('answer', '')} {verify.get('model', '')}".strip(),
        "startTimeout": spec.get("startTimeout", ""),
    }


def problems_of(block: Block, _: date | None) -> Iterator[Problem]:
    """Problems that would otherwise show only on the cluster."""
    spec = block.data
    if "code" not in spec and "importPath" not in spec:
        yield block.problem('"code" is missing: the folder with serve.py (or "importPath")')
    if _start_s(spec) > MOST_START_S:
        yield block.problem("a run waits 1h at most; write 1h or less", "startTimeout")
    if "replicas" in spec and "autoscaling" in spec:
        why = "replicas are fixed or scaled; take out replicas or autoscaling"
        yield block.problem(why, "replicas")
    of_deployment = [n for n in ("replicas", "resources", "autoscaling", SURGE) if n in spec]
    if "importPath" in spec and of_deployment and "deployment" not in spec:
        why = "which deployment of your application is meant? name it in spec.deployment"
        yield block.problem(why, of_deployment[0])
    if "importPath" not in spec and "deployment" in spec:
        why = "only an application of your own has named deployments; take it out"
        yield block.problem(why, "deployment")
    if "model" in spec.get("args", {}):
        why = 'the argument "model" says which model is served; name yours otherwise'
        yield block.problem(why, "args", "model")
    if "code" in spec:
        yield from _code_problems(block)


def _code_problems(block: Block) -> Iterator[Problem]:
    folder, built = _folder(block), "importPath" not in block.data
    try:
        _digest(folder, built=built)
        if built and not (folder / "serve.py").is_file():
            yield block.problem(f"{folder} has no serve.py with load(path); add it", "code")
    except (ConfigurationError, RefusedError) as exc:
        yield block.problem(exc.message, "code")


def _digest(folder: Path, *, built: bool) -> str:
    """12 hex over the code of an application."""
    return _digest_of(folder, built, state_of(folder))


@lru_cache(maxsize=64)
def _digest_of(folder: Path, built: bool, _: object) -> str:
    """The digest of a folder in the state that was seen: a fleet of one folder reads it once."""
    from reconciler.platforms.ray.package import code_of

    return short_name(code_of(folder, built=built).uri)


def _folder(block: Block) -> Path:
    code: str = block.data["code"]
    return Path(os.path.realpath(block.folder / code))
