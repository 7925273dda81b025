"""Which version goes where when one environment follows another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.desired.promotion import environments, notes, promotions
from reconciler.errors import ConfigurationError
from tests.desired.trees import MODEL, loaded, write
from tests.desired.two import BIKES, FLEET, FLEETS, NEW, PRODUCTION, TREE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.desired.promotion import Promotions
    from reconciler.model import Desired


def two(root: Path, files: Mapping[str, str]) -> tuple[Desired, Desired]:
    return environments(loaded(write(root, files)), "staging", "production")


def said(made: Promotions) -> list[str]:
    return [f"{each}: {each.old} → {each.new}" for each in made.found]


def test_a_name_is_one_binding_of_each_environment(tmp_path: Path) -> None:
    made = promotions(*two(tmp_path, TREE), "churn")
    assert said(made) == ["churn: 2026-10 → 2026-11"]
    assert made.found[0].source.path.endswith("production/churn.yaml")
    assert not made.left_out


def test_a_pattern_takes_what_is_in_both_and_says_what_is_not(tmp_path: Path) -> None:
    only = {"staging/new.yaml": NEW.replace("churn\n", "new\n", 1).replace("churn-p", "n")}
    only["production/old.yaml"] = NEW.replace("churn\n", "old\n", 1).replace("churn-p", "o")
    made = promotions(*two(tmp_path, {**FLEETS, **only}), "*")
    assert said(made) == ["bike-a and 2 more: 7 → 8", "churn: 2026-10 → 2026-11"]
    assert sorted(binding.name for binding in made.left_out) == ["new", "old"]


def test_bindings_that_the_other_environment_lacks_follow_their_document(tmp_path: Path) -> None:
    files = {**FLEETS, "staging/bikes.yaml": FLEET.replace("[a, b, c]", "[b]")}
    made = promotions(*two(tmp_path, files), "bike-*")
    assert said(made) == ["bike-a and 2 more: 7 → 7"]
    assert not made.left_out


ERRORS = [
    ("chrun", 'staging has no binding "chrun"; did you mean "churn"?'),
    ("x*", 'staging has no binding "x*"; known: bike-a, bike-b, bike-c, churn, new'),
    ("new", 'production has no binding "new" (staging has); known: bike-a, bike-b, bike-c, churn'),
    ("bike-b", "production/bikes.yaml:3:18: forEach makes bike-a and 1 more of this version too; name them all by a pattern, or write a separate document for the binding that must differ"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "why"), ERRORS)
def test_what_cannot_be_promoted_is_said(tmp_path: Path, name: str, why: str) -> None:
    only = {"staging/new.yaml": NEW.replace("churn\n", "new\n", 1).replace("churn-p", "n")}
    with pytest.raises(ConfigurationError) as caught:
        promotions(*two(tmp_path, {**FLEETS, **only}), name)
    assert caught.value.message.removeprefix(f"{tmp_path}/") == why


def test_a_document_cannot_take_two_versions(tmp_path: Path) -> None:
    other = FLEET.replace("[a, b, c]", "[c]")
    files = {
        **FLEETS,
        "staging/bikes.yaml": FLEET.replace("[a, b, c]", "[a, b]").replace('"7"', '"8"'),
        "staging/c.yaml": other,
    }
    with pytest.raises(ConfigurationError) as caught:
        promotions(*two(tmp_path, files), "bike-*")
    assert caught.value.message.endswith(
        "production/bikes.yaml:3:18: forEach gives these one version, but bike-a has 8 and bike-c "
        "has 7; promote when they agree"
    )


def test_a_pattern_that_meets_no_name_twice_is_refused(tmp_path: Path) -> None:
    files = {**TREE, "production/churn.yaml": NEW.replace("churn\n", "churn-eu\n", 1)}
    with pytest.raises(ConfigurationError, match='no name that matches "churn\\*" is in both'):
        promotions(*two(tmp_path, files), "churn*")


@pytest.mark.parametrize(
    ("from_", "to", "why"),
    [
        ("staging", "prodution", 'there is no environment "prodution"; did you mean "production"?'),
        ("stage", "stage", 'there is no environment "stage"; did you mean "staging"?'),
        ("staging", "staging", '"staging" is both --from and --to; name two environments'),
    ],
)
def test_two_environments_are_needed(tmp_path: Path, from_: str, to: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        environments(loaded(write(tmp_path, TREE)), from_, to)
    assert caught.value.message == why


def noted(root: Path, files: Mapping[str, str], name: str = "churn") -> list[str]:
    """What is noted about a promotion after which the target is as it is in these files."""
    source, target = two(root, files)
    found = promotions(source, target, name).found
    return list(notes(found, source.environment, target.environment, target.bindings))


AFTER = {**TREE, "production/churn.yaml": NEW}


def test_nothing_is_noted_where_the_same_model_will_serve(tmp_path: Path) -> None:
    assert noted(tmp_path, AFTER) == []


def test_another_store_is_noted_once(tmp_path: Path) -> None:
    other = PRODUCTION.replace("mlprod", "mllive")
    files = {**FLEETS, **AFTER, "production/environment.yaml": other}
    files["production/bikes.yaml"] = files["staging/bikes.yaml"]
    assert noted(tmp_path, files, "*") == [
        "staging keeps its models in mlprod/models and production in mllive/models; what is not "
        "there yet, production trains itself"
    ]


def test_another_recipe_is_noted_with_what_differs(tmp_path: Path) -> None:
    eu = MODEL.replace("name: churn", "name: churn-eu").replace("churn/$", "eu/$")
    eu = eu.replace("outputs: {", "parameters: {Rounds: '9'}\n    outputs: {")
    binding = NEW.replace("  model:\n    name: churn", "  model:\n    name: churn-eu")
    files = {**AFTER, "models/eu.yaml": eu, "production/churn.yaml": binding}
    assert noted(tmp_path, files) == [
        "churn: production does not take the 2026-11 of staging but trains its own, for the "
        "recipes differ: inputs.input1 is datasets/eu/2026-11.csv and not "
        "datasets/churn/2026-11.csv; model is churn-eu and not churn; parameters.Rounds is 9 and "
        "not nothing"
    ]


def test_other_arguments_are_noted_once_per_document(tmp_path: Path) -> None:
    files = {**FLEETS, "models/bikes.yaml": BIKES}
    files["production/bikes.yaml"] = files["staging/bikes.yaml"].replace(
        'with: {at: "${at}"}', 'with: {at: "city-${at}"}'
    )
    (note,) = noted(tmp_path, files, "bike-?")
    assert note.startswith("bike-a and 2 more: production does not take the 8 of staging")
    assert note.endswith("with.at is city-a and not a")
