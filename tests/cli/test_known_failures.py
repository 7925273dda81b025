"""Every failure of the catalogues (protocol reference §6; Ray, MLflow, Azure ML) is found before money
is spent, by `doctor` or sooner, or there is a reason why nobody can know it then.

Each row of the catalogue is one of three: `Found` spoils a healthy sample and says the finding;
`Held` names the test that finds it; `Cannot` is the written reason.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.platforms.studio.bes import BatchExecution

if TYPE_CHECKING:
    from collections.abc import Callable

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


@dataclass(frozen=True)
class Held:
    """The test that finds it."""

    test: str


@dataclass(frozen=True)
class Cannot:
    """Why it cannot be known before, or cannot happen."""

    why: str


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
STUDIO: dict[str, Found | Held | Cannot] = {
    "L01": Found(
        "endpoint", NO_MODEL, (BINDING, "breast-cancer-predictive", "breast-cancer-training")
    ),
    "L02": Found("endpoint", "default", (CLASSIC, "endpoint: senior", "endpoint: default")),
    "L03": Cannot("nobody writes the URL of an update: it is made of names"),
    "L04": Held(
        "tests/studio/test_hosts.py::"
        "test_an_unknown_region_of_a_workspace_lists_the_known_ones_at_its_place"
    ),
    "L05": Found(
        OF_TRAINING,
        'the service has no output "output3"',
        (MODEL, "model: output1", "model: output3"),
    ),
    "L06": Found("configuration", "reads .csv, .tsv and .arff only", (MODEL, ".csv", ".txt")),
    "L07": Cannot(
        "a definition does not say which port has the model; the ending of the file does"
    ),
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
    "L10": Cannot("a SAS is made for each job and never stored"),
    "L11": Cannot("base and path are joined in one place"),
    "L12": Held("tests/studio/test_new.py::test_a_model_store_in_another_account_is_warned_about"),
    "L13": Cannot("all that is sent is UTF-8"),
    "L14": Cannot("no cmdlet is used"),
    "L15": Cannot("every write is followed by a read-back, and proves nothing before it"),
    "L16": Cannot("an update never names the storage account (§3.7)"),
    "L17": Held(
        "tests/desired/test_definitions.py::test_a_binding_that_cannot_be_created_as_it_says_is_told_why"
    ),
    "L18": Held(
        "tests/desired/test_definitions.py::test_a_binding_that_cannot_be_created_as_it_says_is_told_why"
    ),
    "L19": Found("endpoint", "readOnly", read_only),
    "L20": Cannot("only declared fields are compared"),
    "L21": Held("tests/secrets/test_canaries.py::test_no_canary_is_printed_or_written"),
    "L22": Cannot("refresh is never sent"),
    "L23": Cannot("the program publishes no experiment"),
    "L24": Found("configuration", "lower-case", (CLASSIC, "endpoint: senior", "endpoint: Sen-ior")),
    "L25": Cannot("a default endpoint is refused as a binding (L02), and so never deleted"),
    "L26": Cannot("both spellings are read"),
    "L27": Cannot("every job is started, and one that never was is known by its time"),
    "L28": Found("data", "its first line is numbers: it has no header", header, "warning"),
    "L29": Found(OF_TRAINING, 'the parameter "Depth" has no default', required),
    "L30": Cannot("a body has `Inputs` only"),
    "L31": Cannot("only answers after the swap show it; the proof compares them"),
    "L32": Cannot("a new version has no metrics before it is trained; gates refuse it then"),
    "L33": Cannot("Data Factory is not used"),
    "L34": Cannot("Data Factory is not used"),
    "L35": Cannot("Data Factory is not used"),
    "L36": Cannot("load is not known before; such answers are retried"),
    "L37": Cannot(f"at most {BatchExecution.most_jobs} jobs run at once"),
    "L38": Cannot("the workspace's own account, which is not ours to list, has that container"),
    "L39": Found(
        "configuration",
        "this date has passed",
        (
            BINDING,
            "spec:\n",
            f"spec:\n  settings:\n    diagnostics:\n      level: Error\n{EXPIRY}\n",
        ),
    ),
    "L40": Cannot("definitions are read without a region"),
    "L41": Cannot("hosts are looked up by region, and an unknown one is refused (L04)"),
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
OTHERS: dict[str, Found | Held | Cannot] = {
    "Ray: another cluster at the address": Held(
        "tests/ray/test_cluster.py::test_another_cluster_with_work_of_its_own_is_refused"
    ),
    "Ray: Serve listens elsewhere": Held(
        "tests/ray/test_serve_elsewhere.py::"
        "test_doctor_says_where_serve_listens_and_where_to_correct_it"
    ),
    "Ray: a package above the limit": Held(
        "tests/ray/test_package.py::test_code_over_the_size_limit_names_its_heaviest_files"
    ),
    "Ray: PENDING for want of CPUs": Cannot("free CPUs change by the second; the progress says so"),
    "Ray: the head or a node dies": Cannot("nobody knows when; a lost job is tried again"),
    "MLflow: no such version": Held(
        "tests/mlflow/test_registry.py::test_an_unknown_version_names_the_near_ones"
    ),
    "MLflow: a version that is not ready": Held(
        "tests/mlflow/test_registry.py::test_what_must_not_be_taken_in_says_why"
    ),
    "MLflow: a secret whose server is not bound": Held(
        "tests/cli/test_doctor.py::"
        "test_a_server_that_no_secret_is_bound_to_is_found_without_asking_it"
    ),
    "Azure ML: OutOfQuota": Held(
        "tests/azureml/test_doctor.py::test_a_swap_for_which_too_few_machines_are_free_is_a_warning"
    ),
    "Azure ML: no such machine or environment": Held(
        "tests/azureml/test_doctor.py::test_what_a_deployment_names_and_nobody_has_is_found"
    ),
    "Azure ML: AuthorizationFailed": Held(
        "tests/azureml/test_doctor.py::test_each_right_that_is_missing_is_named_with_what_it_is_for"
    ),
    "Azure ML: a store in no datastore, a compute that is not there": Held(
        "tests/azureml/test_doctor.py::test_a_job_whose_compute_or_component_is_missing_is_found"
    ),
    "Azure ML: no such registered version": Held(
        "tests/azureml/test_registry.py::"
        "test_a_version_that_is_not_there_is_refused_with_the_near_ones"
    ),
    "Azure ML: ImageBuildFailure, ResourceNotReady": Cannot(
        "only the service builds the image and starts the code; the candidate has no traffic then"
    ),
}
FOUND = [(name, row) for name, row in STUDIO.items() if isinstance(row, Found)]


def test_each_failure_of_the_catalogue_has_its_row() -> None:
    assert list(STUDIO) == [f"L{number:02}" for number in range(1, 43)]
    for row in (STUDIO | OTHERS).values():
        assert not isinstance(row, Cannot) or len(row.why.split()) > 3


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
    "test", [row.test for row in (STUDIO | OTHERS).values() if isinstance(row, Held)]
)
def test_the_test_that_finds_it_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions_in(path), sorted(functions_in(path))


def test_a_training_that_fits_its_service_and_rights_that_suffice_are_fine(
    lab: Lab, command: Command
) -> None:
    checks = json.loads(command("doctor", "-o", "json").out)["checks"]
    fine = {check["what"] for check in checks if check["level"] == "fine"}
    assert {OF_TRAINING, "rights", "data"} <= fine
