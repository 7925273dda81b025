"""`--events FILE`: what a run does, as it happens, one JSON object per line."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.console import say
from reconciler.errors import ConfigurationError, redact

if TYPE_CHECKING:
    from reconciler.cli.progress import HeartbeatProgress, LiveProgress

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


class Watched:
    """A display of a run, and events that say the same."""

    def __init__(self, display: LiveProgress | HeartbeatProgress, events: Events) -> None:
        self._display, self._events = display, events
        self._steps: dict[str, str] = {}

    def __enter__(self) -> Watched:
        """This one, while the display is open."""
        self._display.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        """End the display."""
        self._display.__exit__(*how)

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        """A binding entered a phase, which is an event, or is still in it."""
        self._display.phase(name, phase, detail)
        if self._steps.get(name) != phase:
            self._steps[name] = phase
            self._events.tell("step", name=name, step=phase, message=detail)

    def done(self, name: str, outcome: str) -> None:
        """A binding converged."""
        self._display.done(name, outcome)
        self._events.tell("done", name=name, message=outcome)

    def failed(self, name: str, message: str) -> None:
        """A binding ended without converging."""
        self._display.failed(name, message)
        self._events.tell("failed", name=name, message=message)

    def wave(self, message: str, ended: int = 0, number: str = "", *, more: bool = False) -> None:
        """A wave of a version begins, or so many endpoints end because none does."""
        self._display.wave(message, ended, number, more=more)
        self._events.tell("wave", message=message)

    def beat(self) -> None:
        """Nothing happened."""
        self._display.beat()
