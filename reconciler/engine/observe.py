"""Reads everything that one decision needs. Sends only GET and HEAD."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from reconciler.engine import tables
from reconciler.engine.evaluation import parse_metrics
from reconciler.engine.models import metrics_of, proved_otherwise, version_name, wanted_ref
from reconciler.engine.way_back import is_rejected, last_good, observe_way_back
from reconciler.engine.world import World, seconds_since_epoch
from reconciler.errors import NotKnownError, RefusedError, UnreadableError, WireError
from reconciler.ledger import Attempt, Manifest
from reconciler.model import (
    METRICS,
    MODEL,
    Artifact,
    ArtifactState,
    Binding,
    Health,
    HealthCode,
    Level,
    Live,
    ModelRef,
    Observed,
    Reason,
    Record,
    Refusal,
    RuleKind,
    Witness,
)
from reconciler.platforms.contract import Job, JobState, Registered
from reconciler.stores.contract import Place, Properties, beginning_of

GRACE_S = 24 * 3600.0


def look(world: World, binding: Binding) -> Callable[[], Live]:
    """A call that returns the live state, asked for now; it raises what the service said
    instead."""
    try:
        live = world.targets[binding.kind].observe(binding)
    except (RefusedError, WireError) as exc:
        error = exc

        def fail() -> Live:
            raise error

        return fail
    return lambda: live


def observe(world: World, binding: Binding, looked: Callable[[], Live] | None = None) -> Observed:
    """The observed state of the address and of the model. A failed read becomes health UNKNOWN.

    The address is asked for here, unless somebody has `looked` just before.
    """
    ledger = world.ledger.glance()
    world = world if ledger is world.ledger else replace(world, ledger=ledger)
    ref = wanted_ref(world, binding)
    try:
        live, record = observe_live(world, binding, looked)
        if binding.absent:
            name = version_name(world, binding, live.served, record)
            unasked = Artifact(ArtifactState.UNKNOWN, ref)
            return Observed(binding, live, unasked, live_version=name, record=record)
        try:
            artifact = observe_artifact(world, binding, live)
        except (WireError, RefusedError) as exc:
            if not binding.paused or isinstance(exc, NotKnownError):
                raise
            # What serves is shown and compared all the same: nobody has said yet how it is made.
            artifact = Artifact(ArtifactState.FAILED, ref, exc.message)
        metrics, version = _of_live(world, binding, live, artifact, record)
        seen = Observed(binding, live, artifact, metrics, version, record)
        good = record.good if record else None
        proved = (version_name(world, binding, good, record) or good.short_name) if good else ""
        return replace(
            seen,
            way_back=observe_way_back(world, seen),
            proved_version=proved,
            proved_otherwise=proved_otherwise(world, binding, artifact.ref, record),
        )
    except NotKnownError as exc:
        refusal = Refusal(Reason.NOT_KNOWN_OFFLINE, exc.message)
        live = Live(Health(HealthCode.HEALTHY), refusal=refusal)
        return Observed(binding, live, Artifact(ArtifactState.UNKNOWN, ref))
    except (WireError, RefusedError) as exc:
        live = Live(Health(HealthCode.UNKNOWN, exc.message))
        if isinstance(exc, RefusedError):
            live = Live(Health(HealthCode.HEALTHY), refusal=Refusal(Reason.REFUSED, exc.message))
        begun = world.ledger.may_have_begun(binding.address, ref)
        return Observed(binding, live, Artifact(ArtifactState.UNKNOWN, ref), begun=begun)


def observe_live(
    world: World, binding: Binding, looked: Callable[[], Live] | None = None
) -> tuple[Live, Record | None]:
    """The live state and the record; where the service hides its model, the record names it.

    Where only a declaration can be read, it counts as served, with the declaration as witness;
    unless the target is that witness itself, and says that nobody was told of the model yet.
    """
    target = world.targets[binding.kind]
    live = looked() if looked else target.observe(binding)
    configured = None if target.can.shows_served else live.configured
    if live.served is None and configured and live.witness is not Witness.DECLARATION:
        live = replace(live, served=configured, configured=None, witness=Witness.DECLARATION)
    record = world.ledger.record(binding.address)
    if live.hidden and live.refusal is None and record is not None and record.bound is not None:
        # An endpoint that hides its model has the one that it accepted last. Whether a swap that
        # was cut off came through is not known: then an endpoint that must have the model before
        # it is taken to have the other, or nobody would swap back.
        begun = not record.proved and record.wanted != record.bound
        back = begun and record.bound == wanted_ref(world, binding)
        back = back and not is_rejected(world, binding, record.bound, record)
        ref = record.wanted if back else record.bound
        live = replace(live, served=ref, witness=Witness.RECORD)
    return live, record


def observe_artifact(world: World, binding: Binding, live: Live) -> Artifact:
    """How far the desired model file is, by its manifest, its last job and the file itself."""
    ref = wanted_ref(world, binding)
    entry = world.ledger.read(binding.version)
    if entry is None or (entry.manifest.vacant and entry.manifest.recipe != binding.recipe):
        if (version := world.registered(binding.recipe)) is not None:
            return _registered(version, binding, ref)
        for port, path in binding.recipe.inputs:
            if world.data.head(path) is None:
                why = f"input {port}: {path} is not in {world.data.uri}; upload it first"
                return Artifact(ArtifactState.FAILED, ref, why, code=Reason.INPUT_MISSING)
            if why := _lacks(world, path, dict(binding.columns).get(port, ())):
                why = f"input {port}: {path}: {why}; correct it, or spec.training.columns"
                return Artifact(ArtifactState.FAILED, ref, why, code=Reason.INPUT_UNFIT)
        return Artifact(ArtifactState.ABSENT, ref)
    manifest = entry.manifest
    artifact = _by_manifest(world, binding, manifest, ref)
    if artifact.state is ArtifactState.READY and live.served != ref:
        return _if_the_file_is_there(world, binding, manifest, artifact)
    return artifact


def _lacks(world: World, path: str, declared: tuple[str, ...]) -> str:
    """Why a table has not the columns that it must have; nobody reads one for which none are
    declared, and a snapshot does not keep any."""
    if not declared:
        return ""
    try:
        head = beginning_of(world.data, path, tables.MOST_HEAD)
    except NotKnownError:
        return ""
    wrong = tables.flaws(path, head or b"", declared, ())
    return "; ".join(why for level, why in wrong if level is Level.ERROR)


def _registered(version: Registered, binding: Binding, ref: ModelRef) -> Artifact:
    """A version that is still to be taken in, with the metrics of its run, by which its gates judge
    it before anything is copied; FAILED where it must not be taken in or no gate could judge it."""
    finite = version.finite
    asked = [rule.metric for rule in binding.accept if rule.kind is not RuleKind.MIN_ROWS]
    unknown = [name for name in asked if name not in finite]
    why = version.refusal
    if unknown and not why:
        name, known = unknown[0], ", ".join(sorted(version.metrics)) or "none"
        value = version.metrics.get(name)
        silent = f'has no metric "{name}" (it has {known})'
        bad = f'says that the metric "{name}" is {value}, which no gate can judge'
        why = f"the run of version {version.version} {silent if value is None else bad}"
    if why:
        return Artifact(ArtifactState.FAILED, ref, why, code=Reason.NOT_REGISTERED)
    also = f" ({'; '.join(version.notes)})" if version.notes else ""
    why = f"version {version.version}{also} was never taken in"
    return Artifact(ArtifactState.ABSENT, ref, why, metrics=finite)


def heads(world: World, paths: Iterable[str]) -> dict[str, Properties | None]:
    """The properties of each input in the store; None where it is absent."""
    return {path: world.data.head(path) for path in paths}


def fingerprints(world: World, binding: Binding) -> dict[str, str]:
    """By path of an input, what changes when its content does; missing ones are left out."""
    found = heads(world, [path for _, path in binding.recipe.inputs])
    return {path: seen.fingerprint for path, seen in found.items() if seen is not None}


def _changed_inputs(world: World, manifest: Manifest) -> tuple[str, ...]:
    """A warning per input whose content is no longer what the version was trained on."""
    if not manifest.attempts:
        return ()
    attempt, made = manifest.attempts[-1], manifest.recipe.made
    made += "" if manifest.recipe.takes else " on it"
    return tuple(
        f"{path} changed since this version was {made}; new data needs a new version"
        if now is not None
        else f"{path} is gone since this version was {made}"
        for path, now in attempt.changed(heads(world, attempt.inputs)).items()
    )


def _by_manifest(world: World, binding: Binding, manifest: Manifest, ref: ModelRef) -> Artifact:
    base = Artifact(
        ArtifactState.ABSENT,
        ref,
        recipe=manifest.recipe,
        refused=manifest.refused,
        labels=manifest.labels,
    )
    if manifest.recipe != binding.recipe:
        return base
    if manifest.rejected:
        return replace(base, state=ArtifactState.REJECTED, message=manifest.rejection)
    if manifest.evaluation is not None:
        made, rows = manifest.evaluation, manifest.evaluation.rows
        if rows is None and manifest.attempts:  # the rule may be younger than the version
            rows = _rows(world, binding, manifest.attempts[-1])
        return replace(
            base,
            state=ArtifactState.READY,
            warnings=_changed_inputs(world, manifest),
            metrics=made.metrics,
            rows=rows,
            sha256=made.sha256,
            location=made.ref,
        )
    if not manifest.attempts:
        return replace(base, message="training was claimed, and no job was submitted yet")
    # The last job says how far it is; a failure leaves the version to be tried again, or failed.
    last = manifest.attempts[-1]
    base = replace(base, job=last.job)
    if last.failure:
        seen = replace(base, failure=last.failure)
    else:
        trainer = world.trainers[manifest.recipe.trainer]
        job = world.ended.get(last.job) or trainer.look(last.job)
        if job.state is JobState.NOT_STARTED and last.started_at and trainer.forgets:
            job = Job(JobState.FAILED, "it was started, and the engine knows it no more")
        seen = _by_job(world, binding, replace(base, noted=bool(last.started_at)), job, last)
    if not seen.failure:
        return seen
    failure = f"attempt {len(manifest.attempts)} of {binding.attempts} failed: {seen.failure}"
    if len(manifest.attempts) < binding.attempts:
        return replace(seen, state=ArtifactState.ABSENT, message=failure)
    why = f"{failure}; mend the cause and declare a new version"
    return replace(seen, state=ArtifactState.FAILED, message=why)


def _by_job(world: World, binding: Binding, base: Artifact, job: Job, attempt: Attempt) -> Artifact:
    now = world.clock.now()
    running_s = now - _since_epoch(attempt.started_at, now)
    waiting_s = now - _since_epoch(attempt.noted_at, now)
    match job.state:
        case JobState.FINISHED:
            return _finished(world, binding, base, job, attempt)
        case JobState.FAILED | JobState.CANCELLED:
            return _failed(base, f"{job.state}: {job.message or 'the service gave no reason'}")
        case JobState.RUNNING if running_s > binding.timeout_s:
            return replace(
                _failed(base, f"not finished within {binding.timeout_s:g} s"), code=Reason.OVERDUE
            )
        case JobState.FORGOTTEN if waiting_s > access_s(binding):
            return _failed(base, "is not known to the training engine any more")
        case JobState.FORGOTTEN:
            left_h = (access_s(binding) - waiting_s) / 3600
            raise UnreadableError(
                f"job {base.job} was noted, and the training engine does not know it: "
                f"{job.message}; if that lasts, it counts as failed in {left_h:.0f} h"
            )
        case JobState.NOT_STARTED if waiting_s > access_s(binding):
            why = "never started, and its access to the data has expired"
            return replace(_failed(base, why), code=Reason.OVERDUE)
        case JobState.NOT_STARTED:
            why = f"job {base.job} was submitted and not started yet"
            return replace(base, message=why, noted=True)
        case JobState.RUNNING:
            why = f"job {base.job} is running" + (f": {job.message}" if job.message else "")
            return replace(
                base, state=ArtifactState.RUNNING, message=why, running_s=max(running_s, 0.0)
            )


def _failed(base: Artifact, why: str) -> Artifact:
    return replace(base, failure=f"training job {base.job} {why}", noted=False)


def _since_epoch(stamp: str, otherwise: float) -> float:
    return seconds_since_epoch(stamp) if stamp else otherwise


def access_s(binding: Binding) -> float:
    """How long a job may read and write its files: its timeout, and a day to be started in."""
    return binding.timeout_s + GRACE_S


def _finished(
    world: World, binding: Binding, base: Artifact, job: Job, attempt: Attempt
) -> Artifact:
    """READY with metrics; FAILED if the job's outputs are not where this program put them.

    UnreadableError where they are another version's: then the answer is about another job.
    """
    try:
        if MODEL not in job.outputs:
            raise UnreadableError(job.message or "it left no model")
        model, place = _ref(job.outputs[MODEL], MODEL), world.ledger.ref(binding.version)
        other = None if model == place else world.ledger.beside(model)
        if model != place and other is None:
            raise UnreadableError(f"the model was written to {model}, not to {place}")
        metrics = {} if other else _metrics(world, job)
    except UnreadableError as exc:
        return _failed(base, f"finished, but {exc.message}")
    if other:
        raise UnreadableError(
            f"reading job {base.job}: the answer is about another job: it made {other.version}"
        )
    rows = _rows(world, binding, attempt)
    return replace(base, state=ArtifactState.READY, metrics=metrics, rows=rows, noted=False)


def _rows(world: World, binding: Binding, attempt: Attempt) -> int | None:
    """The data rows of the job's smallest input, where a rule asks; None if it changed since."""
    if not any(rule.kind is RuleKind.MIN_ROWS for rule in binding.accept):
        return None
    files = {path: world.data.get(path) for _, path in binding.recipe.inputs}
    properties = {path: file.properties if file else None for path, file in files.items()}
    if files.keys() != attempt.inputs.keys() or attempt.changed(properties):
        return None
    return tables.fewest_rows({path: file.content for path, file in files.items() if file})


def _metrics(world: World, job: Job) -> dict[str, float]:
    """The metrics that the job left; {} where it left none: gates are then inconclusive."""
    if job.metrics is not None:
        return parse_metrics(job.metrics)
    if METRICS not in job.outputs:
        return {}
    ref = _ref(job.outputs[METRICS], METRICS)
    at = world.file_at(ref.url)
    if at is None:
        raise UnreadableError(f"its metrics were written to {ref}, which is not in the store")
    file = at[0].get(at[1])
    if file is None:
        raise UnreadableError(f"there are no metrics at {ref}")
    return parse_metrics(file.content)


def _ref(place: Place, role: str) -> ModelRef:
    try:
        return ModelRef(place.uri)
    except ValueError as exc:
        raise UnreadableError(f"its {role} output is not at a plain URL: {exc}") from exc


def _if_the_file_is_there(
    world: World, binding: Binding, manifest: Manifest, artifact: Artifact
) -> Artifact:
    """The artifact, FAILED unless the file is there and is the one that was evaluated."""
    name = world.ledger.model_name(binding.version)
    file = world.store.head(name)
    evaluated = manifest.evaluation.fingerprint if manifest.evaluation else ""
    failed = replace(artifact, state=ArtifactState.FAILED)
    version = world.registered(binding.recipe)
    if version is not None and version.refusal:
        return replace(failed, code=Reason.NOT_REGISTERED, message=version.refusal)
    if manifest.evaluation is None and world.trainers[binding.recipe.trainer].collects:
        return artifact  # its file is collected before it is noted
    if file is None:
        made = manifest.recipe.made
        why = f"the manifest says it was {made}, but the model file is gone; declare a new version"
        return replace(failed, code=Reason.MODEL_MISSING, message=why)
    if evaluated and file.fingerprint != evaluated:
        why = (
            f"{name} was written again after it was evaluated, so its metrics are not of this "
            "file; put the evaluated file back, or declare a new version"
        )
        return replace(failed, code=Reason.MODEL_CHANGED, message=why)
    return artifact


def _of_live(
    world: World, binding: Binding, live: Live, artifact: Artifact, record: Record | None
) -> tuple[dict[str, float] | None, str]:
    """Metrics and version name of the live model, where it is one of this store.

    A model that somebody else put there has no metrics that we know, and those of one that is not
    proved or is rejected bind nobody. The gates then compare with the model that was last known to
    be good here, or drift would open them to anything.
    """
    if live.served is not None and live.served == artifact.ref:
        return dict(artifact.metrics), binding.version.version
    name = version_name(world, binding, live.served, record)
    unproved = record is not None and record.wanted == live.served and not record.proved
    metrics = None if unproved else metrics_of(world, binding, live.served, record)
    if metrics is None and (good := last_good(record)) != artifact.ref:
        metrics = metrics_of(world, binding, good, record)
    return metrics, name
