"""Pure: the settings of a New web service that git may own, as texts by name.

A setting that the service does not say is "". They are written by a PATCH of their own: a setting
that the service refuses must not stand in the way of a model, least of all on its way back.
Facts: STUDIO_PROTOCOL.md §3.3 (fields), §3.7 (a PATCH leaves absent members as they are).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import UnreadableError
from reconciler.platforms.members import member, nested, objects, spelled, text

Settings = tuple[tuple[str, str], ...]

LEVELS = ("None", "Error", "All")
CALLS, LEVEL, EXPIRY = "maxConcurrentCalls", "diagnostics.level", "diagnostics.expiry"
_CONFIGURATION, _DIAGNOSTICS = "realtimeConfiguration", "diagnostics"
PARTS = ("title", "description", _CONFIGURATION, _DIAGNOSTICS)  # of the properties


def settings_of(properties: Mapping[str, Any]) -> Settings:
    """Every setting that the properties of a definition say, sorted by name."""
    diagnostics = objects(properties, _DIAGNOSTICS)
    level = text(diagnostics, "level")
    found = {
        "title": text(properties, "title"),
        "description": text(properties, "description"),
        CALLS: _number(member(objects(properties, _CONFIGURATION), CALLS)),
        LEVEL: next((known for known in LEVELS if known.casefold() == level.casefold()), level),
        EXPIRY: _moment(text(diagnostics, "expiry")),
    }
    return tuple(sorted(found.items()))


def spec_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the service's defaults, as git writes them."""
    written = {name: value for name, value in settings_of(properties) if value}
    if written.get(LEVEL, LEVELS[0]) == LEVELS[0]:
        written = {name: written[name] for name in written if name not in (LEVEL, EXPIRY)}
    calls = {CALLS: int(written[CALLS])} if written.get(CALLS, "").isdecimal() else {}
    return {"settings": made} if (made := nested(written | calls)) else {}


def with_settings(properties: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The members of the properties that hold the settings, as a write must send them.

    An object is sent whole, so that a server that replaces it and one that merges it end alike
    (§3.7): what it holds besides our settings is sent back as it came. `diagnostics` is ours as
    a whole where git says its level, since an expiry without one could not be taken back.
    """
    wanted = dict(settings)
    body: dict[str, Any] = {n: wanted[n] for n in ("title", "description") if n in wanted}
    if CALLS in wanted:
        configuration = objects(properties, _CONFIGURATION)
        named = spelled(configuration, CALLS)
        body[_CONFIGURATION] = {**configuration, named: int(wanted[CALLS])}
    if LEVEL in wanted:
        diagnostics = objects(properties, _DIAGNOSTICS)
        level, expiry = spelled(diagnostics, "level"), spelled(diagnostics, "expiry")
        until = wanted.get(EXPIRY) or None
        body[_DIAGNOSTICS] = {**diagnostics, level: wanted[LEVEL], expiry: until}
    return body


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UnreadableError(f"{CALLS} is {type(value).__name__}, not a number")
    return str(value)


def _moment(text: str) -> str:
    """As git writes it, `2027-01-31T00:00:00Z`; the service adds seven digits to the second."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
