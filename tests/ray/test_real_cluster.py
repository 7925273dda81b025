"""A real Ray says which cluster it is, and who may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UnauthorizedError
from reconciler.http.client import Http
from reconciler.model import SecretName
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.connection import Ray, credential_of
from reconciler.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live


def client_of(ray: RealRay, token: str) -> Client:
    told = Ray(ray.url, SecretName("RAY_TOKEN") if token else None)
    credential = credential_of(told, lambda _: token, frozenset())
    return Client(Http(threads=2), told, credential)


def test_a_cluster_is_known_again(real_ray: RealRay, tmp_path: Path) -> None:
    cluster = Cluster(client_of(real_ray, real_ray.token), FolderStore(tmp_path))
    cluster.writing()
    noted: Any = FolderStore(tmp_path).get(cluster.name)
    heads = [node["node_id"] for node in real_ray.nodes() if node["is_head_node"]]
    assert heads[0].encode() in noted.content
    cluster.writing()
    assert FolderStore(tmp_path).get(cluster.name) == noted
    assert cluster.head_started_ms() > 0


def test_no_token_and_a_wrong_one_are_told_apart(real_ray: RealRay) -> None:
    with pytest.raises(UnauthorizedError, match="wants a token"):
        _ = client_of(real_ray, "").version
    with pytest.raises(UnauthorizedError, match="is not that of this cluster"):
        _ = client_of(real_ray, "not-the-token").version
