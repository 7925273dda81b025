"""What a tree may become is bounded before it is made: a branch of a fork fills no machine."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.desired.trees import BINDING, ENVIRONMENT, MODEL, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_MEMORY = 1_200 * 1024 * 1024  # of addresses; the interpreter and its libraries have 300 MiB
WORKSPACE = (
    "    workspace: {id: 9cd6d9da1c25b9e551f1bcf07e58daee, region: westeurope, token: env:T}\n"
)
SITES = ENVIRONMENT + WORKSPACE
ALL = '{from: "00001", to: "10000"}'
FLEET = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {{name: "bike-${{at}}", labels: {{at: "${{at}}"{labels}}}}}
forEach: {{at: {generator}}}
spec:
  webService: Bikes
  endpoint: "e${{at}}"
  model: {{name: churn, version: "7", with: {{at: "${{at}}"}}}}
"""
BIKES = MODEL.replace("churn/${", "${at}/${")


def fleet(
    labels: str = "", generator: str = ALL, model: str = BIKES, **more: str
) -> dict[str, str]:
    named = {name.replace("_", "."): text for name, text in more.items()}
    made = FLEET.format(labels=labels, generator=generator)
    return {"environment.yaml": SITES, "model.yaml": model, "fleet.yaml": made, **named}


def created(number: int) -> dict[str, str]:
    text = f"""\
apiVersion: reconciler/v1
kind: WebService
metadata: {{name: w{number}}}
spec:
  webService: w{number}
  definition: d{number}.json
  create: {{commitmentPlan: p}}
  verify: {{request: d{number}.json}}
  model: {{name: churn, version: "7"}}
"""
    lists = "[],\n" * 1_000_000 + "[]"
    return {f"w{number}.yaml": text, f"d{number}.json": f'{{"a": [{lists}]}}'}


PARAMETERS = ", ".join(f'p{n}: "${{at}}"' for n in range(3_000))
NAMES = ",".join(f"c{n}" for n in range(5_000))
TABLE = "\n".join([NAMES, *(f"{n}{',1' * 4_999}" for n in range(90)), ""])
BOMBS: Mapping[str, Mapping[str, str]] = {
    "a long text of a forEach": fleet(f', x: "${{at}}{"y" * 900_000}"'),
    "a placeholder that is repeated": fleet(f', x: "{"${at}" * 150_000}"'),
    "many texts of a forEach": fleet("".join(f', l{n}: "${{at}}"' for n in range(30_000))),
    "many documents with a forEach": fleet(
        many_yaml="---\n".join(
            FLEET.format(labels="", generator=ALL).replace("bike-", f"b{n}-") for n in range(100)
        )
    ),
    "a million bindings": {
        **fleet(generator='{from: "1", to: "1000000"}'),
        "environment.yaml": f"{SITES}  limits: {{bindings: 1000000}}\n",
    },
    "rows with many columns, multiplied": fleet(
        generator="{file: a.csv, column: c0}, by: {file: a.csv, column: c0}", a_csv=TABLE
    ),
    "an argument in a text of the model": {
        "environment.yaml": SITES,
        "model.yaml": BIKES.replace("datasets/", "datasets/" + "${at}" * 100_000),
        "churn.yaml": BINDING.split("  verify")[0] + f'    with: {{at: "{"x" * 100_000}"}}\n',
    },
    "many parameters of a model": fleet(
        model=BIKES.replace("    outputs", f"    parameters: {{{PARAMETERS}}}\n    outputs")
    ),
    "many files": {
        **fleet(generator="[a]"),
        **{f"f{n}.yaml": f"# {'…' * 340_000}\n" for n in range(450)},
    },
    "many values in files": {
        **fleet(generator="[a]"),
        **{f"f{n}.yaml": f"a: {'[' * 40}{'b,' * 90_000}{']' * 40}\n" for n in range(15)},
    },
    "lists in JSON": {
        "environment.yaml": SITES,
        "model.yaml": MODEL,
        **{name: text for n in range(4) for name, text in created(n).items()},
    },
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_fill_the_machine_is_refused_before_it_is_made(
    name: str, tmp_path: Path
) -> None:
    write(tmp_path, BOMBS[name])

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))

    command = [sys.executable, "-m", "reconciler", "validate", "-f", str(tmp_path)]
    ran = subprocess.run(command, preexec_fn=bounded, capture_output=True, text=True, check=False)
    assert ran.returncode == errors.CONFIGURATION, ran.stderr[-2_000:]
    assert "the desired state would become more than" in ran.stderr
