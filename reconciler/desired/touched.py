"""The bindings that a change of the desired state touches: those that mean something else than
before.

Values are compared, not texts. A binding is built of everything that it refers to: its model, the
rows of its generator, its probe. So one that is only written differently is not touched, and one
whose own document is as it was can be.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model import Desired, Environment


def touched(before: Desired | None, after: Desired) -> frozenset[str]:
    """The names of the bindings that are new or mean something else; all, if nothing was before.

    An environment means to a binding its stores and its connections; its limits are about runs.
    What a connection means to some bindings only is among their terms, and it compares without it.
    """
    if before is None or _place(before.environment) != _place(after.environment):
        return frozenset(binding.name for binding in after.bindings)
    known = {binding.name: binding for binding in before.bindings}
    return frozenset(
        binding.name for binding in after.bindings if known.get(binding.name) != binding
    )


def _place(environment: Environment) -> Environment:
    """The environment without what only some bindings, or none, have to do with."""
    return replace(
        environment,
        parallel=0,
        most_changes_percent=0,
        most_deletes_percent=0,
        most_bindings=0,
        most_retrains=0,
    )
