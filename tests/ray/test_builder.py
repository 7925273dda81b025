"""What runs in the cluster: a replica has the declared model, or does not start."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tracemalloc
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.platforms.ray.builder import MODEL, Served, loaded, sha256_of

if TYPE_CHECKING:
    from pathlib import Path


class Doubling:
    def predict(self, request: Any) -> Any:
        return {"rows": [[2 * request["x"]]]}


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The user's serve.py."""
    module = ModuleType("serve")
    module.load = lambda _: Doubling()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "serve", module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "a model"
    path.write_bytes(b"weights" * 1_000_000)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert sha256_of(path) == digest
    return {"uri": path.as_uri(), "sha256": digest, "version": "7"}


class Request:
    """A request of Starlette, as far as it is asked."""

    def __init__(self, body: Any) -> None:
        self._body = body

    async def json(self) -> Any:
        if self._body is None:
            raise ValueError("no JSON")
        return self._body


@pytest.mark.skipif(find_spec("starlette") is None, reason="Starlette comes with Ray Serve")
def test_an_answer_names_the_model_that_gave_it(code: ModuleType, model: dict[str, str]) -> None:
    served = Served(model)
    good = asyncio.run(served(Request({"x": 4})))
    assert (good.status_code, good.body) == (200, b'{"rows":[[8]]}')
    assert (good.headers[MODEL], good.headers["X-Reconciler-Version"]) == (model["uri"], "7")
    assert asyncio.run(served(Request(None))).status_code == 400


@pytest.mark.parametrize("wrong", ["", "0" * 64])
def test_a_file_with_another_hash_is_not_loaded(
    code: ModuleType, model: dict[str, str], tmp_path: Path, wrong: str
) -> None:
    code.load = lambda _: pytest.fail("it was loaded")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="has the SHA-256"):
        loaded(model["uri"], wrong, tmp_path)


def test_a_model_larger_than_memory_is_compared_in_pieces(code: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        loaded(path.as_uri(), sha256_of(path), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_code_that_cannot_serve_is_named(
    code: ModuleType, model: dict[str, str], tmp_path: Path
) -> None:
    code.load = lambda _: object()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"nothing with predict\(request\)"):
        loaded(model["uri"], model["sha256"], tmp_path)
    del code.load
    with pytest.raises(ValueError, match=r"has no load\(path\)"):
        loaded(model["uri"], model["sha256"], tmp_path)


def test_a_file_that_a_node_does_not_have_is_named(code: ModuleType, tmp_path: Path) -> None:
    uri = (tmp_path / "elsewhere").as_uri()
    with pytest.raises(ValueError, match="let all nodes share the store"):
        loaded(uri, "0" * 64, tmp_path)


def test_a_bucket_without_its_package_names_the_package(
    code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ValueError, match="obstore is not installed on this node"):
        loaded("s3://models/churn/1/model", "0" * 64, tmp_path)


def test_a_model_of_a_bucket_is_copied_and_compared(
    code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obstore import store

    bucket = store.MemoryStore()
    bucket.put("churn/1/model", b"weights" * 100_000)
    asked = []

    def from_url(url: str) -> Any:
        asked.append(url)
        return bucket

    monkeypatch.setattr(store, "from_url", from_url)
    digest = hashlib.sha256(b"weights" * 100_000).hexdigest()
    for uri in ("s3://models/churn/1/model", "https://a.blob.core.windows.net/c/churn/1/model"):
        assert isinstance(loaded(uri, digest, tmp_path), Doubling)
    assert asked == ["s3://models", "https://a.blob.core.windows.net/c"]
    with pytest.raises(ValueError, match="has the SHA-256"):
        loaded("s3://models/churn/1/model", "0" * 64, tmp_path)
