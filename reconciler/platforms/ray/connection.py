"""The meaning of `spec.ray` of an environment: where the cluster is, and whose token opens it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from reconciler.errors import ConfigurationError
from reconciler.http.credentials import Bearer
from reconciler.http.origins import Origins
from reconciler.http.urls import Origin, is_loopback, origin, split_url, why_not_asked
from reconciler.model import NOWHERE, Environment, SecretName, Source
from reconciler.platforms.platform import Block

NAME = "ray"
ANY = "any"
_API = re.compile(r"/(api(/(jobs|serve|version)(/.*)?)?|-/(healthz|routes))/?$")


@dataclass(frozen=True)
class Ray:
    """The connection of an environment to one Ray cluster.

    `url` is that of its dashboard, without a slash at its end, and `serve` where its applications
    answer, "" where nobody said. `cluster` is the id of the one cluster that may answer there, ANY
    for whichever does, and "" for the one that answered first.
    """

    url: str
    token: SecretName | None = None
    serve: str = ""
    cluster: str = ""
    source: Source = field(default=NOWHERE, compare=False)

    @property
    def host(self) -> str:
        """Host, port and path of the dashboard, as people know the cluster."""
        parts = split_url(self.url)
        return parts.netloc + parts.path if parts else self.url

    @property
    def is_here(self) -> bool:
        """Whether the dashboard is on this machine."""
        parts = split_url(self.url)
        return parts is not None and is_loopback(parts.hostname or "")


def parse(block: Block) -> Ray:
    """The connection that a block declares; ConfigurationError for a URL that cannot be asked."""
    given = block.data
    problems = []
    for name in ("url", "serve"):
        if name in given and (why := why_not_asked(given[name]) or _of_the_api(given[name])):
            problems.append(block.problem(why, name))
    if problems:
        raise ConfigurationError(problems)
    return Ray(
        url=given["url"].rstrip("/"),
        token=block.secret("token") if "token" in given else None,
        serve=given.get("serve", "").rstrip("/"),
        cluster=given.get("cluster", ""),
        source=block.at("serve" if "serve" in given else "url"),
    )


def _of_the_api(url: str) -> str:
    """Why a URL that was copied from a request is none of a server; "" for one that is."""
    match = _API.search(url)
    return f"leads to Ray's API; write the URL without {match[0]}" if match else ""


def named(host: str) -> str:
    """A cluster's host, with the path, as one part of a name in the store."""
    return quote(host.replace(":", "-"), safe="")


def ray_of(environment: Environment) -> Ray:
    """The environment's connection to Ray."""
    connection = environment.connections[NAME]
    assert isinstance(connection, Ray)
    return connection


def credential_of(
    ray: Ray, secret: Callable[[SecretName], str], bound: frozenset[Origin]
) -> Bearer | None:
    """The token as a header for the cluster alone, None where the cluster has none.

    A cluster of this machine may hear it; any other only where RECONCILER_ORIGINS says so.
    """
    if ray.token is None:
        return None
    here = origin(ray.url) if ray.is_here else None
    origins = Origins("the token of Ray", frozenset({here} if here else ())).also(bound)
    return Bearer(secret(ray.token), origins)


def notice_of(ray: Ray) -> str:
    """The notice before a run talks to a cluster that anybody can command; "" for a safe one."""
    if ray.token is not None or ray.is_here:
        return ""
    return (
        f"no token opens {ray.host}: whoever reaches its dashboard can run any program there "
        "(CVE-2023-48022); start it with RAY_AUTH_MODE=token, and name the token: spec.ray.token"
    )
