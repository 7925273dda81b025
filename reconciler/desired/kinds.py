"""What the desired state must know of a kind of endpoint, and is told by whoever loads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.model import Address, Creation, Environment, SecretName

# Makes the address of a binding's spec; ValueError: there cannot be such a one.
AddressMaker = Callable[[Mapping[str, Any], Environment], Address]
# The secret that is named at a trail below `spec`.
SecretAt = Callable[..., SecretName]
# Says how a spec is created from the definition that it names, or where below `spec` it is wrong.
CreationMaker = Callable[
    [Mapping[str, Any], Mapping[str, Any], Environment, SecretAt],
    Creation | list[tuple[tuple[str, ...], str]],
]


@dataclass(frozen=True)
class Kind:
    """One kind of endpoint; without `creation` where none is made from a definition."""

    address: AddressMaker
    creation: CreationMaker | None = None
