"""Whose a New service is, by its tags."""

from __future__ import annotations

import pytest

from reconciler.platforms.arm_marks import (
    Mark,
    how_to_tag,
    owned_by,
    tagged,
    with_mark,
    with_protection,
)

MARK = "prod@mlprod/models"
OURS = {"managed-by": "reconciler", "reconciler-environment": MARK}


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        (OURS, True),
        ({"Managed-By": "Reconciler", "RECONCILER-ENVIRONMENT": MARK.upper()}, True),
        ({**OURS, "team": "risk"}, True),
        ({}, False),
        ({"managed-by": "reconciler"}, False),
        ({"reconciler-environment": MARK}, False),
        ({**OURS, "managed-by": "terraform"}, False),
        ({**OURS, "reconciler-environment": "prod@other/models"}, False),
        ({**OURS, "reconciler-environment": ""}, False),
    ],
)
def test_both_tags_make_a_service_ours(tags: dict[str, str], ours: bool) -> None:
    assert tagged(tags).is_of(MARK) is ours


def test_the_tags_of_an_export_do_not_make_a_service_anothers() -> None:
    theirs = {"Managed-by": "reconciler", "reconciler-environment": "staging@a/b", "team": "risk"}
    assert with_mark(theirs, MARK, protect=False) == {"team": "risk", **OURS}
    assert tagged(theirs).environment == "staging@a/b"
    assert tagged({"reconciler-environment": "staging@a/b"}) == Mark()


def test_the_tag_of_another_tool_is_not_overwritten_by_a_mark() -> None:
    theirs = {"Managed-By": "Terraform", "team": "risk"}
    assert owned_by(theirs, MARK, protect=True) == theirs
    assert not tagged(theirs).is_nobodys
    adopted = owned_by({"team": "risk"}, MARK, protect=False)
    assert adopted == {"team": "risk", **OURS, "reconciler-adopted": "true"}


def test_protection_is_a_tag_that_is_taken_back_by_saying_so() -> None:
    """§3.7: left out, it would stay after a PATCH that merges the tags."""
    protected = with_mark({}, MARK, protect=True)
    assert tagged(protected).protected
    freed = with_protection(protected, protect=False)
    assert freed["reconciler-protect"] == "false"
    assert not tagged(freed).protected
    assert with_protection(OURS, protect=False) == OURS


def test_names_and_values_of_tags_keep_the_rules_of_arm() -> None:
    for name, value in with_mark({}, MARK, protect=True).items():
        assert len(name) <= 128
        assert not set(name) & set("<>%&\\?/")
        assert len(value) <= 256


def test_the_command_that_tags_keeps_the_tags_that_are_there() -> None:
    assert how_to_tag("/subscriptions/s/x", MARK) == (
        "az tag update --operation merge --resource-id '/subscriptions/s/x' "
        f"--tags managed-by=reconciler reconciler-environment={MARK}"
    )
