"""Pure: what the definition of a New web service says of it, for the planner.

Facts: STUDIO_PROTOCOL.md §3.3 (states), §3.4 (storage), §3.7 (what a PATCH must carry).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import Health, HealthCode, Live, Reason, Refusal, Witness
from reconciler.platforms.arm_marks import how_to_tag, tagged
from reconciler.platforms.studio.connection import Refused, account_of, holder_of
from reconciler.platforms.studio.new_definition import (
    asset_uri,
    assets_with_credentials,
    assets_without_location,
    find_model_asset,
    model_ref,
    shown_uri,
)
from reconciler.platforms.studio.new_settings import settings_of

if TYPE_CHECKING:
    from reconciler.model import Binding, Environment
    from reconciler.platforms.studio.new_definition import Definition


def live_of(
    definition: Definition,
    binding: Binding,
    environment: Environment | None = None,
    *,
    witness: Witness = Witness.SERVICE,
) -> Live:
    """The live state of a service; without an environment, as in an export, nobody is said to own
    it."""
    key = find_model_asset(definition, holder_of(binding))
    refusal = _refusal(definition, key, environment)
    uri = "" if isinstance(key, Refusal) else asset_uri(definition.assets[key])
    ref = model_ref(uri)
    mark = tagged(definition.tags)
    return Live(
        health=_health(definition),
        served=ref,
        asset="" if isinstance(key, Refusal) else key,
        model_text="" if ref else shown_uri(uri),
        witness=witness,
        refusal=refusal,
        warnings=_storage_warning(definition, environment),
        settings=settings_of(definition.configured) if binding.settings else (),
        ours=environment is not None and mark.is_of(environment.mark),
        protected=mark.protected,
        unmarked=mark.is_nobodys,
    )


def keep(definition: Definition, resource: str, mark: str) -> Refusal | None:
    """Why the service must not be deleted; None if it may be."""
    if not tagged(definition.tags).is_of(mark):
        why = (
            "it does not carry the tags of this environment, so this program did not create it and "
            f"does not delete it; delete it by hand, or give it to the environment: "
            f"{how_to_tag(resource, mark)}"
        )
        return Refusal(Reason.NOT_OWNED, why)
    if definition.read_only:
        why = "the service is readOnly, which protects it; delete it by hand"
        return Refusal(Refused.READ_ONLY, why)
    return None


def _health(definition: Definition) -> Health:
    """§3.3: provisioningState is Unknown, Provisioning, Succeeded or Failed; exports omit it."""
    match definition.provisioning_state.casefold():
        case "provisioning":
            return Health(HealthCode.PROGRESSING, "the service is being updated")
        case "failed":
            return Health(HealthCode.DEGRADED, "the last update of the service failed")
        case "unknown":
            return Health(HealthCode.DEGRADED, "the service does not know its own state")
        case _:
            return Health(HealthCode.HEALTHY)


def _refusal(
    definition: Definition, model: str | Refusal, environment: Environment | None
) -> Refusal | None:
    """Why nothing may be written to the service; None if it may be."""
    mark = tagged(definition.tags)
    if environment and mark.environment and not mark.is_of(environment.mark):
        why = (
            f"its tags say that it belongs to {mark.environment}, not to {environment.mark}; take "
            "it out of one of the two environments, and correct its tags"
        )
        return Refusal(Reason.NOT_OWNED, why)
    if not isinstance(model, Refusal):
        return _unwritable(definition, model)
    state = "" if definition.assets else definition.provisioning_state.casefold()
    if state == "provisioning":  # it is being created, and what it will hold is not shown yet
        return None
    return _never_created() if state == "failed" else model


def _never_created() -> Refusal:
    """A creation that failed leaves a service without a graph, which nothing can be bound to."""
    why = (
        "its creation failed and left it without a definition; write `state: absent` below spec "
        "and apply, which deletes it; then fix the cause and remove that line again"
    )
    return Refusal(Refused.CREATION_FAILED, why)


def _unwritable(definition: Definition, model: str) -> Refusal | None:
    """Why the service cannot be patched as it is now; None where it can."""
    if definition.read_only:
        why = (
            "the service is readOnly, which the platform cannot undo: it can only be "
            "removed; deploy a new service and bind that"
        )
        return Refusal(Refused.READ_ONLY, why, flag="readOnly")
    if with_credentials := assets_with_credentials(definition, model):
        why = (
            f"asset {', '.join(with_credentials)} carries credentials or a SAS in its URI, and an "
            "update would have to send them back; move the file into the service's own storage "
            "account and give its URI without a query"
        )
        return Refusal(Refused.ASSET_CREDENTIALS, why)
    if without := assets_without_location(definition, model):
        why = (
            f"asset {', '.join(without)} came without its locationInfo.uri, and an update would "
            "have to send it; deploy the service again, or remove that asset from it"
        )
        return Refusal(Refused.ASSET_WITHOUT_LOCATION, why)
    return None


def _storage_warning(definition: Definition, environment: Environment | None) -> tuple[str, ...]:
    """§3.4: a model outside of the service's own storage account may not be readable for it."""
    store_account = account_of(environment) if environment else ""
    if not store_account or not definition.storage_account:
        return ()
    if definition.storage_account.casefold() == store_account.casefold():
        return ()
    return (
        f"the service keeps its files in storage account {definition.storage_account}, the model "
        f"store is {store_account}; the service may not be able to read it",
    )
