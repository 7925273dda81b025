"""Progress on a terminal and in a log, with a clock that the tests turn."""

from __future__ import annotations

import io
import logging
import re
import threading

import pytest

from reconciler.cli.output import log_to_stderr
from reconciler.cli.progress import HeartbeatProgress, LiveProgress
from reconciler.console import say
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
    for second in range(100):
        clock.now += 1
        if second == 40:
            beats.phase("a", "training", "it waits for 4 CPU")
        beats.beat()
    assert stream.getvalue().splitlines()[1:] == [
        "still under way: a (training 30 s)",
        "still under way: a (training 60 s: it waits for 4 CPU)",
        "still under way: a (training 90 s: it waits for 4 CPU)",
    ]


def test_a_heartbeat_names_the_first_bindings_and_counts_the_others(
    beats: HeartbeatProgress, stream: io.StringIO, clock: Clock
) -> None:
    for number in range(20):
        beats.phase(f"m{number}", "training", "job rc-1 is running")
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


class Gone(io.StringIO):
    """A stream that nobody reads any more."""

    def write(self, text: str) -> int:  # noqa: ARG002
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("kind", [HeartbeatProgress, LiveProgress])
def test_a_display_that_nobody_sees_stops_no_work(
    kind: type[HeartbeatProgress | LiveProgress], clock: Clock
) -> None:
    progress = kind(Gone(), clock=clock)
    progress.phase("a", "training")
    progress.done("a", "proved")
    progress.failed("b", "refused")
    clock.now += 100
    progress.beat()


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

    def test_the_end_of_a_long_detail_is_kept_and_the_name_shortened(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        name = "the-churn-model-of-the-team-in-the-south-east"
        with LiveProgress(stream, clock=clock) as live:
            live.phase(name, "waiting", f"looking again: {'x' * 200}: the disk is full")
            live.phase("b", "training", "5 %")
            live.beat()
            drawn = [line for line in plain(stream.getvalue()).splitlines() if line.strip()]
        assert drawn == [
            "⠋ the-chur…outh-east  waiting   0 s  looking…disk is full",
            "⠋ b                   training  0 s  5 %",
        ]

    def test_a_name_is_whole_where_the_details_leave_room(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("the-churn-model-of-the-south-east", "training")
            live.beat()
            assert "⠋ the-churn-model-of-the-south-east  training  0 s" in stream.getvalue()

    def test_the_cursor_is_never_hidden_since_a_second_interrupt_could_not_show_it_again(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training")
            live.beat()
        assert "\x1b[?25l" not in stream.getvalue()

    def test_an_interrupt_leaves_what_was_said_and_no_active_line(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training", "x" * 100)
            live.phase("b", "training", "y" * 100)
            live.beat()
            stream.write("^C")  # as a terminal does
            say("stopping after the steps under way; once more to quit at once")
            assert len([line for line in screen(stream) if line.startswith("⠋")]) == 2
            live.beat()
            during = screen(stream)
            live.failed("a", "stopped")
        assert during[:2] == ["stopping after the steps under way; once more to quit at", "once"]
        assert [line[:3] for line in during[2:]] == ["⠋ a", "⠋ b"]
        assert screen(stream) == [*during[:2], "✗ a: stopped (0 s)"]

    def test_what_was_said_last_is_not_lost(self, stream: io.StringIO, clock: Clock) -> None:
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training")
            live.beat()
            say("stopping")
        assert screen(stream) == ["stopping"]

    def test_what_a_signal_handler_says_waits_for_no_lock(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with LiveProgress(stream, clock=clock) as live:
            thread = threading.Thread(target=say, args=("stopping",))
            with live._lock:
                thread.start()
                thread.join(timeout=5)
                assert not thread.is_alive()

    def test_the_log_comes_above_the_active_lines(self, stream: io.StringIO, clock: Clock) -> None:
        log_to_stderr(2)
        with LiveProgress(stream, clock=clock) as live:
            live.phase("a", "training")
            live.beat()
            logging.getLogger("reconciler.x").debug("one request")
            live.beat()
            assert screen(stream) == ["DEBUG reconciler.x: one request", "⠋ a  training  0 s"]

    def test_after_a_display_things_are_said_on_stderr_again(
        self, stream: io.StringIO, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with LiveProgress(stream, clock=clock):
            pass
        say("done")
        assert capsys.readouterr().err == "done\n"


def screen(stream: io.StringIO, width: int = 60) -> list[str]:
    """What a terminal shows of the stream: the lines that are not blank."""
    lines, row, column = [""], 0, 0
    for code, char in re.findall(r"\x1b\[([0-9;?]*[A-Za-z])|([\s\S])", stream.getvalue()):
        if code == "2K":
            lines[row] = ""
        elif code.endswith("A"):
            row -= int(code[:-1])
        elif char == "\r":
            column = 0
        elif char == "\n" or (char and column == width):
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        if char and char not in "\r\n":
            lines[row] = lines[row].ljust(column)[:column] + char + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_a_heartbeat_of_a_fleet_says_how_many_of_all_have_ended(
    stream: io.StringIO, clock: Clock
) -> None:
    beats = HeartbeatProgress(stream, clock=clock, total=61)
    for number in range(3):
        beats.phase(f"b{number}", "training")
    beats.done("b0", "proved")
    beats.failed("b1", "refused")
    clock.now += 30
    beats.beat()
    last = stream.getvalue().splitlines()[-1]
    counted = "2 of 61 ended, 1 failed, 58 waiting, 30 s elapsed"
    assert last == f"{counted}; still under way: b2 (training 30 s)"


@pytest.mark.parametrize("pauses_s", [(), (600.0,)])
def test_a_fleet_in_waves_says_which_and_about_how_long_it_takes(
    stream: io.StringIO, clock: Clock, pauses_s: tuple[float, ...]
) -> None:
    beats = HeartbeatProgress(stream, clock=clock, total=13)
    beats.done("unchanged", "in sync")
    clock.now += 3_600 - sum(pauses_s)
    beats.wave("churn 2026-11: wave 4 of 4 begins", number="wave 4 of 4", pauses_s=pauses_s)
    for number in range(4):
        beats.phase(f"b{number}", "binding")
    clock.now += sum(pauses_s) + 90
    for number in range(3):
        beats.done(f"b{number}", "proved")
    beats.beat()
    last = stream.getvalue().splitlines()[-1]
    assert last.startswith(
        "wave 4 of 4, 4 of 13 ended, 8 waiting, 1 h 2 min elapsed, about 5 min left; still"
    )


@pytest.mark.parametrize(
    ("pauses_s", "told"),
    [
        ((0.0, 0.0), ""),
        ((0.0, 600.0, 600.0), ", pauses of 20 min to come"),
        ((390.0, 600.0), ", pauses of 15 min to come"),
        ((300.0,), ", pauses of 4 min to come"),
    ],
)
def test_only_pauses_are_said_to_be_left_while_a_wave_has_yet_to_begin(
    stream: io.StringIO, clock: Clock, pauses_s: tuple[float, ...], told: str
) -> None:
    beats = HeartbeatProgress(stream, clock=clock, total=13, more=True)
    for wave in ("", "wave 2 of 4"):
        if wave:
            beats.wave(f"churn 2026-11: {wave} begins", number=wave, pauses_s=pauses_s)
        for number in range(4):
            beats.phase(f"{wave}{number}", "binding")
        clock.now += 90
        for number in range(3):
            beats.done(f"{wave}{number}", "proved")
        beats.beat()
        last = stream.getvalue().splitlines()[-1]
        assert f"elapsed{told if wave else ''}; still under way" in last


def test_a_live_display_of_a_fleet_says_how_many_of_all_have_ended(clock: Clock) -> None:
    stream = io.StringIO()
    with LiveProgress(stream, clock=clock, total=61) as progress:
        for number in range(3):
            progress.phase(f"b{number}", "training")
        progress.done("b0", "proved")
        progress.beat()
        assert "1 of 61 ended" in plain(stream.getvalue())


def test_the_progress_of_one_binding_counts_nothing(stream: io.StringIO, clock: Clock) -> None:
    beats = HeartbeatProgress(stream, clock=clock, total=1)
    beats.phase("a", "training")
    clock.now += 30
    beats.beat()
    assert stream.getvalue().splitlines()[-1] == "still under way: a (training 30 s)"


def test_what_fails_for_the_same_reason_names_the_first_that_did(
    beats: HeartbeatProgress, stream: io.StringIO
) -> None:
    why = "reading classic/My Service/e{0}: GET http://x.example/e{0}: 400 BadArgument: no"
    for n in range(3):
        beats.failed(f"b{n}", why.format(n))
    beats.failed("c", "reading classic/My Service/e9: GET http://x.example/e9: 403 Forbidden: no")
    lines = stream.getvalue().splitlines()
    assert lines[0] == f"✗ b0: {why.format(0)}"
    assert lines[1:3] == ["✗ b1: failed as b0 did", "✗ b2: failed as b0 did"]
    assert "403 Forbidden" in lines[3]
