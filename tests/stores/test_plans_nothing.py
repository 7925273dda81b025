"""A read of the store that failed plans nothing: each read of a plan, with each odd answer.

Studio's twin asks this of Azure (tests/studio/test_fail_closed.py); here it is asked of the others.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.engine.steps import Goal
from reconciler.errors import ReconcilerError
from reconciler.http.transport import Pooled, Raw
from reconciler.model import TO_DO, Action
from tests.stores.buckets import KEY, Google, google_key, new_bucket, s3_server
from tests.twins.contract import SECOND
from tests.twins.shelves import Shelves, registered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from reconciler.http.client import Http

PAGE = (200, b"<!DOCTYPE html><html>sign in</html>", "text/html")
ODD: dict[str, tuple[int, bytes, str] | None] = {
    **{str(status): (status, b"", "") for status in (400, 401, 403, 404, 409, 429, 500, 503)},
    "a page": PAGE,
    "a proxy's 404": (404, b"<html>no such page</html>", "text/html"),
    "no bucket": (404, b"<Error><Code>NoSuchBucket</Code></Error>", "application/xml"),
    "elsewhere": (307, b"", ""),
    "empty": (200, b"", ""),
    "{}": (200, b"{}", "application/json"),
    "[]": (200, b"[]", "application/json"),
    "null": (200, b"null", "application/json"),
    "no answer": None,
}


class Odd:
    """A way to a server on which some reads are answered oddly; it remembers each that it saw."""

    def __init__(self) -> None:
        self.way = Pooled(8, (10.0, 10.0), True)
        self.seen: set[tuple[str, str]] = set()
        self.target: tuple[str, str] = "", ""
        self.answer: tuple[int, bytes, str] | None = PAGE
        self.close = self.way.close

    def send(self, method: str, url: str, headers: Mapping[str, str], *given: Any) -> Raw:
        if method in ("GET", "HEAD"):
            self.seen.add((method, url))
        if (method, url) != self.target:
            return self.way.send(method, url, headers, *given)
        if self.answer is None:
            raise ConnectionResetError
        status, body, kind = self.answer
        told = {"Content-Length": str(len(body)), **({"Content-Type": kind} if kind else {})}
        return Raw(status, told, iter([body if method == "GET" else b""]), lambda: None)


class InBucket(Shelves):
    """With a store in a bucket that is reached by an odd way."""

    def __init__(self, folder: Path, url: str, at: str, key: str) -> None:
        self.url, self.key, self.odd = url, key, Odd()
        super().__init__(folder, f'{{url: "{at}", endpoint: "{url}", key: "env:BUCKET_KEY"}}')

    @property
    def environ(self) -> dict[str, str]:
        mine = {"BUCKET_KEY": self.key, "RECONCILER_ORIGINS": self.url}
        return {**super().environ, **mine}

    def mount(self, http: Http) -> None:
        http.mount(self.url, self.odd)


@pytest.fixture
def twin(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shelves]:
    """A twin with such a store, whose second version is trained and waits for its swap."""
    with registered(tmp_path, monkeypatch), contextlib.ExitStack() as opened:
        if request.param == "s3":
            url = opened.enter_context(s3_server())
            made: Shelves = InBucket(tmp_path, url, f"s3://{new_bucket(url)}/below", KEY)
        elif request.param == "gs":
            google = opened.enter_context(Google())
            at = f"gs://{google.bucket}/below"
            made = InBucket(tmp_path, google.url, at, google_key(google.url))
        else:
            made = Shelves(tmp_path)
        made.begin()
        assert made.apply().failures == ()
        made.ask_for(SECOND)
        made.converge(made.world(), 8, goal=Goal.TRAINED)
        (change,) = made.changes().values()
        assert change.action is Action.BIND
        yield made
        made.close()


def plans_nothing_else(twin: Shelves, before: Mapping[str, Any], what: str) -> None:
    """The plan is as before, or says that it cannot be made, or blocks what it cannot know."""
    twin.sent.clear()
    try:
        after = twin.changes()
    except ReconcilerError:
        return
    finally:
        assert {method for method, _ in twin.sent} <= {"GET", "HEAD", "POST"}, what
    for name, change in after.items():
        assert change == before[name] or change.action not in TO_DO, f"{what}: {change}"


@pytest.mark.parametrize("twin", ["s3", "gs"], indirect=True)
def test_a_read_of_a_bucket_that_failed_plans_nothing(twin: InBucket) -> None:
    twin.odd.seen.clear()
    before = twin.changes()
    reads = sorted(twin.odd.seen)
    assert any("_records" in url for _, url in reads)
    assert any(url.endswith("manifest.json") for _, url in reads)
    for number, (read, (named, answer)) in enumerate(
        (read, odd) for read in reads for odd in ODD.items()
    ):
        if number % 3 == 0:  # of seventeen answers, so that each occurs
            twin.odd.target, twin.odd.answer = read, answer
            plans_nothing_else(twin, before, f"{read}: {named}")
    twin.odd.target = "", ""
    assert twin.changes() == before


def _replaced_by(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _another(path: Path) -> None:
    """A document of ours, and of nothing that it could be about."""
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, "schema": "reconciler/other/v1"}))


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


SPOILED: dict[str, Callable[[Path], object]] = {
    **{repr(text): _replaced_by(text) for text in (b"", b"{}", b"[]", b"null", b"<html>")},
    "half": _halved,
    "another document": _another,
    "a link": _link,
}


@pytest.mark.parametrize("twin", ["folder"], indirect=True)
def test_a_file_of_a_folder_that_is_damaged_plans_nothing(twin: Shelves, tmp_path: Path) -> None:
    before, store, kept = twin.changes(), twin.folder / "store", tmp_path / "kept"
    names = [p.relative_to(store) for p in store.rglob("*.json") if "_locks" not in p.parts]
    assert len(names) >= 3  # a record, and the manifests of both versions
    shutil.copytree(store, kept)
    for name in names:
        for how, spoil in SPOILED.items():
            spoil(store / name)
            plans_nothing_else(twin, before, f"{name}: {how}")
            shutil.rmtree(store)
            shutil.copytree(kept, store)
    store.rename(tmp_path / "away")
    plans_nothing_else(twin, before, "the folder is away")
