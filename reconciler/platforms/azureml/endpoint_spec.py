"""The spec of an OnlineEndpoint: as values, what people approve of it, and what is wrong with it.

A deployment cannot change its machine, its code or its model, so what is fixed with it is part of
its name: another value is another deployment, which is staged and proved like another version.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from reconciler.errors import ConfigurationError, Problem
from reconciler.model import Address, Environment, SecretName, canonical_json, seconds
from reconciler.platforms.azureml.connection import AzureMl, azureml_of
from reconciler.platforms.code import digest_seen, why_not_files
from reconciler.platforms.platform import Block

_ISO = re.compile(
    r"P(?:(?P<d>[\d.]+)D)?(?:T(?:(?P<h>[\d.]+)H)?(?:(?P<m>[\d.]+)M)?(?:(?P<s>[\d.]+)S)?)?"
)
DURATIONS = ("timeout", "queueWait", "initialDelay", "period")
LONGEST_MIRROR_S = 1800.0  # an operation that runs for an hour is given up


@dataclass(frozen=True)
class EndpointAddress(Address):
    """An online endpoint of a workspace; `uri` is what its references begin with."""

    subscription: str
    resource_group: str
    workspace: str
    name: str

    def __str__(self) -> str:
        """`onlineEndpoints/prod/fraud`, with the workspace."""
        return f"onlineEndpoints/{self.workspace}/{self.name}"

    @property
    def key(self) -> str:
        """It with subscription and group; names differ in more than their case."""
        return f"{keys_of(self.subscription, self.resource_group, self.workspace)}{self.name}"

    @property
    def path(self) -> str:
        """The path below the workspace."""
        return f"/onlineEndpoints/{self.name}"


def keys_of(subscription: str, resource_group: str, workspace: str) -> str:
    """The beginning of the keys of all endpoints of a workspace."""
    return f"onlineEndpoints/{subscription}/{resource_group}/{workspace}/".lower()


def key_prefix(environment: Environment) -> str:
    """The beginning of the keys of all endpoints of the workspace."""
    at = azureml_of(environment)
    return keys_of(at.subscription, at.resource_group, at.workspace)


@dataclass(frozen=True)
class Mirror:
    """A copy of so many percent of the live traffic, for so long, of which at most so many percent
    may fail."""

    share: int
    for_s: float
    errors: float


@dataclass(frozen=True)
class Deployed:
    """The declared part of deployments besides model and settings.

    `rollout` are the shares of the traffic, in percent, that it proves itself at before it has all.
    `identity` is "" where git does not say one, or an ARM id, or `SystemAssigned`.
    `folder` and `digest` are of the code, "" where the model needs none. `variables` pair a name
    with a text, or with the name of a secret. `instances` are 0 where git does not say.
    """

    auth_mode: str
    instance_type: str
    environment: str = ""
    folder: str = ""
    digest: str = ""
    script: str = ""
    variables: tuple[tuple[str, str | SecretName], ...] = ()
    keep_warm_s: float = 0.0
    instances: int = 0
    rollout: tuple[int, ...] = ()
    mirror: Mirror | None = None
    answer: str = ""
    names: str = ""
    protect: bool = False
    identity: str = ""

    def values(self, secret: Callable[[SecretName], str]) -> dict[str, str]:
        """The variables as the code gets them."""
        return {n: v if isinstance(v, str) else secret(v) for n, v in self.variables}

    @property
    def shown(self) -> dict[str, str]:
        """The variables as git has them: no secret is in it."""
        pairs = self.variables
        return {n: v if isinstance(v, str) else f"env:{v.variable}" for n, v in pairs}

    @cached_property
    def fixed(self) -> str:
        """The text of what makes another deployment where it changes; no secret is in it."""
        variables = [[name, value] for name, value in self.shown.items()]
        code = [self.digest, self.script]
        return canonical_json([self.instance_type, self.environment, code, variables])

    def name_for(self, model: str) -> str:
        """The name of the deployment that serves a model, by its id: at most 32 characters."""
        digest = hashlib.sha256(f"{model.casefold()}\n{self.fixed}".encode()).hexdigest()
        return f"rc-{digest[:16]}"


def address(spec: Mapping[str, Any], environment: Environment) -> EndpointAddress:
    """The address that a binding's spec names."""
    return address_at(azureml_of(environment), spec["endpoint"])


def address_at(at: AzureMl, name: str) -> EndpointAddress:
    """The address of an endpoint of a workspace."""
    return EndpointAddress(at.subscription, at.resource_group, at.workspace, name)


def deployed_of(block: Block) -> Deployed:
    """The deployment that the spec declares."""
    spec = block.data
    verify = spec.get("verify", {})
    return Deployed(
        auth_mode=spec.get("authMode", "Key"),
        instance_type=spec["instanceType"],
        environment=spec.get("environment", ""),
        folder=str(_folder(block)) if "code" in spec else "",
        digest=digest_seen(_folder(block)) if "code" in spec else "",
        script=spec.get("script", "score.py") if "code" in spec else "",
        variables=tuple(sorted(_variables(block))),
        keep_warm_s=seconds(spec.get("keepWarm", "0s")),
        instances=spec.get("instances", 0),
        rollout=tuple(int(share.rstrip("%")) for share in spec.get("rollout", ())),
        mirror=_mirror(spec["mirror"]) if "mirror" in spec else None,
        answer=verify.get("answer", ""),
        names=verify.get("model", ""),
        protect=spec.get("protect", False),
        identity=spec.get("identity", ""),
    )


def _mirror(spec: Mapping[str, str]) -> Mirror:
    share, errors = spec["share"].rstrip("%"), spec.get("errors", "1%").rstrip("%")
    return Mirror(int(share), seconds(spec["for"]), float(errors))


def _variables(block: Block) -> Iterator[tuple[str, str | SecretName]]:
    for name, value in block.data.get("variables", {}).items():
        is_secret = value.startswith("env:")
        yield name, block.secret("variables", name) if is_secret else value


def settings_of(block: Block, written: Mapping[str, str]) -> Mapping[str, str]:
    """The settings that the spec owns, as the service will show them."""
    spec, deployed = block.data, deployed_of(block)
    owned = {name: canonical(name, value) for name, value in written.items()}
    owned["instanceType"] = deployed.instance_type
    if "instances" in spec:
        owned["instances"] = str(spec["instances"])
    if deployed.digest:
        owned["code"] = deployed.digest[:12]
    if deployed.environment:
        owned["environment"] = deployed.environment
    return owned | {f"variables.{name}": value for name, value in deployed.shown.items()}


def canonical(name: str, value: str) -> str:
    """A setting in one spelling: `1m` and `60s` are the same."""
    group, _, last = name.rpartition(".")
    return f"{seconds(value):g}s" if last in DURATIONS and group != "tags" else value


def seconds_of(iso: str) -> str:
    """A duration as the service writes it, `PT1M30S`, in seconds: `90s`; else as it is."""
    match = _ISO.fullmatch(iso)
    if match is None or iso in ("P", "PT"):
        return iso
    return f"{sum(seconds(v + unit) for unit, v in match.groupdict().items() if v):g}s"


def iso_of(text: str) -> str:
    """A duration as the service takes it."""
    return f"PT{seconds(text):g}S"


def terms_of(block: Block) -> Mapping[str, str]:
    """The terms that people approve of a new deployment, and of its proof. Settings are shown by
    the plan."""
    spec = block.data
    verify = spec.get("verify", {})
    return {
        "how its callers sign in": spec.get("authMode", "Key"),
        "the identity of its code": spec.get("identity", ""),
        "the script": spec.get("script", "score.py") if "code" in spec else "",
        "its variables": ", ".join(
            f"{name}={value}" for name, value in sorted(spec.get("variables", {}).items())
        ),
        "the part of its answer": f"{verify.get('answer', '')} {verify.get('model', '')}".strip(),
        "keepWarm": spec.get("keepWarm", ""),
        "rollout": ", ".join(spec.get("rollout", ())),
        "mirror": " ".join(f"{name} {value}" for name, value in spec.get("mirror", {}).items()),
    }


def problems_of(block: Block, _: date | None) -> Iterator[Problem]:
    """Problems that would otherwise show only in the workspace."""
    spec = block.data
    shares = [int(share.rstrip("%")) for share in spec.get("rollout", ())]
    if shares != sorted(set(shares)):
        yield block.problem("each share is larger than the one before; sort them", "rollout")
    if "mirror" in spec and _mirror(spec["mirror"]).for_s > LONGEST_MIRROR_S:
        yield block.problem("a run waits for it, so it is at most 30m; write less", "mirror", "for")
    if "code" in spec:
        try:
            digest_seen(_folder(block))
            if why := why_not_files(_folder(block)):
                yield block.problem(f"{spec['code']}: {why}", "code")
            script = spec.get("script", "score.py")
            if not (_folder(block) / script).is_file():
                yield block.problem(f"{spec['code']} has no {script}; add it", "code")
        except ConfigurationError as exc:
            yield block.problem(exc.message, "code")
        if "environment" not in spec:
            why = '"environment" is missing, in which the code runs: NAME:VERSION'
            yield block.problem(why)
    elif "script" in spec:
        yield block.problem("there is no code that it could be in; add code", "script")


def _folder(block: Block) -> Any:
    return Path(os.path.realpath(block.folder / block.data["code"]))
