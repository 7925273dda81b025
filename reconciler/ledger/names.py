"""What people call a model by its URL. `base` is how the URLs of a store begin, with its slash."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model import MODEL_FILE, ModelRef, Version
from reconciler.stores.contract import name_in, url_of


def model_url(base: str, version: Version) -> str:
    """The URL of a version's model file."""
    return url_of(base, f"{version.folder}/{MODEL_FILE}")


def version_name(base: str, ref: ModelRef, wanted: Version) -> str:
    """What people call a model file of this store: the version, where only that differs.

    Another model of this store has its folder as name; a file from elsewhere has "".
    """
    folder = folder_of(base, ref)
    parts = folder.split("/")
    if len(parts) > 1 and folder == replace(wanted, version=parts[1]).folder:
        return parts[1]
    return folder


def folder_of(base: str, ref: ModelRef) -> str:
    """The folder of a model file of this store; "" for any other file."""
    folder, _, file = (name_in(base, ref.url) or "").rpartition("/")
    return folder if file == MODEL_FILE else ""
