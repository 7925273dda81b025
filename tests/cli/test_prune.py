"""`--prune` on the command line: of a whole environment, approved, and kept apart from --live."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


@pytest.mark.parametrize("command_name", ["plan", "apply"])
def test_prune_takes_no_selection(lab: Lab, command: Command, command_name: str) -> None:
    ran = command(command_name, "--prune", "-t", "breast-cancer")
    assert ran.code == errors.CONFIGURATION
    assert "--prune is of a whole environment" in ran.err
    assert lab.writes == []


def test_a_forgotten_endpoint_is_shown_kept_and_pruned_as_approved(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    lab.apply()
    service = next(s for s in lab.cloud.world.classic.values() if s.name == "Diabetes Scoring")
    service.endpoints["young"].description = "[reconciler: local@mllocal/models]"
    path = lab.services / "local" / "diabetes.yaml"
    documents = path.read_text().split("---\n")
    path.write_text("---\n".join(d for d in documents if "name: diabetes-young}" not in d))
    shown = command("plan")
    assert "= young" in shown.out
    assert "1 undeclared" in shown.out
    file = tmp_path / "plan.json"
    assert "1 to delete" in command("plan", "--prune", "--out", str(file)).out
    applied = command("apply", str(file))
    assert applied.code == errors.SUCCESS, applied.err
    assert "young" not in service.endpoints
    assert "1 undeclared" not in command("plan").out


def test_an_endpoint_that_only_carries_an_equal_mark_is_not_pruned(
    lab: Lab, command: Command
) -> None:
    """A clone with a store of its own has that mark too, and what it made has no record here."""
    service = next(s for s in lab.cloud.world.classic.values() if s.name == "Diabetes Scoring")
    service.endpoints["theirs"] = replace(
        service.endpoints["young"], name="theirs", description="[reconciler: local@mllocal/models]"
    )
    applied = command("apply", "--prune", "--yes")
    assert applied.code == errors.SUCCESS, applied.err
    assert "carries the mark of local, but its store has no record" in " ".join(
        command("plan").out.split()
    )
    assert "theirs" in service.endpoints
