"""The settings of a New service: as texts, and as what a PATCH must say."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.platforms.studio.new_settings import settings_of, with_settings

NOTHING = {
    "description": "",
    "diagnostics.expiry": "",
    "diagnostics.level": "",
    "maxConcurrentCalls": "",
    "title": "",
}
SAID: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"title": None, "diagnostics": None}, {}),
    ({"Title": "T", "DESCRIPTION": "D"}, {"title": "T", "description": "D"}),
    ({"realtimeConfiguration": {"MaxConcurrentCalls": 20}}, {"maxConcurrentCalls": "20"}),
    ({"realtimeConfiguration": {"maxConcurrentCalls": "20"}}, {"maxConcurrentCalls": "20"}),
    ({"diagnostics": {"level": "error"}}, {"diagnostics.level": "Error"}),
    ({"diagnostics": {"level": "Odd"}}, {"diagnostics.level": "Odd"}),
]


@pytest.mark.parametrize(("properties", "found"), SAID)
def test_settings_are_read_in_any_spelling(
    properties: dict[str, Any], found: dict[str, str]
) -> None:
    assert settings_of(properties) == tuple(sorted({**NOTHING, **found}.items()))


@pytest.mark.parametrize(
    "written",
    [
        "2027-01-31T00:00:00Z",
        "2027-01-31T00:00:00.0000000Z",
        "2027-01-31T01:00:00+01:00",
        "2027-01-31T00:00:00",
    ],
)
def test_one_moment_is_the_same_in_every_writing(written: str) -> None:
    found = dict(settings_of({"diagnostics": {"level": "All", "expiry": written}}))
    assert found["diagnostics.expiry"] == "2027-01-31T00:00:00Z"


def test_what_is_no_moment_is_shown_as_it_is() -> None:
    assert dict(settings_of({"diagnostics": {"expiry": "soon"}}))["diagnostics.expiry"] == "soon"


@pytest.mark.parametrize(
    "odd",
    [
        {"title": 5},
        {"diagnostics": []},
        {"diagnostics": {"level": 1}},
        {"realtimeConfiguration": {"maxConcurrentCalls": True}},
        {"realtimeConfiguration": {"maxConcurrentCalls": [4]}},
    ],
)
def test_a_setting_of_another_type_is_unreadable(odd: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        settings_of(odd)


def test_only_what_git_declares_is_sent() -> None:
    live = {"title": "old", "description": "theirs", "diagnostics": {"level": "All"}}
    assert with_settings(live, (("title", "new"),)) == {"title": "new"}
    assert with_settings(live, ()) == {}


def test_an_object_is_sent_whole_so_that_a_merge_and_a_replacement_end_alike() -> None:
    live = {
        "realtimeConfiguration": {"MaxConcurrentCalls": 4, "other": 1},
        "diagnostics": {"Level": "All", "Expiry": "2027-01-31T00:00:00Z", "other": 2},
    }
    wanted = {"diagnostics.expiry": "", "diagnostics.level": "Error", "maxConcurrentCalls": "20"}
    assert with_settings(live, tuple(sorted(wanted.items()))) == {
        "realtimeConfiguration": {"MaxConcurrentCalls": 20, "other": 1},
        "diagnostics": {"Level": "Error", "Expiry": None, "other": 2},
    }
