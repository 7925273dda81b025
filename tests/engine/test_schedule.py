"""Who is stepped next: trainings first, slots always full, nobody looked at while it waits."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock

import pytest

from reconciler.engine.machine import next_step
from reconciler.engine.schedule import Schedule
from reconciler.engine.slots import FIRST_S, LEAST_S, MOST_S, JobSlots, JobTimes, Watch
from reconciler.engine.state import FreeSlot, State, Task
from reconciler.engine.steps import Again, Ended, Ready
from reconciler.engine.waves import Waves
from reconciler.model import Wave
from reconciler.platforms.contract import Job, JobState
from tests.test_plan import binding

if TYPE_CHECKING:
    from reconciler.model import Binding


JOBS = itertools.count()


class Run:
    """A binding whose steps do nothing."""

    def __init__(self, wanted: Binding) -> None:
        self.binding = wanted
        self.name = self.address = wanted.name
        self.training = False

    def step(self) -> str:
        return f"step {self.binding.name}"

    def ready(self) -> Ready:
        return Ready(self.binding, cast("Any", lambda: f"begin {self.binding.name}"))


def run(name: str, version: str = "") -> Any:
    """A binding of a version of its own, or of one that it shares."""
    wanted = binding()
    wanted = replace(wanted, name=name, version=replace(wanted.version, version=version or name))
    return Run(wanted)


def due(schedule: Schedule, now: float = 0.0, most: int = 100) -> list[Any]:
    return [step() for _, step in schedule.due(now, most)]


def queue(schedule: Schedule, *runs: Any) -> None:
    for one in runs:
        schedule.queue(one.binding.recipe.trainer, one)


def test_a_schedule_of_nothing_is_over() -> None:
    schedule = Schedule(JobSlots(lambda _: 1))
    assert not schedule
    assert due(schedule) == []


def test_only_as_many_are_looked_at_as_there_are_slots() -> None:
    schedule = Schedule(JobSlots(lambda _: 2))
    queue(schedule, *(run(name) for name in "abcde"))
    assert due(schedule) == ["step a", "step b"]
    assert due(schedule) == []
    assert schedule


def test_who_is_ready_begins_when_there_is_a_slot_and_another_is_made_ready() -> None:
    slots = JobSlots(lambda _: 1)
    schedule = Schedule(slots)
    a, b, c = runs = [run(name) for name in "abc"]
    queue(schedule, *runs)
    assert due(schedule) == ["step a"]
    schedule.came_back(a, a.ready(), 0.0)
    assert due(schedule) == ["begin a", "step b"]
    schedule.came_back(b, b.ready(), 0.0)
    assert due(schedule) == [], "b waits for the slot, and c is not looked at meanwhile"
    slots.give_back(a.binding)
    assert due(schedule) == ["begin b", "step c"]
    schedule.came_back(c, Ended(), 0.0)
    assert not schedule


def test_a_binding_of_a_version_that_another_trains_waits_for_that() -> None:
    slots = JobSlots(lambda _: 3)
    schedule = Schedule(slots)
    leader, follower = run("leader", "same"), run("follower", "same")
    queue(schedule, leader, follower)
    assert due(schedule) == ["step leader", "step follower"]
    schedule.came_back(leader, leader.ready(), 0.0)
    schedule.came_back(follower, follower.ready(), 0.0)
    assert due(schedule) == ["begin leader"]
    assert due(schedule, 1000.0) == []
    assert schedule
    slots.give_back(follower.binding)
    assert due(schedule) == [], "only who holds a slot gives it back"
    slots.give_back(leader.binding)
    assert due(schedule) == ["step follower"]


def test_a_step_that_failed_makes_room_for_another_to_be_made_ready() -> None:
    schedule = Schedule(JobSlots(lambda _: 1))
    a, b = run("a"), run("b")
    queue(schedule, a, b)
    assert due(schedule) == ["step a"]
    schedule.came_back(a, Again(5.0), 0.0)
    assert due(schedule) == ["step b"]
    assert due(schedule, 5.0) == ["step a"]


def test_trainings_go_before_what_was_due_earlier() -> None:
    schedule = Schedule(JobSlots(lambda _: 2))
    other, training = run("other"), run("training")
    schedule.add(other, 1.0)
    training.training = True
    schedule.add(training, 2.0)
    assert schedule.seconds_to_next(0.0) == 1.0
    assert due(schedule, 1.5, most=0) == []
    assert due(schedule, 2.0, most=1) == ["step training"]
    assert due(schedule, 2.0) == ["step other"]


# --- when to look at a job ----------------------------------------------------------------------


def watched(times: JobTimes, took_s: float) -> list[float]:
    """The ages at which a job that takes so long is looked at; the last one sees its end."""
    job, age_s, ages = str(next(JOBS)), 0.0, [0.0]
    while age_s < took_s:
        age_s += times.pause_s("service", job, age_s)
        ages.append(age_s)
    times.ended("service", job, Watch("job", 0.0, ages[-2], age_s).took_s)
    return ages[1:]


@pytest.mark.parametrize("took_s", [2.0, 7.0, 14.0])
def test_jobs_that_take_alike_are_soon_seen_to_end_at_once_by_few_looks(took_s: float) -> None:
    times = JobTimes()
    first = watched(times, took_s)
    for _ in range(60):
        last = watched(times, took_s)
    assert len(last) <= 3 < len(first) + 1
    assert first[-1] - took_s <= max(took_s * 0.25, FIRST_S)
    assert last[-1] - took_s <= max(took_s * 0.06, LEAST_S)


def test_slow_answers_do_not_make_jobs_seem_longer() -> None:
    now_s, late = 0.0, []

    def look(job: str) -> Job:
        nonlocal now_s
        ended = now_s - float(job) >= 2.0
        now_s += 0.5  # as long as the answer is on its way
        return Job(JobState.FINISHED if ended else JobState.RUNNING)

    times, state = JobTimes(), State(Task(cast("Any", None), binding()))
    for number in range(40):
        began_s = now_s
        state = replace(state, watch=Watch(str(began_s), began_s))
        while state.watch:
            now_s += times.pause_s("service", str(began_s), now_s - began_s)
            asked_s = now_s
            asking = next_step(state, None, False, now_s)
            answer = look(str(began_s))
            state, steps = next_step(asking.state, None, answer, now_s)
        late.append(asked_s - began_s - 2.0)
        (freed,) = [step for step in steps if isinstance(step, FreeSlot)]
        assert freed.took_s is not None, number
        times.ended("service", freed.job, freed.took_s)
    assert sorted(late)[20] < 0.1


def test_a_long_job_is_looked_at_often_enough_to_see_it_fail() -> None:
    times = JobTimes()
    for _ in range(2):
        ages = watched(times, 3600.0)
        pauses = [later - age for age, later in itertools.pairwise(ages)]
        assert max(pauses) <= MOST_S
        assert len(ages) < 260


def test_services_are_not_taken_for_one_another() -> None:
    times = JobTimes()
    watched(times, 10.0)
    assert times.pause_s("another", "job", 0.0) == 0.5


def test_a_queued_job_is_looked_at_as_often_as_its_queue_moves_and_not_as_one_that_is_late() -> (
    None
):
    times = JobTimes()
    pauses = [times.pause_s("service", f"job {n}", 10.0, queued=True) for n in range(1, 9)]
    assert pauses == [5.0] * 8, "as long as nothing is known"
    times.ended("service", "job 1", 10.0)
    times.ended("service", "job 2", 10.0)  # one in five seconds
    pauses = [times.pause_s("service", f"job {n}", 10.0, queued=True) for n in (3, 4, 8)]
    assert pauses == [2.5, 5.0, 15.0], "half of the time after which it ends, 15 s at most"
    stuck = [times.pause_s("service", "job 3", age_s, queued=True) for age_s in (40.0, 4000.0)]
    assert stuck == [10.0, 15.0]
    late = [times.pause_s("service", "job 3", 11.0) for _ in range(3)]
    assert late == pytest.approx([1.5, 2.25, 3.375]), "it began at some time since the last look"


def test_the_last_of_a_queue_are_soon_seen_to_end_by_few_looks() -> None:
    """Eight of a hundred jobs run at a time, and their engine shows them as queued nearly as long."""
    times, watches, looks, late = JobTimes(), {n: Watch(str(n), 0.0) for n in range(100)}, 0, {}
    due = [(0.0, number) for number in watches]
    while due:
        now_s, number = heapq.heappop(due)
        looks += 1
        ends_s = 6.5 * (number // 8 + 1) + number % 8 * 0.1
        watch = replace(watches[number], asked_s=now_s)
        if now_s >= ends_s:
            late[number] = now_s - ends_s
            times.ended("service", watch.job, watch.took_s)
            continue
        queued = now_s < ends_s - 0.5
        watches[number] = watch = watch.running(queued)
        age_s = now_s - (0.0 if queued else watch.waited_s)
        pause_s = times.pause_s("service", watch.job, age_s, queued=queued)
        heapq.heappush(due, (now_s + pause_s, number))
    assert looks < 100 * 14
    assert max(late[number] for number in range(90, 100)) < 3.0


def test_a_job_that_outlasts_all_others_is_looked_at_less_and_less_often() -> None:
    times = JobTimes()
    for _ in range(20):
        watched(times, 2.0)
    ages = watched(times, 600.0)
    assert len(ages) < 60


@pytest.mark.parametrize(
    ("pause_s", "soak_s", "heard"),
    [
        (0.0, 0.0, [(0.0, 0.0, 0.0), (0.0, 0.0), ()]),
        (60.0, 0.0, [(0.0, 60.0, 60.0), (60.0, 60.0), (60.0,)]),
        (60.0, 600.0, [(0.0, 0.0, 0.0), ()]),  # what must wait so long is left for another run
    ],
)
def test_a_display_hears_how_long_a_run_waits_for_waves(
    pause_s: float, soak_s: float, heard: list[tuple[float, ...]]
) -> None:
    display = Mock()
    waves = Waves(lambda *_: None, {}, display)
    for number in (1, 2, 3):
        run = cast("Any", Run(replace(binding(), name=f"m{number}")))
        waves.add(run, "m 2", Wave(number, (1, 1, 1), pause_s, soak_s), begun=False)
    waves.begin(100.0)
    waves.came_back("m1", Ended(), 200.0)
    if not soak_s:
        waves.came_back("m2", Ended(), 300.0)
    assert [call.kwargs["pauses_s"] for call in display.wave.call_args_list] == heard
