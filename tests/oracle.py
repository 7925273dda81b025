"""What must hold once nothing goes wrong any more, whatever went wrong before."""

from __future__ import annotations

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


def quiet(lab: Lab) -> None:
    """One apply converges as far as no person is needed, and the next one writes nothing."""
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
    one_training_per_version(lab)


def one_training_per_version(lab: Lab) -> None:
    """One job per version ended well; any other that was started failed before it."""
    jobs = lab.cloud.world.jobs.values()
    good = Counter(str(sorted(job.results.values())) for job in jobs if job.state == "Finished")
    assert set(good.values()) <= {1}, good
    assert [job for job in jobs if job.state == "Running"] == []
