"""`--events FILE`: what a run does, as it happens, one JSON object per line."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from reconciler.console import say
from reconciler.errors import ConfigurationError, redact

SCHEMA = "reconciler/event/v1"
STDOUT = Path("-")


class Events:
    """A stream of events; `schemas/event.schema.json` says what they hold.

    One that cannot be written is said once, and ends no run. A signal may end the run in the middle
    of a line: its handler tells the end from the same thread.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._lock, self._about, self._lost = threading.RLock(), dict[str, str](), False

    def about(self, **members: str) -> None:
        """Members of every event from now on: the environment and the run, once they are known."""
        self._about.update(members)

    def close(self) -> None:
        """Close the file; what is lost was said."""
        if self._stream is not sys.stdout:
            with contextlib.suppress(OSError):
                self._stream.close()

    def tell(self, event: str, **members: Any) -> None:
        """Write one event."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        document = {"schema": SCHEMA, "at": at.replace("+00:00", "Z"), "event": event}
        line = redact(json.dumps({**document, **self._about, **members}))
        with self._lock:
            try:
                print(line, file=self._stream, flush=True)
            except (OSError, ValueError, RuntimeError) as exc:  # full, gone, or in use below
                if not self._lost:
                    self._lost = True
                    say(f"events are lost: {self._name} cannot be written: {exc}")


def events_to(path: Path) -> Events:
    """The events that go to a new file, or to stdout for `-`; ConfigurationError: it cannot be
    written."""
    if path == STDOUT:
        return Events(sys.stdout, "stdout")
    try:
        return Events(path.open("w", encoding="utf-8"), str(path))
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise ConfigurationError(f"{path} cannot be written: {why}; choose another path") from exc
