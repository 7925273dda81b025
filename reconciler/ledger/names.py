"""Where the files of a model version are, and what people call a model by its URL."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, unquote

from reconciler.model import MODEL_FILE, ModelRef, Version


def model_url(container_url: str, version: Version) -> str:
    """The URL of a version's model file; `container_url` ends without a slash."""
    return f"{container_url}/{quote(version.folder, safe='/=,')}/{MODEL_FILE}"


def version_name(container_url: str, ref: ModelRef, wanted: Version) -> str:
    """What people call a model file of this store: the version, where only that differs.

    Another model of this store has its folder as name; a file from elsewhere has "".
    """
    folder = folder_of(container_url, ref)
    parts = folder.split("/")
    if len(parts) > 1 and folder == replace(wanted, version=parts[1]).folder:
        return parts[1]
    return folder


def folder_of(container_url: str, ref: ModelRef) -> str:
    """The folder of a model file of this store; "" for any other file."""
    below = ref.url.removeprefix(ModelRef(container_url).url + "/")
    if below == ref.url or not below.endswith(f"/{MODEL_FILE}"):
        return ""
    return unquote(below).removesuffix(f"/{MODEL_FILE}")
