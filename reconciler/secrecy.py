"""The look of a secret, and how it is hidden: the one place that knows.

A secret is known by its value, once it was read from a variable or an answer; by its shape,
wherever it stands; or by the name of what holds it. `redact` hides the first two in whatever this
program writes, however a service spells them. Files of people are checked for the last two.

At the whiteboard, the hard case is a secret that comes back in another dress. A service that
refuses a key may quote it in its error: in a URL (`%2B` for `+`), in HTML, in JSON within JSON, in
the other alphabet of base64, or cut off in the middle. A search for the value finds none of these.
So:

    known values    replaced as they are, the longest first, before anything else
    spellings       a line is read without its escapes, up to three layers deep, and what is found
                    there is hidden in the line as it stands, by a map of characters to places
    parts           any eight characters of a known key are looked up, and the match is grown to
                    both sides as far as the key goes: a key that was cut is hidden too
    shapes          keys, tokens and signatures that nobody has told us of, by their form

A part of eight characters could be a word of a text, so it must hold a digit or a change of case.
Below eight characters a value is taken for prose: to hide each `test` would make messages
unreadable and would hide nothing. What is hidden is always shown as `***`, also in logs, tracebacks
and files: the root exception redacts itself, so a message cannot be built around this module by
mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

HIDDEN = "***"  # stands where a secret was
_known_secrets: set[str] = set()

# Shapes that are secret wherever they stand: bare base64 keys of 64 bytes (storage and Classic
# endpoint keys are 88 characters), the password of a URL, keys of AWS, tokens of
# GitHub, GitLab, Hugging Face, OpenAI, Databricks, Slack and Google, keys and client secrets of
# Azure, webhooks of Slack, Teams and Discord, private keys. A group stands before the secret and
# may be shown.
_ANYWHERE = (
    r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{86}==(?![A-Za-z0-9+/=])",
    r"(://[^/\s:@]*:)[^/\s@]+(?=@)",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"((?i:aws_?(?:secret|session))\w*[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9+/=]{16,}",
    r"\bgh[opsru]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}|\bglpat-[A-Za-z0-9_-]{20,}",
    r"\bhf_[A-Za-z0-9]{30,}|\bdapi[0-9a-f]{32}\b",
    r"\bsk-(?=[\w-]*[0-9])(?=[\w-]*[A-Z])(?:[a-z0-9]{2,8}-)*\w{20,}",
    r"\bxox[a-z]-[A-Za-z0-9-]{16,}|\bAIza[A-Za-z0-9_-]{35}|\bGOCSPX-[A-Za-z0-9_-]{28}",
    r"\b[A-Za-z0-9]{52}JQQJ9[9D][A-Za-z0-9]{26}\b|(?<![\w~.-])[\w~.-]{3}[78]Q~[\w~.-]{31,34}",
    r"(https://hooks\.slack\.com/)[a-z]+/[\w/-]{8,}",
    r"(https://(?:[\w.-]+\.)?(?:discord|webhook\.office)\.com/(?:api/webhooks|webhookb2)/)[\w@/-]{20,}",
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*",
)
# Those that services repeat: SAS signatures, storage keys, bearer tokens, and JSON web tokens,
# whole or cut off, which identity providers are handed and echo in their errors.
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        r"(?i:((?:[?&;]|\b)sig=)[^&\s\"'<>]+)",
        r"([?&][csh]=)[A-Za-z0-9%._~+/=-]{16,}",  # of a signed address of an operation
        r"(?i:((?:AccountKey|SharedAccessSignature)=)[^;\s\"'<>]+)",
        r"(?i:([?&][a-z_-]{0,16}(?:token|secret|password|api_?-?key)=)[^&\s\"'<>]+)",
        r"(?i:(\bBearer\s+)[A-Za-z0-9._~+/=-]+)",
        r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])",  # signatures
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}",
        *_ANYWHERE,
    )
)
# People also write of such things without writing one: in a file, the secret itself has to follow.
_WRITTEN = re.compile(
    "|".join(
        (
            r"(?i:(?:AccountKey|\bsig)=[A-Za-z0-9+/%._~-]{8})",
            r"(?i:\bBearer\s+(?=\S*[0-9])[A-Za-z0-9._~+/=-]{16})",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}",
            *_ANYWHERE,
        )
    )
)
_LONG = ("hf_", "sk-", "glpat-", "dapi", "xox", "AIza", "GOCSPX", "JQQJ", "Q~", "hook")
_HEX_TOKEN = re.compile(r"[0-9a-fA-F]{32}")


def looks_secret(text: str) -> bool:
    """Whether a text of a file holds a secret, by its shape."""
    return _may_hold_one(text) and _WRITTEN.search(text) is not None


def _may_hold_one(t: str) -> bool:
    """False for nearly every text, at a tenth of the cost of the pattern: its fixed parts."""
    if "@" in t or "KEY" in t or "eyJ" in t or "KIA" in t or "SIA" in t or "gh" in t:
        return True
    if len(t) > 20 and any(part in t for part in _LONG):
        return True
    t = t.casefold()  # files name their schema after a sign that alone tells nothing
    return "key=" in t or "sig=" in t or "==" in t or "bearer" in t or "aws" in t


def is_hex_token(text: str) -> bool:
    """Whether it has the shape of a workspace token, which is that of many an id as well."""
    return _HEX_TOKEN.fullmatch(text) is not None


def without_users(text: str, instead: str = "") -> str:
    """The text without `user:password@` in any URI."""
    return re.sub(r"(//)[^/?#@\s\"']*@", rf"\1{instead}", text)


# How a service may spell a character that it repeats: in URLs, HTML and JSON, also one in another.
_ESCAPE = re.compile(
    r"%[0-9a-f]{2}|&#[0-9]{1,7};?|&#x[0-9a-f]{1,6};?|&[a-z]{2,8};|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}"
    r"|\\[/\\+='\"]",
    re.IGNORECASE,
)
_part_length = 8  # characters of a key that are known again, also where the key was cut
_LIKE_A_KEY = re.compile(r"[0-9]|[a-z+/][A-Z]")  # without, a part is a word of any text
_URL_SAFE = str.maketrans("-_", "+/")  # the two alphabets of base64, as one
_TOKEN = re.compile(rf"\S{{{_part_length},}}")
_words: set[str] = set()  # the known secrets in that alphabet
_parts: dict[str, tuple[str, int]] = {}  # and which of them a part is of, and where

# Secrets are also known by the name of what holds them, however that is spelled. The key of a
# table or of a join names columns, and a token of a language model is a word.
_NO_SECRET = "".join(
    f"(?<!{word})"
    for words in (
        "partition row join sort primary foreign feature column group index entity cache shard",
        "eos bos pad unk sep cls mask stop",
    )
    for word in words.split()
)
_HOLDER = re.compile(
    r"passw(or)?d|passphrase|secret|credential$|conn(ection)?string|accesssignature|"
    rf"{_NO_SECRET}(key|token)$|pwd$|authorization$"
)
_DATA = ("input", "output", "inputs")  # whose members are columns, whatever they are called
_VALUES = ("value", "defaultvalue", "default")


@lru_cache(maxsize=4096)
def holds_secret(name: str) -> bool:
    """Whether what is called so holds a secret: `Account Key`, `dbPassword`, `api_token_2`."""
    letters = "".join(filter(str.isalnum, name.casefold())).rstrip("0123456789")
    return _HOLDER.search(letters) is not None


def plain_secrets(document: Any) -> Iterator[tuple[str | int, ...]]:
    """The ways to the values in a JSON document that their names call secret.

    What a service encrypted stands beside its certificateThumbprint, and is no plain value.
    """
    left: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while left:  # no recursion: nobody bounds how deep a file nests
        trail, value = left.pop()
        if isinstance(value, list):
            left.extend(((*trail, index), below) for index, below in enumerate(value))
        if not isinstance(value, dict):
            continue
        names = {name.casefold(): name for name in value}
        called = str(trail[-1]) if trail else ""
        if not holds_secret(called):
            called = str(value.get(names.get("name", ""), ""))
        is_plain = holds_secret(called) and not value.get(names.get("certificatethumbprint", ""))
        for name, below in value.items():
            folded = name.casefold()
            if _is_filled(below) and (holds_secret(name) or (is_plain and folded in _VALUES)):
                yield (*trail, name)
            elif folded not in _DATA:
                left.append(((*trail, name), below))


def _is_filled(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, str) and _is_filled(item) for item in value)
    if isinstance(value, str):
        return value.strip().casefold() not in ("", HIDDEN, "true", "false")
    return isinstance(value, int | float) and not isinstance(value, bool)


def remember_secret(value: str) -> None:
    """Make `redact` hide this value, however it is spelled; below 8 characters it is prose.

    Of a key, 16 characters and more, parts are hidden too.
    """
    if len(value) < _part_length or value in _known_secrets:
        return
    in_urls = value.replace("+", "-").replace("/", "_")
    _known_secrets.update((value, quote(value, safe=""), in_urls))
    key = value.translate(_URL_SAFE)
    _words.add(key)
    if len(value) >= 2 * _part_length:
        for at in (*range(0, len(key) - _part_length, _part_length), len(key) - _part_length):
            if _LIKE_A_KEY.search(part := key[at : at + _part_length]):
                _parts[part] = (key, at)


def redact(text: str) -> str:
    """`text` without any secret that is known by value or by its shape."""
    for value in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    if _parts or _ESCAPE.search(text):
        text = "\n".join(map(_without_spellings, text.split("\n")))
    for shape in _SHAPES:
        text = shape.sub(_hidden, text)
    return text


def _hidden(match: re.Match[str]) -> str:
    return (match[1] or "" if match.re.groups else "") + HIDDEN


def _without_spellings(line: str) -> str:
    """The line without what is a secret once its escapes are read, and without parts of keys."""
    plain, begins = _unescaped(line)
    folded = plain.translate(_URL_SAFE)
    spans = list(_parts_in(folded))
    if len(plain) != len(line):
        words = [word for word in tuple(_words) if word in folded]  # other threads add to it
        spans += [m.span() for word in words for m in re.finditer(re.escape(word), folded)]
        shaped = (m for shape in _SHAPES for m in shape.finditer(plain))
        spans += [(m.end(m.re.groups) if m.re.groups else m.start(), m.end()) for m in shaped]
    pieces: list[str] = []
    hidden_to = 0
    for first, end in sorted(spans):
        if end > hidden_to:
            pieces += [line[begins[hidden_to] : begins[max(first, hidden_to)]], HIDDEN]
            hidden_to = end
    return "".join((*pieces, line[begins[hidden_to] :]))


def _unescaped(line: str) -> tuple[str, Sequence[int]]:
    """The line without escapes, and where each of its characters, and its end, were before."""
    begins: Sequence[int] = range(len(line) + 1)
    for _ in range(3):  # an escape may be escaped again
        pieces: list[str] = []
        places: list[int] = []
        end = 0
        for escape in _ESCAPE.finditer(line):
            meant = _meant(escape[0])
            pieces += line[end : escape.start()], meant
            places += begins[end : escape.start()]
            places += [begins[escape.start()]] * len(meant)
            end = escape.end()
        if not end:
            break
        line, begins = "".join((*pieces, line[end:])), [*places, *begins[end:]]
    return line, begins


def _meant(escape: str) -> str:
    """The character that an escape stands for."""
    if escape[0] == "&":
        import html  # seldom: it is a table of two thousand names

        return html.unescape(escape)
    return chr(int(escape.lstrip("%\\uUxX"), 16)) if len(escape) > 2 else escape[1:]


def _parts_in(plain: str) -> Iterator[tuple[int, int]]:
    """Where parts of keys begin and end."""
    for token in _TOKEN.finditer(plain):
        at, last = token.start(), token.end() - _part_length
        while at <= last:
            known = _parts.get(plain[at : at + _part_length])
            if known is None:
                at += 1
                continue
            key, there = known
            before = _alike(plain[max(at - there, 0) : at][::-1], key[:there][::-1])
            after = _alike(plain[at : at + len(key)], key[there:])
            yield at - before, at + after
            at += after


def _alike(a: str, b: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
