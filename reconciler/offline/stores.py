"""The answers that a store gave once, and a store that has no others.

Kept are the properties of files, and our own small documents. A list, and a file that is not there,
are answered where the list that would show it was heard to its end. Whatever is not known so raises
NotKnownError: no answer is ever made up.

Absence is the dangerous answer. "There is no manifest" leads to a training, so a file counts as
absent only if a read of it said so, or if a list of its folder was heard to the end and did not
show it. A list that was broken off says nothing of the names it did not reach: `listed` is added to
after the last one, so a caller that stopped early leaves no claim behind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile

from reconciler.errors import NotKnownError
from reconciler.offline.redaction import kept_text
from reconciler.stores.contract import Listed, Properties, Reading, Sink, Store, Stored

MANIFEST = "/manifest.json"
MOST_TEXT = 1024 * 1024
RECORDS = "_records/"


@dataclass
class Memory:
    """The answers of one store; `listed` are prefixes whose lists were heard to their ends."""

    files: dict[str, Properties] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)

    def was_listed(self, name: str) -> bool:
        """Whether a list that was heard to its end would show what begins so."""
        return any(name[:end] in self.listed for end in range(len(name) + 1))


class Heard(Reading):
    """A store whose answers are kept."""

    def __init__(self, store: Store, kept: Memory) -> None:
        super().__init__(store)
        self._kept = kept

    def get(self, name: str) -> Stored | None:
        """The file, and what may be kept of it."""
        stored = super().get(name)
        if stored is None:
            self._hear(name, None)
        else:
            self._hear(name, stored.properties, stored.content)
        return stored

    def head(self, name: str) -> Properties | None:
        """Its properties, which are kept."""
        known = super().head(name)
        self._hear(name, known)
        return known

    def fetch(self, name: str, into: Sink) -> Properties | None:
        """The file, of which the properties are kept."""
        known = super().fetch(name, into)
        self._hear(name, known)
        return known

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """The files, each kept as far as it is shown."""
        for listed in super().list(prefix):
            self._hear(listed.name, listed.properties, listed.content)
            yield listed
        self._kept.listed.add(prefix)

    def _hear(self, name: str, known: Properties | None, content: bytes | None = None) -> None:
        if known is None:
            self._kept.absent.add(name)
            return
        if known.fingerprint or name not in self._kept.files:  # a list may say less than the file
            self._kept.files[name] = replace(known, modified=None)
        if content is not None and self._is_ours(name) and len(content) <= MOST_TEXT:
            self._kept.texts[name] = kept_text(name, content)

    def _is_ours(self, name: str) -> bool:
        """Whether it is a document of this program, or metrics: all else is data of others.

        What a plan reads beside a manifest are metrics: of a model it asks for the properties.
        """
        if name.startswith(RECORDS):
            return name.endswith(".json")
        return name.rpartition("/")[0] + MANIFEST in self._kept.files


class Remembered(Reading):
    """A store that answers by what was kept of it, and opens no connection."""

    def __init__(self, store: Store, kept: Memory) -> None:
        super().__init__(store)
        self._kept = kept
        self._names = sorted(kept.files)

    def get(self, name: str) -> Stored | None:
        """The file, where its content was kept."""
        if (known := self._known(name)) is None:
            return None
        if name not in self._kept.texts:
            raise self._not_known(f"the content of {name}")
        return Stored(self._kept.texts[name].encode(), known)

    def head(self, name: str) -> Properties | None:
        """Its properties; the ETag stands for a fingerprint that nobody heard."""
        known = self._known(name)
        if known is None or known.fingerprint:
            return known
        if not known.etag:
            raise self._not_known(f"the fingerprint of {name}")
        return replace(known, fingerprint=f"etag:{known.etag}")

    def fetch(self, name: str, into: Sink) -> Properties | None:
        """The file, where its content was kept."""
        if (stored := self.get(name)) is None:
            return None
        into.write(stored.content)
        return stored.properties

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """The files, where a list of them was heard to its end."""
        if not self._kept.was_listed(prefix):
            raise self._not_known(f"the list of {prefix or 'everything'}")
        names = islice(self._names, bisect_left(self._names, prefix), None)
        for name in takewhile(lambda name: name.startswith(prefix), names):
            text = self._kept.texts.get(name)
            yield Listed(name, self._kept.files[name], None if text is None else text.encode())

    def _known(self, name: str) -> Properties | None:
        known = self._kept.files.get(name)
        if known is None and name not in self._kept.absent and not self._kept.was_listed(name):
            raise self._not_known(name)
        return known

    def _not_known(self, what: str) -> NotKnownError:
        return NotKnownError(
            f"not known offline: the snapshot does not hold {what} of {self.uri}; a plan with "
            "credentials would ask"
        )
