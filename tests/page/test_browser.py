"""The page in a real browser: Chromium without a window, as Debian packages it.

Without Chromium or the `browser` extra these are skipped, but not where CI=true: there it is a
failure, for .ci/run installs both.
"""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import redact
from reconciler.report import Overview, page_html
from tests.page import cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = {"few": cases.AFTER_A_RUN, "fleet": cases.fleet(60), "hostile": cases.hostile()}
PAGES["rollout"] = cases.rollout()
STATES = cases.states()
WIDTHS = {"phone": 375, "desk": 1440}
THEMES = ["light", "dark"]
PATIENCE_MS = 120_000  # of a browser on a machine that has other things to do


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; skipped where there is none, unless CI asks for it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        why = "no Chromium or no playwright: apt-get install chromium; pip install -e '.[browser]'"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


class Shown:
    """A page in a window, with everything that it logged and asked for."""

    def __init__(self, chromium: Any, file: Path, width: int, theme: str, **more: Any) -> None:
        viewport = {"width": width, "height": 900}
        self.context = chromium.new_context(viewport=viewport, color_scheme=theme, **more)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", lambda dialog: self.noise.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.noise.append(f"request {request.url}"))
        self.page.goto(file.as_uri())
        self.noise.remove(f"request {file.as_uri()}")

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def ask(self, script: str, *given: object) -> Any:
        return self.page.evaluate(script, *given)


def written(tmp_path: Path, overview: Overview) -> Path:
    file = tmp_path / "page.html"
    file.write_text(redact(page_html(overview)), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_every_window_in_both_themes_and_asks_nobody(
    chromium: Any, tmp_path: Path, name: str
) -> None:
    file = written(tmp_path, PAGES[name])
    for theme in THEMES:
        for width in WIDTHS.values():
            with Shown(chromium, file, width, theme) as shown:
                opened = "for (const d of document.querySelectorAll('details')) d.open = true"
                shown.ask(opened)
                wide = shown.ask("document.documentElement.scrollWidth")
                assert wide <= width, (name, theme, width)
                assert shown.noise == []
                assert shown.ask("getComputedStyle(document.body).fontSize") == "15px"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * (len(page.endpoints) > 20))
        for name, page in STATES.items()
    ],
)
def test_axe_finds_nothing_wrong_in_any_state(chromium: Any, tmp_path: Path, name: str) -> None:
    """One window for all, and only violations in full: that is a fifth of the time."""
    from axe_playwright_python.sync_playwright import Axe

    file = written(tmp_path, STATES[name])
    with Shown(chromium, file, 375, "light", bypass_csp=True) as shown:
        shown.ask("for (const d of document.querySelectorAll('details')) d.open = true")
        for theme, width in itertools.product(THEMES, WIDTHS.values()):
            shown.page.emulate_media(color_scheme=theme)
            shown.page.set_viewport_size({"width": width, "height": 900})
            found = Axe().run(shown.page, options={"resultTypes": ["violations"]}).response
            assert len(found["passes"]) > 30
            told = [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]]
            assert told == [], (theme, width)


def test_the_page_says_how_old_it_is(chromium: Any, tmp_path: Path) -> None:
    """An artifact of last week looks like one of now; an open window grows old."""
    with Shown(chromium, written(tmp_path, PAGES["few"]), 375, "light") as shown:
        shown.page.clock.install(time="2026-11-25T14:04:30Z")
        shown.page.reload()
        told = "document.getElementById('age').textContent"
        warns = "document.getElementById('age').classList.contains('old')"
        seen = [(shown.ask(told), shown.ask(warns))]
        for later in ("59:00", "24:00:00", "48:00:00"):
            shown.page.clock.fast_forward(later)
            seen.append((shown.ask(told), shown.ask(warns)))
    assert seen == [
        ("(1 minute ago)", False),
        ("(1 hour ago)", False),
        ("(25 hours ago)", True),
        ("(3 days ago)", True),
    ]


def colors(shown: Shown) -> list[str]:
    return [
        shown.ask(f"getComputedStyle(document.querySelector('{where}')).{what}")
        for where, what in (
            ("body", "backgroundColor"),
            ("body", "color"),
            (".is-main .line", "stroke"),
        )
    ]


def test_the_theme_is_the_systems_until_somebody_chooses(chromium: Any, tmp_path: Path) -> None:
    file = written(tmp_path, PAGES["few"])
    with Shown(chromium, file, 1440, "light") as shown:
        light = colors(shown)
        shown.page.select_option("#theme", "dark")
        dark = colors(shown)
        assert all(one != other for one, other in zip(light, dark, strict=True))
        shown.page.select_option("#theme", "")
        assert colors(shown) == light
    with Shown(chromium, file, 1440, "dark") as shown:
        assert colors(shown) == dark
        shown.page.select_option("#theme", "light")
        assert colors(shown) == light


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(
    chromium: Any, tmp_path: Path
) -> None:
    with Shown(chromium, written(tmp_path, PAGES["few"]), 1440, "light") as shown:
        where = "[document.activeElement.tagName, document.activeElement.id || document.activeElement.textContent.trim().slice(0, 24)]"
        wanted = shown.ask(
            "[...document.querySelectorAll('a[href], select, input, summary')]"
            ".filter(e => e.checkVisibility()).length"
        )
        reached = []
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        tops = []
        for _ in range(wanted):
            shown.page.keyboard.press("Tab")
            reached.append(tuple(shown.ask(where)))
            assert shown.ask(ring) == "solid", reached[-1]
            tops.append(shown.ask("document.activeElement.getBoundingClientRect().top + scrollY"))
        assert reached[:3] == [
            ("A", "Skip to the content"),
            ("SELECT", "theme"),
            ("A", "0123456789ab"),
        ]
        assert tops[2:] == sorted(tops[2:])
        assert ("INPUT", "name") in reached
        assert ("SELECT", "what") in reached

        shown.page.keyboard.press("Tab")  # out of the page
        shown.ask("document.querySelector('.skip').focus()")
        shown.page.keyboard.press("Enter")
        assert shown.ask("document.activeElement.id") == "content"


def test_endpoints_are_found_by_name_and_by_what_needs_attention(
    chromium: Any, tmp_path: Path
) -> None:
    visible = "[...document.querySelectorAll('tr[data-name]')].filter(r => !r.hidden && r.closest('details').open).length"
    with Shown(chromium, written(tmp_path, PAGES["fleet"]), 1440, "light") as shown:
        shown.page.fill("#name", "RENTAL-0037")
        assert shown.ask(visible) == 1
        assert shown.ask("document.getElementById('found').textContent") == "1 of 65 shown"
        shown.page.fill("#name", "")
        shown.page.select_option("#what", "any")
        assert shown.ask(visible) == 5
        shown.page.click("a[data-what='drifted']")  # its tile
        assert shown.ask(visible) == 1
        shown.page.click("a[data-what='']")
        assert shown.ask("document.querySelectorAll('tr[data-name]:not([hidden])').length") == 65
        assert shown.noise == []


@pytest.mark.parametrize("name", ["few", "fleet", "rollout", "large"])
def test_the_first_screen_says_what_is_wrong_where_and_what_to_type(
    chromium: Any, tmp_path: Path, name: str
) -> None:
    pages = {**PAGES, "large": cases.fleet(1_000)}
    file = written(tmp_path, pages[name])
    for width in WIDTHS.values():
        with Shown(chromium, file, width, "light") as shown:
            ends = shown.ask(
                "[...document.querySelectorAll('.alarm')].slice(0, 1)"
                ".map(a => a.getBoundingClientRect().bottom)"
            )
            assert ends
            assert ends[0] < 900, (width, ends)
            assert "reconciler " in shown.ask("document.querySelector('.alarm code').textContent")
            calm = "[...document.querySelectorAll('details.group')].filter(g => g.open && ![...g.querySelectorAll('tr[data-what]')].some(r => r.dataset.what)).length"
            assert shown.ask(calm) == 0
