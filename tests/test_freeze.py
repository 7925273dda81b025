"""Freeze windows: cron by the clock on the wall, and a length in real time."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from reconciler.freeze import frozen, frozen_until, parse_cron
from reconciler.model import Freeze

WEEKEND = Freeze("0 16 * * fri", 64 * 3600.0, "Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-27T15:59:59+01:00", ""),
        ("2026-11-27T16:00:00+01:00", "2026-11-30T08:00+01:00"),
        ("2026-11-30T07:59:59+01:00", "2026-11-30T08:00+01:00"),
        ("2026-11-30T08:00:00+01:00", ""),
        # Clocks go back on 25 October, and forward on 28 March: 64 hours are 64 hours.
        ("2026-10-24T12:00:00+02:00", "2026-10-26T07:00+01:00"),
        ("2027-03-27T12:00:00+01:00", "2027-03-29T09:00+02:00"),
    ],
)
def test_a_window_lasts_from_its_time_on_for_its_length(now: str, until: str) -> None:
    assert frozen([WEEKEND], at(now)) == (until and f"frozen until {until}")


@pytest.mark.parametrize(
    ("now", "is_frozen"),
    [
        # 02:30 is left out on 28 March: it begins at 03:30, half an hour after 01:59.
        ("2027-03-28T01:59:00+01:00", False),
        ("2027-03-28T03:29:00+02:00", False),
        ("2027-03-28T03:30:00+02:00", True),
        # It comes twice on 25 October, and counts once: the first time.
        ("2026-10-25T02:30:00+02:00", True),
        ("2026-10-25T02:44:00+02:00", True),
        ("2026-10-25T02:30:00+01:00", False),
    ],
)
def test_it_begins_once_on_a_day_on_which_clocks_change(now: str, is_frozen: bool) -> None:
    nightly = Freeze("30 2 * * *", 15 * 60.0, "Europe/Berlin")
    assert bool(frozen([nightly], at(now))) is is_frozen


def test_one_that_never_begins_is_no_cron_and_a_rare_one_is() -> None:
    with pytest.raises(ValueError, match="begins on no day of any year"):
        parse_cron("0 0 31 4,6,9,11 *")
    assert parse_cron("0 0 29 2 *").days == {29}
    assert parse_cron("0 0 31 4 mon").either


def test_windows_that_follow_each_other_are_one() -> None:
    following = Freeze("0 8 * * mon", 3600.0, "Europe/Berlin")
    assert frozen([WEEKEND, following], at("2026-11-28T12:00:00+01:00")).endswith("T09:00+01:00")


def test_one_that_never_ends_is_frozen_all_the_same() -> None:
    always = Freeze("* * * * *", 3600.0, "UTC")
    until = frozen_until([always], at("2026-11-28T12:00:00+00:00"))
    assert until is not None


@pytest.mark.parametrize(
    ("cron", "day", "begins"),
    [
        ("0 0 20-31 dec *", "2026-12-24", True),
        ("0 0 20-31 dec *", "2026-11-24", False),
        ("0 0 1 * mon", "2026-12-01", True),  # either, where both are restricted
        ("0 0 1 * mon", "2026-12-07", True),
        ("0 0 1 * mon", "2026-12-02", False),
        ("0 0 * * 7", "2026-11-29", True),
        ("0 0 * * 1-5", "2026-11-29", False),
        ("0 0 */10 * *", "2026-11-21", True),
        ("0 0 * * sat,sun", "2026-11-28", True),
    ],
)
def test_cron_says_on_which_days(cron: str, day: str, begins: bool) -> None:
    assert parse_cron(cron).begins_on(datetime.fromisoformat(day).date()) is begins


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("@daily", "has 1 field, and"),
        ("0 24 * * *", '"24" is no hour from 0 to 23'),
        ("60 0 * * *", "no minute"),
        ("0 0 0 * *", "no day of month"),
        ("0 0 L * *", "no day of month"),
        ("0 0 * foo *", "no month"),
        ("0 0 * * fri-mon", "no day of week"),
        ("0 0 * * mon#2", "no day of week"),
        ("*/0 0 * * *", "no minute"),
        ("0 0 , * *", "no day of month"),
        ("² 0 * * *", "no minute"),
    ],
)
def test_what_is_no_cron_is_refused_by_its_field(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_cron(cron)
