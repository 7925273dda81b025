"""After any failure the endpoint serves the old proven model or the new proven one (promise 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from reconciler.emulator.messages import Response
from reconciler.engine.observe import observe
from reconciler.engine.rollback import order, rollback_of
from reconciler.engine.steps import Goal
from reconciler.model import Action, Model, Score
from reconciler.platforms.contract import Answer
from tests.lab import LabClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine.steps import Ended
    from tests.lab import Lab

WINDOW_S = 30  # in which an answer may still be of the model before (§2.6)
KINDS = ["breast-cancer", "diabetes-young"]


def only(lab: Lab, name: str) -> None:
    """Leave one binding."""
    local = lab.services / "local"
    if name == "breast-cancer":
        (local / "diabetes.yaml").unlink()
        return
    (local / "breast-cancer.yaml").unlink()
    path = local / "diabetes.yaml"
    path.write_text(next(d for d in path.read_text().split("---\n") if f"{name}}}" in d))


def want(lab: Lab, name: str, version: str) -> None:
    file = "breast-cancer.yaml" if name == "breast-cancer" else "diabetes.yaml"
    old = "2026-11" if version == "2026-10" else "2026-10"
    lab.edit(file, f'"{old}"', f'"{version}"')


def served(lab: Lab, name: str) -> str:
    """The digest of the bytes that score now."""
    lab.cloud.settle()
    for service in lab.cloud.world.services.values():
        if name == "breast-cancer" and "predictive" in service.name:
            return service.model
    for classic in lab.cloud.world.classic.values():
        for endpoint in classic.endpoints.values():
            if endpoint.name == name.removeprefix("diabetes-") and endpoint.model:
                return endpoint.model
    raise AssertionError(name)


def unanswered(lab: Lab, name: str) -> None:
    """The endpoint refuses the probe while it scores with another model than it does now."""
    before, around = served(lab, name), lab.cloud.faults.around

    def refusing(route: str, address: str, serve: Callable[[], Response]) -> Response:
        if route == "rrs.execute" and served(lab, name) != before:
            return Response(400, {}, b"")
        return around(route, address, serve)

    lab.cloud.faults.around = refusing  # type: ignore[method-assign]


@pytest.mark.parametrize("name", KINDS)
def test_a_failed_proof_is_rolled_back_proved_and_rejected(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab, name)
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "does not answer the probe" in failure.message
    assert failure.message.endswith("version 2026-11 is rejected; rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before
    lab.sent.clear()
    change = lab.changes()[name]
    assert (change.action, change.code) == (Action.BLOCK, "rejected")
    assert [f.exit_code for f in lab.apply().failures] == [errors.REFUSED]
    assert lab.writes == []
    want(lab, name, "2026-10")
    assert lab.plan().converged


@pytest.mark.parametrize("name", KINDS)
def test_an_answer_that_is_not_as_expected_is_rolled_back(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    if name == "breast-cancer":
        lab.edit("breast-cancer.yaml", '{atLeast: "0", atMost: "1"}', '{atLeast: "7"}')
    else:
        lab.edit(
            "diabetes.yaml",
            "columns: [Scored Labels]",
            "expect: {Scored Labels: {values: [other]}}",
        )
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "(spec.verify.expect)" in failure.message
    assert "expected" in failure.message
    assert failure.message.endswith("version 2026-11 is rejected; rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before


@pytest.mark.parametrize("name", KINDS)
def test_the_first_model_of_all_can_be_rolled_back_to(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    before = served(lab, name)
    unanswered(lab, name)
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before


def stopped_when(lab: Lab, said: str) -> dict[str, Ended]:
    """A run that is stopped as soon as a binding enters a phase."""
    lab.progress.said.clear()
    world = replace(
        lab.world(), stopping=lambda: any(words[1] == said for words in lab.progress.said)
    )
    return lab.converge(world, 1)


@pytest.mark.parametrize("name", KINDS)
def test_a_swap_that_nobody_proved_is_proved_by_the_next_run(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    assert stopped_when(lab, "swapping") == {}
    lab.clock.advance(60)
    change = lab.changes()[name]
    assert (change.action, change.code) == (Action.WAIT, "unproved")
    report = lab.apply()
    assert report.failures == ()
    assert [proof.name for proof in report.proofs] == [name]
    lab.sent.clear()
    assert lab.apply().plan.converged
    assert lab.writes == []


@pytest.mark.parametrize("name", KINDS)
def test_a_way_back_that_was_cut_off_is_gone_by_the_next_run(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab, name)
    assert stopped_when(lab, "rolling back") == {}
    lab.clock.advance(60)
    assert served(lab, name) != before
    change = lab.changes()[name]
    assert (change.action, change.code, change.after) == (Action.BIND, "roll_back", "2026-10")
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    lab.clock.advance(60)
    assert served(lab, name) == before


@pytest.mark.parametrize("status", [400, 503])
@pytest.mark.parametrize("name", KINDS)
def test_no_version_is_to_blame_when_the_one_before_does_not_answer_either(
    switched: Callable[..., Lab], name: str, status: int
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=10_000, status=status))
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "the previous model does not answer either" in failure.message
    assert "so version 2026-11 is not rejected" in failure.message
    lab.clock.advance(60)
    assert served(lab, name) == before
    lab.cloud.faults.forget()
    assert lab.changes()[name].action is Action.BIND
    assert not lab.apply().failures
    assert lab.plan().converged


def test_a_way_back_that_answers_wrongly_says_both(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    want(lab, "breast-cancer", "2026-11")
    unanswered(lab, "breast-cancer")
    target = lab.world().targets["WebService"]
    score, empty = type(target).score, Answer(Score((), ()))
    answers = iter([score, score])  # only what the new model answers is refused

    def scored(self: Any, binding: Any) -> Answer:
        found: Answer = next(answers, lambda *_: empty)(self, binding)
        return found

    monkeypatch.setattr(type(target), "score", scored)
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "version 2026-11 is rejected; and the way back could not be proved" in failure.message
    assert lab.changes()["breast-cancer"].code in ("rejected", "unproved")


@pytest.mark.parametrize("name", KINDS)
def test_a_probe_that_the_service_does_not_understand_begins_no_swap(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    probe = next((lab.services / "local" / "probes").glob(f"{name.split('-')[0]}*"))
    probe.write_text('{"Inputs": {"no_such_input": {"ColumnNames": ["a"], "Values": [["1"]]}}}')
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.REFUSED
    assert "the endpoint refuses the probe" in failure.message
    assert "correct spec.verify" in failure.message
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert lab.changes()[name].action is Action.TRAIN, "and nothing was trained for it"


def test_a_live_model_whose_file_is_gone_blocks_the_swap(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.apply()
    lab.want("2026-11")
    blobs: Any = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
    del blobs["breast-cancer/2026-10/model.ilearner"]
    report = lab.apply()
    (failure,) = report.failures
    assert failure.name == "breast-cancer"
    assert failure.exit_code == errors.REFUSED
    assert "there would be no way back" in failure.message
    assert len(report.proofs) == 3


def test_a_hidden_model_has_no_way_back_the_first_time_and_one_later(
    switched: Callable[..., Lab],
) -> None:
    lab = switched(classic_location="hidden")
    only(lab, "diabetes-young")
    lab.edit("diabetes.yaml", "  adopt: true\n", "")
    change = lab.changes()["diabetes-young"]
    assert (change.action, change.code) == (Action.BLOCK, "no_way_back")
    assert [f.exit_code for f in lab.apply().failures] == [errors.REFUSED]
    assert lab.writes == []
    lab.edit("diabetes.yaml", "spec:\n", "spec:\n  adopt: true\n")
    assert (
        "there is no way back, as `adopt: true` accepts"
        in lab.changes()["diabetes-young"].warnings[-1]
    )
    lab.apply()
    lab.edit("diabetes.yaml", "  adopt: true\n", "")
    before = served(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    unanswered(lab, "diabetes-young")
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, "diabetes-young") == before


# --- the way back is the model that was last known to be good -------------------------------


def rejected(lab: Lab, name: str) -> str:
    """A world where 2026-11 was rejected and rolled back; the digest of what serves."""
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab, name)
    lab.apply()
    lab.clock.advance(60)
    assert served(lab, name) == before
    return before


def put_behind_our_back(lab: Lab, version: str) -> None:
    world = lab.world()
    (binding,) = lab.desired().bindings
    other = replace(binding.version, version=version)
    world.targets[binding.kind].switch(binding, Model(world.ledger.ref(other)))
    lab.clock.advance(60)


class CutOffError(Exception):
    """Stands for the end of the process."""


def cut_off(lab: Lab, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A run that dies in the roll-back: `before` or `after` its write."""
    world = lab.world()
    (binding,) = lab.desired().bindings
    target, wanted = world.targets[binding.kind], world.ledger.ref(binding.version)
    bind = target.switch

    def dies(binding: Any, model: Any) -> str:
        if model.ref == wanted:
            return bind(binding, model)
        if what == "after":
            bind(binding, model)
        raise CutOffError

    monkeypatch.setattr(target, "switch", dies)
    lab.converge(world, 1)
    lab.clock.advance(60)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("hidden", ["visible", "hidden"])
@pytest.mark.parametrize("what", ["before", "after"])
def test_a_roll_back_that_is_killed_around_its_write_is_ended_by_the_next_run(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, name: str, hidden: str, what: str
) -> None:
    lab = switched(classic_location=hidden)
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab, name)
    cut_off(lab, monkeypatch, what)
    assert (served(lab, name) == before) == (what == "after")
    assert not lab.plan().converged
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert failure.message.endswith("rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert lab.changes()[name].code == "rejected"


@pytest.mark.parametrize("name", KINDS)
def test_a_wrong_probe_keeps_no_rejected_version_in_service(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab, name)
    cut_off(lab, monkeypatch, "before")
    assert served(lab, name) != before
    file = "breast-cancer.yaml" if name == "breast-cancer" else "diabetes.yaml"
    lab.edit(file, "[Scored Labels]", "[Scored Lables]")
    (failure,) = lab.apply().failures
    assert "the way back could not be proved" in failure.message
    lab.clock.advance(60)
    assert served(lab, name) == before


def test_a_probe_that_nobody_may_ask_costs_no_version(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    before = served(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    lab.cloud.faults.script(Fault("arm.listkeys", "status", times=100, status=403))
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.ERROR
    assert "403" in failure.message
    assert served(lab, "breast-cancer") == before
    lab.cloud.faults.forget()
    assert lab.changes()["breast-cancer"].action is Action.TRAIN, "and nothing was trained"
    assert not lab.apply().failures


@pytest.mark.parametrize("name", KINDS)
def test_a_rejected_version_that_is_put_back_by_hand_does_not_stay(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    before = rejected(lab, name)
    put_behind_our_back(lab, "2026-11")
    assert served(lab, name) != before
    change = lab.changes()[name]
    assert (change.action, change.code, change.after) == (Action.BIND, "roll_back", "2026-10")
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before


@pytest.mark.parametrize("name", KINDS)
def test_the_way_back_is_never_a_model_that_was_not_proved(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    unanswered(lab, name)
    want(lab, name, "2026-11")
    stopped_when(lab, "swapping")
    lab.clock.advance(60)
    assert served(lab, name) != before
    file = "breast-cancer.yaml" if name == "breast-cancer" else "diabetes.yaml"
    lab.edit(file, '"2026-11"', '"2026-12"')
    folder = "diabetes/young" if name == "diabetes-young" else name
    store: Any = lab.world().data
    data = store.get(f"datasets/{folder}/2026-11.csv")
    store.put(f"datasets/{folder}/2026-12.csv", data.content)
    (failure,) = lab.apply().failures
    assert failure.message.endswith("version 2026-12 is rejected; rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before


def test_the_proof_of_a_roll_back_names_the_model_that_is_proved(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    want(lab, "breast-cancer", "2026-11")
    unanswered(lab, "breast-cancer")
    (proof,) = lab.apply().proofs
    assert (proof.model, proof.proved, proof.rolled_back) == ("2026-10", True, True)


def test_a_roll_back_that_meets_trouble_says_that_the_version_is_rejected(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    want(lab, "breast-cancer", "2026-11")
    unanswered(lab, "breast-cancer")
    world = lab.world()
    target, calls = world.targets["WebService"], []
    bind = target.switch

    def unavailable(binding: Any, ref: Any) -> str:
        calls.append(ref)
        if len(calls) == 1:
            return bind(binding, ref)
        raise errors.UnavailableError("503 try later")

    monkeypatch.setattr(target, "switch", unavailable)
    (ended,) = lab.converge(world, 1).values()
    assert ended.failure is not None
    assert ended.failure.exit_code == errors.UNPROVED
    assert "version 2026-11 is rejected; and it is not rolled back: 503" in ended.failure.message


def test_a_version_that_one_endpoint_rejected_blocks_where_another_proved_it(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    world = lab.world()
    (binding,) = lab.desired().bindings
    entry = world.ledger.read(binding.version)
    assert entry is not None
    world.ledger.reject(entry, "it was slow elsewhere")
    change = lab.changes()["breast-cancer"]
    assert (change.action, change.code) == (Action.BLOCK, "rejected")
    assert "was proved here, but was rejected elsewhere: it was slow" in change.why


def test_a_model_file_that_was_written_again_after_its_evaluation_is_not_bound(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    want(lab, "breast-cancer", "2026-11")
    lab.converge(lab.world(), 1, goal=Goal.TRAINED)
    store: Any = lab.world().data
    good = store.get("models/breast-cancer/2026-10/model.ilearner")
    store.put("models/breast-cancer/2026-11/model.ilearner", good.content)
    change = lab.changes()["breast-cancer"]
    assert (change.action, change.code) == (Action.BLOCK, "model_changed")
    assert "was written again after it was evaluated" in change.why


def test_two_runs_cannot_overwrite_each_others_way_back(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    (binding,) = lab.desired().bindings
    ledger = lab.world().ledger
    mine, theirs = ledger.record(binding.address), ledger.record(binding.address)
    assert mine is not None
    assert theirs is not None
    ledger.keep_record(binding.address, replace(theirs, proved=False))
    with pytest.raises(errors.ConflictError):
        ledger.keep_record(binding.address, mine)
    with pytest.raises(errors.ConflictError):
        ledger.keep_record(binding.address, replace(mine, etag=""))  # as one that saw none yet


# --- git goes back to the model that was last known to be good ------------------------------


def swap_and_die(lab: Lab, monkeypatch: pytest.MonkeyPatch, wait_s: float = 60) -> None:
    """A run that dies between the write of its swap and the next thing that it would do."""
    world = lab.world()
    (binding,) = lab.desired().bindings
    target = world.targets[binding.kind]
    bind = target.switch

    def dies(binding: Any, ref: Any) -> str:
        bind(binding, ref)
        raise CutOffError

    monkeypatch.setattr(target, "switch", dies)
    lab.converge(world, 1)
    lab.clock.advance(wait_s)


def adopted(lab: Lab, name: str) -> str:
    """A world where 2026-10 was proved, and nothing is adopted any more; what serves."""
    only(lab, name)
    lab.apply()
    if name != "breast-cancer":
        path = lab.services / "local" / "diabetes.yaml"
        path.write_text(path.read_text().replace("  adopt: true\n", ""))
    return served(lab, name)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("hidden", ["visible", "hidden"])
def test_git_goes_back_after_a_swap_that_was_cut_off(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, name: str, hidden: str
) -> None:
    lab = switched(classic_location=hidden)
    before = adopted(lab, name)
    want(lab, name, "2026-11")
    swap_and_die(lab, monkeypatch)
    assert served(lab, name) != before
    want(lab, name, "2026-10")
    change = lab.changes()[name]
    assert (change.action, change.before) == (Action.BIND, "2026-11")
    assert not lab.apply().failures
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert lab.plan().converged


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("hidden", ["visible", "hidden"])
@pytest.mark.parametrize("what", ["before", "after"])
def test_git_goes_back_after_a_roll_back_that_was_cut_off(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, name: str, hidden: str, what: str
) -> None:
    lab = switched(classic_location=hidden)
    before = adopted(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab, name)
    cut_off(lab, monkeypatch, what)
    want(lab, name, "2026-10")
    assert not lab.apply().failures
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert lab.plan().converged


@pytest.mark.parametrize("name", KINDS)
def test_drift_to_a_rejected_version_is_healed_by_the_one_before(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    before = rejected(lab, name)
    put_behind_our_back(lab, "2026-11")
    want(lab, name, "2026-10")
    assert not lab.apply().failures
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert lab.plan().converged


def test_a_model_that_nobody_proved_is_no_measure_for_the_way_to_the_one_before(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    before = adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    swap_and_die(lab, monkeypatch)
    want(lab, "breast-cancer", "2026-10")
    rule = '{metric: AUC, noWorseThanLive: "0.02"}'
    lab.edit("models/breast-cancer.yaml", rule, '{metric: AUC, betterThanLive: "0.5"}')
    assert not lab.apply().failures
    assert served(lab, "breast-cancer") == before


@pytest.mark.parametrize("name", KINDS)
def test_the_last_good_model_is_not_rejected_for_silence(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lab = switched()
    before = adopted(lab, name)
    want(lab, name, "2026-11")
    swap_and_die(lab, monkeypatch)
    want(lab, name, "2026-10")
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=10_000, status=400))
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert failure.message.endswith("; there is no way back")
    lab.cloud.faults.forget()
    assert not lab.apply().failures
    assert served(lab, name) == before
    assert lab.plan().converged


# --- what answers within the window of a Classic swap may still be the model before ----------


def proved_at_once(lab: Lab, before: str) -> None:
    """One apply proves 2026-11, and at that moment it is the one that scores."""
    report = lab.apply()
    assert not report.failures
    assert [proof.name for proof in report.proofs] == ["diabetes-young"]
    assert served(lab, "diabetes-young") != before


@pytest.mark.parametrize("hidden", ["visible", "hidden"])
def test_a_swap_that_is_answered_slowly_is_proved_by_its_own_model(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    lab = switched(classic_location=hidden)
    before = adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    target = type(lab.world().targets["ClassicEndpoint"])
    bind = target.switch

    def slowly(self: Any, binding: Any, ref: Any) -> str:
        lab.clock.advance(50)
        return bind(self, binding, ref)

    monkeypatch.setattr(target, "switch", slowly)
    proved_at_once(lab, before)


@pytest.mark.parametrize("ahead_s", [0, 45, -600])
def test_the_clock_of_the_run_that_swapped_is_not_believed(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    lab = switched()
    before = adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    swap_and_die(lab, monkeypatch, wait_s=0)
    monkeypatch.setattr(LabClock, "now", lambda self: self._clock() + ahead_s)
    began = lab.clock()
    proved_at_once(lab, before)
    assert lab.clock() - began < 60


def test_an_endpoint_that_refused_to_answer_is_not_proved_by_the_model_before(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    before = adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=2, status=400))
    proved_at_once(lab, before)


def asked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each swap of Classic endpoints was asked for."""
    asked_at: list[float] = []
    target = type(lab.world().targets["ClassicEndpoint"])
    bind = target.switch

    def noted(self: Any, binding: Any, ref: Any) -> str:
        asked_at.append(lab.clock())
        return bind(self, binding, ref)

    monkeypatch.setattr(target, "switch", noted)
    return asked_at


def test_a_swap_that_was_still_on_its_way_proves_no_other(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    first = adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    swap_and_die(lab, monkeypatch, wait_s=0)
    want(lab, "diabetes-young", "2026-10")
    assert served(lab, "diabetes-young") == first
    asked_at = asked(lab, monkeypatch)
    assert not lab.apply().failures
    assert lab.clock() - asked_at[-1] >= WINDOW_S
    assert served(lab, "diabetes-young") == first


def test_an_answer_while_a_swap_may_be_on_its_way_is_no_measure_for_the_next(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    adopted(lab, "diabetes-young")
    befores = []
    for version in ("2026-11", "2026-10"):
        want(lab, "diabetes-young", version)
        swap_and_die(lab, monkeypatch, wait_s=0)
        (binding,) = lab.desired().bindings
        record = lab.world().ledger.record(binding.address)
        assert record is not None
        befores.append(record.before)
    assert befores[0] is not None
    assert befores[1] is None


def test_the_way_back_from_a_candidate_that_was_heard_is_proved_by_the_first_other_answer(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched(settle_s=5)
    first = adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    lab.edit("diabetes.yaml", "columns: [Scored Labels]", "expect: {Scored Labels: {values: [x]}}")
    asked_at = asked(lab, monkeypatch)
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    assert len(asked_at) == 2
    assert lab.clock() - asked_at[-1] < WINDOW_S
    assert served(lab, "diabetes-young") == first


def test_the_way_back_from_a_silent_candidate_waits_the_window(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    unanswered(lab, "diabetes-young")
    asked_at = asked(lab, monkeypatch)
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    assert lab.clock() - asked_at[-1] >= WINDOW_S


def test_a_roll_back_by_hand_from_a_proved_model_is_proved_by_the_first_other_answer(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched(settle_s=5)
    first = adopted(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    assert not lab.apply().failures
    (binding,) = lab.desired().bindings
    world = lab.world()
    seen = observe(world, binding)
    order(world, seen, rollback_of(world, seen), "by hand")
    asked_at = asked(lab, monkeypatch)
    (proof,) = lab.apply().proofs
    assert proof.rolled_back
    assert lab.clock() - asked_at[-1] < WINDOW_S
    assert served(lab, "diabetes-young") == first
