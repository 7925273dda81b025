"""Whether a cluster is the known one, takes our code, and shows where applications answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.errors import RefusedError, UnreachableError, WireError
from reconciler.http.client import Http
from reconciler.model import Binding, Check, Level
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.coalesce import Readings
from reconciler.platforms.ray.connection import NAME, Ray
from reconciler.platforms.ray.package import packed


def checks_of(
    ray: Ray, cluster: Cluster, http: Http, bindings: Iterable[Binding]
) -> Iterator[Check]:
    """The cluster, the code of trainings, and the address of applications."""
    wanted = tuple(bindings)
    version = cluster.reading().version["ray_version"]
    yield Check(f"platform {NAME}", Level.FINE, f"{ray.host} runs Ray {version}")
    yield from _packages(wanted)
    if ray.serve and any(binding.probe for binding in wanted):
        yield _serve(ray, cluster, http)


def _packages(bindings: Iterable[Binding]) -> Iterator[Check]:
    """The code of trainings, which the cluster takes up to a size."""
    trained = (b for b in bindings if b.recipe.engine == NAME and b.recipe.code)
    for code, binding in {b.recipe.code: b for b in trained}.items():
        folder = Path(binding.recipe.folder)
        try:
            size = len(packed(folder, code).content)
        except RefusedError as exc:
            yield Check("code", Level.ERROR, exc.message, "", binding.source, (binding.name,))
        else:
            yield Check("code", Level.FINE, f"{folder}: {size / 1024:,.0f} KiB")


def _serve(ray: Ray, cluster: Cluster, http: Http) -> Check:
    """Whether something answers where the probes of proofs will be sent."""
    reading = Readings(cluster, http.pause)()
    if reading.astray:
        fix = "let spec.ray.serve name the address of the proxy, or a port that is forwarded to it"
        return Check("serve", Level.ERROR, reading.astray, fix, ray.source)
    try:
        http.request("GET", f"{ray.serve}/-/healthz", what="asking the proxy of Ray", once=True)
    except UnreachableError as exc:
        fix = (
            "correct spec.ray.serve; on a cluster where no application ran yet, the proxy starts "
            "with the first one"
        )
        return Check("serve", Level.WARNING, exc.message, fix, ray.source)
    except WireError:  # whatever a proxy says, it is there
        return Check("serve", Level.FINE, f"a server answers at {ray.serve}")
    return Check("serve", Level.FINE, f"{ray.serve} is healthy")
