"""Two environments that keep their models in one store do not take each other's endpoints for
their own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from reconciler.cli import compose
from reconciler.platforms.studio.classic_state import ClassicAddress
from reconciler.platforms.studio.new import WebServiceAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model import Address
    from tests.lab import Lab


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ClassicAddress("a", "Bikes", "x"), ClassicAddress("b", "Bikes", "x")),
        (WebServiceAddress("a", "g", "bikes"), WebServiceAddress("b", "g", "bikes")),
    ],
)
def test_endpoints_of_the_same_name_in_two_places_have_two_records(
    one: Address, other: Address
) -> None:
    assert str(one) == str(other)
    assert one.key != other.key


def test_the_record_of_one_workspace_is_no_witness_in_another(
    switched: Callable[..., Lab],
) -> None:
    lab = switched(classic_location="hidden")
    lab.apply()
    local = lab.services / "local"
    twin = lab.services / "twin"
    shutil.copytree(local, twin)
    (twin / "breast-cancer.yaml").unlink()
    shutil.rmtree(twin / "models")
    environment = (local / "environment.yaml").read_text(encoding="utf-8")
    elsewhere = "9cd6d9da1c25b9e551f1bcf07e58dabb"
    (twin / "environment.yaml").write_text(
        environment.replace("name: local", "name: twin").replace(
            "id: 9cd6d9da1c25b9e551f1bcf07e58daee", f"id: {elsewhere}"
        ),
        encoding="utf-8",
    )
    wanted = compose.load(lab.services)["twin"]
    ledger = lab.world(wanted=wanted).ledger
    assert [ledger.record(binding.address) for binding in wanted.bindings] == [None] * 3
