"""Why Studio's addresses are refused; beside what the core itself decides by (`model.Reason`)."""

from __future__ import annotations

from enum import StrEnum


class Refused(StrEnum):
    """The code of a `Refusal` that only Studio gives."""

    # New web services
    AMBIGUOUS_ASSET = "ambiguous_asset"
    ASSET_CREDENTIALS = "asset_credentials"
    ASSET_WITHOUT_LOCATION = "asset_without_location"
    CREATION_FAILED = "creation_failed"
    NO_MODEL_ASSET = "no_model_asset"
    READ_ONLY = "read_only"
    UNKNOWN_ASSET = "unknown_asset"

    # Classic endpoints
    AMBIGUOUS_RESOURCE = "ambiguous_resource"
    AMBIGUOUS_SERVICE = "ambiguous_service"
    DEFAULT_ENDPOINT = "default_endpoint"
    NO_UPDATABLE_RESOURCES = "no_updatable_resources"
    PREVENT_UPDATE = "prevent_update"
    TOO_MANY_ENDPOINTS = "too_many_endpoints"
    UNKNOWN_RESOURCE = "unknown_resource"
