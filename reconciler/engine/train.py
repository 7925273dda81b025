"""The steps that make a model version. Any crash between two lines is continued by the next run.

At the whiteboard: two runs at once, or one that is killed and begun again, must start one job. No
training engine promises that, so the store does, by compare-and-swap on the version's manifest:

    claim the version ─ prepare a job ─ note its id ─ start it ─ note the start

A run that is killed after the claim leaves a version without a job, and the next run prepares one.
Killed after `prepare`, it leaves a job that nobody noted: it never runs and costs nothing. Killed
after the note, it leaves an id that the next run looks up and starts, and a start names its id, so
the engine takes it once. Of two runs that prepared a job each, one loses the swap of the note, and
its job stays unstarted.

To start first and note afterwards would save a step, and fail: a run that is killed between the two
leaves a job that runs and that no run knows, and the next one starts a second. A job that an engine
forgot after its start may have run, so its id is never started again; the next attempt has another.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import replace

from reconciler.engine.observe import access_s, fingerprints
from reconciler.engine.world import World
from reconciler.errors import ConflictError, NotFoundError
from reconciler.ledger import Attempt, Entry, Evaluation, Manifest
from reconciler.model import METRICS, MODEL, Artifact, ArtifactState, Binding, Reason
from reconciler.platforms.contract import JobState, Order
from reconciler.soon import Soon
from reconciler.stores.contract import Access, Place, Properties, Store, sha256_of, url_of

log = logging.getLogger(__name__)


def claim(world: World, binding: Binding) -> Entry | None:
    """The claimed manifest of the wanted version; None when it was made by another recipe.

    A claim of which no job came, as when the service refused it, is taken over: nothing was made.
    The write names the claim that was read, so whoever meanwhile noted a job for it keeps it.
    """
    now, actor = world.moment, world.actor
    key, recipe, run = binding.key, binding.recipe, actor.run
    ours = Manifest(binding.version, key, recipe, now, run, commit=actor.commit, forced=actor.force)
    entry = world.ledger.claim(ours)
    if entry.manifest.key == binding.key:
        return entry
    return world.ledger.write(entry, ours) if entry.manifest.vacant else None


def train_step(world: World, binding: Binding, entry: Entry, soon: Soon) -> str:
    """The job that makes the wanted version, started; "" where another run was ahead.

    The state of a new job may be read while its id is noted: before that nobody else can start it.
    """
    trainer, attempts = world.trainers[binding.recipe.trainer], entry.manifest.attempts
    if attempts and not (attempts[-1].failure and len(attempts) < binding.attempts):
        last = attempts[-1]
        if last.failure or (last.started_at and trainer.forgets):
            return ""  # it ran; a look says how it ended, and a forgotten one is never run again
        job = last.job
        if trainer.look(job).state is JobState.NOT_STARTED:
            trainer.start(job, _order(world, binding, len(attempts)))
            _note_start(world, entry)
        return job
    inputs = fingerprints(world, binding)
    order = _order(world, binding, len(attempts) + 1)
    job = trainer.prepare(order)
    seen = soon(lambda: trainer.look(job))
    attempt = Attempt(job, world.moment, inputs)
    try:
        entry = world.ledger.note_attempt(entry, attempt)
    except ConflictError:
        log.debug("job %s stays unstarted: another run noted its own first", job)
        return ""
    if seen().state is JobState.NOT_STARTED:
        trainer.start(job, order)
        _note_start(world, entry)
    return job


def _note_start(world: World, entry: Entry) -> None:
    """From here on the job's time counts; a run that is killed before this notes it later."""
    try:
        world.ledger.note_start(entry, world.moment)
    except ConflictError:
        log.debug("another run noted the start first")


def _order(world: World, binding: Binding, attempt: int) -> Order:
    """The order that makes the version: where its inputs are and its outputs must be, with access
    to them where the engine needs it. A grant may cost a right and a request, and is a secret."""
    version, lasting_s = binding.version, access_s(binding)
    grants = world.trainers[binding.recipe.trainer].grants

    def place(store: Store, name: str, access: Access) -> Place:
        if grants:
            return store.grant(name, access, lasting_s)
        return Place(url_of(store.base, name))

    names = {MODEL: world.ledger.model_name(version), METRICS: world.ledger.metrics_name(version)}
    reads, writes = binding.recipe.inputs, names.items()
    return Order(
        key=binding.key,
        attempt=attempt,
        recipe=binding.recipe,
        inputs={name: place(world.data, path, Access.READ) for name, path in reads},
        outputs={role: place(world.store, name, Access.WRITE) for role, name in writes},
        timeout_s=binding.timeout_s,
        labels={"model": version.model, "version": version.version},
    )


def note(world: World, binding: Binding, artifact: Artifact, refused: str = "") -> Artifact:
    """The artifact, its manifest saying what was observed of its job: start, metrics, or failure.

    `refused` says why the gates do not accept the metrics. It goes with them: who is killed after
    them leaves a plan that refuses the version, and nobody who would write the reason down.
    """
    entry = world.ledger.read(binding.version)
    if entry is None or not _is_about(entry, artifact):
        return artifact
    try:
        if artifact.failure:
            if artifact.code == Reason.OVERDUE:
                world.trainers[binding.recipe.trainer].cancel(artifact.job)
            world.ledger.note_failure(entry, artifact.failure)
        elif artifact.state is ArtifactState.READY:
            try:
                digest, known = _collected(world, binding, entry, artifact.job)
            except NotFoundError as exc:  # no look brings the file back: the attempt has failed
                why = f"training job {artifact.job} finished, but {exc.message}"
                world.ledger.note_failure(entry, why)
                return artifact
            place = world.ledger.ref(binding.version)
            spent = world.trainers[binding.recipe.trainer].spent(artifact.job)
            metrics, seen = artifact.metrics, known.fingerprint
            made = Evaluation(metrics, digest, world.moment, seen, artifact.rows, place, spent)
            world.ledger.note_evaluation(entry, made, refused)
            return replace(artifact, sha256=made.sha256, location=made.ref)
        else:
            _note_start(world, entry)
    except ConflictError:
        log.debug("another run noted the outcome of job %s first", artifact.job)
    return artifact


def _collected(world: World, binding: Binding, entry: Entry, job: str) -> tuple[str, Properties]:
    """The digest and the properties of the model that a finished job left, brought into the store;
    NotFoundError where it is gone."""
    trainer = world.trainers[binding.recipe.trainer]
    if trainer.collects:
        trainer.collect(job, _order(world, binding, len(entry.manifest.attempts)))
    model = sha256_of(world.store, world.ledger.model_name(binding.version))
    if model is None:
        raise NotFoundError(f"there is no model at {world.ledger.ref(binding.version)}")
    return model


def _is_about(entry: Entry, artifact: Artifact) -> bool:
    """Whether the manifest still waits for news of the job that was observed."""
    manifest = entry.manifest
    if manifest.evaluation is not None or not manifest.attempts:
        return False
    last = manifest.attempts[-1]
    return last.job == artifact.job and not last.failure


def refuse(world: World, binding: Binding, why: str) -> None:
    """Keep why the gates did not accept the version; "" now that they do."""
    entry = world.ledger.read(binding.version)
    if entry is not None and entry.manifest.refused != why:
        world.ledger.note_refusal(entry, why)


def reject(world: World, binding: Binding, why: str, *, silent: bool = False) -> None:
    """Keep why no run may bind the version; `silent`: for no answer, which replaces no other
    reason."""
    entry = world.ledger.read(binding.version)
    if entry is None or (entry.manifest.rejected and (silent or not entry.manifest.silent)):
        return
    at, by = world.moment, str(world.actor)
    world.ledger.reject(entry, why, at, by, silent=str(binding.address) if silent else "")


def unreject(world: World, binding: Binding) -> bool:
    """Take back that silence here rejected the version: the previous model is silent too.

    False where it stays rejected: another endpoint, or a person, has a reason of its own.
    """
    entry = world.ledger.read(binding.version)
    if entry is None or not entry.manifest.rejected:
        return True
    if entry.manifest.silent != str(binding.address):
        return False
    world.ledger.reject(entry, "")
    return True


class VersionLocks:
    """One lock per model version, so that two bindings of one run do not race each other."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def of(self, binding: Binding) -> threading.Lock:
        """The lock of the version that the binding wants."""
        with self._guard:
            return self._locks[binding.version.folder]
