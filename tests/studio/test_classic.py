"""What an endpoint's state says, with and without a visible location (§2.6, §2.8)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.model import Live, ModelRef, Witness
from reconciler.platforms.studio.classic import address, live_from_export
from reconciler.platforms.studio.classic_reads import Reads
from reconciler.platforms.studio.classic_state import ClassicAddress, live_of
from tests.test_plan import ENVIRONMENT, binding

SERVICE = {"Id": "a" * 32, "Name": "Bikes", "DefaultEndpointName": "default"}
NAME = "Bike Rental [trained model]"


def place(base: str = "https://acct.blob.core.windows.net/", relative: str = "c/m.ilearner") -> Any:
    return {"BaseLocation": base, "RelativeLocation": relative, "SasBlobToken": "?sig=CANARY"}


def endpoint(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Name": "loc001", "PrimaryKey": "CANARY", "Resources": list(resources), **more}


def resource(name: str = NAME, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Kind": "TrainedModel", "Location": place(), **more}


def live(state: dict[str, Any], wanted: str | None = NAME) -> Live:
    return live_of(SERVICE, state, replace(binding(), part=wanted), Witness.SERVICE)


JOINED = [
    place("https://acct.blob.core.windows.net/", "c/m.ilearner"),
    place("https://acct.blob.core.windows.net", "/c/m.ilearner"),
    place("https://acct.blob.core.windows.net/", "/c/m.ilearner"),
    place("https://ACCT.blob.core.windows.net", "c/m.ilearner"),
]


@pytest.mark.parametrize("location", JOINED)
def test_base_and_relative_are_joined_by_one_slash(location: dict[str, str]) -> None:
    seen = live(endpoint(resource(Location=location)))
    assert seen.served == ModelRef("https://acct.blob.core.windows.net/c/m.ilearner")
    assert not seen.hidden
    assert "CANARY" not in repr(seen)


@pytest.mark.parametrize("location", [None, {}, place("", ""), place(relative="")])
def test_a_location_that_is_not_revealed_is_hidden(location: object) -> None:
    seen = live(endpoint(resource(Location=location)))
    assert (seen.served, seen.hidden) == (None, True)


def test_the_only_resource_needs_no_name() -> None:
    assert live(endpoint(resource()), None).asset == NAME


REFUSALS = [
    (endpoint(resource(), Name="default"), NAME, "default_endpoint"),
    (endpoint(resource(), Name="Default"), NAME, "default_endpoint"),
    (endpoint(Name="default"), NAME, "no_updatable_resources"),
    (endpoint(), NAME, "no_updatable_resources"),
    ({"Name": "loc001"}, NAME, "no_updatable_resources"),
    (endpoint(resource(), resource("Other")), None, "ambiguous_resource"),
    (endpoint(resource()), NAME.lower(), "unknown_resource"),
    (endpoint(resource(), PreventUpdate=True), NAME, "prevent_update"),
]


@pytest.mark.parametrize(("state", "wanted", "code"), REFUSALS)
def test_what_must_not_be_bound_is_refused(
    state: dict[str, Any], wanted: str | None, code: str
) -> None:
    refusal = live(state, wanted).refusal
    assert refusal is not None
    assert refusal.code == code


def test_a_name_that_differs_in_case_suggests_the_right_one() -> None:
    refusal = live(endpoint(resource()), NAME.lower()).refusal
    assert refusal is not None
    assert refusal.message == (
        f'no updatable resource is named "{NAME.lower()}"; it has "{NAME}"; did you mean "{NAME}"?'
    )


@pytest.mark.parametrize(
    "state",
    [
        endpoint(Resources={}),
        {"Name": 3, "Resources": []},
        endpoint(Resources=["x"]),
        endpoint(resource(Location="https://x")),
    ],
)
def test_wrong_types_are_unreadable(state: dict[str, Any]) -> None:
    if state.get("Resources") == {}:
        state = {**state, "Resources": {"a": 1}}
    with pytest.raises(UnreadableError):
        live(state)


def test_an_export_without_an_endpoint_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match='it has no object "endpoint"'):
        live_from_export({"properties": {}}, binding())


def test_an_environment_without_a_workspace_has_no_classic_endpoints() -> None:
    with pytest.raises(ValueError, match=r"add spec\.studio\.workspace"):
        address({"webService": "x", "endpoint": "y"}, ENVIRONMENT)


def test_a_model_that_is_at_no_plain_url_is_shown_without_a_password() -> None:
    found = live(endpoint(resource(Location=place("https://me:CANARY@acct/"))))
    assert (found.served, found.model_text) == (None, "https://acct/c/m.ilearner")


@pytest.mark.parametrize("ident", ["../../x", "..", "a/b", "a?b#c", "%2e%2e"])
def test_an_id_of_a_service_that_is_none_never_becomes_a_part_of_a_path(ident: str) -> None:
    reads = Reads(SimpleNamespace(request=None), "https://h/workspaces/w/webservices", None)  # type: ignore[arg-type]
    with pytest.raises(UnreadableError, match="which is not an id"):
        reads.endpoints({"Id": ident, "Name": "n"})


@pytest.mark.parametrize("name", [".", ".."])
def test_an_endpoint_whose_name_would_be_another_path_is_never_asked_for(name: str) -> None:
    """A list could show one with our mark, and its DELETE would be the DELETE of the service."""
    reads = Reads(SimpleNamespace(request=None), "https://h/workspaces/w/webservices", None)  # type: ignore[arg-type]
    with pytest.raises(UnreadableError, match="cannot be a part of a path"):
        reads.endpoint_url(SERVICE, ClassicAddress("w", "s", name))
