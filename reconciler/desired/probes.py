"""The scoring requests that bindings name, and what must be answered: JSON files of the tree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from reconciler.desired.nodes import problem
from reconciler.desired.part import Part
from reconciler.errors import Problem
from reconciler.model import Binding, Comparison, Expectation, Probe
from reconciler.near import near
from reconciler.platforms.platform import Wanted
from reconciler.secrecy import plain_secrets

COMPARED = "verify.compare"  # among the terms that people approve


def probe(spec: Part) -> Probe | None:
    """The probe that `verify` of a binding's spec declares; None if it has none. ConfigurationError
    where the file is not usable."""
    verify = spec.data.get("verify")
    if verify is None:
        return None
    request = spec.json_file(_REQUEST, "verify", "request")
    expected, compare = tuple(_expected(verify)), None
    if (comparison := verify.get("compare")) is not None:
        place = spec.at("verify", "compare", "with")
        compare = Comparison(
            comparison["with"], Decimal(comparison.get("within", "0")), source=place
        )
    return Probe(request, tuple(verify.get("columns", ())), expected, compare)


def with_compared(bindings: Iterable[Binding]) -> tuple[list[Binding], list[Problem]]:
    """The bindings of an environment, each with where and what the one is asked that its answers
    are compared with; and what is wrong with those that `compare` names."""
    known = {binding.name: binding for binding in bindings}
    problems: list[Problem] = []
    linked = dict(known)
    for name, binding in known.items():
        probe = binding.probe
        if probe is None or (compare := probe.compare) is None:
            continue
        other = known.get(compare.name)
        if other is None or other.probe is None or other is binding or other.absent:
            why = _not_comparable(binding, compare, known)
            wrong = problem(compare.source, f"spec.verify.compare.with: {why}")
            problems.append(replace(wrong, element=binding.element))
            continue
        compare = replace(compare, address=other.address.key, request=other.probe.request)
        terms = (*binding.terms, (COMPARED, str(compare)))
        probe = replace(probe, compare=compare)
        linked[name] = replace(binding, probe=probe, terms=terms)
    return list(linked.values()), problems


def _not_comparable(binding: Binding, compare: Comparison, known: Mapping[str, Binding]) -> str:
    """Why a binding cannot be compared with the one it names, with the fix; "" where it can."""
    name = compare.name
    if name == binding.name:
        return f'"{name}" is this binding itself; name another one'
    if name not in known:
        return f'the environment has no binding "{name}"{near(name, known)}'
    if known[name].absent:
        return f'"{name}" is declared absent, so it will not answer; take compare out'
    return f'"{name}" has no spec.verify, so it answers no probe; give it one'


def _expected(verify: Mapping[str, Any]) -> Iterator[Expectation]:
    for column, bounds in sorted(verify.get("expect", {}).items()):
        low, high = (Decimal(bounds[k]) if k in bounds else None for k in ("atLeast", "atMost"))
        one_of, values = tuple(bounds.get("oneOf", ())), tuple(bounds.get("values", ()))
        yield Expectation(column, low, high, one_of, values)


def _compact(request: Mapping[str, Any]) -> str:
    """The request as one line of ASCII; ValueError if it holds a secret."""
    if any(plain_secrets(request)):
        raise ValueError("holds a secret by its name; a probe is data only")
    return json.dumps(request, separators=(",", ":"))


_REQUEST = Wanted(_compact, '{"Inputs": …}', "a probe is data only")
