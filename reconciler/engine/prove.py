"""Answers of an endpoint, before and after a change and on demand, and what they prove.

At the whiteboard: "it works" is three claims, and each needs a witness of its own.

    the model is there     it is read back, as serving and not merely as configured
    the model works        it answers the probe, and the answer is as `verify` says
    the change made it so  the answer names the model, or differs from the one before the swap

The third is why the probe is scored *before* the switch as well. Without that score, an endpoint
that took the request, failed to start the new model and goes on with the old one would look proved:
the declaration names the new model, and the old one answers well. So the score from before is part
of the record, and `is_declared_only` says where a declaration stands alone: no proof is claimed
there.

An answer is evidence against a version only if nothing else explains it. A probe with a wrong
column fails on every model, so it is tried on the present one first (`wrong_probe`): found out
afterwards, the slip would cost a good version its life, for a rejected version is never bound
again. An outage of another endpoint that `compare` names is no fault of this version either
(`beside_another`): then nothing is compared, and the proof says so. A bug of this program while it
asks counts as silence of the endpoint: it must not leave an unproved model in service.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reconciler import verify
from reconciler.engine.models import wanted_ref
from reconciler.engine.observe import observe_live
from reconciler.engine.reading import reading
from reconciler.engine.world import World
from reconciler.errors import (
    ProofError,
    ReconcilerError,
    RefusedError,
    StoppedError,
    UnauthorizedError,
    redact,
)
from reconciler.model import (
    Binding,
    EventKind,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Probe,
    Proof,
    Score,
    Witness,
    served,
)
from reconciler.platforms.contract import Answer, Target

log = logging.getLogger(__name__)

MOST_COLUMNS = 5  # of an answer that a record names


def prove_all(world: World, bindings: Iterable[Binding], parallel: int) -> tuple[Proof, ...]:
    """One proof per binding, `parallel` at a time, in the order of `bindings`."""
    with reading(parallel, "verify") as pool:
        return tuple(pool.map(lambda binding: prove(world, binding), bindings))


def prove(world: World, binding: Binding) -> Proof:
    """The proof by what the endpoint shows now; a failed read gives health UNKNOWN."""
    try:
        live, record = observe_live(world, binding)
        wanted = wanted_ref(world, binding)
        health = served(binding, live, wanted)
        if binding.absent:
            name, address = binding.name, str(binding.address)
            if live.health.code is HealthCode.MISSING:
                return gone(name, address)
            return Proof(name, address, "", read_back=False, health=health)
        if live.served != wanted or live.undecided:
            return make_proof(binding, live, health, read_back=False)
    except ReconcilerError as exc:
        health = Health(HealthCode.UNKNOWN, exc.message)
        return Proof(binding.name, str(binding.address), binding.version.version, False, health)
    target = world.targets[binding.kind]
    try:
        after = answer(target, binding) if asks(target, binding) else None
        after = beside_another(world, binding, after) if after else None
    except ReconcilerError as exc:  # it was read back all the same
        return make_proof(binding, live, Health(HealthCode.UNKNOWN, exc.message))
    health = judge(binding, after)
    if after and (why := names_another(after, wanted, binding.version.version)):
        health = Health(HealthCode.DEGRADED, why)
    proof = make_proof(binding, live, health, after=after)
    before = record.before if record and record.wanted == wanted else None
    return replace(proof, declared_only=is_declared_only(live, before, after))


def asks(target: Target, binding: Binding) -> bool:
    """Whether the endpoint is asked for a proof: it can be, and a probe is declared."""
    return target.can.score and binding.probe is not None


def names_another(answer: Answer, wanted: ModelRef, version: str) -> str:
    """That another model says it answered, in words; "" where the wanted one did, or none says."""
    if answer.model in ("", wanted.url, version):
        return ""
    return f"the answer is of {answer.model}, not of {version}"


def breaks(binding: Binding, before: Score | None, after: Score | None) -> str:
    """Why the new answer is a breaking change that the binding does not allow, in words, with the
    way out; "" where it is none, or nobody knows."""
    if binding.breaking or before is None or after is None:
        return ""
    if not (why := verify.breaking(before, after)):
        return ""
    return f"{why}; that breaks who reads it: once they are ready, write `breaking: allow`"


def is_declared_only(live: Live, before: Score | None, answer: Answer | None) -> bool:
    """Whether nothing shows that the declared model serves: only the declaration was read, and no
    answer names the model, or is another one than the previous model gave."""
    if live.witness is not Witness.DECLARATION:
        return False
    return answer is None or (not answer.model and answer.score == before)


def answer(target: Target, binding: Binding, *, staged: bool = False) -> Answer:
    """The answer of the endpoint, or of its staged candidate, to the probe.

    Whatever goes wrong is a ReconcilerError, a bug of ours too: it must neither leave an unproved
    model in service nor hide other endpoints.
    """
    try:
        return target.score(binding, staged=True) if staged else target.score(binding)
    except ReconcilerError:
        raise
    except Exception as exc:
        log.error("%s: a bug of ours\n%s", binding.name, redact(traceback.format_exc()))
        raise ProofError(f"a bug of ours: {type(exc).__name__}: {exc}") from exc


def score_before(heard: Answer | ReconcilerError, *, forward: bool) -> Score | None:
    """The answer before the swap; None where the endpoint gives none.

    Who may not score, or asks what the service does not understand, could not prove the candidate
    either: a swap forward, which nothing urges, does not begin.
    """
    if not isinstance(heard, ReconcilerError):
        return heard.score
    if forward and isinstance(heard, UnauthorizedError | RefusedError):
        raise heard
    return None


def wrong_probe(binding: Binding, before: Score | None) -> str:
    """Why the probe itself is wrong: a swap changes no columns, so the present model has them.

    Found out before the swap, or a slip in `columns` would cost the candidate its version.
    """
    if before is None or binding.probe is None:
        return ""
    missing = verify.missing_columns(binding.probe, before)
    return f"before the endpoint is changed, {missing}; correct spec.verify" if missing else ""


def as_event(proof: Proof, binding: Binding) -> tuple[EventKind, str]:
    """The event of a proof, for the record: which probe was asked, and the shape of its answer. No
    cell of an answer is kept, for it may hold anything."""
    kind = EventKind.DECLARED if proof.declared_only else EventKind.PROOF
    if binding.probe is None or proof.after is None:
        return kind, "not asked: no probe is declared"
    rows, columns = len(proof.after.rows), proof.after.columns
    more = [f"and {len(columns) - MOST_COLUMNS} more"] if len(columns) > MOST_COLUMNS else []
    named = ", ".join([*columns[:MOST_COLUMNS], *more])
    answer = f"{rows} {'row' if rows == 1 else 'rows'} of {named}"
    return kind, f"probe {binding.probe.digest} was answered with {answer}"


def gone(name: str, address: str) -> Proof:
    """The proof that nothing is there any more."""
    health = Health(HealthCode.HEALTHY, "it is not there any more")
    return Proof(name, address, "", read_back=True, health=health, gone=True)


def judge(binding: Binding, after: Answer | None) -> Health:
    """The health of an endpoint that was read back and answered `after`."""
    probe = binding.probe
    if probe is None or after is None:
        return Health(HealthCode.HEALTHY, "read back; no probe is declared")
    health = verify.judge_score(probe, after.score)
    other = after.other if isinstance(after, BesideAnother) else None
    if health.code is not HealthCode.HEALTHY or other is None or probe.compare is None:
        return health
    columns = probe.all_columns or after.score.columns
    why = verify.disagreement(probe.compare, columns, after.score, other)
    return Health(HealthCode.DEGRADED, f"{why} (spec.verify.compare)") if why else health


@dataclass(frozen=True)
class BesideAnother(Answer):
    """An answer, and that of the binding which it must agree with; or why that has none."""

    other: Score | None = None
    unheard: str = ""


def beside_another(world: World, binding: Binding, after: Answer) -> Answer:
    """The answer, and what the binding that `compare` names answers to its own probe.

    Another endpoint's outage, swap on its way or wrong probe is no evidence against this version,
    which would be rejected for good. So what cannot be had of it fails no proof, and the proof says
    that nothing was compared.
    """
    probe = binding.probe
    if probe is None or (compare := probe.compare) is None:
        return after
    try:
        columns = probe.all_columns or after.score.columns
        other = _measure(world, compare.name, Probe(compare.request, columns))
    except StoppedError:
        raise
    except ReconcilerError as exc:
        unheard = f"the answer was not compared with that of {compare.name}: {exc.message}"
        log.info("%s: %s", binding.name, unheard)
        return BesideAnother(after.score, after.model, unheard=unheard)
    return BesideAnother(after.score, after.model, other)


def _measure(world: World, name: str, shape: Probe) -> Score:
    """The answer of a binding, if it is a measure for others: by its declared version, proved, and
    of this shape. ReconcilerError says why not. It only reads, and asks."""
    binding = world.declared[name]
    live, record = observe_live(world, binding)
    wanted = wanted_ref(world, binding)
    proved = record is None or (record.proved and not record.declared_only)
    if live.served != wanted or live.undecided or not proved:
        raise ProofError(f"it was not proved to serve version {binding.version.version}")
    heard = answer(world.targets[binding.kind], binding)
    health = verify.judge_score(shape, heard.score)
    why = names_another(heard, wanted, binding.version.version)
    if why or health.code is not HealthCode.HEALTHY:
        raise ProofError(why or health.message)
    return heard.score


def _of_hidden(before: Score | None, after: Score | None) -> str:
    """The record says what was asked for; only an answer that changed says that it was done."""
    witness = "the service hides its model: read back from the record in the store"
    if after is None or before == after:
        return (
            f"{witness}, and no answer changed, so nothing but the service's word shows the swap; "
            "declare what the new model answers as spec.verify.expect.values"
        )
    return witness


def make_proof(
    binding: Binding,
    live: Live,
    health: Health,
    *,
    read_back: bool = True,
    before: Score | None = None,
    after: Answer | None = None,
) -> Proof:
    """The proof of what was read back and scored, with what weakens it."""
    warnings, score = [], after.score if after else None
    if score is not None and (warning := verify.same_answer_warning(before, score)):
        warnings.append(warning)
    if live.witness is Witness.RECORD:
        warnings.append(_of_hidden(before, score))
    if isinstance(after, BesideAnother) and after.unheard:
        warnings.append(after.unheard)
    compare = binding.probe.compare if binding.probe else None
    agreed = health.code is HealthCode.HEALTHY and isinstance(after, BesideAnother) and after.other
    return Proof(
        name=binding.name,
        address=str(binding.address),
        model=binding.version.version,
        read_back=read_back,
        health=health,
        before=before,
        after=score,
        warnings=tuple(warnings),
        agrees_with=compare.name if compare and agreed else "",
    )
