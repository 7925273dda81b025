"""Laboratories: in this process, or through both doors of the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(params=["in-process", "server"])
def either_door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, door=request.param)
    yield made
    made.close()


@pytest.fixture
def switched(tmp_path: Path) -> Iterator[type[Lab]]:
    """A maker of labs with switches of the emulator, in-process."""
    made: list[Lab] = []

    def make(**options: object) -> Lab:
        made.append(Lab(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make  # type: ignore[misc]
    for one in made:
        one.close()
