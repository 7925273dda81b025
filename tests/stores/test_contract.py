"""What every store owes (contract.py), asked of each kind."""

from __future__ import annotations

import io
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    RefusedError,
    UnauthorizedError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.model import StoreUrl
from reconciler.offline.stores import Heard, Memory
from reconciler.stores import Opening, azure_blob, bucket, contract, folder, open_store
from reconciler.stores.contract import Access, beginning_of, name_in, url_of
from reconciler.stores.survey import MOST_ALONE, Survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.stores.contract import Listed, Store


def names(store: Store, prefix: str = "") -> list[str]:
    return [file.name for file in store.list(prefix)]


def test_an_empty_store_says_that_it_has_nothing(store: Store) -> None:
    assert store.get("a/b.json") is None
    assert store.head("a/b.json") is None
    assert names(store) == []


@pytest.mark.parametrize("name", ["a/b.json", "model.bin", "a b/ä=1,c=2/100%.json"])
def test_what_was_written_comes_back(store: Store, name: str) -> None:
    etag = store.put(name, b"{}")
    stored, known = store.get(name), store.head(name)
    assert stored is not None
    assert known is not None
    assert (stored.content, stored.etag, stored.properties.size) == (b"{}", etag, 2)
    assert (known.etag, known.fingerprint) == (etag, stored.properties.fingerprint)
    assert names(store) == [name]


def test_the_store_says_when_a_file_was_written(store: Store) -> None:
    store.put("a", b"")
    known = store.head("a")
    assert known is not None
    assert known.modified is not None
    assert abs(known.modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_fingerprint_is_of_the_content_and_an_etag_of_the_write(store: Store) -> None:
    first, same = store.put("a", b"1"), store.put("b", b"1")
    other = store.put("a", b"2")
    prints = [store.head(name).fingerprint for name in ("a", "b")]  # type: ignore[union-attr]
    assert other not in {first, same}
    assert first != same or store.uri.startswith("s3:"), "there an ETag is of the content"
    assert prints[0] != prints[1]
    store.put("a", b"1")
    assert store.head("a").fingerprint == prints[1]  # type: ignore[union-attr]


def test_a_name_is_created_once(store: Store) -> None:
    etag = store.put_if_absent("a", b"1")
    with pytest.raises(ConflictError):
        store.put_if_absent("a", b"2")
    stored = store.get("a")
    assert stored is not None
    assert (stored.content, stored.etag) == (b"1", etag)


def test_only_who_names_the_etag_that_is_there_replaces(store: Store) -> None:
    first = store.put("a", b"1")
    second = store.replace("a", b"2", first)
    for stale in (first, '"0"', "0"):
        with pytest.raises(ConflictError):
            store.replace("a", b"3", stale)
    assert store.get("a").etag == second  # type: ignore[union-attr]
    with pytest.raises(ConflictError):
        store.replace("nothing", b"3", second)
    assert store.get("nothing") is None


def winners(write: Callable[[int], str]) -> list[int]:
    def won(number: int) -> bool:
        try:
            write(number)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        return [number for number, first in enumerate(pool.map(won, range(12))) if first]


def test_of_many_who_create_one_wins(store: Store) -> None:
    (winner,) = winners(lambda number: store.put_if_absent("a", str(number).encode()))
    assert store.get("a").content == str(winner).encode()  # type: ignore[union-attr]


def test_of_many_who_replace_one_wins(store: Store) -> None:
    etag = store.put("a", b"")
    (winner,) = winners(lambda number: store.replace("a", str(number).encode(), etag))
    assert store.get("a").content == str(winner).encode()  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 5, 64, 150])
def test_a_large_file_goes_in_and_out_in_pieces(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    for module in (contract, azure_blob, bucket, folder):
        monkeypatch.setattr(module, "PIECE_BYTES", 64)
    path, content = tmp_path.parent / f"{tmp_path.name}.bin", random.Random(1).randbytes(size)
    path.write_bytes(content)
    etag = store.put_file("m/1/model.bin", path)
    into = io.BytesIO()
    known = store.fetch("m/1/model.bin", into)
    assert into.getvalue() == content
    assert known == store.head("m/1/model.bin")
    assert known is not None
    assert (known.etag, known.size) == (etag, size)
    assert store.get("m/1/model.bin").content == content  # type: ignore[union-attr]
    path.write_bytes(b"another")
    assert store.put_file("m/1/model.bin", path) != etag
    assert store.head("m/1/model.bin").fingerprint != known.fingerprint  # type: ignore[union-attr]


def test_a_file_that_is_not_there_is_not_fetched(store: Store) -> None:
    into = io.BytesIO()
    assert store.fetch("a", into) is None
    assert into.getvalue() == b""


def test_the_beginning_of_a_file_is_read_and_no_more(store: Store) -> None:
    store.put("long", b"x" * 2_000_000)
    store.put("short", b"abc")
    assert beginning_of(store, "long", 1000) == b"x" * 1000
    assert beginning_of(store, "short", 1000) == b"abc"
    assert beginning_of(store, "none", 1000) is None


def test_a_list_is_sorted_and_by_the_beginning_of_names(store: Store) -> None:
    made = ["a/1", "a/10", "a/2/x", "a-b", "ab/1", "b/1", "_records/x.json"]
    for name in made:
        store.put(name, name.encode())
    assert names(store) == sorted(made)
    assert names(store, "a") == ["a-b", "a/1", "a/10", "a/2/x", "ab/1"]
    assert names(store, "a/1") == ["a/1", "a/10"]
    assert names(store, "a/") == ["a/1", "a/10", "a/2/x"]
    assert names(store, "c/") == []


def test_what_a_list_shows_is_what_is_read(store: Store) -> None:
    store.put("a.json", b'{"a": 1}')
    store.put("model.bin", b"model")
    for file in store.list():
        stored = store.get(file.name)
        assert stored is not None
        assert file.properties.size == stored.properties.size
        assert file.content in (None, stored.content)
        assert file.properties.fingerprint in ("", stored.properties.fingerprint)
        assert file.properties.etag in ("", stored.etag)
    content = None if store.uri.startswith(("s3:", "gs:")) else b'{"a": 1}'
    assert next(store.list("a.json")).content == content, "small documents are shown in lists"


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/../b", "./a", "..", "a\nb"])
def test_a_name_that_would_lead_elsewhere_is_refused(store: Store, name: str) -> None:
    fetch = lambda n: store.fetch(n, io.BytesIO())  # noqa: E731
    for ask in (store.get, store.head, fetch, lambda n: store.put(n, b"")):
        with pytest.raises(RefusedError):
            ask(name)
    with pytest.raises(RefusedError):
        store.grant(name, Access.READ, 60)


def test_a_grant_says_where_the_file_is_and_shows_no_secret(store: Store) -> None:
    for access in Access:
        place = store.grant("a b/model.bin", access, 60)
        assert place.uri == url_of(store.base, "a b/model.bin")
        assert "?" not in place.uri
        assert name_in(store.base, place.uri) == "a b/model.bin"
        assert not place.grant or place.grant not in repr(place)
    assert name_in(store.base, "https://elsewhere.example/a") is None


def test_a_grant_lets_its_bearer_read_that_file_and_no_other(store: Store) -> None:
    for name in ("m/a b.bin", "m/other.bin"):
        store.put(name, name.encode())
    place = store.grant("m/a b.bin", Access.READ, 60)
    if store.uri.startswith(("file:", "gs:")):
        assert not place.grant, "who reads there has an identity of its own"
        return
    http: Http = store._http  # type: ignore[attr-defined]
    assert http.request("GET", place.url).body == b"m/a b.bin"
    if store.uri.startswith("s3:"):
        return  # moto checks no signature
    for url in (place.url.replace("a%20b", "other"), place.uri):
        with pytest.raises(WireError):
            http.request("GET", url)
    with pytest.raises(UnauthorizedError):
        http.request("PUT", place.url, content=b"2", headers={"x-ms-blob-type": "BlockBlob"})
    assert store.get("m/a b.bin").content == b"m/a b.bin"  # type: ignore[union-attr]


def test_a_store_has_a_uri_that_tells_it_from_others(store: Store) -> None:
    scheme, separator, rest = store.uri.partition("://")
    assert scheme
    assert separator
    assert rest
    assert store.uri in repr(store) or rest in repr(store)
    assert store.base.endswith("/")


def test_who_only_reads_is_refused_every_write(store: Store, tmp_path: Path) -> None:
    etag = store.put("a.json", b"{}")
    wrappers = (store.reading(), Survey(store, [], lambda work: work), Heard(store, Memory()))
    for reader in wrappers:
        for write in (
            lambda reader=reader: reader.put("a.json", b""),
            lambda reader=reader: reader.put_if_absent("b", b""),
            lambda reader=reader: reader.put_file("b", tmp_path),
            lambda reader=reader: reader.replace("a.json", b"", etag),
            lambda reader=reader: reader.grant("a.json", Access.WRITE, 60),
            lambda reader=reader: reader.reading().put("a.json", b""),
        ):
            with pytest.raises(RuntimeError, match="only reads"):
                write()
        assert (reader.uri, reader.base) == (store.uri, store.base)
        assert reader.get("a.json") == store.get("a.json")
        assert reader.head("a.json") == store.head("a.json")
        assert names(reader) == ["a.json"]


def test_a_survey_answers_as_the_store_does(store: Store) -> None:
    wanted = [f"m/{n}/manifest.json" for n in range(20)] + [f"m/{n}/model.bin" for n in range(20)]
    for name in wanted[::2]:
        store.put(name, name.encode())
    survey = Survey(store, [wanted], lambda work: work)
    for name in [*wanted, "m/99/manifest.json"]:
        seen, stored = survey.get(name), store.get(name)
        assert (seen and seen.content) == (stored and stored.content)
        assert (seen and seen.etag) == (stored and stored.etag)
        head = survey.head(name)
        assert (head and head.fingerprint) == (stored and stored.properties.fingerprint)


def test_no_list_is_read_that_could_not_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of a bucket have no contents, so they save no request for a record."""
    asked: list[str] = []
    read = store.list

    def listing(prefix: str = "") -> Iterator[Listed]:
        asked.append(prefix)
        return read(prefix)

    monkeypatch.setattr(store, "list", listing)
    for answers, ask in (
        (store.lists_contents, Survey(store, [], lambda work: work).get),
        (store.lists_fingerprints, Survey(store, [], lambda work: work).head),
    ):
        asked.clear()
        for number in range(MOST_ALONE + 1):
            ask(f"_records/things/{number}.json")
        assert bool(asked) is answers


def test_a_kind_of_store_that_nobody_offers_is_an_error(tmp_path: Path) -> None:
    with Http() as http, pytest.raises(ConfigurationError, match="no store is called ftp"):
        open_store(StoreUrl("ftp://a/b"), "", Opening(http, time.time, tmp_path))


def test_a_relative_folder_begins_where_it_is_declared(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with Http() as http:
        opening = Opening(http, time.time, tmp_path)
        relative = open_store(StoreUrl("models"), "", opening)
        absolute = open_store(StoreUrl((tmp_path / "models").as_uri()), "", opening)
    relative.put("a", b"1")
    assert relative.uri == absolute.uri
    assert absolute.get("a") is not None
