"""Few lists of an account that show many blobs: what a plan of a fleet asks instead of each blob.

Lists are long, so they are asked for by prefix: by folder, or by folders above where there are
many. They end early when all that is wanted was seen, and are given up when reading on would cost
more than asking for each blob; a list that is given up has shown less, and nothing else.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import Future
from typing import TYPE_CHECKING

from reconciler.stores.azure_blob import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reconciler.soon import Soon
    from reconciler.stores.azure_blob import Listed

MOST_LISTS = 4  # per group of blobs
MOST_ALONE = 8  # blobs of a folder that are asked for one by one before it is listed
MOST_PAGES = 10  # of such a list
BLOBS_PER_PAGE = 64  # a page must show so many of them, or each is asked for at less cost


def surveyed(account: Account, groups: Iterable[Iterable[str]], soon: Soon) -> Account:
    """The account as seen by lists that are read from now on.

    A group holds paths (`container/blob`) that lie side by side. A list that cannot be read is an
    error of every path that it was to show.
    """
    lists: dict[str, Callable[[], Mapping[str, Listed]]] = {}
    for paths in [paths for group in groups for paths in beside(set(group))]:
        shown = soon(_reading(account, paths))
        lists.update(dict.fromkeys(paths, shown))

    others = _Unforeseen(account)

    def look_up(path: str) -> Listed | None:
        shown = lists.get(path)
        return shown().get(path) if shown else others.look_up(path)

    return account.surveyed(look_up)


class _Unforeseen:
    """Blobs that nobody said would be asked for, such as those of the versions that serve now.

    A folder (`container/model/version`) of which some were asked for one by one is then listed.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._guard = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._lists: dict[str, Future[Mapping[str, Listed]]] = {}

    def look_up(self, path: str) -> Listed | None:
        """What a list shows of the path, if there is one by now."""
        folder = "/".join(path.split("/")[:3]) + "/"
        with self._guard:
            self._asked[folder] += 1
            listed = self._lists.get(folder)
            begin = listed is None and self._asked[folder] > MOST_ALONE
            if begin:
                listed = self._lists[folder] = Future()
        if listed is None:
            return None
        if begin:
            self._list(folder, listed)
        return listed.result().get(path)

    def _list(self, folder: str, listed: Future[Mapping[str, Listed]]) -> None:
        container, _, prefix = folder.partition("/")
        try:
            pages = self._account.container(container).pages(prefix, include="metadata")
            few = itertools.islice(pages, MOST_PAGES)
            found = {f"{container}/{blob.name}": blob for page in few for blob in page}
        except BaseException as exc:
            listed.set_exception(exc)
        else:
            listed.set_result(found)


def beside(paths: Collection[str]) -> list[frozenset[str]]:
    """The paths, each in one of few sets: those of one folder, as deep as there are few folders."""
    deepest = max((path.count("/") for path in paths), default=0)
    for depth in range(deepest, 0, -1):
        folders: dict[tuple[str, ...], set[str]] = {}
        for path in sorted(paths):
            *above, _ = path.split("/")
            folders.setdefault(tuple(above[:depth]), set()).add(path)
        if len(folders) <= MOST_LISTS:
            break
    return [frozenset(found) for found in folders.values()] if paths else []


def _reading(account: Account, paths: frozenset[str]) -> Callable[[], Mapping[str, Listed]]:
    return lambda: _shown(account, paths)


def _shown(account: Account, paths: frozenset[str]) -> Mapping[str, Listed]:
    """What the list below their longest common prefix shows of the paths."""
    container, _, prefix = _beginning(min(paths), max(paths)).partition("/")
    found: dict[str, Listed] = {}
    most_pages = 2 + len(paths) // BLOBS_PER_PAGE
    pages = account.container(container).pages(prefix, include="metadata")
    for number, page in enumerate(pages, start=1):
        here = {f"{container}/{blob.name}": blob for blob in page}
        found.update({path: here[path] for path in here.keys() & paths})
        if len(found) == len(paths) or number == most_pages:
            break
    return found


def _beginning(first: str, last: str) -> str:
    """How both begin, and so does whatever sorts between them."""
    pairs = enumerate(zip(first, last, strict=False))
    end = next((i for i, (a, b) in pairs if a != b), min(len(first), len(last)))
    return first[:end]
