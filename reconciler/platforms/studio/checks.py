"""Whether a run may write web services, and whether trainings name what their service has.

The definition of a New training service shows its ports, which are case-sensitive, and its global
parameters; one without a default is required (STUDIO_PROTOCOL.md §3.3). No source shows that of a
Classic one: there the submission of the job tells (§4.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reconciler.errors import ReconcilerError
from reconciler.http.asking import Credential
from reconciler.http.client import Http
from reconciler.model import Binding, Check, Level
from reconciler.near import near
from reconciler.platforms.arm_rights import rights_checks
from reconciler.platforms.members import member, objects
from reconciler.platforms.studio.connection import NAME, Studio

_ROLE = "assign it Contributor on the resource group, or a role with these actions"
_SERVICE = "Microsoft.MachineLearning/webServices"
_WRITE = {f"{_SERVICE}/write": "change a web service"}
_DELETE = {f"{_SERVICE}/delete": "delete a web service"}
_PROBE = {f"{_SERVICE}/listkeys/read": "read the key that a probe needs"}
_CREATE = {
    "Microsoft.MachineLearning/commitmentPlans/join/action": "join the plan of a new web service"
}


def rights_of(
    http: Http, token: Callable[[], Credential], group: str, kind: str, bindings: Iterable[Binding]
) -> Iterator[Check]:
    """Checks of the identity's rights in the resource group at a URL, for the bindings of a
    kind."""
    needs: dict[str, str] = {}
    for binding in bindings:
        if binding.kind == kind:
            needs |= _DELETE if binding.absent else _WRITE
            needs |= _PROBE if binding.probe else {}
            needs |= _CREATE if binding.create is not None else {}
    if needs:
        yield from rights_checks(http, token(), group, needs, _ROLE, _SERVICE)


def trainings(
    studio: Studio, behind: Callable[[str], dict[str, Any] | None], bindings: Iterable[Binding]
) -> Iterator[Check]:
    """Findings where a training names a port or a parameter that its service does not have.

    `behind` is the definition of the New service that scores at a base, None where none does. Who
    may not read it needs no right to do so for a run, and is told nothing.
    """
    trained = [b for b in bindings if b.recipe.engine == NAME and not b.absent]
    for place in sorted({binding.recipe.place for binding in trained}):
        service = studio.training_services[place]
        try:
            definition = behind(service.url)
        except ReconcilerError:
            continue
        if definition is None:
            continue
        for binding in (b for b in trained if b.recipe.place == place):
            wrong = list(_wrong(binding, objects(definition, "properties")))
            about = (binding.source, (binding.name,))
            fix = "correct spec.training of its Model; names count in their very case"
            for why in wrong:
                yield Check(f"training {place}", Level.ERROR, why, fix, *about)
            if not wrong:
                yield Check(f"training {place}", Level.FINE, "", "", *about)


def _wrong(binding: Binding, properties: dict[str, Any]) -> Iterator[str]:
    """Ports and parameters of a recipe that the service does not have, or that it lacks, in
    words."""
    recipe = binding.recipe
    named = {
        "input": [port for port, _ in recipe.inputs],
        "output": [port for _, port in recipe.outputs],
    }
    for kind, names in named.items():
        ports = objects(objects(properties, kind), "properties")
        for name in (name for name in names if ports and name not in ports):
            yield f'the service has no {kind} "{name}"{near(name, ports)}'
    known = objects(properties, "parameters")
    known = objects(objects(properties, "package"), "graphParameters") | known
    given = dict(recipe.parameters)
    for name in (name for name in given if name not in known):
        yield f'the service has no parameter "{name}"{near(name, known)}'
    for name, value in known.items():
        default = member(value, "value") if isinstance(value, dict) else value
        if name not in given and default is None:
            yield f'the parameter "{name}" has no default and is given no value'
