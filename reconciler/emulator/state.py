"""A folder that keeps the world: JSON for what exists, one file per distinct content."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from reconciler.emulator.core import Core

if sys.platform == "win32":
    import msvcrt

    def _lock(file: TextIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


SCHEMA = "emulator/state/v1"


class State:
    """The folder. OSError when another process uses it, ValueError when it holds another thing."""

    def __init__(self, folder: Path, core: Core) -> None:
        self._folder = Path(folder)
        self._contents = self._folder / "contents"
        self._core = core
        self._contents.mkdir(parents=True, exist_ok=True)
        self._lock = (self._folder / "lock").open("w")
        try:
            _lock(self._lock)
        except OSError as exc:
            self._lock.close()
            raise OSError(f"{folder} is in use by another emulator; stop that one first") from exc
        self._last = ""

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.close()

    def load(self) -> None:
        """Take over the world that is in the folder, if there is one."""
        path = self._folder / "world.json"
        if not path.exists():
            return
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["schema"] != SCHEMA:
                raise ValueError(f"its schema is {document['schema']!r}")
            models = {digest: self._read(digest) for digest in document["models"]}
            self._core.world.load(document["world"], models)
            self._core.world.id = document.get("id", self._core.world.id)
            self._core.blobs.load(document["blobs"], self._read)
        except (ValueError, LookupError, TypeError, AttributeError, FileNotFoundError) as exc:
            raise ValueError(
                f"{path} is not a world that this emulator can load: {exc}; name another folder by "
                "--state, or put back what was there"
            ) from exc

    def save(self) -> None:
        """Write the world if it differs from what was written last; contents go first."""
        world = self._core.world
        blobs, contents = self._blobs()
        document = {
            "schema": SCHEMA,
            "id": world.id,
            "world": world.dump(),
            "blobs": blobs,
            "models": sorted(world.models),
        }
        text = json.dumps(document, indent=1)
        if text == self._last:
            return
        for digest, content in {**contents, **world.models}.items():
            if not (self._contents / digest).exists():
                _replace(self._contents / digest, content)
        _replace(self._folder / "world.json", text.encode())
        self._last = text

    def _blobs(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The blobs and their contents, of one moment: requests may write blobs meanwhile."""
        while True:
            dump, contents = self._core.blobs.dump(), self._core.blobs.contents()
            boxes = [box for account in dump.values() for box in account["containers"].values()]
            if all(stored["content"] in contents for box in boxes for stored in box.values()):
                return dump, contents

    def _read(self, digest: str) -> bytes:
        return (self._contents / digest).read_bytes()


def _replace(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(path)
