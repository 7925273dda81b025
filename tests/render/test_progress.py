"""Progress on a terminal and in a log, with a clock that the tests turn."""

from __future__ import annotations

import io
import re
import threading

import pytest

from reconciler.cli.progress import HeartbeatProgress, LiveProgress
from reconciler.errors import remember_secret


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def beats(stream: io.StringIO, clock: Clock) -> HeartbeatProgress:
    return HeartbeatProgress(stream, clock=clock)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_run_without_bindings_says_nothing(stream: io.StringIO, clock: Clock) -> None:
    with HeartbeatProgress(stream, clock=clock) as progress:
        clock.now += 100
        progress.beat()
    assert stream.getvalue() == ""


def test_only_another_phase_is_worth_a_line(beats: HeartbeatProgress, stream: io.StringIO) -> None:
    beats.phase("a", "training", "queued")
    beats.phase("a", "training", "10 %")
    beats.phase("a", "swapping")
    assert stream.getvalue() == "a: training, queued\na: swapping\n"


def test_what_ended_says_how_and_how_long_it_took(
    beats: HeartbeatProgress, stream: io.StringIO, clock: Clock
) -> None:
    beats.phase("a", "training")
    beats.phase("b", "training")
    clock.now += 12
    beats.done("a", "proved")
    beats.failed("b", "refused")
    beats.done("c", "unchanged")
    assert stream.getvalue().splitlines()[2:] == [
        "✓ a: proved (12 s)",
        "✗ b: refused (12 s)",
        "✓ c: unchanged",
    ]


def test_a_heartbeat_comes_at_most_every_thirty_seconds(
    beats: HeartbeatProgress, stream: io.StringIO, clock: Clock
) -> None:
    beats.phase("a", "training")
    for _ in range(100):
        clock.now += 1
        beats.beat()
    assert stream.getvalue().splitlines()[1:] == [
        "still under way: a (training 30 s)",
        "still under way: a (training 60 s)",
        "still under way: a (training 90 s)",
    ]


def test_a_heartbeat_names_the_first_bindings_and_counts_the_others(
    beats: HeartbeatProgress, stream: io.StringIO, clock: Clock
) -> None:
    for number in range(20):
        beats.phase(f"m{number}", "training")
    clock.now += 31
    beats.beat()
    last = stream.getvalue().splitlines()[-1]
    assert "m7 (training 31 s), … and 12 more" in last
    assert "m8" not in last


def test_secrets_and_control_characters_reach_no_log(
    beats: HeartbeatProgress, stream: io.StringIO
) -> None:
    remember_secret("correct horse battery")
    beats.phase("a\x1b[2J", "training\n", "correct horse battery")
    beats.failed("a\u202e", "?sig=abc%3D&x=1")
    assert stream.getvalue() == "a\\x1b[2J: training\\n, ***\n✗ a\\u202e: ?sig=***&x=1\n"


def test_a_stream_that_cannot_say_a_check_mark_gets_ascii(clock: Clock) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    beats = HeartbeatProgress(stream, clock=clock)
    beats.done("a", "proved")
    assert raw.getvalue() == b"ok a: proved\n"


@pytest.mark.parametrize("kind", [HeartbeatProgress, LiveProgress])
def test_many_threads_may_tell_at_once(
    kind: type[HeartbeatProgress | LiveProgress], stream: io.StringIO, clock: Clock
) -> None:
    with kind(stream, clock=clock) as progress:

        def work(worker: int) -> None:
            for number in range(20):
                progress.phase(f"w{worker}-{number}", "training")
                progress.beat()
                progress.done(f"w{worker}-{number}", "proved")

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(re.findall(r"✓ w\d-\d+: proved", plain(stream.getvalue()))) == 160


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("terminal")
class TestOnATerminal:
    """The live display, 60 cells wide and 10 lines high."""

    def test_each_active_binding_has_a_line_with_its_phase_and_time(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training", "version 2")
            clock.now += 5
            live.phase("b", "swapping")
            live.beat()
            drawn = plain(stream.getvalue()).splitlines()
        assert [re.split(r"\s{2,}", line.strip()) for line in drawn if line.strip()] == [
            ["⠋ a", "training", "5 s", "version 2"],
            ["⠋ b", "swapping", "0 s"],
        ]

    def test_what_ended_leaves_one_line_that_stays(self, stream: io.StringIO, clock: Clock) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training")
            clock.now += 7
            live.done("a", "proved")
            live.failed("b", "no such endpoint")
        shown = plain(stream.getvalue())
        assert "✓ a: proved (7 s)\n" in shown
        assert "✗ b: no such endpoint\n" in shown

    def test_what_ended_is_no_longer_drawn_as_active(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training")
            live.phase("b", "training")
            live.beat()
            live.done("a", "proved")
            after = plain(stream.getvalue()).split("✓ a: proved")[1]
        assert "b  training" in after
        assert "a  training" not in after

    def test_more_bindings_than_lines_are_counted(self, stream: io.StringIO, clock: Clock) -> None:
        with LiveProgress(stream, clock=clock) as live:
            for number in range(18):
                live.phase(f"m{number}", "training", "x" * 100)
            live.beat()
            drawn = plain(stream.getvalue())
        assert "… and 12 more" in drawn
        assert "m5 " in drawn
        assert "m6 " not in drawn
        assert all(len(line) <= 60 for line in drawn.splitlines())

    def test_no_color_means_no_color_but_still_a_display(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock, no_color=True) as live:
            live.failed("a", "refused")
        assert "✗ a: refused" in stream.getvalue()
        assert not re.search(r"\x1b\[[0-9;]*3\dm", stream.getvalue())

    def test_markup_secrets_and_escapes_are_shown_as_text(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock, no_color=True) as live:
            live.phase("[red]x\x1b[2J", "training\n", "?sig=abcdef")
            live.beat()
            live.failed("[bold]y", "a\x1b]0;title\x07 :smile: ?sig=abcdef")
        shown = stream.getvalue()
        assert "[red]x\\x1b[2J" in shown
        assert "[bold]y: a\\x1b]0;title\\x07 :smile: ?sig=***" in shown
        assert "abcdef" not in shown

    def test_the_display_begins_no_thread(self, stream: io.StringIO, clock: Clock) -> None:
        before = threading.active_count()
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training")
            live.beat()
            assert threading.active_count() == before
