"""`emulator`, on a machine that lacks what it needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.emulator import learning
from tests.lab import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from tests.cli.conftest import Ran


def test_without_scikit_learn_it_says_what_to_install(
    command: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning._fit.cache_clear()  # of other tests: what was fitted once needs nothing
    for name in [each for each in sys.modules if each.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.chdir(tmp_path)
    ran = command("emulator", "--port", "0", "--seed", str(LOCAL / "_emulator/seed.yaml"))
    assert ran.code == errors.CONFIGURATION
    assert "pip install scikit-learn" in ran.err
    assert "reconciler[" not in ran.err


def test_a_seed_that_is_not_there_is_named_in_plain_words(
    command: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = command("emulator", "--port", "0", "--seed", str(tmp_path / "seed.yaml"))
    assert ran.code == errors.CONFIGURATION
    assert f"cannot start: {tmp_path / 'seed.yaml'}: No such file or directory" in ran.err
