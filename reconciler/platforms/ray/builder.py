"""Serves one version of a model in a Ray cluster. It is sent there with the code of a binding.

The code has a file serve.py with `load(path)`, which answers an object with `predict(request)`. A
replica reads the model with the cluster's own identity, compares its SHA-256 with the one that was
declared, and does not start where they differ. Each answer says in a header which model gave it.

This file imports nothing of ours: it runs where only Ray is, by the name reconciler_serve.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MODEL = "X-Reconciler-Model"
VERSION = "X-Reconciler-Version"
_PIECE_BYTES = 1024 * 1024


def build(args: dict[str, Any]) -> Any:
    """The application that Ray deploys, for the model that the arguments name."""
    from ray import serve

    return serve.deployment(name="Model")(Served).bind(args["model"])


class Served:
    """One replica."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.headers = {MODEL: model["uri"], VERSION: model["version"]}
        # It lasts as long as the replica: what was loaded may read its file later.
        self.folder = tempfile.TemporaryDirectory(prefix="model-")
        self.model = loaded(model["uri"], model["sha256"], Path(self.folder.name))

    async def __call__(self, request: Any) -> Any:
        """The answer to one request, whose body is JSON."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        try:
            asked = await request.json()
        except ValueError:
            error = {"error": "the request is not JSON"}
            return JSONResponse(error, 400, self.headers)
        # In a thread, or a long prediction would keep Ray from asking how the replica is.
        answer = await run_in_threadpool(self.model.predict, asked)
        return JSONResponse(answer, 200, self.headers)


def loaded(uri: str, sha256: str, folder: Path) -> Any:
    """The model as serve.py loads it; ValueError if it is not the declared one."""
    path = fetched(uri, folder)
    found = sha256_of(path)
    if found != sha256:
        raise ValueError(f"{uri} has the SHA-256 {found}, and {sha256} is declared")
    load = getattr(importlib.import_module("serve"), "load", None)
    if load is None:
        raise ValueError("serve.py has no load(path); add it")
    model = load(str(path))
    if not callable(getattr(model, "predict", None)):
        raise ValueError("load(path) of serve.py answers nothing with predict(request); add it")
    return model


def fetched(uri: str, folder: Path) -> Path:
    """The path of a model: where it is, or a copy in the folder."""
    parts = urlsplit(uri)
    place = Path(unquote(parts.path))
    if parts.scheme == "file":
        if not place.is_file():
            raise ValueError(f"there is no {place} on this node; let all nodes share the store")
        return place
    store, name = opened(uri)
    copy = folder / place.name
    with copy.open("wb") as file:
        for piece in store.get(name).stream():
            file.write(piece)
    return copy


def opened(uri: str) -> tuple[Any, str]:
    """The bucket of a model, and the model's name in it; as runner.py, which is sent alone too."""
    try:
        from obstore.store import from_url
    except ImportError:
        raise ValueError(
            f"{uri} is in a bucket, and obstore is not installed on this node; add it there"
        ) from None
    scheme, _, rest = uri.partition("://")
    host, _, name = rest.partition("/")
    if scheme == "https":  # https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME
        container, _, name = name.partition("/")
        host += f"/{container}"
    return from_url(f"{scheme}://{host}"), unquote(name)


def sha256_of(path: Path) -> str:
    """The digest of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
