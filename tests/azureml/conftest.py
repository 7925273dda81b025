"""The small workspace with one binding, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.azureml.standin import Standin
from tests.twins.azureml import Endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Endpoints]:
    made = Endpoints(tmp_path, Standin())
    yield made
    made.close()


@pytest.fixture
def served(twin: Endpoints) -> Endpoints:
    """It serves the first version, proved."""
    assert twin.apply().failures == ()
    return twin
