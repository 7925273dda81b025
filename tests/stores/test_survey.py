"""Which lists are asked for many files, and what of a copy in metadata is believed."""

from __future__ import annotations

import base64
import functools
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

from reconciler.errors import UnavailableError
from reconciler.stores import survey
from reconciler.stores.azure_lists import MOST_COPY_CHARACTERS, copy_of, listed, md5_of
from reconciler.stores.contract import Listed, Properties
from reconciler.stores.survey import MOST_ALONE, Survey


def at_once(work: Callable[[], Any]) -> Callable[[], Any]:
    return functools.cache(work)


def shown(name: str, copy: dict[str, str], md5: str) -> Listed | None:
    """A blob as Azure's list shows it."""
    metadata = "".join(f"<{k}>{v}</{k}>" for k, v in copy.items())
    properties = f"<Etag>1</Etag><Content-MD5>{md5}</Content-MD5>"
    return listed(
        ElementTree.fromstring(
            f"<Blob><Name>{escape(name)}</Name><Properties>{properties}</Properties>"
            f"<Metadata>{metadata}</Metadata></Blob>"
        )
    )


class Lists:
    """A store that only lists, and counts what was read of its lists."""

    uri = "az://a/c"
    lists_contents = lists_fingerprints = True

    def __init__(self, names: list[str], trouble: Exception | None = None) -> None:
        self.names, self.trouble = sorted(names), trouble
        self.asked: list[str] = []
        self.read = 0

    def list(self, prefix: str) -> Iterator[Listed]:
        self.asked.append(prefix)
        if self.trouble:
            raise self.trouble
        for name in self.names:
            if name.startswith(prefix):
                self.read += 1
                yield Listed(name, Properties("1", "md5:x", 7), b"content")

    def get(self, name: str) -> None:
        """Nothing: what comes back was in a list."""

    head = get


def look(lists: Lists, *groups: list[str]) -> Callable[[str], object]:
    return Survey(lists, groups, at_once).get  # type: ignore[arg-type]


PLANNED = {
    "one blob is its own list": (["a/b/one.json"], {"a/b/one.json"}),
    "blobs of one folder": (["a/x1", "a/x2", "a/x3"], {"a/x"}),
    "few folders": (["a/1", "a/2", "b/1", "b/2"], {"a/", "b/"}),
    "many folders": ([f"m/{n}/manifest" for n in range(10, 20)], {"m/1"}),
    "many folders of nothing in common": ([f"{a}/x" for a in "abcdef"], {""}),
    "at the top": (["a", "b", "d/a"], {"", "d/a"}),
    "none": ([], set()),
}


@pytest.mark.parametrize("which", PLANNED)
def test_few_lists_cover_the_files(which: str) -> None:
    paths, prefixes = PLANNED[which]
    lists = Lists(paths)
    seen = look(lists, paths)
    for path in paths:
        assert seen(path) is not None
    assert set(lists.asked) == prefixes


def test_what_was_not_wanted_is_not_shown() -> None:
    seen = look(Lists(["a/1", "a/2"]), ["a/1"])
    assert seen("a/2") is None
    assert seen("a/3") is None


def test_a_list_ends_when_all_that_is_wanted_was_seen() -> None:
    lists = Lists([f"a/{number:03}" for number in range(100)])
    seen = look(lists, ["a/000", "a/001"])
    assert seen("a/001") is not None
    assert lists.read == 2


def test_a_list_that_is_too_long_for_what_it_shows_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(survey, "PAGE", 10)
    lists = Lists([f"a/{number:03}" for number in range(100)])
    seen = look(lists, ["a/000", "a/099"])
    assert seen("a/000") is not None
    assert seen("a/099") is None
    assert lists.read == 20


def test_a_list_that_fails_is_an_error_of_every_blob_on_it() -> None:
    seen = look(Lists([], UnavailableError("503")), ["a/1", "a/2"], ["d/a"])
    for path in ("a/1", "a/2"):
        with pytest.raises(UnavailableError):
            seen(path)


def test_a_folder_of_which_many_are_asked_for_unforeseen_is_listed() -> None:
    paths = [f"m/old/{number:02}/manifest" for number in range(10, 30)]
    lists = Lists(paths)
    seen = look(lists, ["m/new/1"])
    shown = [seen(path) is not None for path in paths]
    assert shown == [False] * MOST_ALONE + [True] * (20 - MOST_ALONE)
    assert lists.asked == ["m/old/"]


def test_an_unforeseen_list_that_fails_is_an_error_of_all_that_it_was_to_show() -> None:
    seen = look(Lists([], UnavailableError("503")))
    assert [seen("m/old/1") for _ in range(MOST_ALONE)] == [None] * MOST_ALONE
    for _ in range(2):
        with pytest.raises(UnavailableError):
            seen("m/old/1")


def test_a_small_content_is_shown_and_a_large_one_is_not() -> None:
    noise = random.Random(1).randbytes(MOST_COPY_CHARACTERS)
    for content in (b"", noise[:5000]):
        blob = shown("a.json", copy_of("a.json", content), md5_of(content))
        assert blob is not None
        assert blob.content == content
    assert copy_of("a.json", noise) == copy_of("a.json", b"0" * 2_000_000) == {}
    assert copy_of("model.ilearner", b"") == {}


def test_a_copy_that_grows_without_end_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(b"0" * 50_000_000)).decode()
    blob = shown("a", {"content": bomb}, md5_of(b"0" * 50_000_000))
    assert blob is not None
    assert blob.content is None
