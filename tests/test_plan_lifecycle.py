"""The planner as a table, of endpoints that are made, changed, deleted or forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.approval import beyond, covers
from reconciler.model import (
    Action,
    ArtifactState,
    Change,
    Creation,
    Event,
    EventKind,
    Health,
    HealthCode,
    Live,
    ModelRef,
    NotDeclared,
    Observed,
    Owned,
    Plan,
    Reason,
    Record,
    Refusal,
    SecretName,
    WayBack,
)
from reconciler.plan import Prune, decide, make_plan
from reconciler.platforms.studio.classic_state import ClassicAddress
from reconciler.platforms.studio.new_creation import NewService
from reconciler.render.words import destinations, what
from tests.test_plan import ENVIRONMENT, HEALTHY, NEW, OLD, binding, observed, of

MISSING = Live(Health(HealthCode.MISSING, "no endpoint"))
OURS = Live(HEALTHY, served=NEW, ours=True)
CREATE = binding(create=Creation())
GONE = binding(absent=True)
FIRST = ModelRef("https://acct.blob.core.windows.net/studio/first.ilearner")
MADE = Record(NEW, None, None, False, "", history=(Event("", EventKind.CREATE, NEW, "run", ""),))


def of_missing(state: ArtifactState, **fields: object) -> Change:
    artifact = of(state, **fields)
    return decide(observed(MISSING, artifact, binding=CREATE, live_version=""))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (of_missing(ArtifactState.ABSENT), "+ not_trained"),
        (of_missing(ArtifactState.ABSENT, failure="no header"), "+ retry"),
        (of_missing(ArtifactState.RUNNING), ". training"),
        (of_missing(ArtifactState.READY), "+ missing"),
        (of_missing(ArtifactState.READY, metrics={"AUC": 0.1}), "! gate"),
        (of_missing(ArtifactState.FAILED), "! training_failed"),
        (of_missing(ArtifactState.REJECTED), "! rejected"),
        (decide(observed(MISSING)), "! missing"),
        (
            decide(observed(replace(MISSING, refusal=Refusal("no_service", "")), binding=CREATE)),
            "! no_service",
        ),
    ],
)
def test_an_endpoint_that_is_not_there_is_made_for_a_model_that_is_accepted(
    change: Change, expected: str
) -> None:
    assert f"{change.action.value} {change.code}" == expected


def test_an_endpoint_that_was_lost_after_a_roll_back_is_restored() -> None:
    rejected = of(ArtifactState.REJECTED, "it is bad")
    seen = observed(MISSING, rejected, binding=CREATE, live_version="")
    change = decide(replace(seen, way_back=WayBack(OLD, "2026-09")))
    assert (change.action, change.code) == (Action.CREATE, "roll_back")
    assert (change.before, change.after, change.after_ref) == ("", "2026-09", OLD.url)
    assert "it is bad; restore 2026-09" in change.why
    other = replace(seen, live=Live(HEALTHY, served=OLD), way_back=WayBack(OLD, "2026-09"))
    assert decide(other).action is Action.BLOCK


def test_a_plan_names_the_file_and_the_secrets_of_what_it_creates() -> None:
    secrets = ((("nodes", "n", "Account Key"), SecretName("ANYTHING")),)
    made_from = binding(create=NewService("{}", secrets).creation("exports/census.json"))
    missing = observed(MISSING, of(ArtifactState.READY), binding=made_from, live_version="")
    plan = make_plan(ENVIRONMENT, [missing])
    (line,) = destinations(plan)
    assert "is created from the file exports/census.json" in line
    assert "env:ANYTHING as nodes/n/Account Key" in line
    renamed = replace(made_from, create=NewService("{}", secrets).creation("exports/b.json"))
    other = make_plan(ENVIRONMENT, [replace(missing, binding=renamed)])
    assert beyond(other, plan)  # another file was not approved
    assert other.digest != plan.digest


def test_what_is_made_replaces_nothing() -> None:
    assert of_missing(ArtifactState.READY).before == ""
    assert of_missing(ArtifactState.ABSENT).trains
    assert not of_missing(ArtifactState.READY).trains


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (OURS, "- absent"),
        (MISSING, "= absent"),
        (replace(OURS, ours=False), "! not_owned"),
        (replace(OURS, keep=Refusal("default_endpoint", "")), "! default_endpoint"),
        (Live(Health(HealthCode.UNKNOWN, "503")), "! unreadable"),
        (replace(OURS, health=Health(HealthCode.PROGRESSING)), ". updating"),
    ],
)
def test_only_what_is_known_to_be_ours_is_deleted(live: Live, expected: str) -> None:
    change = decide(observed(live, binding=GONE))
    assert f"{change.action.value} {change.code}" == expected
    assert (change.after, change.after_ref, change.key) == ("", "", "")


def test_protection_outranks_a_declared_absence() -> None:
    change = decide(observed(OURS, binding=binding(absent=True, protect=True)))
    assert (change.action, change.code) == (Action.BLOCK, "protected")


# --- settings ------------------------------------------------------------------------------

SET = (("description", "loc 1"), ("maxConcurrentCalls", "20"))


def with_settings(live: Live, **fields: object) -> Observed:
    shown = (("description", "loc 1"), ("maxConcurrentCalls", "4"), ("throttleLevel", "Low"))
    return observed(replace(live, settings=shown), binding=binding(settings=SET, **fields))


def test_settings_alone_are_an_update_shown_by_field() -> None:
    change = decide(with_settings(OURS))
    assert (change.action, change.code) == (Action.UPDATE, "settings")
    assert [(d.path, d.before, d.after) for d in change.diffs] == [
        ("settings.maxConcurrentCalls", "4", "20")
    ]


def test_settings_that_are_not_declared_are_not_looked_at() -> None:
    live = replace(OURS, settings=(("description", "theirs"),))
    assert decide(observed(live)).action is Action.NOOP


def test_settings_follow_the_model_in_one_change() -> None:
    change = decide(with_settings(Live(HEALTHY, served=OLD)))
    assert change.action is Action.BIND
    assert [d.path for d in change.diffs] == ["model", "settings.maxConcurrentCalls"]


def test_protection_is_written_onto_what_this_environment_made() -> None:
    change = decide(observed(OURS, binding=binding(create=Creation(), protect=True)))
    assert (change.action, [d.path for d in change.diffs]) == (Action.UPDATE, ["protect"])
    theirs = replace(OURS, ours=False)
    kept = decide(observed(theirs, binding=binding(create=Creation(), protect=True)))
    assert kept.action is Action.NOOP


# --- approvals -----------------------------------------------------------------------------


def test_who_approves_a_creation_approves_its_swap_and_its_settings() -> None:
    create = binding(create=Creation(), settings=SET)
    approved = decide(observed(MISSING, binding=create, live_version=""))
    made = replace(OURS, served=FIRST)
    newborn = Observed(create, made, of(ArtifactState.READY), record=MADE)
    swap = decide(newborn)
    assert (swap.action, swap.code) == (Action.BIND, "created")
    assert covers(approved, swap)
    served = Observed(create, OURS, of(ArtifactState.READY), live_version="2026-11")
    update = decide(served)
    assert update.action is Action.UPDATE
    assert covers(approved, update)
    assert not covers(approved, decide(replace(served, binding=GONE)))


def test_an_endpoint_that_somebody_else_made_meanwhile_is_not_swapped() -> None:
    approved = decide(observed(MISSING, binding=CREATE, live_version=""))
    theirs = Observed(CREATE, Live(HEALTHY, served=FIRST), of(ArtifactState.READY), record=MADE)
    assert not covers(approved, decide(theirs))


def test_who_approves_a_creation_without_a_training_approves_none() -> None:
    ready, absent = of_missing(ArtifactState.READY), of_missing(ArtifactState.ABSENT)
    assert covers(absent, ready)
    assert not covers(ready, absent)


def test_other_settings_than_the_approved_are_not_written() -> None:
    approved = decide(with_settings(OURS))
    more = replace(approved, diffs=(replace(approved.diffs[0], after="200"),))
    assert covers(approved, approved)
    assert not covers(approved, more)


def test_a_newborn_needs_no_way_back_and_any_other_does() -> None:
    made = replace(OURS, served=FIRST)
    lost = WayBack(missing="nobody knows one")
    newborn = Observed(CREATE, made, of(ArtifactState.READY), record=MADE, way_back=lost)
    assert decide(newborn).action is Action.BIND
    proved = replace(MADE, history=(*MADE.history, Event("", EventKind.PROOF, NEW, "run", "")))
    assert decide(replace(newborn, record=proved)).code == "no_way_back"


# --- what git does not declare any more ------------------------------------------------------


def owned(number: int, **fields: object) -> Owned:
    return replace(
        Owned("ClassicEndpoint", f"loc{number}", ClassicAddress("w", "s", f"loc{number}")), **fields
    )


def in_sync(count: int) -> list[Observed]:
    return [
        observed(OURS, binding=binding(f"b{n:02}", address=f"classic/s/b{n:02}"))
        for n in range(count)
    ]


def test_what_the_store_has_no_record_of_is_named_and_never_deleted() -> None:
    found = NotDeclared(unrecorded=("classic/a/b", "classic/a/c"))
    plan = make_plan(ENVIRONMENT, in_sync(2), not_declared=found, prune=Prune())
    assert plan.converged
    assert plan.notes == (
        f"classic/a/b and 1 more carry the mark of {ENVIRONMENT.name}, but its store has no record "
        "of that, so it deletes nothing there",
    )


def test_what_is_not_declared_is_shown_and_left() -> None:
    plan = make_plan(ENVIRONMENT, in_sync(2), not_declared=NotDeclared((owned(1),)))
    assert [(c.name, c.action.value, c.code) for c in plan.changes][-1] == (
        "loc1",
        "=",
        Reason.NOT_DECLARED,
    )
    assert plan.converged


def test_prune_deletes_and_asks_for_approval() -> None:
    found = NotDeclared((owned(1),))
    shown = make_plan(ENVIRONMENT, in_sync(2), not_declared=found)
    pruned = make_plan(ENVIRONMENT, in_sync(2), not_declared=found, prune=Prune())
    assert pruned.counts[Action.DELETE] == 1
    assert pruned.digest != shown.digest
    assert beyond(pruned, shown) == ("loc1: delete was not approved",)
    assert beyond(pruned, pruned) == beyond(shown, pruned) == ()


def test_prune_keeps_what_is_protected_unless_it_is_forced() -> None:
    found = NotDeclared((owned(1, protected=True),))
    (change,) = make_plan(ENVIRONMENT, [], not_declared=found, prune=Prune()).changes
    assert (change.action, change.code) == (Action.BLOCK, "protected")
    (change,) = make_plan(ENVIRONMENT, [], not_declared=found, prune=Prune(forced=True)).changes
    assert change.action is Action.DELETE


@pytest.mark.parametrize("prune", [None, Prune(), Prune(forced=True)])
def test_what_was_made_by_hand_is_never_pruned_and_the_plan_says_how_to_delete_it(
    prune: Prune | None,
) -> None:
    found = NotDeclared((owned(1, adopted=True),))
    plan = make_plan(ENVIRONMENT, in_sync(1), not_declared=found, prune=prune)
    change = plan.changes[-1]
    assert (change.action, change.code) == (Action.NOOP, Reason.NOT_DECLARED)
    assert "declare `state: absent` to delete it" in change.why
    assert "`--prune` leaves it" in change.why


# --- the mark of an owner -------------------------------------------------------------------------

BY_HAND = Live(HEALTHY, served=NEW, unmarked=True)


def test_an_endpoint_that_was_made_by_hand_is_marked_and_nothing_else_is_done() -> None:
    change = decide(observed(BY_HAND))
    assert (change.action, change.code) == (Action.UPDATE, Reason.UNMARKED)
    assert [(d.path, d.before, d.after) for d in change.diffs] == [
        ("owner", None, "this environment")
    ]
    assert what(change) == "mark as owned"
    assert decide(observed(replace(BY_HAND, unmarked=False, ours=True))).action is Action.NOOP


def test_a_mark_goes_with_a_swap_or_settings_where_these_are_planned() -> None:
    swap = decide(observed(replace(BY_HAND, served=OLD), of(ArtifactState.READY)))
    assert swap.action is Action.BIND
    assert "owner" in [diff.path for diff in swap.diffs]
    assert covers(swap, decide(observed(BY_HAND)))  # of a platform that needs a second write
    settings = decide(observed(BY_HAND, binding=binding(settings=(("title", "Churn"),))))
    assert settings.code == Reason.SETTINGS
    assert [diff.path for diff in settings.diffs] == ["owner", "settings.title"]


def test_a_paused_binding_gets_no_mark_and_a_protected_one_does() -> None:
    paused = decide(observed(BY_HAND, binding=binding(paused=True)))
    assert (paused.action, paused.code) == (Action.NOOP, Reason.PAUSED)
    assert decide(observed(BY_HAND, binding=binding(protect=True))).code == Reason.UNMARKED


def test_the_mark_of_another_environment_is_a_refusal() -> None:
    theirs = replace(BY_HAND, unmarked=False, refusal=Refusal(Reason.NOT_OWNED, "staging has it"))
    assert decide(observed(theirs)).code == Reason.NOT_OWNED


def test_marks_count_as_no_changes_in_the_limits() -> None:
    by_hand = [observed(BY_HAND, binding=binding(f"churn-{n}")) for n in range(40)]
    plan = make_plan(ENVIRONMENT, by_hand)
    assert (plan.counts[Action.UPDATE], plan.excess) == (40, ())


def test_prune_keeps_what_the_platform_keeps_though_it_is_forced() -> None:
    found = NotDeclared((owned(1, keep=Refusal("default_endpoint", "it is the default")),))
    (change,) = make_plan(ENVIRONMENT, [], not_declared=found, prune=Prune(forced=True)).changes
    assert (change.action, change.code) == (Action.BLOCK, "default_endpoint")


def test_an_incomplete_read_prunes_nothing_and_says_so() -> None:
    found = NotDeclared((owned(1),), unread=("listing answered 503",))
    plan = make_plan(ENVIRONMENT, in_sync(1), not_declared=found, prune=Prune())
    assert plan.counts[Action.DELETE] == 0
    assert plan.notes[-1].startswith("undeclared endpoints were not deleted, because")
    blind = observed(Live(Health(HealthCode.UNKNOWN, "503")))
    plan = make_plan(ENVIRONMENT, [blind], not_declared=NotDeclared((owned(1),)), prune=Prune())
    assert plan.counts[Action.DELETE] == 0
    assert plan.notes == (
        "undeclared endpoints were not deleted, because not everything could be read: 503",
    )


@pytest.mark.parametrize(
    ("declared", "forgotten", "percent", "exceeds"),
    [(3, 1, 10, False), (3, 2, 10, True), (18, 2, 10, False), (17, 3, 10, True), (9, 1, 0, True)],
)
def test_prune_has_a_threshold_of_its_own(
    declared: int, forgotten: int, percent: int, exceeds: bool
) -> None:
    environment = replace(ENVIRONMENT, most_deletes_percent=percent)
    found = NotDeclared(tuple(owned(n) for n in range(forgotten)))
    plan = make_plan(environment, in_sync(declared), not_declared=found, prune=Prune())
    assert plan.counts[Action.DELETE] == forgotten
    assert any("limits.deletes" in said for said in plan.excess) is exceeds
    assert not any("limits.changes" in said for said in plan.excess)
    assert make_plan(environment, in_sync(declared), not_declared=found).excess == ()


@pytest.mark.parametrize(("proved", "exceeds"), [("2026-11", False), ("2026-10", True)])
def test_what_a_platform_lost_is_made_again_whatever_the_limit(proved: str, exceeds: bool) -> None:
    """A cluster that forgot all is filled by one run; with another version it is a change."""
    ref = NEW if proved == "2026-11" else OLD
    event = Event("2026-11-20", EventKind.PROOF, ref, "run", "", version=proved)
    record = Record(ref, None, None, proved=True, at="2026-11-20", history=(event,))
    lost = [
        observed(
            MISSING,
            of(ArtifactState.READY),
            binding=binding(f"churn-{n}", create=Creation()),
            record=record,
            live_version="",
            proved_version=proved,
        )
        for n in range(20)
    ]
    plan = make_plan(ENVIRONMENT, lost)
    assert plan.counts[Action.CREATE] == 20
    assert bool(plan.excess) is exceeds


def test_who_approves_that_something_is_made_approves_what_it_is_made_of() -> None:
    def planned(template: str) -> Plan:
        made = binding(create=NewService(template).creation("a.json"))
        artifact = of(ArtifactState.READY)
        return make_plan(ENVIRONMENT, [observed(MISSING, artifact, binding=made, live_version="")])

    approved, fresh = planned('{"a":1}'), planned('{"a":2}')
    assert fresh.digest != approved.digest
    (said,) = beyond(fresh, approved)
    assert said.startswith("churn: what it is made of is ")
    assert beyond(planned('{"a":1}'), approved) == ()


def test_who_approves_a_deletion_approves_where() -> None:
    def planned(workspace: str) -> Plan:
        found = Owned("ClassicEndpoint", "loc1", ClassicAddress(workspace, "s", "loc1"))
        return make_plan(ENVIRONMENT, [], None, NotDeclared((found,)), Prune())

    approved, fresh = planned("w1"), planned("w2")
    assert [c.address for c in fresh.changes] == [c.address for c in approved.changes]
    assert fresh.digest != approved.digest
    (said,) = beyond(fresh, approved)
    assert "the address is 'classic/w2/s/loc1', approved was 'classic/w1/s/loc1'" in said
