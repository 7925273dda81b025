"""Waves by label: which endpoints get a version how, and that one version goes out in one way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.trees import BINDING, ENVIRONMENT, GOOD, MODEL, complaints, loaded, write

if TYPE_CHECKING:
    from pathlib import Path

BY_LABEL = f"""\
{ENVIRONMENT}  rollout: {{first: 2}}
  rollouts:
  - {{labels: {{tier: gold, region: eu}}, first: 1, then: "10%", soak: 24h}}
  - {{labels: {{tier: gold}}, first: 1, then: "25%", pause: 10m}}
"""


def binding(name: str, labels: str = "", version: str = "2026-10", model: str = "churn") -> str:
    text = BINDING.replace("  name: churn\n", f"  name: {name}\n", 1)
    text = text.replace("churn-predictive", f"{name}-predictive").replace("2026-10", version)
    text = text.replace("    name: churn\n", f"    name: {model}\n")
    return text.replace("spec:\n", f"  labels: {{{labels}}}\nspec:\n") if labels else text


def test_the_first_entry_whose_labels_fit_comes_before_the_model_and_the_environment(
    tmp_path: Path,
) -> None:
    own = MODEL.replace("name: churn}", "name: own}").replace("spec:\n", "spec:\n  rollout: {}\n")
    labels = {
        "plain": "",
        "silver": "tier: silver",
        "gold": "tier: gold",
        "european": "region: eu, tier: gold, team: risk",
        "modelled": "tier: silver",
    }
    files = {
        f"{name}.yaml": binding(name, has, f"2026-1{n}", "own" if name == "modelled" else "churn")
        for n, (name, has) in enumerate(labels.items())
    }
    tree = {**GOOD, **files, "churn.yaml": None, "environment.yaml": BY_LABEL}
    (wanted,) = loaded(write(tmp_path, {**tree, "models/own.yaml": own})).values()
    assert {b.name: str(b.rollout) for b in wanted.bindings} == {
        "plain": "2, then 100%",
        "silver": "2, then 100%",
        "gold": "1, then 25%, pause 600 s",
        "european": "1, then 10%, soak 86400 s",
        "modelled": "1, then 100%",
    }


def test_a_version_whose_endpoints_are_given_it_in_two_ways_is_an_error_with_both_places(
    tmp_path: Path,
) -> None:
    files = {"a.yaml": binding("a"), "b.yaml": binding("b", "tier: gold")}
    files["c.yaml"] = binding("c", "tier: gold", "2026-11")
    files["gone.yaml"] = binding("gone", "tier: gold").replace(
        "spec:\n", "spec:\n  state: absent\n"
    )
    tree = {**GOOD, **files, "churn.yaml": None, "environment.yaml": BY_LABEL}
    (problem,) = complaints(write(tmp_path, tree))
    assert problem.removeprefix(f"{tmp_path}/") == (
        "b.yaml:4:9: metadata.labels: churn/2026-10 goes out as 1, then 25%, pause 600 s here, and "
        f"as 2, then 100% at a ({tmp_path}/a.yaml:4:9); let one entry of the environment's rollouts "
        "fit both, or none"
    )
