"""Which version a model is, as platform, record and manifest say it.

An endpoint shows a reference. The platform says how it calls the declared version (`Target.ref`);
if the two are equal, that version serves. Any other reference is looked up and never taken apart:
the record of the address notes the version of all that was swapped in there, and a model file of
the store has its manifest beside it. What neither knows was made by somebody else.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.engine.world import World
from reconciler.ledger import Manifest
from reconciler.model import Binding, EventKind, Model, ModelRef, Record


def wanted_ref(world: World, binding: Binding) -> ModelRef:
    """How the platform calls the model of the declared version, whether or not it was made."""
    model = Model(world.ledger.ref(binding.version), binding.version, key=binding.key)
    return world.targets[binding.kind].ref(binding, model)


def manifest_of(
    world: World, binding: Binding, ref: ModelRef | None, record: Record | None
) -> Manifest | None:
    """The manifest of a model that serves or served at the binding's address; None if the store
    does not know the model."""
    if ref is None:
        return None
    if beside := world.ledger.beside(ref):
        return beside
    noted = record.version_of(ref) if record else ""
    if not noted:
        return None
    version = replace(binding.version, version=noted)
    of_version = wanted_ref(world, replace(binding, version=version))
    if not world.targets[binding.kind].is_one_model(of_version, ref):
        return None
    entry = world.ledger.read(version)
    return entry.manifest if entry else None


def version_name(
    world: World, binding: Binding, ref: ModelRef | None, record: Record | None
) -> str:
    """The name that people know a model by: its version, where only that differs from the declared
    one, else model, version and arguments; "" for a model that the store does not know.

    Of an endpoint that is left alone the platform is asked as well. Elsewhere a version counts only
    once it was taken in, for what serves must be a way back.
    """
    if ref is None:
        return ""
    if ref == wanted_ref(world, binding):
        return binding.version.version
    if noted := record.version_of(ref) if record else "":
        return noted
    if manifest := manifest_of(world, binding, ref, record):
        return manifest.version.called_beside(binding.version)
    left_alone = binding.paused and record is None
    return world.targets[binding.kind].version_of(binding, ref) if left_alone else ""


def model_of(manifest: Manifest | None, ref: ModelRef) -> Model:
    """The model with what its manifest says of it; without a manifest only its reference."""
    if manifest is None or manifest.evaluation is None:
        return Model(ref)
    made = manifest.evaluation
    place, labels = made.ref or ref, manifest.labels
    return Model(place, manifest.version, made.sha256, manifest.key, made.metrics, labels)


def metrics_of(
    world: World, binding: Binding, ref: ModelRef | None, record: Record | None
) -> dict[str, float] | None:
    """The metrics of a model of this store, unless it is rejected; None where they are unknown."""
    manifest = manifest_of(world, binding, ref, record)
    evaluation = manifest.evaluation if manifest and not manifest.rejected else None
    return dict(evaluation.metrics) if evaluation else None


def proved_otherwise(world: World, binding: Binding, ref: ModelRef, record: Record | None) -> bool:
    """Whether the same version was proved at the address before, with other settings."""
    is_one_model = world.targets[binding.kind].is_one_model
    proofs = (e.model for e in (record.history if record else ()) if e.what is EventKind.PROOF)
    return any(proof != ref and is_one_model(proof, ref) for proof in proofs)
