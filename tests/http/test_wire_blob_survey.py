"""Which lists are asked for many blobs, and what of a copy in metadata is believed."""

from __future__ import annotations

import base64
import functools
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from reconciler.errors import UnavailableError
from reconciler.stores import azure_survey as blob_survey
from reconciler.stores.azure_blob import Account, BlobProperties, Listed
from reconciler.stores.azure_survey import MOST_ALONE
from reconciler.stores.azure_values import MOST_COPY_CHARACTERS, copy_of, md5_of


def at_once(work: Callable[[], Any]) -> Callable[[], Any]:
    return functools.cache(work)


def listed(name: str, content: bytes = b"content") -> Listed:
    return Listed(
        name, BlobProperties('"1"', len(content), copy_of(content), md5_of(content)), False
    )


class Lists:
    """An account that only lists: pages of ten names each."""

    def __init__(self, names: list[str], trouble: Exception | None = None) -> None:
        self.names, self.trouble = sorted(names), trouble
        self.asked: list[str] = []
        self.pages_read = 0

    def container(self, name: str) -> Lists:
        self.name = name
        return self

    def pages(self, prefix: str, include: str) -> Iterator[tuple[Listed, ...]]:
        assert include == "metadata"
        self.asked.append(f"{self.name}/{prefix}")
        if self.trouble:
            raise self.trouble
        found = [n for n in self.names if f"{self.name}/{n}".startswith(f"{self.name}/{prefix}")]
        for first in range(0, max(len(found), 1), 10):
            self.pages_read += 1
            yield tuple(map(listed, found[first : first + 10]))

    def surveyed(self, shown: Any) -> Any:
        return shown


def look(lists: Lists, *groups: list[str]) -> Callable[[str], Listed | None]:
    seen = blob_survey.surveyed(cast("Account", lists), groups, at_once)
    return cast("Callable[[str], Listed | None]", seen)


PLANNED = {
    "one blob is its own list": (["c/a/b/one.json"], {"c/a/b/one.json"}),
    "blobs of one folder": (["c/a/x1", "c/a/x2", "c/a/x3"], {"c/a/x"}),
    "few folders": (["c/a/1", "c/a/2", "c/b/1", "c/b/2"], {"c/a/", "c/b/"}),
    "many folders": ([f"c/m/{n}/manifest" for n in range(10, 20)], {"c/m/1"}),
    "many folders of nothing in common": ([f"c/{a}/x" for a in "abcdef"], {"c/"}),
    "two containers": (["c/a", "d/a"], {"c/a", "d/a"}),
    "none": ([], set()),
}


@pytest.mark.parametrize("which", PLANNED)
def test_few_lists_cover_the_blobs(which: str) -> None:
    paths, prefixes = PLANNED[which]
    lists = Lists([path.partition("/")[2] for path in paths])
    seen = look(lists, paths)
    for path in paths:
        assert seen(path) is not None
    assert set(lists.asked) == prefixes


def test_what_was_not_wanted_is_not_shown() -> None:
    seen = look(Lists(["a/1", "a/2"]), ["c/a/1"])
    assert seen("c/a/2") is None
    assert seen("c/a/3") is None


def test_a_list_ends_when_all_that_is_wanted_was_seen() -> None:
    lists = Lists([f"a/{number:03}" for number in range(100)])
    seen = look(lists, ["c/a/000", "c/a/001"])
    assert seen("c/a/001") is not None
    assert lists.pages_read == 1


def test_a_list_that_is_too_long_for_what_it_shows_is_given_up() -> None:
    lists = Lists([f"a/{number:03}" for number in range(100)])
    seen = look(lists, ["c/a/000", "c/a/099"])
    assert seen("c/a/000") is not None
    assert seen("c/a/099") is None
    assert lists.pages_read == 2


def test_a_list_that_fails_is_an_error_of_every_blob_on_it() -> None:
    seen = look(Lists([], UnavailableError("503")), ["c/a/1", "c/a/2"], ["d/a"])
    for path in ("c/a/1", "c/a/2"):
        with pytest.raises(UnavailableError):
            seen(path)


def test_a_folder_of_which_many_are_asked_for_unforeseen_is_listed() -> None:
    paths = [f"c/m/old/{number:02}/manifest" for number in range(10, 30)]
    lists = Lists([path.partition("/")[2] for path in paths])
    seen = look(lists, ["c/m/new/1"])
    shown = [seen(path) is not None for path in paths]
    assert shown == [False] * MOST_ALONE + [True] * (20 - MOST_ALONE)
    assert lists.asked == ["c/m/old/"]


def test_an_unforeseen_list_that_fails_is_an_error_of_all_that_it_was_to_show() -> None:
    seen = look(Lists([], UnavailableError("503")))
    assert [seen("c/m/old/1") for _ in range(MOST_ALONE)] == [None] * MOST_ALONE
    for _ in range(2):
        with pytest.raises(UnavailableError):
            seen("c/m/old/1")


def test_a_small_content_is_shown_and_a_large_one_is_not() -> None:
    noise = random.Random(1).randbytes(MOST_COPY_CHARACTERS)
    assert listed("a", b"").content == b""
    assert listed("a", noise[:5000]).content == noise[:5000]
    assert copy_of(noise) == {}
    assert copy_of(b"0" * 2_000_000) == {}


def test_a_copy_that_grows_without_end_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(b"0" * 50_000_000)).decode()
    shown = BlobProperties('"1"', 1, {"content": bomb}, md5_of(b"0" * 50_000_000))
    assert Listed("a", shown, False).content is None
