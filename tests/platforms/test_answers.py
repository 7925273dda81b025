"""What servers of one's own answer to a probe, which is anybody's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.model import Probe
from reconciler.platforms.answers import MOST_OF_A_NAME, score_of


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("7", "7"),
        (7, "7"),
        (None, ""),
        ("a\nb", "a b"),
        ("x" * 5000, "x" * (MOST_OF_A_NAME - 1) + "…"),
    ],
)
def test_a_version_that_a_server_names_is_one_short_line(version: Any, named: str) -> None:
    answer = score_of({"y": [1], "version": version}, "/y", "/version", Probe("{}"))
    assert answer.model == named


@pytest.mark.parametrize("version", [{"name": "7"}, ["7"]])
def test_a_version_that_is_no_text_is_unreadable(version: Any) -> None:
    with pytest.raises(UnreadableError, match="names no version at /version"):
        score_of({"y": [1], "version": version}, "/y", "/version", Probe("{}"))
