"""Progress of a run while it works: a live display on a terminal, or now and then a line.

Both are told from worker threads and draw from whichever thread calls; neither has a thread of
its own for heartbeats: `beat` is called by the main thread a few times a second.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from reconciler import console
from reconciler.errors import redact
from reconciler.render.cells import Look, ascii_text, cells, cut, listed, pad, visible
from reconciler.render.times import duration
from reconciler.render.words import gist

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from reconciler.cli.events import Events

Clock = Callable[[], float]

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ASCII_SPINNER = "|/-\\"
FRAMES_PER_S = 8
SPARE_LINES = 4  # of the terminal's height: the prompt, the last finished line, "and 12 more"
ECHO = 3  # cells after a row: a terminal echoes ^C there, which must not begin another line
GAP = 2
NAME = 24  # cells that a name keeps where a detail needs the others
FEWEST = 3  # endpoints that an estimate rests on
NAMED = 8  # bindings that one heartbeat line names
MOST_DETAILED = 3  # bindings of which one heartbeat line says how far each is
DETAIL = 120  # cells of that
BEAT_S = 30.0  # from one such line to the next


@dataclass
class Active:
    """A binding that is under way: its phase, since when, and when it began."""

    phase: str
    detail: str
    began: float
    phase_began: float


class _Progress:
    """The part that both displays share: the active bindings in the order in which they began.

    What is displayed is told to `events`, too.
    """

    events: Events | None = None

    def __init__(self, stream: TextIO, *, clock: Clock, total: int = 0, more: bool = False) -> None:
        self._stream = stream
        self._clock = clock
        self._total, self._ended = total, 0
        self._lost, self._worked, self._began = 0, 0, clock()
        self._wave, self._pauses_s, self._wave_at = "", (0.0,) * (2 if more else 1), self._began
        self._lock = threading.RLock()
        self._active: dict[str, Active] = {}
        self._failed: dict[str, str] = {}  # the gist of a message → the first that failed with it
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
        self._ascii = not encoding.startswith("utf")

    def done(self, name: str, outcome: str) -> None:
        """A binding converged: a line that stays says so."""
        with self._lock:
            self._keep("✓", "green", f"{name}: {outcome}{self._leave(name)}")
            self._tell("done", name=name, message=outcome)

    def failed(self, name: str, message: str) -> None:
        """A binding ended without converging: a line that stays says why."""
        with self._lock:
            self._lost += 1
            self._keep("✗", "red", f"{name}: {self._why(name, message)}{self._leave(name)}")
            self._tell("failed", name=name, message=message)

    def wave(
        self, message: str, ended: int = 0, number: str = "", *, pauses_s: Sequence[float] = ()
    ) -> None:
        """A line that stays, about the wave of a version; so many endpoints end with it. The run
        waits so long before this wave, and before each that follows."""
        with self._lock:
            self._ended += ended
            self._wave, self._pauses_s = number, tuple(pauses_s) or (0.0,)
            self._worked, self._wave_at = 0, self._clock()
            self._keep("»", "cyan", message)
            self._tell("wave", message=message)

    def _tell(self, event: str, **members: str) -> None:
        if self.events is not None:
            self.events.tell(event, **members)

    def _keep(self, sign: str, color: str, text: str) -> None:
        raise NotImplementedError

    def _clean(self, text: str) -> str:
        text = visible(redact(text))
        return ascii_text(text) if self._ascii else text

    def _enter(self, name: str, phase: str, detail: str) -> bool:
        """Note the phase; whether it is another one than before."""
        now, was = self._clock(), self._active.get(name)
        if was is not None and was.phase == phase:
            was.detail = detail
            return False
        self._active[name] = Active(phase, detail, was.began if was else now, now)
        self._tell("step", name=name, step=phase, message=detail)
        return True

    def _leave(self, name: str) -> str:
        """Forget the binding; ` (12 s)` for what it took, or "" when it never was under way."""
        self._ended += 1
        was = self._active.pop(name, None)
        self._worked += was is not None
        return "" if was is None else f" ({self._clock() - was.began:.0f} s)"

    def _why(self, name: str, message: str) -> str:
        """The message; where another binding failed for the same reason, only the name of that.

        The report names all of them with the whole message. What has a slash, such as a URL or an
        address, is a place and not the reason.
        """
        words = gist(message, name).split()
        reason = " ".join(word for word in words if "/" not in word)
        first = self._failed.setdefault(reason, name)
        return message if first == name else f"failed as {first} did"

    def _of_all(self) -> str:
        """How far a fleet is: `wave 2 of 4, 12 of 61 ended, 1 failed, 40 waiting, 3 min elapsed,
        about 12 min left`; "" for a single binding, or where nobody counted them.

        The rest is taken to end as fast as three or more did since the last wave began. While a
        wave has yet to begin, only the pauses are known: they tell nothing of how fast work goes.
        """
        if self._total <= 1:
            return ""
        worked_s = self._clock() - self._wave_at - self._pauses_s[0]
        pauses_s, more = max(-worked_s, 0) + sum(self._pauses_s[1:]), self._pauses_s[1:]
        elapsed, left = self._clock() - self._began, max(self._total - self._ended, 0)
        waiting = max(left - len(self._active), 0)
        parts = [
            self._wave,
            f"{self._ended:,} of {self._total:,} ended",
            f"{self._lost:,} failed" if self._lost else "",
            f"{waiting:,} waiting" if waiting else "",
            f"{duration(elapsed)} elapsed",
        ]
        if pauses_s:
            parts.append(f"pauses of {duration(pauses_s)} to come")
        elif self._worked >= FEWEST and left and not more:
            parts.append(f"about {duration(worked_s / self._worked * left)} left")
        return ", ".join(filter(None, parts))


class HeartbeatProgress(_Progress):
    """A line when something changes, and now and then one about what is under way."""

    _last_beat = 0.0  # of the clock, once anything is under way

    def __enter__(self) -> HeartbeatProgress:
        """This display."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to end."""

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        """A binding entered, or is still in, a phase; only another phase is worth a line."""
        with self._lock:
            if not self._active:
                self._last_beat = self._clock()
            if self._enter(name, phase, detail):
                self._say(f"{name}: {phase}{f', {detail}' if detail else ''}")

    def beat(self) -> None:
        """One line about what is under way, if the last such line is long enough ago."""
        with self._lock:
            now = self._clock()
            if self._active and now - self._last_beat >= BEAT_S:
                self._last_beat = now
                of_all = f"{self._of_all()}; " if self._total > 1 else ""
                self._say(f"{of_all}still under way: {self._under_way(now)}")

    def _under_way(self, now: float) -> str:
        every = list(self._active.items())
        detailed = len(every) <= MOST_DETAILED
        names = [
            f"{name} ({active.phase} {now - active.phase_began:.0f} s"
            f"{f': {cut(active.detail, DETAIL, end=0.0)}' if detailed and active.detail else ''})"
            for name, active in every[:NAMED]
        ]
        more = len(every) - len(names)
        return ", ".join(names) + (f", … and {more} more" if more else "")

    def _keep(self, sign: str, color: str, text: str) -> None:  # noqa: ARG002 - a log has none
        self._say(f"{sign} {text}")

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more, and the work goes on
            self._stream.write(self._clean(text) + "\n")
            self._stream.flush()


class LiveProgress(_Progress):
    """A line per active binding that is drawn anew in place, and a permanent one when it ends.

    While it is shown, what is said elsewhere comes above the active lines: printed on its own it
    would begin at the end of the last one, and the next drawing would wipe it out.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock,
        no_color: bool = False,
        total: int = 0,
        more: bool = False,
    ) -> None:
        super().__init__(stream, clock=clock, total=total, more=more)
        self._no_color = no_color
        self._live: Live | None = None
        self._console: Any = None
        self._elsewhere: deque[str] = deque()

    def __enter__(self) -> LiveProgress:
        """This display, begun. rich costs 50 ms to import, so only a display imports it."""
        from rich.live import Live

        self._console = _console(self._stream, self._no_color)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self._drawn,
        )
        self._live.start()
        console.above.append(self.tell)
        return self

    def __exit__(self, *_: object) -> None:
        """Take the active lines away; the permanent ones stay."""
        with contextlib.suppress(ValueError):
            console.above.remove(self.tell)
        with self._lock:
            live, self._live = self._live, None
            self._active.clear()
            with contextlib.suppress(OSError):
                if live is not None:
                    live.stop()
                self._show_elsewhere()

    def tell(self, text: str) -> None:
        """Something said elsewhere; the next beat shows it above the active lines.

        Only noted here: a signal handler says things too, in the midst of a drawing.
        """
        self._elsewhere.append(text)

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        """A binding entered, or is still in, a phase; the next beat draws it."""
        with self._lock:
            self._enter(name, phase, detail)

    def beat(self) -> None:
        """The active lines are drawn anew."""
        with self._lock, contextlib.suppress(OSError):
            self._show_elsewhere()
            if self._live is not None:
                self._live.refresh()

    def _keep(self, sign: str, color: str, text: str) -> None:
        with contextlib.suppress(OSError):
            self._show_elsewhere()
            if self._live is not None:
                self._live.refresh()  # or the line would be printed above what just ended
            self._print(self._clean(sign), self._clean(f" {text}"), color)

    def _show_elsewhere(self) -> None:
        while self._elsewhere:
            for line in self._elsewhere.popleft().splitlines():
                self._print("", self._clean(line))

    def _print(self, sign: str, text: str, color: str = "") -> None:
        """A line that stays. All of it: a message's end is where its reason is."""
        if self._live is None:
            self._stream.write(f"{sign}{text}\n")
            self._stream.flush()
            return
        from rich.text import Text

        self._console.print(Text().append(sign, color).append(text))

    def _drawn(self) -> Text:
        from rich.text import Text

        with self._lock:
            lines = self._lines(self._console.width - ECHO, self._console.height - SPARE_LINES)
        return Text("\n".join(lines), no_wrap=True, overflow="crop")

    def _lines(self, width: int, height: int) -> list[str]:
        """The lines of the display, no more than fit: what is under way, and how much is left."""
        now = self._clock()
        first = list(self._active.items())[: max(1, height)]
        look = Look(width, ascii_only=self._ascii)
        frames = ASCII_SPINNER if self._ascii else SPINNER
        frame = frames[int(now * FRAMES_PER_S) % len(frames)]
        rows = [_row(look, f"{frame} {name}", active, now) for name, active in first]
        lines = _laid_out(look, rows)
        more = len(self._active) - len(first)
        last = ", ".join(listed([f"… and {more} more" if more else "", self._of_all()]))
        return [*lines, self._clean(last)] if last else lines


def _console(stream: TextIO, no_color: bool) -> Console:
    """The terminal of a live display, with colours where they are wanted and shown."""
    from rich.console import Console

    class Visible(Console):
        """A console that leaves the cursor alone: hidden, it stays so after a second ^C."""

        def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
            return False

    return Visible(
        file=stream,
        no_color=no_color,
        force_terminal=True,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _row(look: Look, name: str, active: Active, now: float) -> tuple[str, str, str, str]:
    """The cells of an active line, clean: name, phase, time, detail."""
    name, phase, time, detail = (
        look.clean(redact(text))
        for text in (name, active.phase, f"{now - active.began:.0f} s", active.detail)
    )
    return name, phase, time, detail


def _laid_out(look: Look, rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """A line per row in aligned columns. A long detail takes cells from the names."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)] or [0] * 4
    name, phase, time, detail = widths
    room = max(0, look.width - phase - time - (3 if detail else 2) * GAP)
    name = min(name, max(room - detail, min(NAME, room // 2)))
    lines = []
    for row in rows:
        left = (look.cut(row[0], name), row[1], row[2])
        texts = [pad(text, width) for text, width in zip(left, (name, phase, time), strict=True)]
        # A message has its reason at its end, so that gets most of the room.
        texts.append(cut(row[3], max(0, room - name), look.sign, end=2 / 3))
        lines.append(look.line((" " * GAP).join(texts)))
    return lines
