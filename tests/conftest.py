"""Figures that tests measured, printed at the end of a run, whichever process ran them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say one measured figure."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for group in ("passed", "failed") for r in terminalreporter.getreports(group)]
    said = [text for r in reports for name, text in r.user_properties if name == "figure"]
    if said:
        terminalreporter.section("figures")
        for text in sorted(said):
            terminalreporter.line(str(text))
