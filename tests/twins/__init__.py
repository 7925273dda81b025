"""Twins: small worlds that agree with their YAML, one for each platform, engine and store.

`tests/conformance` asks the promises of each. A new platform adds a file here and a line to `TWINS`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pytest

    from tests.twins.contract import Twin

# platform and store → the function that opens such a world in a folder, and closes it.
TWINS = {
    "studio new, blob": "tests.twins.studio:new",
    "studio classic, blob": "tests.twins.studio:classic",
    "local, folder": "tests.twins.local:local",
    "mlflow, folder": "tests.twins.mlflow:aliases",
    "ray, folder": "tests.twins.ray:applications",
    "ray, s3": "tests.twins.ray:in_bucket",
    "azureml, folder": "tests.twins.azureml:endpoints",
    "azureml emulated, folder": "tests.twins.azureml_emulated:endpoints",
    "azureml emulated, blob": "tests.twins.azureml_emulated:trained",
    "shelves, folder": "tests.twins.shelves:folder",
    "shelves, blob": "tests.twins.shelves:blob",
    "shelves, s3": "tests.twins.shelves:s3",
    "shelves, gs": "tests.twins.shelves:google",
}
# Those whose server only live tests have.
LIVE = {"shelves, azurite": "tests.twins.shelves:azure"}


def twin_of(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, apart: bool = False
) -> AbstractContextManager[Twin]:
    """A world of this name, until the context ends. `apart`: other processes reach it, in real time."""
    module, _, make = (TWINS | LIVE)[name].partition(":")
    opened: AbstractContextManager[Twin] = getattr(importlib.import_module(module), make)(
        folder, monkeypatch, apart
    )
    return opened
