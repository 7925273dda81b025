"""New web services: ARM resources whose definition is read, patched and read back.

Facts: STUDIO_PROTOCOL.md §3.2 (operations), §3.6 (long-running operations), §3.7 (PATCH). An
existing service is never written with PUT, which overwrites without warning.

A PATCH carries the complete `assets` map, or the service would lose what the map does not name
(§3.7). So each write starts from the definition as it is then, with one URI changed in it, and
edits in the portal survive. No condition goes with it: of two writers in one second one can undo
the other's edit, which the read after the operation, or the next plan, finds out.

Creation is the one PUT (§3.2), and nobody knows whether it honours a condition. So a look comes
just before, the condition is sent as well, and it is sent once: a second try could meet what
somebody made after the first. 201 says "created"; 200, that it met another's: no success.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import quote, urlsplit

from reconciler.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnreadableError,
)
from reconciler.http.credentials import Bearer
from reconciler.http.urls import path_part
from reconciler.model import Address, Health, HealthCode, Live, Owned, Refusal, Witness
from reconciler.platforms.arm import check_operation, operation_state, read_list
from reconciler.platforms.arm_marks import owned_by, tagged
from reconciler.platforms.contract import DONE, HOW_MADE, Answer, Can, Progress, Target, Unmanaged
from reconciler.platforms.members import check_is_of, objects, text, texts
from reconciler.platforms.studio.blobs import fetch
from reconciler.platforms.studio.connection import Refused, studio_of
from reconciler.platforms.studio.hosts import Connection
from reconciler.platforms.studio.new_creation import creation_body
from reconciler.platforms.studio.new_definition import (
    Definition,
    find_model_asset,
    parse_definition,
    patched,
    patched_model,
    payloads_location,
    with_payload,
    without_secrets,
)
from reconciler.platforms.studio.new_settings import spec_of, with_settings
from reconciler.platforms.studio.new_state import keep, live_of
from reconciler.platforms.studio.scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconciler.http.asking import Sending
    from reconciler.http.response import Response
    from reconciler.model import AddressId, Binding, Environment, Model

__all__ = ["WebServiceAddress", "WebServices", "address"]

KIND = "WebService"
API_VERSION = "2017-01-01"
SWAGGER = "/swagger.json"
ABSENT = "WebServiceNotFound"  # §3.11 [R]: how the service says that it is not there
STARTED = (200, 201, 202)  # a long-running operation, which the answer names


@dataclass(frozen=True)
class WebServiceAddress(Address):
    """A New web service: an ARM resource of type Microsoft.MachineLearning/webServices."""

    subscription: str
    resource_group: str
    name: str

    def __str__(self) -> str:
        """`webServices/group/name`, as the end of its ARM id reads."""
        return f"webServices/{self.resource_group}/{self.name}"

    @property
    def key(self) -> str:
        """Its id with the subscription: unique in the world."""
        return f"{_keys_of(self.subscription, self.resource_group)}{self.name}"

    @cached_property
    def path(self) -> str:
        """The ARM resource id."""
        return f"{group_path(self.subscription, self.resource_group)}/{quote(self.name, safe='')}"


@cache  # an environment has one
def group_path(subscription: str, resource_group: str) -> str:
    """The ARM path of all web services of a resource group."""
    group = quote(resource_group, safe="()")
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        "/providers/Microsoft.MachineLearning/webServices"
    )


def key_prefix(environment: Environment) -> str:
    """The beginning of the keys of the resource group's services."""
    studio = studio_of(environment)
    return _keys_of(studio.subscription, studio.resource_group)


def _keys_of(subscription: str, resource_group: str) -> str:
    return f"webServices/{subscription}/{resource_group}/"


def address(spec: Mapping[str, Any], environment: Environment) -> WebServiceAddress:
    """The address of a binding of kind WebService."""
    studio = studio_of(environment)
    return WebServiceAddress(studio.subscription, studio.resource_group, spec["webService"])


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """The live state that an exported definition shows; UnreadableError if it is none, or of
    another service."""
    name, wanted = text(document, "name"), _of(binding.address).name
    if name and name.casefold() != wanted.casefold():
        raise UnreadableError(f'the definition of web service "{name}", not of "{wanted}"')
    return live_of(parse_definition(document), binding, witness=Witness.EXPORT)


class WebServices(Target):
    """The New web services of one environment.

    There is nothing to survey: a list of ARM is sparse, so each definition is read by its own GET
    (§3.2).
    """

    can = Can(create=True, delete=True, serves_at_once=True)

    def __init__(self, connection: Connection) -> None:
        self._http = connection.http
        self._hosts = connection.hosts
        self._environment = connection.environment
        self._studio = connection.studio
        self._secret = connection.secret
        self._token = connection.arm
        self._scoring = Scoring(connection.http)
        self._token.check()

    def observe(self, binding: Binding) -> Live:
        """The state by the service's definition now."""
        definition = self._definition(binding.address)
        if definition is None:
            return Live(Health(HealthCode.MISSING, _missing(_of(binding.address))))
        live = live_of(definition, binding, self._environment)
        path = _of(binding.address).path
        return replace(live, keep=keep(definition, path, self._environment.mark))

    def switch(self, binding: Binding, model: Model) -> str:
        """PATCH the definition, read again just before, with one asset's URI changed, and with our
        mark where it carries none."""
        definition, live = self._writable(binding)
        if not live.asset:
            raise UnavailableError(f"{binding.address} is just being created")
        body = patched_model(definition, live.asset, model.ref)
        protect = tagged(definition.tags).protected
        return self._patch(binding, self._marked(body, definition, protect=protect))

    def create(self, binding: Binding, model: Model) -> str:
        """PUT a definition where there is none; ConflictError where there is one by now."""
        if self._definition(binding.address) is not None:
            raise ConflictError(f"{binding.address} already exists; it was not overwritten")
        answer = self._ask(
            "PUT",
            binding.address,
            f"creating {binding.address}",
            expect=STARTED,
            json=creation_body(binding, model.ref, self._environment, self._secret),
            headers={"If-None-Match": "*"},
            once=True,
        )
        if answer.status == 200:  # §3.2: 201 creates, 200 updates
            raise UnreadableError(
                f"creating {binding.address} was answered as an update: somebody made it in the "
                "same moment, and it was overwritten; compare it with theirs, and apply again"
            )
        return _operation(answer, binding.address)

    def update(self, binding: Binding) -> str:
        """PATCH the settings that git owns, our mark, and whether the service is protected."""
        definition, _ = self._writable(binding)
        body = patched(definition, with_settings(definition.configured, binding.settings))
        return self._patch(binding, self._marked(body, definition, protect=binding.protect))

    def _marked(
        self, body: dict[str, Any], definition: Definition, *, protect: bool
    ) -> dict[str, Any]:
        """The body, with the tags where our mark is not there yet or says something else."""
        tags = owned_by(definition.tags, self._environment.mark, protect=protect)
        return body if tags == definition.tags else {**body, "tags": tags}

    def delete(self, address: Address) -> str:
        """DELETE what carries this environment's mark and may go; "" if it is gone already."""
        definition = self._definition(address)
        if definition is None:
            return ""
        if why := keep(definition, _of(address).path, self._environment.mark):
            raise RefusedError(f"{address}: {why.message}")
        what = f"deleting {address}"
        return _operation(self._ask("DELETE", address, what, expect=(*STARTED, 204)), address)

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """The services with this environment's mark that git does not declare.

        Whether the items of a list show tags is not known (§3.2), so each is read before it counts.
        """
        mark, owned = self._environment.mark, []
        for address, item in self._listed():
            listed = texts(item, "tags")
            foreign = listed and not tagged(listed).is_of(mark)
            if foreign or address.id in declared:
                continue
            definition = self._definition(address)
            if definition is not None and (tags := tagged(definition.tags)).is_of(mark):
                why = keep(definition, address.path, mark)
                owned.append(Owned(KIND, address.name, address, tags.protected, why, tags.adopted))
        return tuple(owned)

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[WebServiceAddress]:
        """Every other service of the resource group."""
        bound = {binding.address.id for binding in bindings}
        return [address for address, _ in self._listed() if address.id not in bound]

    def unmanaged(self, declared: Collection[AddressId]) -> Iterator[Unmanaged]:
        """The services of the resource group whose tags show no mark of any environment, and that
        train for no model."""
        for address, item in self._listed():
            if address.id in declared or tagged(texts(item, "tags")).environment:
                continue
            base = text(objects(item, "properties"), "swaggerLocation").removesuffix(SWAGGER)
            if self._studio.trains_at(base):
                continue
            yield Unmanaged(address.name, address, {"webService": address.name}, decide=HOW_MADE)

    def described(self, endpoint: Unmanaged) -> Unmanaged:
        """It with what its definition says, which no list shows (§3.2)."""
        definition = self._definition(endpoint.address)
        if definition is None:
            return replace(endpoint, unread="it is gone")
        settings, decide = spec_of(definition.configured), endpoint.decide
        asset = find_model_asset(definition, None)
        if isinstance(asset, Refusal) and asset.code == Refused.AMBIGUOUS_ASSET:
            decide = (*decide, "which asset holds the model, in spec.asset")
        return replace(endpoint, settings=settings, decide=decide)

    def behind(self, base: str) -> dict[str, Any] | None:
        """The definition of the service of the group that scores at a base; None: another's."""
        wanted = urlsplit(base).path.rstrip("/").casefold()
        for one, item in self._listed():
            swagger = text(objects(item, "properties"), "swaggerLocation").removesuffix(SWAGGER)
            if urlsplit(swagger).path.casefold() == wanted:
                return self._document(one)
        return None

    def _listed(self) -> Iterator[tuple[WebServiceAddress, dict[str, Any]]]:
        """The services that the resource group's list shows, each with its item."""
        group = self._studio.subscription, self._studio.resource_group
        what = f"listing the web services of {group[1]}"
        url = f"{self._hosts.arm}{group_path(*group)}?api-version={API_VERSION}"
        for item in read_list(self._http, self._token, url, what):
            if not (name := text(item, "name")):
                raise UnreadableError(f"{what}: a service came without a name")
            where = WebServiceAddress(*group, name)
            check_is_of(item, what, id=where.path)
            yield where, item

    def progress(self, operation: str) -> Progress:
        """The operation's state and percentage (§3.6)."""
        if not operation:
            return DONE
        check_operation(operation, self._hosts.arm_origins, "the write was accepted")
        answer = self._http.request(
            "GET", operation, credential=self._token, what="reading the operation"
        )
        document = answer.json_object()
        check_is_of(document, answer.what, name=urlsplit(operation).path.rpartition("/")[2])
        return operation_state(document)

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:  # noqa: ARG002
        """The answer to the probe, with the service's primary key."""
        return Answer(self._scoring.score(binding, lambda: self._door(binding)))

    def _door(self, binding: Binding) -> tuple[str, Bearer]:
        base = self._there(binding).swagger_location.removesuffix(SWAGGER)
        if not base:
            raise UnreadableError(f"{binding.address} has no swaggerLocation, so no scoring URL")
        what = f"reading the keys of {binding.address}"
        keys = self._ask("GET", binding.address, what, "/listKeys").json_object()
        return base, Bearer(text(keys, "primary"), self._hosts.scoring_origins)

    def export(self, binding: Binding) -> dict[str, Any]:
        """The definition without secrets and without what the server generates."""
        document = self._document(binding.address)
        if document is None:
            raise RefusedError(_missing(_of(binding.address)))
        return without_secrets(document)

    def _writable(self, binding: Binding) -> tuple[Definition, Live]:
        """The service as it is now, if it may be written; RefusedError with the reason
        otherwise."""
        definition = self._there(binding)
        live = live_of(definition, binding, self._environment)
        if live.refusal is not None:
            raise RefusedError(f"{binding.address}: {live.refusal.message}")
        return definition, live

    def _patch(self, binding: Binding, body: Mapping[str, Any]) -> str:
        what = f"updating {binding.address}"
        answer = self._ask("PATCH", binding.address, what, expect=STARTED, json=body)
        return _operation(answer, binding.address)

    def _there(self, binding: Binding) -> Definition:
        definition = self._definition(binding.address)
        if definition is None:
            raise RefusedError(_missing(_of(binding.address)))
        return definition

    def _definition(self, address: Address) -> Definition | None:
        document = self._document(address)
        return None if document is None else parse_definition(document)

    def _document(self, address: Address) -> dict[str, Any] | None:
        """The whole definition; None where the service says that there is none.

        Any other 404, of a proxy or of a payload that is gone, says nothing of the service.
        """
        try:
            answer = self._ask("GET", address, f"reading {address}")
        except NotFoundError as exc:
            if ABSENT in (exc.code, *exc.details):
                return None
            raise UnreadableError(exc.message, status=exc.status, code=exc.code) from exc
        document = answer.json_object()
        check_is_of(document, answer.what, id=_of(address).path, name=_of(address).name)
        if not (where := payloads_location(document)):
            return document
        payload = fetch(self._http, self._hosts.blob, where)
        return with_payload(document, payload.json_object())

    def _ask(
        self,
        method: str,
        address: Address,
        what: str,
        below: str = "",
        *,
        expect: tuple[int, ...] = (200,),
        **sending: Unpack[Sending],
    ) -> Response:
        """The answer about a service, or about a path below it."""
        path_part(_of(address).name, f"the name of {address}")
        url = f"{self._hosts.arm}{_of(address).path}{below}?api-version={API_VERSION}"
        sending["credential"] = self._token
        return self._http.request(method, url, expect=expect, what=what, **sending)


def _of(address: Address) -> WebServiceAddress:
    assert isinstance(address, WebServiceAddress)
    return address


def _operation(answer: Response, address: Address) -> str:
    """Where the operation that a write began is asked for, "" where the answer names none."""
    if answer.body.lstrip()[:1] == b"{":
        where = _of(address)
        check_is_of(answer.json_object(), answer.what, id=where.path, name=where.name)
    return str(answer.headers.get("Azure-AsyncOperation", ""))


def _missing(where: WebServiceAddress) -> str:
    return (
        f"resource group {where.resource_group} has no web service {where.name}; name an exported "
        "definition to create it from in spec.definition, or correct spec.webService"
    )
