"""Limits, protection, the lock, plans that are applied once, and what people do after trouble."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors, limits
from reconciler.approval import Approval
from reconciler.cli import applying, session, stopping
from reconciler.cli.output import Page
from reconciler.emulator import Fault
from reconciler.ledger import Ledger
from reconciler.ledger import lock as ledger_lock
from reconciler.ledger.lock import LEASE_S, Holder, Lock
from reconciler.model import Actor
from tests.cli.test_process import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.messages import Request, Response
    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

WRITES = ("POST", "PUT", "PATCH", "DELETE")


def writes(lab: Lab) -> list[str]:
    return [e.route for e in lab.cloud.log if e.method in WRITES and e.route != "rrs.execute"]


def locked(lab: Lab, **fields: Any) -> Lock:
    world = lab.world()
    return Lock(world.ledger._locks, "local", stopping.SystemClock(stopping.Stop()), **fields)


HOLDER = Holder(Actor("42.1", "octocat"), "2026-11-23T10:00:00Z", "apply")


# --- plans ----------------------------------------------------------------------------------


def test_a_plan_is_applied_once(lab: Lab, command: Command) -> None:
    command("plan", "--out", "plan.json")
    assert command("apply", "plan.json").code == errors.SUCCESS
    lab.want("2026-11")
    command("apply", "--yes")
    for name in ("breast-cancer.yaml", "diabetes.yaml"):
        lab.edit(name, "2026-11", "2026-10")
    lab.cloud.log.clear()
    again = command("apply", "plan.json")
    assert again.code == errors.STALE
    assert "was applied already, by run" in again.err
    digest = json.loads(Path("plan.json").read_text())["digest"]
    assert f"plan {digest} was applied already" in again.err
    assert writes(lab) == []


def test_a_plan_that_was_only_printed_approves_nothing(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(command("plan", "-o", "json").out, encoding="utf-8")
    lab.cloud.log.clear()
    ran = command("apply", "plan.json")
    assert ran.code == errors.CONFIGURATION
    assert "write it with `plan --out`" in ran.err
    assert writes(lab) == []


def test_a_plan_whose_run_was_killed_may_be_gone_on_with(lab: Lab, tmp_path: Path) -> None:
    from reconciler.cli.approval import read_plan

    subprocess.run(
        [*COMMAND, "plan", "--out", "plan.json"],
        cwd=tmp_path,
        env=environment(lab),
        check=True,
        capture_output=True,
    )
    plan = read_plan(tmp_path / "plan.json")
    plans = lab.world().ledger.plans
    plans.begin(plan, Actor("1"), "2026-11-23T10:00:00Z")
    plans.begin(plan, Actor("2"), "2026-11-23T10:01:00Z")
    plans.check(plan)
    plans.end(plan, Actor("2"), "2026-11-23T10:02:00Z")
    for refused in (plans.check, lambda p: plans.begin(p, Actor("3"), "2026-11-23T10:03:00Z")):
        with pytest.raises(errors.StalePlanError, match=r"by run 2 at 2026-11-23T10:02:00Z"):
            refused(plan)


def test_a_plan_whose_run_was_killed_after_its_work_is_ended_by_the_next_one(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    from reconciler.cli.approval import read_plan

    command("plan", "--out", "plan.json")
    command("apply", "--yes")
    plans = lab.world().ledger.plans
    plans.begin(read_plan(tmp_path / "plan.json"), Actor("1"), "2026-11-23T10:00:00Z")
    assert command("apply", "plan.json").code == errors.SUCCESS
    assert command("apply", "plan.json").code == errors.STALE


def test_a_plan_whose_run_was_stopped_may_be_gone_on_with(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    from reconciler.cli.approval import read_plan

    command("plan", "--out", "plan.json")
    serve, stopped = lab.cloud.handle, threading.Event()

    def stopping(request: Any) -> Any:
        if request.method == "POST" and not stopped.is_set():
            stopped.set()
            os.kill(os.getpid(), signal.SIGTERM)
        return serve(request)

    lab.cloud.handle = stopping  # type: ignore[method-assign]
    assert command("apply", "plan.json").code == errors.TERMINATED
    plans, plan = lab.world().ledger.plans, read_plan(tmp_path / "plan.json")
    assert plans.begun(plan)
    assert not plans.ended(plan)
    assert command("apply", "plan.json").code == errors.SUCCESS
    assert command("apply", "plan.json").code == errors.STALE


# --- limits and force -----------------------------------------------------------------------


def test_more_retrains_than_allowed_are_refused_and_forced_with_a_reason(
    lab: Lab, command: Command
) -> None:
    lab.edit("environment.yaml", "parallel: 8\n", "parallel: 8\n    retrains: 2\n")
    plan = command("plan")
    assert plan.code == errors.REFUSED
    assert "4 versions would be trained, and limits.retrains is 2" in " ".join(plan.out.split())
    lab.cloud.log.clear()
    for name in ("apply", "train"):
        ran = command(name, "--yes")
        assert ran.code == errors.REFUSED
        assert "raise the limit, or apply with --force REASON" in ran.err
    assert writes(lab) == []
    ran = command("apply", "--yes", "--force", "the first roll-out", "-o", "json")
    assert ran.code == errors.SUCCESS
    assert json.loads(ran.out)["forced"] == "the first roll-out"
    events = json.loads(command("history", "breast-cancer", "-o", "json").out)["events"]
    assert [(e["what"], e["why"]) for e in events] == [
        ("swap", "the first roll-out"),
        ("proof", events[-1]["why"]),
    ]
    assert events[-1]["why"].endswith("answered with 3 rows of Scored Labels, Scored Probabilities")


def test_a_forced_training_keeps_its_reason_with_the_version(lab: Lab, command: Command) -> None:
    lab.edit("environment.yaml", "parallel: 8\n", "parallel: 8\n    retrains: 2\n")
    command("train", "--yes", "--force", "the first roll-out")
    assert writes(lab) != []
    for binding in lab.desired().bindings:
        entry = lab.world().ledger.read(binding.version)
        assert entry is not None
        assert entry.manifest.forced == "the first roll-out"


def test_what_force_would_do_is_planned_and_approved_as_everything_else(
    lab: Lab, command: Command
) -> None:
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  protect: true\n")
    lab.edit("environment.yaml", "parallel: 8\n", "parallel: 8\n    retrains: 2\n")
    assert command("plan").code == errors.REFUSED
    planned = command("plan", "--force", "asked by the owner", "--out", "plan.json")
    assert planned.code == errors.SUCCESS
    assert "limits.retrains is 2" in " ".join(planned.out.split())
    assert command("apply", "plan.json").code == errors.REFUSED
    assert writes(lab) == []
    assert command("apply", "plan.json", "--force", "asked by the owner").code == errors.SUCCESS


def test_force_overrides_protection(lab: Lab, command: Command) -> None:
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  protect: true\n")
    assert command("apply", "--yes").code == errors.PARTIAL
    assert command("apply", "--yes", "--force", "asked by the owner").code == errors.SUCCESS


@pytest.mark.parametrize("name", ["apply", "train", "unlock"])
@pytest.mark.parametrize("reason", ["", "  "])
def test_force_without_a_reason_is_wrong_usage(command: Command, name: str, reason: str) -> None:
    ran = command(name, "--force", reason)
    assert ran.code == errors.USAGE
    assert "say why" in ran.err


# --- the lock -------------------------------------------------------------------------------


def test_a_second_run_is_refused_and_told_who_holds_the_lock(lab: Lab, command: Command) -> None:
    with locked(lab).held(HOLDER, 0, waiting=print, lost=lambda: None):
        ran = command("apply", "--yes", "--lock-timeout", "0")
        assert ran.code == errors.LOCKED
        assert "locked by apply of octocat, run 42.1, since 2026-11-23T10:00:00Z" in ran.err
        assert "reconciler unlock -e local --force REASON" in ran.err
        theirs = lab.services.rename("theirs")
        ran = command("apply", "--yes", "--lock-timeout", "0", "-f", "theirs")
        theirs.rename(lab.services)
        assert "reconciler unlock -e local --services theirs --force REASON" in ran.err
        assert [e.route for e in lab.cloud.log if e.route in ("bes.submit", "arm.patch")] == []
        assert command("plan").code == errors.SUCCESS
    assert command("apply", "--yes", "--lock-timeout", "0").code == errors.SUCCESS


@pytest.mark.parametrize(
    ("held", "asked", "said"),
    [
        ("", "1/2", "environment local is locked by"),
        ("2/2", "", "shard 2/2 of environment local is locked by"),
        ("2/3", "1/2", "shard 2/3 of environment local is locked by"),
        ("2/2", "1/2", ""),
    ],
)
def test_locks_that_overlap_exclude_each_other(lab: Lab, held: str, asked: str, said: str) -> None:
    with locked(lab, shard=held).held(HOLDER, 0, waiting=print, lost=lambda: None):
        second = locked(lab, shard=asked).held(HOLDER, 0, waiting=print, lost=lambda: None)
        if not said:
            with second:
                return
        with pytest.raises(errors.LockError) as caught, second:
            pass
        assert caught.value.message.startswith(said)
        assert ("--shard" in caught.value.message) == bool(held)
    with locked(lab, shard=asked).held(HOLDER, 0, waiting=print, lost=lambda: None):
        pass


def test_environments_with_like_names_do_not_exclude_each_other(lab: Lab) -> None:
    for name in ("local", "local-2", "loca", "local.1-of-2"):
        lock = replace(locked(lab), environment=name)
        with (
            locked(lab, shard="1/2").held(HOLDER, 0, waiting=print, lost=lambda: None)
            if name != "local"
            else contextlib.nullcontext(),
            lock.held(HOLDER, 0, waiting=print, lost=lambda: None),
        ):
            pass


def test_a_list_that_does_not_show_our_own_lock_is_not_believed(lab: Lab) -> None:
    lab.cloud.faults.script(Fault("blob.list", "stale", times=2))
    list(lab.world().store.list("_locks/local"))  # empty, and shown again
    with (
        pytest.raises(errors.UnreadableError, match="does not show that environment local is held"),
        locked(lab).held(HOLDER, 0, waiting=print, lost=lambda: None),
    ):
        pass
    with locked(lab).held(HOLDER, 0, waiting=print, lost=lambda: None):
        pass


def test_a_run_waits_for_the_lock(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    said = applying.say

    def say(text: str) -> None:
        said(text)
        if "is locked" in text:
            release.set()

    monkeypatch.setattr(applying, "say", say)

    def hold() -> None:
        with locked(lab).held(HOLDER, 0, waiting=print, lost=lambda: None):
            release.wait(30)

    holding = threading.Thread(target=hold)
    holding.start()
    while (
        not lab.world().ledger.lock("local", stopping.SystemClock(stopping.Stop()), bool).holder()
    ):
        time.sleep(0.01)
    ran = command("apply", "--yes", "--lock-timeout", "30")
    holding.join()
    assert ran.code == errors.SUCCESS
    assert "is locked by apply of octocat" in ran.err


def test_a_run_without_work_takes_no_lock(lab: Lab, command: Command) -> None:
    command("apply", "--yes")
    lab.cloud.log.clear()
    with locked(lab).held(HOLDER, 0, waiting=print, lost=lambda: None):
        assert command("apply", "--yes", "--lock-timeout", "0").code == errors.SUCCESS


def test_a_store_that_cannot_be_locked_stops_everything(lab: Lab, command: Command) -> None:
    lab.cloud.faults.script(Fault("blob.put", "status", times=1000, status=503))
    ran = command("apply", "--yes")
    assert ran.code == errors.ERROR
    assert [e.route for e in lab.cloud.log if e.route in ("bes.submit", "arm.patch")] == []


def hasty(monkeypatch: pytest.MonkeyPatch) -> list[Lock]:
    """The locks that are made from now on, which are renewed a hundred times a second."""
    made: list[Lock] = []
    real = Ledger.lock

    def lock(ledger: Ledger, *of: Any) -> Lock:
        made.append(replace(real(ledger, *of), renew_s=0.01))
        return made[-1]

    monkeypatch.setattr(Ledger, "lock", lock)
    return made


def test_unlock_leaves_the_lock_to_a_run_that_is_alive_unless_told_otherwise(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty(monkeypatch)
    monkeypatch.setattr(ledger_lock, "LOOK_S", 0.1)
    lost = threading.Event()
    lock = locked(lab, renew_s=0.05)
    with lock.held(HOLDER, 0, waiting=print, lost=lost.set):
        refused = command("unlock", "--force", "its runner is gone")
        assert refused.code == errors.LOCKED
        assert "apply of octocat, run 42.1" in refused.err
        assert "that run is alive" in refused.err
        assert "--even-if-alive" in refused.err
        assert not lost.wait(0.2)
        ran = command("unlock", "--force", "it hangs", "--even-if-alive")
        assert ran.code == errors.SUCCESS
        assert "it was locked by apply of octocat, run 42.1" in ran.err
        assert lost.wait(10)
    assert lock.lost
    assert "was not locked" in command("unlock", "--force", "again").err
    assert command("apply", "--yes", "--lock-timeout", "0").code == errors.SUCCESS


def robbed(lab: Lab, monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    """Let the next run lose its lock, and hear of it, before the answer to such a request."""
    made, serve = hasty(monkeypatch), lab.cloud.handle

    def handle(request: Request) -> Response:
        answer = serve(request)
        if (
            request.method == method
            and path in request.path
            and not any(lock.lost for lock in made)
        ):
            locked(lab, renew_s=0.01).break_(Actor("1"), "2026-11-23T10:00:00Z", "test")
            while not made[-1].lost:
                time.sleep(0.01)
        return answer

    monkeypatch.setattr(lab.cloud, "handle", handle)


def test_a_run_that_loses_its_lock_ends_with_its_own_code_and_says_so(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    robbed(lab, monkeypatch, "POST", "/jobs")
    ran = command("apply", "--yes", "-o", "json")
    report = json.loads(ran.out)
    (failure,) = report["failures"]
    assert "the lock was lost while this ran" in failure["message"]
    assert ran.code == failure["exit_code"] == errors.LOCKED
    assert "this run writes nothing more" in ran.err
    assert {one["reached"] for one in report["unfinished"]} == {"not_begun"}
    assert not any(e.route == "bes.start" for e in lab.cloud.log)
    assert command("apply", "--yes").code == errors.SUCCESS


def test_a_run_that_was_paused_writes_nothing_before_it_hears_that_its_lock_is_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = lab.desired()
    with session.opened(wanted, None) as opened:
        order = applying.Order("apply", wanted, Page("text"), Approval(yes=True))
        with applying.alone(order, opened):
            later = opened.world.clock.now() + LEASE_S
            monkeypatch.setattr(opened.world.clock, "now", lambda: later)
            with pytest.raises(errors.StoppedError, match="the lock was lost"):
                opened.world.ledger.plans._store.put("x", b"x")
    assert lab.world().store.get("x") is None


def test_a_run_that_loses_its_lock_sends_no_further_try_of_a_write(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("train", "--yes", "-t", "breast-cancer")
    busy = {"status": 503, "headers": {"Retry-After": "3"}}
    lab.cloud.faults.script(Fault("arm.patch", "status", times=10, **busy))
    robbed(lab, monkeypatch, "PATCH", "/webServices/")
    ran = command("apply", "--yes", "-t", "breast-cancer", "--report", "report.json")
    assert ran.code in (errors.LOCKED, errors.PARTIAL)
    assert [e.route for e in lab.cloud.log].count("arm.patch") == 1
    assert "? breast-cancer   perhaps changed, not proved" in ran.out
    assert "1 perhaps changed" in ran.out
    assert "0 changed" not in ran.out
    report = json.loads(Path("report.json").read_text())["report"]
    assert [(one["name"], one["reached"]) for one in report["unfinished"]] == [
        ("breast-cancer", "asked")
    ]
    assert report["done"] == ["webServices/ml-local/breast-cancer-predictive"]


def test_a_lock_whose_renewal_hangs_is_given_up_before_its_lease_ends(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, answered = threading.Event(), threading.Event()
    lock = locked(lab, renew_s=0.1)
    monkeypatch.setattr(lock, "_swap", lambda *_: answered.wait(30))
    with lock.held(HOLDER, 0, waiting=print, lost=lost.set):
        now = time.time() + LEASE_S
        monkeypatch.setattr(lock.clock, "now", lambda: now)
        assert lost.wait(10)
        assert not answered.is_set()
        answered.set()
    assert "could not be renewed in time" in lock.lost


# --- after trouble --------------------------------------------------------------------------


def test_rollback_returns_to_the_model_before_and_says_what_to_change_in_git(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    assert command("rollback", "breast-cancer").code == errors.REFUSED  # nobody can be asked
    ran = command("rollback", "breast-cancer", "--reason", "complaints", "--yes", "-o", "json")
    assert ran.code == errors.SUCCESS
    (proof,) = json.loads(ran.out)["proofs"]
    assert (proof["model"], proof["proved"], proof["rolled_back"]) == ("2026-10", True, True)
    assert 'write version "2026-10" in services/local/breast-cancer.yaml' in ran.err
    plan = command("plan")
    assert plan.code == errors.REFUSED
    assert "refused: rejected" in plan.out
    assert "complaints" in plan.out
    lab.edit("breast-cancer.yaml", "2026-11", "2026-10")
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS
    shown = json.loads(command("history", "breast-cancer", "-o", "json").out)
    assert [(v["version"], v["state"]) for v in shown["versions"]] == [
        ("2026-10", "trained"),
        ("2026-11", "rejected"),
    ]
    assert [event["what"] for event in shown["events"]][-3:] == [
        "rejected",
        "roll back",
        "proof",
    ]


def test_history_keeps_who_acted_and_why_and_a_rejection_says_the_ways_out(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    assert command("rollback", "breast-cancer", "--reason", "complaints", "--yes").code == 0
    shown = json.loads(command("history", "breast-cancer", "-o", "json").out)
    assert {event["who"] for event in shown["events"]} == {"octocat"}
    assert ("rejected", "complaints") in [
        (event["what"], event["why"]) for event in shown["events"]
    ]
    told = " ".join(command("history", "breast-cancer").out.split())
    assert "by octocat" in told
    assert "complaints (rejected by octocat at 20" in told
    assert command("report", "--html", "page.html").code == errors.SUCCESS
    page = Path("page.html").read_text()
    for text in (command("plan").out, command("status").out, page):
        refused = " ".join(text.split())
        assert "complaints (rejected by octocat at 20" in refused
        assert (
            "declare another version, or take the rejection back: reconciler reinstate "
            "breast-cancer 2026-11 -e local" in refused
        )
    assert command("reinstate", "breast-cancer", "2026-11", "--yes").code == errors.SUCCESS
    entry = lab.world().ledger.read(lab.desired().bindings[0].version)
    assert entry is not None
    assert (entry.manifest.rejected, entry.manifest.rejection) == ("", "")


def test_one_damaged_manifest_is_named_and_hides_no_other_version(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    damaged = "breast-cancer/2026-09/manifest.json"
    lab.cloud._core.blobs.put("mllocal", "models", damaged, b"{")
    ran = command("history", "breast-cancer", "-o", "json")
    shown = json.loads(ran.out)
    assert [v["version"] for v in shown["versions"]] == ["2026-10", "2026-11"]
    assert shown["unread"].startswith(f"{damaged} in the store is damaged: ")
    assert ran.code == errors.ERROR
    assert damaged in command("history", "breast-cancer").out
    assert command("report", "--html", "page.html").code == errors.ERROR
    page = Path("page.html").read_text()
    assert f"Not all of its versions could be read: {damaged} in the store is damaged" in page
    assert "2 versions, all figures" in page
    assert command("status").code == errors.SUCCESS
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS
    assert command("rollback", "breast-cancer", "--yes").code == errors.SUCCESS


def test_a_rollback_that_went_well_is_marked_so(lab: Lab, command: Command) -> None:
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    ran = command("rollback", "breast-cancer", "--yes")
    assert ran.code == errors.SUCCESS
    assert "✓ breast-cancer: rolled back, and proved" in ran.err
    assert "✗" not in ran.err + ran.out


def test_a_rollback_of_the_first_swap_advises_no_version_that_git_could_not_declare(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes")
    ran = command("rollback", "breast-cancer", "--yes")
    assert ran.code == errors.SUCCESS, ran.err
    assert "is no version of this model, so declare a new one" in ran.err
    assert 'version "' not in ran.err


@pytest.mark.parametrize("command_line", [("plan",), ("apply", "--yes"), ("train", "--yes")])
def test_with_force_no_plan_says_that_apply_refuses_it(
    lab: Lab,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    command_line: tuple[str, ...],
) -> None:
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 0)
    ran = command(*command_line, "--force", "the first roll-out")
    assert ran.code == errors.SUCCESS
    shown = ran.out if command_line == ("plan",) else ran.err
    assert "overridden by --force" in shown
    assert "apply refuses this" not in shown


def test_a_swap_that_is_to_be_proved_is_work_and_no_wait(lab: Lab, command: Command) -> None:
    command("apply", "--yes")
    (binding,) = [b for b in lab.desired().bindings if b.name == "breast-cancer"]
    ledger = lab.world().ledger
    record = ledger.record(binding.address)
    assert record is not None
    ledger.keep_record(binding.address, replace(record, proved=False))
    ran = command("plan", "--detailed-exitcode")
    assert ran.code == errors.CHANGES
    assert "1 to prove" in ran.out
    assert "wait" not in ran.out


def test_rollback_to_a_named_version(lab: Lab, command: Command) -> None:
    command("apply", "--yes")
    assert (
        "serves version 2026-10 already"
        in command("rollback", "breast-cancer", "--to", "2026-10", "--yes").err
    )
    never = command("rollback", "breast-cancer", "--to", "2026-11", "--yes")
    assert never.code == errors.REFUSED
    assert "version 2026-11 of breast-cancer was never trained to its end" in never.err
    lab.want("2026-11")
    command("apply", "--yes")
    ran = command("rollback", "breast-cancer", "--to", "2026-10", "--yes")
    assert ran.code == errors.SUCCESS


def test_rollback_to_a_version_that_was_never_accepted_is_refused(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes")
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    rule = 'atLeast: "0.9"'
    lab.edit("models/breast-cancer.yaml", rule, 'atLeast: "0.9999"')
    assert command("apply", "--yes").code == errors.REFUSED
    lab.edit("breast-cancer.yaml", "2026-11", "2026-10")
    lab.cloud.log.clear()
    ran = command("rollback", "breast-cancer", "--to", "2026-11", "--yes")
    assert ran.code == errors.REFUSED
    assert "its gates do not accept it: AUC atLeast 0.9999" in ran.err
    assert writes(lab) == []
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9999"', rule)
    assert command("rollback", "breast-cancer", "--to", "2026-11", "--yes").code == errors.SUCCESS


def test_rollback_to_a_version_that_was_proved_asks_no_younger_gate(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes")
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    command("apply", "--yes")
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9"', 'atLeast: "0.9999"')
    ran = command("rollback", "breast-cancer", "--to", "2026-10", "--yes")
    assert ran.code == errors.SUCCESS


def test_a_version_that_its_gates_accept_after_all_is_not_said_to_be_refused(
    lab: Lab, command: Command
) -> None:
    rule = 'atLeast: "0.9"'
    lab.edit("models/breast-cancer.yaml", rule, 'atLeast: "0.9999"')
    command("apply", "--yes")
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9999"', rule)
    assert command("apply", "--yes").code == errors.SUCCESS
    (made,) = json.loads(command("history", "breast-cancer", "-o", "json").out)["versions"]
    assert (made["state"], made["why"]) == ("trained", "")


@pytest.mark.parametrize("name", ["rollback", "reinstate"])
def test_nothing_is_rejected_or_reinstated_while_another_run_holds_the_lock(
    lab: Lab, command: Command, name: str
) -> None:
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    if name == "reinstate":
        command("rollback", "breast-cancer", "--yes")
    arguments = ["--lock-timeout", "0", *(["2026-11"] if name == "reinstate" else [])]
    with locked(lab).held(HOLDER, 0, waiting=print, lost=lambda: None):
        before = command("history", "breast-cancer", "-o", "json").out
        ran = command(name, "breast-cancer", *arguments, "--yes")
        assert ran.code == errors.LOCKED
        assert command("history", "breast-cancer", "-o", "json").out == before
    assert command(name, "breast-cancer", *arguments, "--yes").code == errors.SUCCESS


@pytest.mark.parametrize("to", [(), ("--to", "2026-10")])
def test_a_version_is_not_rejected_where_the_way_back_is_gone(
    lab: Lab, command: Command, to: tuple[str, ...]
) -> None:
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    blobs = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
    del blobs["breast-cancer/2026-10/model.ilearner"]
    ran = command("rollback", "breast-cancer", *to, "--yes")
    assert ran.code == errors.REFUSED
    assert "cannot be rolled back" in ran.err
    assert "is gone from the store" in ran.err
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS


def test_rollback_of_what_does_not_serve_is_refused(lab: Lab, command: Command) -> None:
    ran = command("rollback", "breast-cancer", "--yes")
    assert ran.code == errors.REFUSED
    assert "does not serve version 2026-10, which git declares" in ran.err
    assert writes(lab) == []


def test_a_rejected_version_can_be_reinstated(lab: Lab, command: Command) -> None:
    command("apply", "--yes")
    lab.want("2026-11")
    command("apply", "--yes")
    command("rollback", "breast-cancer", "--yes")
    ran = command("reinstate", "breast-cancer", "2026-11", "--yes", "--reason", "the probe was old")
    assert ran.code == errors.SUCCESS
    told = json.loads(command("history", "breast-cancer", "-o", "json").out)["events"][-1]
    assert (told["what"], told["why"]) == ("reinstated", "the probe was old")
    assert told["model"].endswith("/breast-cancer/2026-11/model.ilearner")
    again = command("reinstate", "breast-cancer", "2026-11", "--yes")
    assert again.code == errors.REFUSED
    assert "is not rejected" in again.err
    assert command("apply", "--yes").code == errors.SUCCESS
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS


@pytest.mark.parametrize("format", ["text", "markdown", "json"])
def test_history_of_what_was_never_touched_says_so(lab: Lab, command: Command, format: str) -> None:
    ran = command("history", "diabetes-young", "-o", format)
    assert ran.code == errors.SUCCESS
    assert "diabetes-young" in ran.out


def test_history_shows_metrics_jobs_and_refusals(lab: Lab, command: Command) -> None:
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9"', 'atLeast: "0.9999"')
    command("apply", "--yes")
    shown = command("history", "breast-cancer").out
    assert "not accepted" in shown
    assert "AUC 0.99" in shown
    assert "AUC is 0.992063, and must be atLeast 0.9999" in shown
    assert "job " in shown
    assert "| 2026-10 | not accepted |" in command("history", "breast-cancer", "-o", "markdown").out
