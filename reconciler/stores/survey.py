"""Few lists of a store that show many files: what a plan of a fleet asks instead of each file.

Lists are long, so they are asked for by prefix: by folder, or by folders above where there are
many. They end early when all that is wanted was seen, and are given up when reading on would cost
more than asking for each file; a list that is given up has shown less, and nothing else. Absence
from a list is never believed: what no list shows is asked for, for only the file itself can say
that it is not there.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from itertools import islice

from reconciler.errors import NotKnownError, RefusedError
from reconciler.soon import Once, Soon
from reconciler.stores.contract import Listed, Properties, Reading, Store, Stored

MOST_LISTS = 4  # per group of files
MOST_ALONE = 8  # files of a folder that are asked for one by one before it is listed
PAGE = 5_000  # files that a request for a list shows, about
MOST_UNFORESEEN = 10 * PAGE  # files that are read of a list that nobody foresaw
WORTH_A_PAGE = (
    64  # a page must show so many files that are wanted, or each is asked for at less cost
)


class Survey(Reading):
    """A store that looks a name up in lists before it asks. It refuses to write: lists may be late.

    The properties of one file are asked for once: of a fleet that begins, every endpoint serves
    the same model.
    """

    def __init__(self, store: Store, groups: Iterable[Iterable[str]], soon: Soon) -> None:
        """Begin to read lists of groups of names that lie side by side.

        A list that cannot be read is an error of every name that it was to show.
        """
        super().__init__(store)
        self._heads: Once[Properties | None] = Once()
        self._unforeseen = _Unforeseen(store)
        self._lists: dict[str, Callable[[], Mapping[str, Listed]]] = {}
        for names in [names for group in groups for names in beside(set(group))]:
            reading = soon(_reading(store, names))
            self._lists.update(dict.fromkeys(names, reading))

    def get(self, name: str) -> Stored | None:
        """The file, by a list where one shows all of it."""
        file = self._shown(name) if self.lists_contents else None
        if file is not None and file.content is not None:
            return Stored(file.content, file.properties)
        return self._store.get(name)

    def head(self, name: str) -> Properties | None:
        """Its properties, by a list where one shows the fingerprint."""
        file = self._shown(name) if self.lists_fingerprints else None
        if file is not None and file.properties.fingerprint:
            return file.properties
        return self._heads(name, lambda: self._store.head(name))

    def _shown(self, name: str) -> Listed | None:
        listed = self._lists.get(name)
        return listed().get(name) if listed else self._unforeseen.look_up(name)


class _Unforeseen:
    """Files that nobody said would be asked for, such as those of the versions that serve now.

    A folder (`model/version`) of which some were asked for one by one is then listed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._lists: dict[str, Future[Mapping[str, Listed]]] = {}

    def look_up(self, name: str) -> Listed | None:
        """The list's answer about the name, if there is one by now."""
        folder = "/".join(name.split("/")[:2]) + "/"
        with self._guard:
            self._asked[folder] += 1
            listed = self._lists.get(folder)
            begin = listed is None and self._asked[folder] > MOST_ALONE
            if begin:
                listed = self._lists[folder] = Future()
        if listed is None:
            return None
        if begin:
            try:
                listed.set_result(_first(self._store, folder, MOST_UNFORESEEN))
            except BaseException as exc:
                listed.set_exception(exc)
        return listed.result().get(name)


def beside(names: Collection[str]) -> list[frozenset[str]]:
    """The names, each in one of few sets: those of one folder, as deep as there are few folders."""
    deepest = max((name.count("/") for name in names), default=0)
    for depth in range(deepest, -1, -1):
        folders: dict[tuple[str, ...], set[str]] = {}
        for name in sorted(names):
            *above, _ = name.split("/")
            folders.setdefault(tuple(above[:depth]), set()).add(name)
        if len(folders) <= MOST_LISTS:
            break
    return [frozenset(folder) for folder in folders.values()] if names else []


def _reading(store: Store, names: frozenset[str]) -> Callable[[], Mapping[str, Listed]]:
    beginning = os.path.commonprefix(list(names))  # noqa: RUF071 - of their texts
    most = (2 + len(names) // WORTH_A_PAGE) * PAGE
    return lambda: _first(store, beginning, most, names)


def _first(
    store: Store, prefix: str, most: int, wanted: frozenset[str] | None = None
) -> Mapping[str, Listed]:
    """The first files of a list, or of these the wanted ones; the list ends with the last of them.

    A list that the store does not give shows nothing: of a whole account, or one that an offline
    plan does not know. The files themselves may be known.
    """
    files: dict[str, Listed] = {}
    try:
        for listed in islice(store.list(prefix), most):
            if wanted is None or listed.name in wanted:
                files[listed.name] = listed
                if wanted is not None and len(files) == len(wanted):
                    break
    except (NotKnownError, RefusedError):
        pass
    return files
