"""Serve applications as values: what a binding declares, and how that is written for Ray.

One request of Ray carries the configuration of every application of a cluster. Of one of them this
program owns what is declared: where its code is, the settings below, and which model it serves. The
model stands in the arguments of the application, as `model`, because arguments are what decides
whether Ray starts new replicas; the mark of the environment stands beside it. Everything else in a
configuration is somebody else's, and is sent back as it was read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple
from urllib.parse import quote

from reconciler.model import Address, Model, ModelRef, canonical_json
from reconciler.platforms.members import at, nested
from reconciler.platforms.ray.connection import named

BUILDER = "reconciler_serve"  # the module of ours that every package with `code` gets
BUILT = f"{BUILDER}:build"
DEPLOYMENT = "Model"  # what builder.py calls its deployment
SURGE = "maxSurge"
PACKAGE = "code"
VARIABLES = "env_vars"  # of an application, or of one of its deployments
REDACTED = "<redacted>"  # Ray's own words for what it does not show

Config = dict[str, Any]


@dataclass(frozen=True)
class ServeAddress(Address):
    """An application of a cluster, by the cluster's host and its own name."""

    host: str
    application: str

    def __str__(self) -> str:
        """`serve/ray.example.com:8265/churn`."""
        return f"serve/{self.host}/{self.application}"

    @property
    def key(self) -> str:
        """Its place among the records of the store."""
        return f"serve/{named(self.host)}/{quote(self.application)}"


@dataclass(frozen=True)
class Application:
    """The declared part of an application besides model and settings.

    `folder` has the code that is sent to the cluster, "" where the application is there already;
    `deployment` is the one that settings are of. The probe is asked at `path` below the route;
    `answer` is the JSON pointer to the rows of the answer, and `names` the one to its version.
    """

    name: str
    route: str
    import_path: str = BUILT
    deployment: str = DEPLOYMENT
    folder: str = field(default="", compare=False)
    path: str = ""
    answer: str = ""
    names: str = ""
    start_s: float = 600.0
    protect: bool = False

    @property
    def is_built(self) -> bool:
        """Whether our builder serves it."""
        return self.import_path == BUILT


# --- settings: texts by dotted name, as people see them, and values, as Ray has them --------------


class _Setting(NamedTuple):
    """Where a setting stands in a deployment's options, and how its text becomes a value."""

    trail: tuple[str, ...]
    value: Callable[[str], Any]


_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def bytes_of(text: str) -> float:
    """How many bytes `2Gi` are."""
    unit = text[-2:]
    return float(text[:-2]) * _UNITS[unit] if unit in _UNITS else float(text)


_SETTINGS = {
    "replicas": _Setting(("num_replicas",), int),
    SURGE: _Setting(("max_surge_percent",), int),
    "resources.cpus": _Setting(("ray_actor_options", "num_cpus"), float),
    "resources.gpus": _Setting(("ray_actor_options", "num_gpus"), float),
    "resources.memory": _Setting(("ray_actor_options", "memory"), bytes_of),
    "autoscaling.min": _Setting(("autoscaling_config", "min_replicas"), int),
    "autoscaling.max": _Setting(("autoscaling_config", "max_replicas"), int),
    "autoscaling.requests": _Setting(("autoscaling_config", "target_ongoing_requests"), float),
}
_ARGUMENTS = "args."


def text_of(name: str, value: object) -> str:
    """A setting's value as people write it: `2`, `0.5`, `2Gi`."""
    if value is None:
        return ""
    if name == "resources.memory" and isinstance(value, int | float):
        size = int(value)
        fitting = [unit for unit, many in _UNITS.items() if size and size % many == 0]
        return f"{size // _UNITS[fitting[-1]]}{fitting[-1]}" if fitting else str(size)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def settings_of(config: Mapping[str, Any], deployment: str) -> tuple[tuple[str, str], ...]:
    """The fields of a configuration that can be owned, by dotted name, as text."""
    values = _values(config, deployment)
    values["route"] = config.get("route_prefix")
    values["importPath"] = config.get("import_path")
    values[PACKAGE] = package_of(config)
    values |= {f"{_ARGUMENTS}{name}": value for name, value in _arguments(config).items()}
    texts = {name: text_of(name, value) for name, value in values.items()}
    return tuple(sorted((name, text) for name, text in texts.items() if text))


def configured_deployments(config: Mapping[str, Any]) -> list[str]:
    """The names of the deployments that a configuration says something of."""
    listed = config.get("deployments")
    names = [_mapping(each).get("name") for each in listed] if isinstance(listed, list) else []
    return [name for name in names if isinstance(name, str)]


def spec_of(config: Mapping[str, Any], deployment: str) -> dict[str, Any]:
    """The part of a spec that a configuration says of a deployment, as git writes it."""
    whole = {name for name, setting in _SETTINGS.items() if setting.value is int}
    values = {n: v for n, v in _values(config, deployment).items() if v is not None}
    written = {name: v if name in whole else text_of(name, v) for name, v in values.items()}
    return nested({"deployment": deployment, **written})


def _values(config: Mapping[str, Any], deployment: str) -> dict[str, Any]:
    """The settings of a deployment by their names, as Ray has them."""
    options = _options(config, deployment)
    values = {name: at(options, *setting.trail) for name, setting in _SETTINGS.items()}
    return values | {SURGE: values[SURGE] or 0}  # which is Ray's default


def package_of(config: Mapping[str, Any]) -> str:
    """The short digest of the code that a configuration names, "" where that is none of ours."""
    place = _mapping(config.get("runtime_env")).get("working_dir")
    return short_name(place) if isinstance(place, str) else ""


def short_name(package: str) -> str:
    """The part of a package's URI that people see: 12 hex of its digest."""
    name = package.rpartition("/")[2]
    return name.removeprefix("_ray_pkg_").removesuffix(".zip")[:12]


def _arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _mapping(config.get("args")).items() if name != "model"}


def _options(config: Mapping[str, Any], deployment: str) -> Mapping[str, Any]:
    """The part of a configuration about one deployment."""
    listed = config.get("deployments")
    every = listed if isinstance(listed, list) else []
    return next((_mapping(o) for o in every if _mapping(o).get("name") == deployment), {})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# --- what a configuration says of its model -------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """The model that a configuration names, and whose it is; all "" where it names none. `adopted`
    says that somebody else had made the application."""

    uri: str = ""
    name: str = ""
    version: str = ""
    sha256: str = ""
    mark: str = ""
    protected: bool = False
    adopted: bool = False

    @property
    def ref(self) -> ModelRef | None:
        """The model; None where it is at no plain URI."""
        try:
            return ModelRef(self.uri)
        except ValueError:
            return None


def placed_of(config: Mapping[str, Any]) -> Placed:
    """The model that the arguments of an application name."""
    model = _mapping(_mapping(config.get("args")).get("model"))
    texts = {n: model.get(n) for n in ("uri", "name", "version", "sha256", "mark")}
    known = {name: text for name, text in texts.items() if isinstance(text, str)}
    protected, adopted = (model.get(name) is True for name in ("protected", "adopted"))
    return Placed(**known, protected=protected, adopted=adopted)


def placed(model: Model, sha256: str, mark: str, *, protect: bool) -> Placed:
    """The model as the arguments are to name it."""
    version = model.version
    name = version.model if version else ""
    return Placed(model.ref.url, name, version.version if version else "", sha256, mark, protect)


# --- a configuration as it is written -------------------------------------------------------------


def merged(
    current: Mapping[str, Any] | None,
    application: Application,
    settings: Mapping[str, str],
    model: Placed,
    package: str,
) -> Config:
    """The configuration with what is declared, on top of all else that it says already.

    `package` is the URI of the code on the cluster, "" where the application is there already.
    """
    config: Config = json.loads(json.dumps(current or {}))
    config |= {"name": application.name, "import_path": application.import_path}
    config["route_prefix"] = application.route
    if package:
        config["runtime_env"] = {**_mapping(config.get("runtime_env")), "working_dir": package}
    arguments = {n.removeprefix(_ARGUMENTS): t for n, t in settings.items() if _is_argument(n)}
    config["args"] = {**_mapping(config.get("args")), **arguments, "model": _as_argument(model)}
    options = _overlaid(_options(config, application.deployment), settings)
    if options:
        mine = {"name": application.deployment, **options}
        listed = config.get("deployments") or []
        made = [mine if o.get("name") == application.deployment else o for o in listed]
        config["deployments"] = made if mine in made else [*made, mine]
    return config


def _is_argument(name: str) -> bool:
    return name.startswith(_ARGUMENTS)


def _as_argument(model: Placed) -> dict[str, Any]:
    argument = {
        "name": model.name,
        "version": model.version,
        "uri": model.uri,
        "sha256": model.sha256,
        "mark": model.mark,
    }
    flags = {"protected": model.protected, "adopted": model.adopted}
    return {**argument, **{name: True for name, holds in flags.items() if holds}}


def _overlaid(options: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """A deployment's options with the declared settings. A number of replicas and their scaling
    exclude each other, so that the one declared takes the place of the other."""
    made = {name: value for name, value in options.items() if name != "name"}
    if "replicas" in settings:
        made.pop("autoscaling_config", None)
    if any(name.startswith("autoscaling.") for name in settings):
        made.pop("num_replicas", None)
    for name, setting in _SETTINGS.items():
        if name not in settings:
            continue
        *above, last = setting.trail
        place = made
        for step in above:
            place[step] = dict(_mapping(place.get(step)))
            place = place[step]
        place[last] = setting.value(settings[name])
    return made


def attempted_again(config: Config) -> Config:
    """The configuration as one that Ray has not seen: it never tries again what has failed."""
    model = config["args"]["model"]
    return {
        **config,
        "args": {**config["args"], "model": {**model, "attempt": model.get("attempt", 1) + 1}},
    }


def fingerprint(config: Mapping[str, Any]) -> str:
    """16 hex that two configurations share which say the same, whatever Ray made of their numbers:
    it reads 1 and shows 1.0."""
    return hashlib.sha256(canonical_json(_even(config)).encode()).hexdigest()[:16]


def _even(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _even(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_even(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def blanked(value: Any) -> Any:
    """A configuration without the values of environment variables."""
    if isinstance(value, Mapping):
        return {
            name: dict.fromkeys(each, "")
            if name == VARIABLES and isinstance(each, Mapping)
            else blanked(each)
            for name, each in value.items()
        }
    return [blanked(each) for each in value] if isinstance(value, list) else value


def refilled(value: Any, current: Any) -> Any:
    """A blanked configuration with the values of environment variables that the current one has."""
    if isinstance(value, list):
        beside = current if isinstance(current, list) else []
        return [refilled(*pair) for pair in zip_longest(value, beside[: len(value)])]
    if not isinstance(value, Mapping):
        return value
    now = _mapping(current)
    made = {name: refilled(each, now.get(name)) for name, each in value.items()}
    if isinstance(variables := value.get(VARIABLES), Mapping):
        known = _mapping(now.get(VARIABLES))
        made[VARIABLES] = {name: text or known.get(name, "") for name, text in variables.items()}
    return made


def hides(value: Any) -> bool:
    """Whether Ray shows something in place of a secret; sent back, it would replace that."""
    if isinstance(value, Mapping):
        return any(hides(each) for each in value.values())
    return any(map(hides, value)) if isinstance(value, list) else value == REDACTED
