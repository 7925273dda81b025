"""One module per kind of endpoint, and the seam they stand behind.

A module offers:

* `address(spec, environment)`: the frozen address of a binding's spec (ValueError: cannot be);
* `key_prefix(environment)`: what the keys of all its addresses there begin with; None: it has none;
* `connect(connection)`: its `Target`;
* `live_from_export(document, binding)`: what an exported document says, without any network;
* `make_creation(document, spec, environment, secret)`, where it is created from a definition: how
  its address is made of one, or where below `spec` that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reconciler.http.client import Http
    from reconciler.http.credentials import AccessToken
    from reconciler.model import (
        Address,
        Binding,
        Creation,
        Environment,
        Live,
        ModelRef,
        Owned,
        Score,
        SecretName,
    )
    from reconciler.platforms.studio.hosts import Hosts
    from reconciler.soon import Soon
    from reconciler.stores.azure_blob import BlobUrl


@dataclass(frozen=True)
class Connection:
    """What a target needs of the world: HTTP, hosts, secrets by name, and read access to a model.

    `arm` is the token of Azure Resource Manager, which only some kinds need; `grant` turns a model
    of the store into a URL with a short-lived read-only SAS.
    """

    http: Http
    hosts: Hosts
    environment: Environment
    secret: Callable[[SecretName], str]
    grant: Callable[[ModelRef], BlobUrl]
    arm: AccessToken


class Target(Protocol):
    """What the engine asks of a kind of endpoint. `observe`, `progress`, `export`, `owned` read.

    `settle_s` is the documented time after which a write is in effect at the latest, beyond the
    end of its operation; 0 where the operation's end is the truth. `needs_grant` says that a
    model must come with access to it, which can be given for the store account only.
    """

    settle_s: float
    needs_grant: bool

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> Target:
        """The same target, whose `observe` may answer for these bindings from lists read once.

        Itself where there are no lists. What a list does not show, or not wholly, is asked for by
        a request of its own; a list that cannot be read is an error of every binding on it. Only
        planning uses it: a step always looks afresh.
        """
        ...

    def observe(self, binding: Binding) -> Live:
        """What serves at the address now; raises WireError when that cannot be read."""
        ...

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[Address]:
        """What lists show beside the addresses of these bindings: what git could bind as well.

        Only a snapshot asks, so that it knows what a pull request binds anew.
        """
        ...

    def bind(self, binding: Binding, ref: ModelRef) -> str:
        """Ask the service to serve `ref`: the operation to ask for progress, "" if there is none.

        Returns when the request was accepted, which proves nothing yet.
        """
        ...

    def create(self, binding: Binding, ref: ModelRef) -> str:
        """Make the endpoint with this environment's mark; an operation as `bind` answers it.

        Where the kind can, it serves `ref` from its first moment; else it is bound in a later step.
        """
        ...

    def update(self, binding: Binding) -> str:
        """Write the declared settings, and into our own mark whether it is protected."""
        ...

    def delete(self, address: Address) -> str:
        """Delete the endpoint, if it still carries our mark; no error where it is gone already.

        RefusedError where it must be kept.
        """
        ...

    def owned(self, declared: Collection[str]) -> tuple[Owned, ...]:
        """What carries this environment's mark and is not declared; WireError unless all was read.

        `declared` are the ids (`str`) of addresses in lower case.
        """
        ...

    def progress(self, operation: str) -> str:
        """The state in words while the write is under way, "" when it ended well.

        Raises ProofError when the service says that it failed.
        """
        ...

    def score(self, binding: Binding) -> Score:
        """What the endpoint answers to the binding's probe."""
        ...

    def export(self, binding: Binding) -> dict[str, Any]:
        """The live state as a document to keep and to plan against, without secrets."""
        ...


class TargetModule(Protocol):
    """What a module of this package offers."""

    READ_ONLY_EXPORTED: tuple[str, ...]

    def address(self, spec: Mapping[str, Any], environment: Environment) -> Address:
        """The address that a binding's spec names."""
        ...

    def key_prefix(self, environment: Environment) -> str | None:
        """What the keys of an environment's addresses begin with; None where it can have none."""
        ...

    def make_creation(
        self,
        document: Mapping[str, Any],
        spec: Mapping[str, Any],
        environment: Environment,
        secret: Callable[..., SecretName],
    ) -> Creation | list[tuple[tuple[str, ...], str]]:
        """How the address of a spec is made, or what is wrong with the definition it names."""
        ...

    def connect(self, connection: Connection) -> Target:
        """The target, ready to be asked."""
        ...

    def live_from_export(self, document: Mapping[str, Any], binding: Binding) -> Live:
        """What an exported document says of the binding's address."""
        ...
