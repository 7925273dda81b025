"""A secret is hidden however a service spells it when it repeats it, and where it is cut."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from reconciler import secrecy
from reconciler.errors import redact, remember_secret
from reconciler.offline.redaction import kept_json
from reconciler.platforms.studio.marks import described

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "aGVsbG8+d29y/bGQrdGhpcyBpcyBh/GtleSBvZiBhbiBl+bmRwb2ludCB0aGF0IGlzIG/uZSBvZiBvdXJz+Q=="
PASSWORD = "correct+horse/battery=staple"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known but what a test makes known."""
    for name in ("_known_secrets", "_words"):
        monkeypatch.setattr(secrecy, name, set())
    monkeypatch.setattr(secrecy, "_parts", {})


def spelled(of: str) -> Callable[[str], str]:
    """A speller that writes what is no letter by a format of its code."""
    return lambda text: "".join(c if c.isalnum() else of.format(ord(c)) for c in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "%2B": lambda text: quote(text, safe=""),
    "%2b": spelled("%{:02x}"),
    "%252B": lambda text: quote(quote(text, safe=""), safe=""),
    "&#43;": spelled("&#{};"),
    "&#x2b;": spelled("&#x{:x};"),
    "&#0043;": spelled("&#{:04};"),
    "&amp;#43;": spelled("&amp;#{};"),
    "&plus;": lambda t: t.replace("+", "&plus;").replace("/", "&sol;").replace("=", "&equals;"),
    "\\u002b": spelled("\\u{:04x}"),
    "\\u002B": spelled("\\u{:04X}"),
    "\\\\u002b": spelled("\\\\u{:04x}"),
    "\\x2b": spelled("\\x{:02x}"),
    "\\/": lambda text: text.replace("/", "\\/"),
    "every character": lambda text: "".join(f"%{ord(c):02X}" for c in text),
    "of URLs": lambda text: text.replace("+", "-").replace("/", "_"),
    "in JSON in JSON": lambda text: json.dumps(json.dumps(text.replace("/", "\\/"))),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, PASSWORD])
def test_a_secret_is_hidden_in_every_spelling(secret: str, spell: Callable[[str], str]) -> None:
    remember_secret(secret)
    text = f"before {spell(secret)} after\nand {spell(secret)}"
    hidden = redact(text)
    assert hidden.startswith("before ")
    assert " after\nand " in hidden
    assert len(hidden) < 40
    assert "***" in hidden


@pytest.mark.parametrize("spell", ["as it is", "%2b", "&#43;", "\\u002b", "of URLs"])
@pytest.mark.parametrize("part", [slice(None, 40), slice(40, None), slice(9, 60), slice(-20, None)])
def test_a_key_that_was_cut_is_hidden(part: slice, spell: str) -> None:
    remember_secret(KEY)
    hidden = redact(f'{{"message": "key {SPELLINGS[spell](KEY[part])} is wrong"}}')
    assert hidden == '{"message": "key *** is wrong"}'


def test_a_key_that_is_broken_over_lines_is_hidden() -> None:
    remember_secret(KEY)
    assert redact(f"{KEY[:40]}\n{KEY[40:]}") == "***\n***"


@pytest.mark.parametrize("text", ["100%25 of a\\tb &lt;c&gt; %zz &#; &#99999999; \\u12", "%", "&"])
def test_other_escapes_stay_as_they_are(text: str) -> None:
    remember_secret(KEY)
    assert redact(text) == text


def test_a_word_that_is_in_a_password_stays() -> None:
    remember_secret("reconciler-emulator-password")
    assert redact("the reconciler and its emulator") == "the reconciler and its emulator"


@pytest.mark.parametrize(
    "text",
    [
        "a?x=1%26sig%3DCANARYCANARY",
        "a?x=1\\u0026sig=CANARY",
        "&amp;sig&#61;CANARY",
        "Bearer%20CANARYCANARY",
        "http://a.example/?x=1&api_key=CANARY",
        "http://a.example/?access_token=CANARY&x=1",
    ],
)
def test_a_shape_is_known_in_every_spelling(text: str) -> None:
    assert "CANARY" not in redact(text)


LONG = [
    "a" * 40_000,
    "ab://" * 10_000,
    "a://" * 10_000 + "?x",
    " " * 40_000,
    "%" * 40_000,
    "%25" * 13_000,
    "&amp;" * 8_000,
    "\\" * 40_000,
    "Bearer " * 6_000,
    "eyJ-" * 10_000,
    "sig=" * 10_000,
    "?access_token" * 3_000,
    KEY[:20] * 2_000,
]


@pytest.mark.parametrize("text", LONG, ids=[text[:8] for text in LONG])
def test_hiding_takes_no_longer_than_reading(text: str) -> None:
    """40,000 letters took 6 seconds: a pattern that began anew at each of them."""
    remember_secret(KEY)
    began = time.process_time()
    redact(text)
    kept_json(text)
    described(f"{text}x")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key AKIAI0SF0DNN7EXAMPLE of", "key *** of"),
        (
            '{"aws_secret_access_key": "wJalrXUtnFEMIK7MDENGbPxRfiCY"}',
            '{"aws_secret_access_key": "***"}',
        ),
        ("AWS_SESSION_TOKEN=FwoGZXIvYXdzEJr1234567", "AWS_SESSION_TOKEN=***"),
        ("http://user:hunter2@proxy:3128/", "http://user:***@proxy:3128/"),
        (f"token ghp_{'a1' * 18}", "token ***"),
    ],
)
def test_a_secret_is_hidden_by_its_shape(text: str, shown: str) -> None:
    assert redact(text) == shown
