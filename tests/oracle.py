"""What must hold once nothing goes wrong any more, whatever went wrong before."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.model import Action

if TYPE_CHECKING:
    from tests.lab import Lab

# What a run meets, by the emulator's names; tests hold it to a real run.
ROUTES = (
    *("arm.get", "arm.patch", "arm.operation", "arm.listkeys", "rrs.execute"),
    *("bes.submit", "bes.start", "bes.look", "blob.list", "blob.get", "blob.put", "blob.head"),
    *("classic.services.get", "classic.endpoints.get"),
    *("classic.endpoint.get", "classic.endpoint.patch"),
)
NEEDS_A_PERSON = {"rejected", "training_failed"}


def served(lab: Lab) -> set[str]:
    """The digests of all bytes that score now."""
    lab.cloud.settle()
    world = lab.cloud.world
    found = {service.model for service in world.services.values() if service.model}
    return found | {
        e.model for s in world.classic.values() for e in s.endpoints.values() if e.model
    }


def no_bug(lab: Lab) -> None:
    """Let an apply run; no binding may end in a bug of ours."""
    report = lab.apply()
    bugs = [f.message for f in report.failures if f.exit_code == errors.BUG]
    assert bugs == []


def quiet(lab: Lab, *, by_hand: bool = False) -> None:
    """One apply converges as far as no person is needed, and the next one writes nothing.

    `by_hand`: somebody may have put a model in that no run proved there.
    """
    lab.cloud.faults.forget()
    lab.clock.advance(100)
    report = lab.apply()
    for change in lab.plan().changes:
        in_sync = change.action is Action.NOOP
        assert in_sync or change.code in NEEDS_A_PERSON, (change, report.failures)
    lab.sent.clear()
    lab.apply()
    assert lab.writes == []
    assert served(lab) <= set(lab.cloud.world.models)
    proven(lab, by_hand=by_hand)
    one_training_per_version(lab)


def serving(lab: Lab) -> dict[str, str]:
    """By the names that the desired state of the laboratory gives them, the bytes that score."""
    world = lab.cloud.world
    found = {
        f"diabetes-{e.name}": e.model for s in world.classic.values() for e in s.endpoints.values()
    }
    new = {service.name: service.model for service in world.services.values()}
    return {**found, "breast-cancer": new["breast-cancer-predictive"]}


def proven(lab: Lab, *, by_hand: bool = False) -> None:
    """Nothing serves that a run swapped in and did not prove; what is in sync was proved."""
    world, models, changes = lab.world(read_only=True), serving(lab), lab.changes()
    for binding in lab.desired().bindings:
        record = world.ledger.record(binding.address)
        in_sync = changes[binding.name].action is Action.NOOP and not by_hand
        assert record is not None or not in_sync, binding.name
        at = world.file_at(record.wanted.url) if record is not None else None
        blob = at[0].get(at[1]) if at else None
        if record is not None and blob is not None:
            ours = hashlib.sha256(blob.content).hexdigest() == models[binding.name]
            assert record.proved or not ours, f"{binding.name} serves what was never proved"
            assert ours or not in_sync, f"{binding.name} serves what is not what was proved"


def one_training_per_version(lab: Lab) -> None:
    """One job per version ended well; any other that was started failed before it."""
    jobs = lab.cloud.world.jobs.values()
    good = Counter(str(sorted(job.results.values())) for job in jobs if job.state == "Finished")
    assert set(good.values()) <= {1}, good
    assert [job for job in jobs if job.state == "Running"] == []
