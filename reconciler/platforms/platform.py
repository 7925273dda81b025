"""What a platform offers: its kinds of endpoints and its training engines, by name.

What the engine asks of a target and a trainer is in contract.py; here is what the desired state
and whoever connects must know before any of them exists.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from reconciler.model import Address, Creation, Environment, SecretName

if TYPE_CHECKING:
    from reconciler.platforms.contract import TargetModule

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
    """One kind of endpoint; without `creation` where none is made from a definition.

    `path` is its module, which is imported when it is asked: `--help` and most commands need few.
    """

    address: AddressMaker
    creation: CreationMaker | None = None
    path: str = ""

    @property
    def module(self) -> TargetModule:
        """The module that serves this kind."""
        return cast("TargetModule", importlib.import_module(self.path))


@dataclass(frozen=True)
class Platform:
    """One platform; `name` is also the key of its block below `spec` of an Environment."""

    name: str
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    engines: tuple[str, ...] = ()
