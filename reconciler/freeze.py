"""Pure: the times at which an environment must not be changed, as its `freeze` windows say.

A window begins when its `cron` says so by the clock on the wall of its time zone, and lasts for so
many real seconds. `cron` has five fields: minute, hour, day of month, month, day of week (0 and 7
are Sunday). Each is `*`, or a list of numbers, names (`mon`, `jan`) and ranges, with a `/step`
where needed. If both days are restricted, either is enough. Nothing else of cron is known here: no
`@daily`, no seconds, no `L`, `W` or `#`.

At the whiteboard: people mean the wall clock when they say when a freeze begins, and a duration
when they say how long it lasts. On two nights of the year these disagree. So the beginning is
computed on the wall and turned into UTC at once; the length is added there, and every comparison is
made there. Adding the length on the wall instead would end a window of eight hours after seven on
one of the nights, and after nine on the other. Comparing wall clocks would be worse: in autumn a
window from 02:00 to 02:30 would end, and come back half an hour later.

    clocks go forward   02:30 is left out: a window of 02:30 begins when the wall shows 03:30
    clocks go back      02:30 comes twice: a window of 02:30 begins at the first of them

Whether a moment is frozen is answered backwards: by the last beginning before it. All windows of
one cron are equally long, so the one that began last also ends last, and older ones need no look.
The search goes back by the length and two days more: a beginning `length` ago can fall on the day
before, and its zone may have been on the other side of a change of clocks. It ends at the first day
with a beginning that has come.

Windows that meet are told as one. Whoever reads "frozen until 18:00" plans for 18:00, and would
meet the next window there. So the end is looked up again at each end, a hundred times at most:
windows that never leave a gap are a freeze without an end, and that shows in the time that is
named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from reconciler.model import Freeze

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]+))?")
# In 28 years each date, the 29th of February included, falls on each day of the week.
_CYCLE, _CYCLE_DAYS = date(2001, 1, 1), 28 * 365 + 7
_MOST_IN_A_ROW = 100  # windows that follow each other without a gap


@dataclass(frozen=True)
class Cron:
    """When something begins; `either` day is enough where both are restricted."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def begins_on(self, day: date) -> bool:
        """Whether it begins on that day at all."""
        if day.month not in self.months:
            return False
        matches = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return any(matches) if self.either else all(matches)


@lru_cache(maxsize=64)
def parse_cron(text: str) -> Cron:
    """The times that the five fields say; ValueError names the field that cannot be read,
    or says that there is no such day."""
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        raise ValueError(f"has {many}, and cron has five, such as 0 16 * * fri")
    minutes, hours, days, months, weekdays = (
        _numbers(field, *known) for field, known in zip(fields, _FIELDS, strict=True)
    )
    weekdays = frozenset(number % 7 for number in weekdays)
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    cron = Cron(minutes, hours, days, months, weekdays, either)
    if not any(cron.begins_on(_CYCLE + timedelta(days=day)) for day in range(_CYCLE_DAYS)):
        raise ValueError(f'"{text}" begins on no day of any year; correct the day or the month')
    return cron


def _numbers(
    field: str, name: str, least: int, most: int, names: Mapping[str, int]
) -> frozenset[int]:
    """The numbers that one field of a cron says; ValueError names the part that is wrong."""
    chosen: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        texts = (match[1], match[2]) if match else ("", "")
        numbers = [
            names[text] if text in names else int(text) if text.isascii() and text.isdigit() else -1
            for text in texts
            if text is not None
        ]
        first, *last = numbers or [least, most]
        step = int((match and match[3]) or "1")
        end = last[0] if last else most if step > 1 else first
        if match is None or step < 1 or not least <= first <= end <= most:
            raise ValueError(f'"{part}" is no {name} from {least} to {most}')
        chosen.update(range(first, end + 1, step))
    return frozenset(chosen)


def frozen_until(windows: Iterable[Freeze], moment: float) -> datetime | None:
    """When the window ends that lasts at a moment, in its time zone, or the last of those that
    follow each other without a gap; None where nothing is frozen."""
    now = until = datetime.fromtimestamp(moment, UTC)
    zone, every = UTC, tuple(windows)
    for _ in range(_MOST_IN_A_ROW):
        ends = [(end, w.timezone) for w in every if (end := _end(w, until)) is not None]
        if not ends:
            break
        until, name = max(ends)
        zone = ZoneInfo(name)  # type: ignore[assignment]
    return until.astimezone(zone) if until > now else None


def _end(window: Freeze, moment: datetime) -> datetime | None:
    """When the window ends that has begun at that moment and not ended; None for none."""
    cron, zone = parse_cron(window.cron), ZoneInfo(window.timezone)
    length, today = timedelta(seconds=window.length_s), moment.astimezone(zone).date()
    for back in range(length.days + 3):
        day = today - timedelta(days=back)
        if not cron.begins_on(day):
            continue
        starts = (
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
            for hour in cron.hours
            for minute in cron.minutes
        )
        if begun := [start for start in starts if start <= moment]:
            end = max(begun) + length
            return end if end > moment else None
    return None


def frozen(windows: Iterable[Freeze], moment: float) -> str:
    """Until when nothing may be changed, in words; "" where nothing is frozen."""
    until = frozen_until(windows, moment)
    return "" if until is None else f"frozen until {until.isoformat(timespec='minutes')}"
