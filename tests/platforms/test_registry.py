"""The registry: one line or one entry point per platform, and words for what contradicts."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import platforms
from reconciler.errors import ConfigurationError
from reconciler.platforms.platform import Engine, How, Kind, Platform

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = f"{__name__}:"
FILE = {"File": Kind(lambda *_: None)}  # type: ignore[arg-type,return-value]
SHELLS = {"shell": Engine(lambda *_: How())}


def platform(name: str, kinds: Any = None, engines: Any = None, schema: str = "") -> Platform:
    offers = {"kinds": kinds or {}, "engines": engines or {}}
    text = json.dumps({key: dict.fromkeys(value) for key, value in offers.items()})
    nothing: Any = None
    return Platform(name, schema or text, nothing, nothing, **offers)


FILES = platform("files", FILE, SHELLS)
TWIN = platform("twin", FILE)
SHELL = platform("shell", engines=SHELLS)
STORE = platform("store")
HALF = platform("half", FILE, schema="{}")
NOTHING = "no platform"


def offer(name: str, value: str) -> tuple[str, str, Callable[[], Any]]:
    point = EntryPoint(name, HERE + value, platforms.GROUP)
    return name, f"{point.value} of a-package", point.load


def test_the_built_in_platforms_are_known_by_name_and_kind() -> None:
    assert set(platforms.platforms()) == set(platforms.BUILT_IN)
    assert {"WebService", "ClassicEndpoint"} <= set(platforms.kinds())


def test_an_installed_package_adds_a_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("files", HERE + "FILES", platforms.GROUP)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: points)
    platforms.platforms.cache_clear()
    try:
        assert platforms.kinds()["File"] is FILES.kinds["File"]
    finally:
        platforms.platforms.cache_clear()


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        ([("files", "FILES"), ("twin", "TWIN")], '"files" and "twin" .*both offer the kind File'),
        ([("files", "FILES"), ("shell", "SHELL")], "both offer the engine shell; uninstall one"),
        ([("files", "FILES"), ("files", "FILES")], 'name "files" .* is taken'),
        ([("store", "STORE")], 'name "store" .* is taken'),
        ([("files", "ABSENT")], r'"files" \(.*ABSENT of a-package\) cannot be loaded \(Attribute'),
        ([("files", "NOTHING")], "is no Platform of that name"),
        ([("other", "FILES")], "is no Platform of that name"),
        ([("half", "HALF")], "has other kinds than its schema"),
    ],
)
def test_platforms_that_contradict_each_other_are_refused(
    offers: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        platforms.registry(offer(*each) for each in offers)
