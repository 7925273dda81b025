"""Pure: what was observed -> what is to be done. The only user of deepdiff.

The same function finds the work and, after the work, finds none: that is what converged
means. Refusals come before everything else, because an address that cannot be read or must
not be written has no other future than BLOCK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler import gates, limits
from reconciler.model import (
    ADOPTED,
    GIVEN,
    KEPT_IN,
    MADE_FROM,
    TRAINED_AT,
    TRAINED_WITH,
    Action,
    ArtifactState,
    Change,
    Drift,
    FieldDiff,
    HealthCode,
    Judgement,
    NotDeclared,
    Observed,
    Plan,
    Reason,
    Witness,
    canonical_json,
    drifted,
    owned_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model import Binding, Declared, Environment, Owned


@dataclass(frozen=True)
class Prune:
    """That what is not declared is to be deleted; `forced`: although it is protected."""

    forced: bool = False


def make_plan(
    environment: Environment,
    observed: Iterable[Observed],
    declared: Declared | None = None,
    not_declared: NotDeclared | None = None,
    prune: Prune | None = None,
) -> Plan:
    """The plan of one environment, its changes sorted by address.

    `declared` says of how many bindings they are a selection; None: these are all. `not_declared`
    is what this environment made and git declares no more; None where nobody looked.
    """
    seen = tuple(observed)
    twins = _twins(seen)
    lost = not_declared or NotDeclared()
    decided = [_on_terms(environment, one, _of_twins(one, twins) or decide(one)) for one in seen]
    unread = tuple(f"what is not declared is not known: {said}" for said in lost.unread)
    blind = unread or tuple(c.why for c in decided if c.code == Reason.UNREADABLE)
    decided += [_of_owned(owned, prune, blind) for owned in lost.found]
    changes = tuple(sorted(decided, key=lambda change: change.address))
    notes = unread
    if prune and blind:
        notes = (*unread, f"nothing is deleted that is not declared: {blind[0]}")
    excess = limits.excess(environment, changes, declared)
    return Plan(environment.name, environment.cloud.value, changes, excess, notes)


def overridden(plan: Plan) -> Plan:
    """The plan of a run with --force: what exceeds limits is a note, and refuses nothing."""
    notes = (f"too much at once: {said}; --force overrides this" for said in plan.excess)
    return replace(plan, excess=(), notes=(*plan.notes, *notes))


def _of_owned(owned: Owned, prune: Prune | None, blind: tuple[str, ...]) -> Change:
    """What becomes of an endpoint that git does not declare any more.

    Nothing is deleted where not everything could be read: what seems to be undeclared might be
    what a better look would show to be something else.
    """
    shown = Change(
        name=owned.name,
        kind=owned.kind,
        address=str(owned.address),
        action=Action.NOOP,
        code=Reason.NOT_DECLARED,
        why="this environment made it, and git does not declare it any more; declare it again, or "
        "delete it by `--prune`",
    )
    if prune is None or blind:
        return shown
    if owned.keep is not None:
        return replace(shown, action=Action.BLOCK, code=owned.keep.code, why=owned.keep.message)
    if owned.protected and not prune.forced:
        why = (
            "it was declared with `protect: true` and is kept; declare it again without that, or "
            "delete it with --force REASON"
        )
        return replace(shown, action=Action.BLOCK, code=Reason.PROTECTED, why=why)
    why = "this environment made it, and git does not declare it any more"
    where = {"the address": owned.address.key}  # people see less of it, and approve all
    return replace(shown, action=Action.DELETE, why=why, terms=where)


def _on_terms(environment: Environment, observed: Observed, change: Change) -> Change:
    """The change with what else the desired state says of how it is done; people approve that."""
    if change.action not in TO_DO:
        return change
    binding = observed.binding
    service = environment.training_services.get(binding.recipe.service)
    said = {
        "the address": binding.address.key,
        "the asset or resource": binding.asset or "",
        TRAINED_AT: service.url if service else "",
        TRAINED_WITH: f"env:{service.key.variable}" if service else "",
        KEPT_IN: f"{environment.store.account}/{environment.store.container}",
        "training.timeout": f"{binding.timeout_s:g} s",
        "training.retry.attempts": str(binding.attempts),
        "adopt": str(binding.adopt).lower(),
        "what it is made of": binding.create.digest if binding.create else "",
    }
    if binding.create and binding.create.definition:
        secrets = [(f"env:{n.variable}", "/".join(trail)) for trail, n in binding.create.secrets]
        said[MADE_FROM] = binding.create.definition
        said[GIVEN] = ", ".join(f"{name} as {trail}" for name, trail in secrets)
    return replace(change, terms=said)


def _twins(observed: Iterable[Observed]) -> dict[str, list[Observed]]:
    """By place, the bindings whose different addresses lead to the same place."""
    found: dict[str, list[Observed]] = {}
    for one in observed:
        if one.live.place:
            found.setdefault(one.live.place, []).append(one)
    return {place: ones for place, ones in found.items() if len(ones) > 1}


def _of_twins(observed: Observed, twins: Mapping[str, list[Observed]]) -> Change | None:
    """BLOCK for a binding that is not the only one of its place: each would undo the other."""
    others = [one for one in twins.get(observed.live.place, ()) if one is not observed]
    if not others:
        return None
    listed = ", ".join(f"{one.binding.name} ({one.binding.source})" for one in others)
    why = f"it is the same endpoint that {listed} binds by another name; keep one of them"
    return _change(observed, Action.BLOCK, Reason.SAME_ENDPOINT, why)


def decide(observed: Observed) -> Change:
    """The one change of one binding."""
    if observed.binding.absent:
        return _as_declared(observed.binding, _gone(observed))
    change = (
        _because_of_address(observed)
        or _because_of_recipe(observed)
        or _because_it_is_live(observed)
        or _because_of_artifact(observed)
    )
    change = _with_settings(observed, _in_the_making(observed, change))
    change = _as_declared(observed.binding, _with_a_way_back(observed, change))
    if change.drift is None:
        return change
    return replace(change, why=f"{_drift_in_words(change.drift)}; {change.why}")


def _drift_in_words(drift: Drift) -> str:
    """What drifted, and from what; by the day, so that a fleet that drifts is still one line."""
    since = f"proved here on {drift.proved_at[:10]}"
    fields = {field.path: field for field in drift.fields}
    model = fields.pop("model", None)
    if model is not None and model.after is None:
        return f"drifted: the endpoint was deleted outside git; {model.before} was {since}"
    before = [f'{field.path} "{field.before}"' for field in fields.values()]
    before = [model.before or "", *before] if model is not None else before
    listed = ", ".join(before)
    return f"drifted from {listed}, {since}"


def _gone(observed: Observed) -> Change:
    """What becomes of an endpoint that is declared to be absent."""
    live = observed.live
    match live.health.code:
        case HealthCode.UNKNOWN:
            change = _change(observed, Action.BLOCK, Reason.UNREADABLE, live.health.message)
        case HealthCode.MISSING:
            change = _change(observed, Action.NOOP, Reason.ABSENT, "")
        case HealthCode.PROGRESSING:
            change = _change(observed, Action.WAIT, Reason.UPDATING, live.health.message)
        case _ if live.keep is not None:
            change = _change(observed, Action.BLOCK, live.keep.code, live.keep.message)
        case _ if not live.ours:
            why = "it carries no mark of this environment, which did not make it; delete it by hand"
            change = _change(observed, Action.BLOCK, Reason.NOT_OWNED, why)
        case _:
            change = _change(observed, Action.DELETE, Reason.ABSENT, "`state: absent` is declared")
    return replace(change, after="", after_ref="", key="", probe="")


def _in_the_making(observed: Observed, change: Change) -> Change:
    """The change, as one that makes the endpoint where there is none, or has just made it.

    The model is trained and accepted first, so that no endpoint is made for nothing.
    """
    if observed.live.health.code is HealthCode.MISSING:
        if change.action is Action.BIND:
            why = "there is no such endpoint; make it, and serve the trained model"
            return replace(change, action=Action.CREATE, code=Reason.MISSING, why=why)
        if change.action is Action.TRAIN:
            why = f"there is no such endpoint, and {change.why}"
            return replace(change, action=Action.CREATE, why=why)
    if observed.newborn and change.action is Action.BIND and change.code != Reason.ROLL_BACK:
        why = "nothing was proved to serve here since it was made; swap ours in"
        return replace(change, code=Reason.CREATED, why=why)
    return change


_WITH_SETTINGS = (Action.CREATE, Action.TRAIN, Action.BIND)


def _with_settings(observed: Observed, change: Change) -> Change:
    """The change, with the owned settings that differ; an update where they are all that does."""
    diffs = _settings_diffs(observed)
    if not diffs:
        return change
    if change.action is Action.NOOP:
        why = "settings differ from what is declared"
        return replace(change, action=Action.UPDATE, code=Reason.SETTINGS, why=why, diffs=diffs)
    follows = change.action in _WITH_SETTINGS or change.code == Reason.TRAINING
    return replace(change, diffs=(*change.diffs, *diffs)) if follows else change


def _settings_diffs(observed: Observed) -> tuple[FieldDiff, ...]:
    """By name, the owned settings that differ, and the protection that our own mark keeps."""
    owned = owned_settings(observed.binding, observed.live)
    differing = ((name, now, wanted) for name, (now, wanted) in owned.items() if now != wanted)
    return tuple(FieldDiff(name, now or None, wanted) for name, now, wanted in differing)


def _as_declared(binding: Binding, change: Change) -> Change:
    """The change, unless the binding says that its endpoint is to be left alone."""
    if change.action is Action.NOOP:
        return change
    would = f"{_told(change)}: {change.why}"
    if binding.paused:
        return replace(change, action=Action.NOOP, code=Reason.PAUSED, why=f"it would be {would}")
    only_protects = {diff.path for diff in change.diffs} == {"protect"}
    if change.action is Action.UPDATE and only_protects:
        return change
    if binding.protect and not binding.forced and change.action in TO_DO:
        why = (
            f"spec.protect is true, so nothing is changed here (it would be {would}); take it out, "
            "or apply with --force REASON"
        )
        return replace(change, action=Action.BLOCK, code=Reason.PROTECTED, why=why)
    return change


def _with_a_way_back(observed: Observed, change: Change) -> Change:
    """The change, or BLOCK where it leads to a swap that could not be taken back (promise 4)."""
    missing = observed.way_back.missing
    if not missing or change.action not in (Action.TRAIN, Action.BIND):
        return change
    if observed.newborn:  # nothing was ever proved to serve there, so nothing is lost
        return change
    if observed.binding.adopt:
        said = f"{ADOPTED}: {missing}"
        return replace(change, warnings=(*change.warnings, said))
    why = (
        f"there would be no way back: {missing}; write `adopt: true` below spec to swap "
        "nevertheless, this once"
    )
    return replace(change, action=Action.BLOCK, code=Reason.NO_WAY_BACK, why=why)


def _because_of_address(observed: Observed) -> Change | None:
    live = observed.live
    if live.health.code is HealthCode.UNKNOWN:
        return _change(observed, Action.BLOCK, Reason.UNREADABLE, live.health.message)
    if live.refusal is not None:
        return _change(observed, Action.BLOCK, live.refusal.code, live.refusal.message)
    if live.health.code is HealthCode.MISSING and observed.binding.create is None:
        return _change(observed, Action.BLOCK, Reason.MISSING, live.health.message)
    if live.health.code is HealthCode.PROGRESSING:
        return _change(observed, Action.WAIT, Reason.UPDATING, live.health.message)
    return None


def _because_of_recipe(observed: Observed) -> Change | None:
    claimed, wanted = observed.artifact.recipe, observed.binding.recipe
    if claimed is None or claimed == wanted:
        return None
    diffs = field_diffs(claimed.as_json(), wanted.as_json(), "recipe")
    why = (
        f"version {observed.binding.version.version} was already made by another recipe, and a "
        "version is immutable; give the new recipe a new version"
    )
    return _change(observed, Action.BLOCK, Reason.RECIPE_CHANGED, why, diffs=diffs)


def _because_it_is_live(observed: Observed) -> Change | None:
    rejected = observed.artifact.state is ArtifactState.REJECTED
    configured = observed.live.configured
    if rejected and configured == observed.artifact.ref:
        return _back(observed)
    if observed.live.served != observed.artifact.ref:
        return _unproved_way_back(observed) if rejected and observed.unproved else None
    if rejected:
        return _rejected_and_proved(observed) if observed.proved else _back(observed)
    if observed.live.undecided:
        why = f"it serves, but {configured} is configured and may take its place; declare it again"
        return _change(observed, Action.BIND, Reason.CONFIGURED_OTHERWISE, why)
    if observed.unproved:
        return _change(observed, Action.WAIT, Reason.UNPROVED, "swapped in, and not proved yet")
    return _change(observed, Action.NOOP, Reason.IN_SYNC, "")


def _unproved_way_back(observed: Observed) -> Change:
    why = f"{observed.artifact.message}; it was rolled back, and that is not proved yet"
    return _change(observed, Action.WAIT, Reason.UNPROVED, why)


def _rejected_and_proved(observed: Observed) -> Change:
    """Proved here and rejected for another address: a person must say which of the two is right."""
    why = (
        f"it serves here and was proved here, but another endpoint rejected it: "
        f"{_rejected(observed)}"
    )
    return _change(observed, Action.BLOCK, Reason.REJECTED, why)


def _rejected(observed: Observed) -> str:
    """Why it was rejected, and the ways out."""
    name, version = observed.binding.name, observed.binding.version.version
    return (
        f"{observed.artifact.message}; declare another version, or take the rejection back: "
        f"reconciler reinstate {name} {version}"
    )


def _back(observed: Observed) -> Change:
    """A rejected version serves: the model that was last known to be good must come back."""
    why, back = observed.artifact.message, observed.way_back
    if back.ref is None:
        why = f"{_rejected(observed)}; there is no way back: {back.missing}"
        return _change(observed, Action.BLOCK, Reason.NO_WAY_BACK, why)
    change = _change(
        observed, Action.BIND, Reason.ROLL_BACK, f"{why}; swap the previous model back in"
    )
    if observed.live.served != observed.artifact.ref:  # it is configured, and did not start
        change = replace(change, before=observed.binding.version.version)
    return replace(change, after=back.version, after_ref=back.ref.url, key="")


def _because_of_artifact(observed: Observed) -> Change:
    artifact, rules = observed.artifact, observed.binding.accept
    diffs = _model_diff(observed)
    match artifact.state:
        case ArtifactState.READY:
            return _bind_if_accepted(observed, diffs)
        case ArtifactState.RUNNING:
            why = artifact.message or "the training job is running"
            return _change(
                observed,
                Action.WAIT,
                Reason.TRAINING,
                why,
                diffs=diffs,
                judged=gates.pending(rules),
            )
        case ArtifactState.FAILED:
            code = artifact.code or Reason.TRAINING_FAILED
            return _change(observed, Action.BLOCK, code, artifact.message, diffs=diffs)
        case ArtifactState.REJECTED:
            return _change(
                observed, Action.BLOCK, Reason.REJECTED, _rejected(observed), diffs=diffs
            )
        case ArtifactState.ABSENT:
            why = artifact.message or "this version was never trained"
            code = Reason.RETRY if artifact.failure else Reason.NOT_TRAINED
            return _change(
                observed, Action.TRAIN, code, why, diffs=diffs, judged=gates.pending(rules)
            )
        case ArtifactState.UNKNOWN:
            why = "bind it; whether it must be trained first is not known offline"
            return _change(
                observed, Action.BIND, Reason.OFFLINE, why, diffs=diffs, judged=gates.pending(rules)
            )


def _bind_if_accepted(observed: Observed, diffs: tuple[FieldDiff, ...]) -> Change:
    rules, artifact = observed.binding.accept, observed.artifact
    judged = gates.judge(rules, artifact.metrics, observed.live_metrics, artifact.rows)
    if gates.allows(judged):
        code = Reason.VERSION_CHANGED if observed.live_version else Reason.FOREIGN_MODEL
        return _change(observed, Action.BIND, code, _why_bind(observed), diffs=diffs, judged=judged)
    lost = [j for j in judged if not j.passed]
    verdict = "not accepted" if any(j.passed is False for j in lost) else "inconclusive"
    why = f"{verdict}: " + "; ".join(_why_not(j) for j in lost)
    return _change(observed, Action.BLOCK, Reason.GATE, why, diffs=diffs, judged=judged)


def _why_bind(observed: Observed) -> str:
    if observed.record is not None and observed.record.good == observed.artifact.ref:
        return "swap it back in"
    if observed.live_version:
        return "the trained model is ready; swap it in"
    if observed.live.hidden:
        return "the service hides its model and no record of one was kept; bind it to be sure"
    return "a model that this store does not know is live; swap ours in"


def _why_not(judgement: Judgement) -> str:
    if judgement.message:
        return judgement.message
    rule = judgement.rule
    against = "" if judgement.live is None else f" (live {judgement.live:g})"
    bound = f"{rule.kind} {rule.bound}"
    return f"{rule.metric} is {judgement.candidate:g}{against}, and must be {bound}"


def _model_diff(observed: Observed) -> tuple[FieldDiff, ...]:
    live = observed.live
    before = live.served.url if live.served else live.model_text or None
    return (FieldDiff("model", before, observed.artifact.ref.url),)


def _change(
    observed: Observed,
    action: Action,
    code: str,
    why: str,
    *,
    diffs: tuple[FieldDiff, ...] = (),
    judged: tuple[Judgement, ...] = (),
) -> Change:
    binding, artifact = observed.binding, observed.artifact
    return Change(
        name=binding.name,
        kind=binding.kind,
        address=str(binding.address),
        action=action,
        code=code,
        why=why,
        before=_before(observed),
        after=binding.version.version,
        after_ref=artifact.ref.url,
        key=binding.key,
        probe=binding.probe.digest if binding.probe else "",
        diffs=diffs,
        gates=judged,
        warnings=_warnings(observed),
        source=binding.source,
        drift=drifted(observed),
    )


def _before(observed: Observed) -> str:
    """The live model for people; "" where there is no endpoint, and need not be one."""
    binding, missing = observed.binding, observed.live.health.code is HealthCode.MISSING
    if missing and (binding.absent or binding.create is not None):
        return ""
    return observed.live_name


def _warnings(observed: Observed) -> tuple[str, ...]:
    live = observed.live
    said = (*live.warnings, *observed.artifact.warnings)
    if live.witness is Witness.RECORD:
        record = "the service does not reveal its model; the record in the store is the witness"
        return (*said, record)
    return said


# What an approved action lets happen: the same, or a later stage of the same work.
_COVERS = {
    Action.TRAIN: {Action.TRAIN, Action.WAIT, Action.BIND, Action.UPDATE},
    Action.BIND: {Action.BIND, Action.WAIT, Action.UPDATE},
    Action.WAIT: {Action.WAIT, Action.BIND, Action.UPDATE},
    Action.CREATE: {Action.CREATE, Action.WAIT, Action.BIND, Action.UPDATE},
    Action.UPDATE: {Action.UPDATE, Action.WAIT},
    Action.DELETE: {Action.DELETE, Action.WAIT},
}
TO_DO = frozenset(_COVERS)
_AFTER_THE_SWAP = (Reason.UNPROVED, Reason.ROLL_BACK)  # of work on a model that serves already


def beyond(fresh: Plan, approved: Plan) -> tuple[str, ...]:
    """What the fresh plan would do that was not approved, in words; () when it is a subset."""
    if (fresh.environment, fresh.cloud) != (approved.environment, approved.cloud):
        return (f"it was approved for {approved.environment} on {approved.cloud}",)
    return tuple(uncovered(fresh, approved).values())


def uncovered(fresh: Plan, approved: Plan) -> dict[str, str]:
    """By address, in words, what the fresh plan would do that this one of its environment does
    not approve."""
    by_address = {change.address: change for change in approved.changes}
    to_do = [change for change in fresh.changes if change.action in TO_DO]
    said = {c.address: _beyond(c, by_address.get(c.address)) for c in to_do}
    return {address: sentence for address, sentence in said.items() if sentence}


def covers(approved: Change, now: Change) -> bool:
    """Whether `now` is the approved work, at the same or a later stage, from the same beginning.

    A roll-back always is: whoever approves a swap approves that it is taken back.
    """
    same_end = (now.after_ref, now.key) == (approved.after_ref, approved.key)
    to_the_end = same_end or now.code == Reason.ROLL_BACK
    return (
        now.action in _stages(approved)
        and (approved.trains or approved.code == Reason.TRAINING or not now.trains)
        and to_the_end
        and _goes_on_from(approved, now)
        and _owned(now) <= _owned(approved)
    )


def _stages(approved: Change) -> set[Action]:
    """What may follow; who waits for the training of a model that nothing serves yet has approved
    that an endpoint is made for it."""
    if approved.code == Reason.TRAINING:
        return _COVERS[Action.TRAIN] | _COVERS[Action.CREATE]
    return _COVERS.get(approved.action, set())


def _owned(change: Change) -> set[tuple[str, str | None]]:
    """The settings that a change writes, whatever they are now."""
    return {(diff.path, diff.after) for diff in change.diffs if not _of_the_model(diff)}


def _of_the_model(diff: FieldDiff) -> bool:
    return diff.path == "model" or diff.path.startswith("recipe.")


def _beyond(change: Change, approved: Change | None) -> str:
    if approved is None or approved.action not in TO_DO:
        return f"{change.name}: {described(change)} was not approved"
    if covers(approved, change):
        return _other_ways(change, approved)
    return f"{change.name}: approved was {described(approved)}, now it would be {described(change)}"


def _goes_on_from(approved: Change, now: Change) -> bool:
    """Whether the endpoint serves what it did then; or already the approved model, because a run
    was killed between the swap and its proof, or on the way back."""
    later = now.code in (*_AFTER_THE_SWAP, Reason.UPDATING, Reason.SETTINGS)
    begun = later and now.before == approved.after
    made = not approved.before and now.code in (Reason.CREATED, Reason.UPDATING)
    return now.before == approved.before or begun or made


def _other_ways(change: Change, approved: Change) -> str:
    """In words, that it would be done, judged or proved in another way than was approved; "" if in
    the same. A way back needs no gate."""
    now, then = _rules(change), _rules(approved)
    if other := [name for name in change.terms if change.terms[name] != approved.terms.get(name)]:
        listed = "; ".join(
            f"{name} is {change.terms[name]!r}, approved was {approved.terms.get(name, '')!r}"
            for name in other
        )
        return f"{change.name}: {listed}"
    if change.code == Reason.ROLL_BACK:
        return ""
    if change.probe != approved.probe:
        return f"{change.name}: spec.verify is another one than was approved"
    if now == then or change.code in (*_AFTER_THE_SWAP, Reason.SETTINGS):
        return ""
    return (
        f"{change.name}: approved was {', '.join(then) or 'no gate'}, now it would be "
        f"{', '.join(now) or 'no gate'}"
    )


def _rules(change: Change) -> list[str]:
    return sorted(str(judgement.rule) for judgement in change.gates)


def described(change: Change) -> str:
    """`bind 2026-10 → 2026-11`: what a change does, in words."""
    recipe = f" (training {change.key[:12]})" if change.trains else ""
    owned = ", ".join(f"{path} {after}" for path, after in sorted(_owned(change), key=str))
    told = _told(change) + recipe
    return f"{told} with {owned}" if owned else told


def _told(change: Change) -> str:
    models = " → ".join(filter(None, (change.before, change.after)))
    return f"{change.action.name.lower()} {models}".rstrip()


def field_diffs(before: Any, after: Any, root: str) -> tuple[FieldDiff, ...]:
    """The leaves that differ between two JSON values, sorted by path; () when they are equal.

    deepdiff costs about 1 ms per kB also when both sides are equal (performance.md), so
    equality is asked first and the import waits for a difference.
    """
    if before == after:
        return ()
    from deepdiff import DeepDiff

    found = DeepDiff(before, after, view="tree", verbose_level=2)
    diffs = [
        FieldDiff(_path(root, node), _text(node.t1), _text(node.t2))
        for nodes in found.values()
        for node in nodes
    ]
    return tuple(sorted(diffs, key=lambda diff: diff.path))


def _path(root: str, node: Any) -> str:
    return ".".join([root, *map(str, node.path(output_format="list"))])


def _text(value: object) -> str | None:
    if repr(value) == "not present":
        return None
    return canonical_json(value) if isinstance(value, dict | list) else str(value)
