"""New web services: ARM resources whose definition is read, patched and read back.

Facts: azure-ml-studio-protocol.md §3.2 (operations), §3.6 (long-running operations),
§3.7 (PATCH). An existing service is never written with PUT, which overwrites without warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.errors import NotFoundError, ProofError, RefusedError, UnreadableError
from reconciler.model import Health, HealthCode, Live, ModelRef, Refusal, Score, Witness
from reconciler.targets import Connection, scoring
from reconciler.targets.definition import (
    Definition,
    asset_uri,
    assets_with_credentials,
    assets_with_model,
    assets_without_location,
    find_model_asset,
    model_ref,
    parse_definition,
    shown_uri,
    with_payload,
    without_secrets,
)
from reconciler.targets.members import member, objects, text
from reconciler.wire import blob
from reconciler.wire.credentials import Bearer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model import Binding, Environment
    from reconciler.targets import Soon

API_VERSION = "2017-01-01"
SWAGGER = "/swagger.json"
# §3.6: what ends a long-running operation. ARM writes "Canceled"; the other spelling costs nothing.
FAILED_STATES = ("failed", "canceled", "cancelled")


@dataclass(frozen=True)
class WebServiceAddress:
    """A New web service: an ARM resource of type Microsoft.MachineLearning/webServices."""

    subscription: str
    resource_group: str
    name: str

    def __str__(self) -> str:
        """`webServices/group/name`, as the end of its ARM id reads."""
        return f"webServices/{self.resource_group}/{self.name}"

    @property
    def key(self) -> str:
        """The same with the subscription."""
        return f"webServices/{self.subscription}/{self.resource_group}/{self.name}"

    @property
    def path(self) -> str:
        """The ARM resource id."""
        group, name = quote(self.resource_group, safe="()"), quote(self.name, safe="")
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.MachineLearning/webServices/{name}"
        )


def address(spec: Mapping[str, Any], environment: Environment) -> WebServiceAddress:
    """The address of a binding of kind WebService."""
    return WebServiceAddress(
        environment.subscription, environment.resource_group, spec["webService"]
    )


def connect(connection: Connection) -> WebServices:
    """The target for New web services."""
    return WebServices(connection)


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """What an exported definition says; UnreadableError if it is not a definition."""
    definition = parse_definition(document)
    return _live(definition, binding, witness=Witness.EXPORT)


class WebServices:
    """The New web services of one environment."""

    settle_s = 0.0
    needs_grant = False

    def __init__(self, connection: Connection) -> None:
        self._http = connection.http
        self._hosts = connection.hosts
        self._store = connection.environment.store.account
        self._token = connection.arm
        self._token.check()

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> WebServices:  # noqa: ARG002
        """Itself: a list of ARM is sparse, so every definition is read by its own GET (§3.2)."""
        return self

    def observe(self, binding: Binding) -> Live:
        """What the service's definition says now."""
        try:
            definition = self._definition(binding)
        except NotFoundError:
            return Live(Health(HealthCode.MISSING, _missing(_address(binding))))
        return _live(definition, binding, store_account=self._store)

    def bind(self, binding: Binding, ref: ModelRef) -> str:
        """PATCH the definition, read again just before, with one asset's URI changed."""
        definition = self._definition(binding)
        live = _live(definition, binding)
        if live.refusal is not None:
            raise RefusedError(f"{binding.address}: {live.refusal.message}")
        answer = self._http.request(
            "PATCH",
            self._url(binding),
            credential=self._token,
            json=_patch(definition, live.asset, ref),
            expect=(200, 201, 202),
            what=f"updating {binding.address}",
        )
        return str(answer.headers.get("Azure-AsyncOperation", ""))

    def progress(self, operation: str) -> str:
        """The operation's state and percentage; "" when it succeeded (§3.6)."""
        if not operation:
            return ""
        answer = self._http.request(
            "GET", operation, credential=self._token, what="reading the operation"
        )
        return operation_state(answer.json_object())

    def score(self, binding: Binding) -> Score:
        """The answer to the probe, with the service's primary key."""
        assert binding.probe is not None
        definition = self._definition(binding)
        base = definition.swagger_location.removesuffix(SWAGGER)
        if not base:
            raise UnreadableError(f"{binding.address} has no swaggerLocation, so no scoring URL")
        keys = self._http.request(
            "GET",
            self._url(binding, "/listKeys"),
            credential=self._token,
            what=f"reading the keys of {binding.address}",
        ).json_object()
        credential = Bearer(text(keys, "primary"), "scoring", self._hosts)
        return scoring.score(self._http, base, credential, binding.probe)

    def export(self, binding: Binding) -> dict[str, Any]:
        """The definition without secrets and without what the server generates."""
        return without_secrets(self._get(binding))

    def _get(self, binding: Binding) -> dict[str, Any]:
        answer = self._http.request(
            "GET", self._url(binding), credential=self._token, what=f"reading {binding.address}"
        )
        return answer.json_object()

    def _definition(self, binding: Binding) -> Definition:
        definition = parse_definition(self._get(binding))
        if not definition.payloads_location:
            return definition
        payload = blob.fetch_url(self._http, self._hosts, definition.payloads_location)
        return with_payload(definition, payload.json_object())

    def _url(self, binding: Binding, below: str = "") -> str:
        path = _address(binding).path
        return f"{self._hosts.arm}{path}{below}?api-version={API_VERSION}"


def _address(binding: Binding) -> WebServiceAddress:
    assert isinstance(binding.address, WebServiceAddress)
    return binding.address


def _missing(where: WebServiceAddress) -> str:
    return (
        f"resource group {where.resource_group} has no web service {where.name}; deploy the "
        "predictive experiment first, or correct spec.webService"
    )


def _patch(definition: Definition, key: str, ref: ModelRef) -> dict[str, Any]:
    """The smallest body that is right under both readings of §3.7.

    No `storageAccount`, no keys, no package: absent members stay as they are [R].
    """
    body: dict[str, Any] = {
        "properties": {
            "packageType": "Graph",
            "assets": assets_with_model(definition, key, ref),
        }
    }
    if definition.location:
        body["location"] = definition.location
    return body


def operation_state(document: Mapping[str, Any]) -> str:
    """The words for a running operation, "" for a successful one; ProofError for a failed one.

    The wire says `status` where the swagger says `provisioningState`; failures come as
    `errorInfo` (swagger) or `error` (ARM convention): both are read (§3.6 [U]).
    """
    nested = objects(document, "properties")
    state = text(document, "status") or text(document, "provisioningState")
    state = state or text(nested, "provisioningState")
    if not state:
        raise UnreadableError("the operation's answer has no status")
    if state.casefold() == "succeeded":
        return ""
    if state.casefold() in FAILED_STATES:
        raise ProofError(f"the update ended as {state}: {_operation_error(document)}")
    done = member(document, "percentComplete")
    is_share = isinstance(done, int | float) and 0 <= done <= 1
    return f"{state} {done:.0%}" if is_share else state


def _operation_error(document: Mapping[str, Any]) -> str:
    error = objects(document, "error") or objects(document, "errorInfo")
    details = member(error, "details")  # whatever it is, it must not hide the failure
    listed = details if isinstance(details, list) else []
    said = [error, *(d for d in listed if isinstance(d, dict))]
    parts = [f"{text(e, 'code')}: {text(e, 'message')}".strip(": ") for e in said]
    return "; ".join(part for part in parts if part) or "the service gave no reason"


def _live(
    definition: Definition,
    binding: Binding,
    *,
    witness: Witness = Witness.SERVICE,
    store_account: str = "",
) -> Live:
    key = find_model_asset(definition, binding.asset)
    refusal = key if isinstance(key, Refusal) else _refusal(definition, key)
    uri = "" if isinstance(key, Refusal) else asset_uri(definition.assets[key])
    ref = model_ref(uri)
    return Live(
        health=_health(definition),
        ref=ref,
        asset="" if isinstance(key, Refusal) else key,
        model_text="" if ref else shown_uri(uri),
        witness=witness,
        refusal=refusal,
        warnings=_storage_warning(definition, store_account),
    )


def _health(definition: Definition) -> Health:
    """§3.3: provisioningState is Unknown, Provisioning, Succeeded or Failed; exports omit it."""
    match definition.provisioning_state.casefold():
        case "provisioning":
            return Health(HealthCode.PROGRESSING, "an update of the service is under way")
        case "failed":
            return Health(HealthCode.DEGRADED, "the last update of the service failed")
        case "unknown":
            return Health(HealthCode.DEGRADED, "the service does not know its own state")
        case _:
            return Health(HealthCode.HEALTHY)


def _refusal(definition: Definition, model: str) -> Refusal | None:
    if definition.read_only:
        why = (
            "the service is readOnly, which the platform never takes back: it can only be "
            "removed; deploy a new service and bind that"
        )
        return Refusal("read_only", why)
    if with_credentials := assets_with_credentials(definition, model):
        why = (
            f"asset {', '.join(with_credentials)} carries credentials or a SAS in its URI, and an "
            "update would have to send them back; move the file into the service's own storage "
            "account and give its URI without a query"
        )
        return Refusal("asset_credentials", why)
    if without := assets_without_location(definition, model):
        why = (
            f"asset {', '.join(without)} came without its locationInfo.uri, and an update would "
            "have to send it; deploy the service again, or remove that asset from it"
        )
        return Refusal("asset_without_location", why)
    return None


def _storage_warning(definition: Definition, store_account: str) -> tuple[str, ...]:
    """§3.4: a model outside of the service's own storage account may not be readable for it."""
    if not store_account or not definition.storage_account:
        return ()
    if definition.storage_account.casefold() == store_account.casefold():
        return ()
    return (
        f"the service keeps its files in storage account {definition.storage_account}, the model "
        f"store is {store_account}; the service may not be able to read it",
    )
