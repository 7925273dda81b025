"""Every failure that the guides list is found before money is spent, by `doctor` or sooner, or its
row has the reason why nobody can know it then.

The tables are read from the guides. A row whose last cell names a command is one of two: `Found`
spoils a healthy sample and says the finding; a text names the test that finds it.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

ROOT = Path(__file__).parents[2]
TRAINING = (
    "00000000-0000-4000-8000-000000000001/ml-local/breast-cancer-training",
    "00000000-0000-4000-8000-000000000001/ml-local/breast-cancer-predictive",
)


@dataclass(frozen=True)
class Found:
    """A finding about `what`, once the sample is spoilt by an edit or otherwise."""

    what: str
    message: str
    spoil: tuple[str, str, str] | Callable[[Lab], None]
    level: str = "error"


def header(lab: Lab) -> None:
    path = "mllocal/datasets/breast-cancer/2026-10.csv"
    lab.cloud._core.write_blob(path, b"17.99,10.38,1\n20.57,17.77,0\n")


def required(lab: Lab) -> None:
    lab.cloud.world.services[TRAINING[0]].properties["parameters"]["Depth"] = {}


def read_only(lab: Lab) -> None:
    lab.cloud.world.services[TRAINING[1]].properties["readOnly"] = True


BINDING, MODEL, CLASSIC = "breast-cancer.yaml", "models/breast-cancer.yaml", "diabetes.yaml"
NO_MODEL = "the definition has no trained model; this is probably the training service"
OF_TRAINING = "training breast-cancer-training"
EXPIRY = '      expiry: "2020-01-01T00:00:00Z"'
STUDIO: dict[str, Found | str] = {
    "L01": Found(
        "endpoint", NO_MODEL, (BINDING, "breast-cancer-predictive", "breast-cancer-training")
    ),
    "L02": Found("endpoint", "default", (CLASSIC, "endpoint: senior", "endpoint: default")),
    "L04": "studio/test_hosts.py::test_an_unknown_region_of_a_workspace_lists_the_known_ones_at_its_place",
    "L05": Found(
        OF_TRAINING,
        'the service has no output "output3"',
        (MODEL, "model: output1", "model: output3"),
    ),
    "L06": Found("configuration", "reads .csv, .tsv and .arff only", (MODEL, ".csv", ".txt")),
    "L08": Found(
        OF_TRAINING,
        'the service has no input "Input1"; did you mean "input1"?',
        (MODEL, "input1:", "Input1:"),
    ),
    "L09": Found(
        "endpoint",
        'did you mean "Diabetes [trained model]"?',
        (CLASSIC, "Diabetes [trained model]", "Diabetes [Trained Model]"),
    ),
    "L12": "studio/test_new.py::test_a_model_store_in_another_account_is_warned_about",
    "L17": "desired/test_definitions.py::test_a_binding_that_cannot_be_created_as_it_says_is_told_why",
    "L18": "desired/test_definitions.py::test_a_binding_that_cannot_be_created_as_it_says_is_told_why",
    "L19": Found("endpoint", "readOnly", read_only),
    "L24": Found("configuration", "lower-case", (CLASSIC, "endpoint: senior", "endpoint: Sen-ior")),
    "L28": Found("data", "its first line is numbers: it has no header", header, "warning"),
    "L29": Found(OF_TRAINING, 'the parameter "Depth" has no default', required),
    "L39": Found(
        "configuration",
        "this date has passed",
        (
            BINDING,
            "spec:\n",
            f"spec:\n  settings:\n    diagnostics:\n      level: Error\n{EXPIRY}\n",
        ),
    ),
    "L42": Found(
        "engine studio/breast-cancer-training",
        "40",
        (
            "environment.yaml",
            "subscriptions/00000000000040008000000000000001",
            "subscriptions/00000000000040008000000000000009",
        ),
    ),
}
OTHERS = {
    "RAY": {
        "401, no token is declared": "ray/test_cluster.py::test_a_missing_and_a_wrong_token_are_told_apart",
        "401, a token is declared": "ray/test_cluster.py::test_a_missing_and_a_wrong_token_are_told_apart",
        "403": "ray/test_cluster.py::test_a_missing_and_a_wrong_token_are_told_apart",
        "a page, or a redirect": "ray/test_cluster.py::test_what_is_no_ray_is_an_error_that_says_so",
        "another cluster answers": "ray/test_cluster.py::test_another_cluster_with_work_of_its_own_is_refused",
        "Ray is older": "ray/test_cluster.py::test_a_ray_that_is_too_old_is_refused",
        "Serve listens elsewhere": "ray/test_serve_elsewhere.py::test_doctor_says_where_serve_listens_and_where_to_correct_it",
        "the code is larger": "ray/test_package.py::test_code_over_the_size_limit_names_its_heaviest_files",
        "a link in the code": "ray/test_package.py::test_a_link_out_of_the_tree_is_refused",
    },
    "MLFLOW": {
        "`version: champion`": "mlflow/test_desired.py::test_a_mistake_about_a_registry_has_a_place_and_a_fix",
        "an unknown or deleted version": "mlflow/test_registry.py::test_an_unknown_version_names_the_near_ones",
        "`PENDING_REGISTRATION`": "mlflow/test_registry.py::test_what_must_not_be_taken_in_says_why",
        "its run was deleted": "mlflow/test_registry.py::test_what_must_not_be_taken_in_says_why",
        "a metric of a gate is missing": "mlflow/test_taking.py::test_a_metric_that_no_gate_can_judge_is_named_before_anything_is_copied",
        "its metrics do not pass": "mlflow/test_taking.py::test_the_plan_judges_a_version_by_the_metrics_of_its_run",
        "its run has no metrics": "mlflow/test_taking.py::test_a_version_without_metrics_is_served_where_no_gate_asks_for_one",
        "the server is down": "mlflow/test_alias.py::test_what_is_no_answer_of_mlflow_is_never_taken_for_absence",
        "a login page": "mlflow/test_alias.py::test_what_is_no_answer_of_mlflow_is_never_taken_for_absence",
        "someone else moves the alias": "mlflow/test_live.py::test_a_swap_is_proved_by_the_server_and_drift_is_repaired",
        "the version that the alias": "mlflow/test_alias.py::test_a_version_that_is_gone_is_degraded",
        "no secret may go": "cli/test_doctor.py::test_a_server_that_no_secret_is_bound_to_is_found_without_asking_it",
        "the server refuses a foreign": "mlflow/test_alias.py::test_what_is_no_answer_of_mlflow_is_never_taken_for_absence",
    },
    "AZUREML": {
        "`authMode`, `identity`": "azureml/test_endpoint.py::test_an_endpoint_keeps_the_identity_that_it_was_made_with",
        "the token has another audience": "azureml/test_endpoint.py::test_a_token_of_the_wrong_audience_is_named",
        "others mirror": "azureml/test_mirror.py::test_only_one_deployment_has_a_copy_and_that_of_others_is_left_alone",
        "an endpoint of another environment": "azureml/test_endpoint.py::test_an_endpoint_of_another_environment_is_refused",
        "`registry` names": "azureml/test_desired.py::test_a_model_of_another_workspace_is_refused_with_its_place_and_the_way_out",
        "an endpoint serves a model": "azureml/test_endpoint.py::test_a_model_of_another_workspace_is_told_apart_and_gets_its_traffic_back",
        "no `environment`": "azureml/test_midway.py::test_a_model_that_brings_no_environment_needs_one_before_it_is_trained",
        "too few machines": "azureml/test_doctor.py::test_a_swap_for_which_too_few_machines_are_free_is_a_warning",
        "the region has no such": "azureml/test_doctor.py::test_what_a_deployment_names_and_nobody_has_is_found",
        "a role lacks a right": "azureml/test_doctor.py::test_each_right_that_is_missing_is_named_with_what_it_is_for",
        "a job's compute": "azureml/test_doctor.py::test_a_job_whose_compute_or_component_is_missing_is_found",
        "a registered version": "azureml/test_registry.py::test_a_version_that_is_not_there_is_refused_with_the_near_ones",
    },
    "LOCAL": {
        "the folder does not exist": "local/test_home.py::test_a_store_folder_that_is_missing_is_an_error",
        "the folder is read-only": "cli/test_doctor.py::test_a_folder_that_this_user_may_not_write_says_so",
        "a symbolic link": "stores/test_folder.py::test_a_symbolic_link_is_not_followed",
    },
    "STUDIO_PROTOCOL": STUDIO,
}
FOUND = [(name, row) for name, row in STUDIO.items() if isinstance(row, Found)]


KNOWN = "known before a run"
OF_TROUBLE = ("problem", "event", "the dashboard answers", "id")


def tables_of(guide: str) -> Iterator[list[list[str]]]:
    """The cells of each table of a guide, its head first."""
    lines = (ROOT / f".github/{guide}.md").read_text("utf-8").split("\n")
    for is_table, rows in itertools.groupby(lines, lambda line: line.startswith("|")):
        if is_table:
            yield [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


@pytest.mark.parametrize("guide", OTHERS)
def test_each_failure_that_a_guide_lists_is_found_by_a_test_or_says_why_not(guide: str) -> None:
    left = dict(OTHERS[guide])
    of_trouble = [table for table in tables_of(guide) if table[0][0] in OF_TROUBLE]
    assert of_trouble
    for head, _, *rows in of_trouble:
        assert head[-1] == KNOWN, head
        for row in rows:
            found = [begins for begins in left if row[0].startswith(begins)]
            if row[-1].startswith("no: "):
                assert found == [], f"{row[0]} is found, and said to be unknowable"
                assert len(row[-1].split()) > 4, row
            else:
                assert re.fullmatch(r"`(doctor|drift|plan|validate)`(, `(plan|drift)`)?", row[-1])
                assert len(found) == 1, row
                del left[found[0]]
    assert left == {}, "no guide lists it"


@pytest.mark.parametrize(("name", "row"), FOUND, ids=[name for name, _ in FOUND])
def test_doctor_finds_it_with_its_place(lab: Lab, command: Command, name: str, row: Found) -> None:
    if isinstance(row.spoil, tuple):
        lab.edit(*row.spoil)
    else:
        row.spoil(lab)
    ran = command("doctor", "-o", "json")
    assert ran.code == (errors.ERROR if row.level == "error" else errors.SUCCESS), name
    checks = json.loads(ran.out)["checks"]
    found = [c for c in checks if (c["what"], c["level"]) == (row.what, row.level)]
    assert any(row.message in check["message"] for check in found), checks
    if not row.what.startswith("engine"):  # of an engine, which has no line of its own
        assert all(check["source"]["path"].endswith(".yaml") for check in found)


@cache
def functions_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    "test",
    sorted({row for rows in OTHERS.values() for row in rows.values() if isinstance(row, str)}),
)
def test_the_test_that_finds_it_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions_in(f"tests/{path}"), sorted(functions_in(f"tests/{path}"))


def test_a_training_that_fits_its_service_and_rights_that_suffice_are_fine(
    lab: Lab, command: Command
) -> None:
    checks = json.loads(command("doctor", "-o", "json").out)["checks"]
    fine = {check["what"] for check in checks if check["level"] == "fine"}
    assert {OF_TRAINING, "rights", "data"} <= fine
