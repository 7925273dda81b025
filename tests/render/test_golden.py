"""How every document looks, kept in golden files; UPDATE_GOLDEN=1 rewrites them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from reconciler import render
from tests.render import cases

GOLDEN = Path(__file__).parent / "golden"
STATUS = json.loads((Path(__file__).parents[2] / "schemas/status.schema.json").read_text())
NARROW = render.Look(44, ascii_only=True, verbose=True)


def agrees(name: str, text: str) -> None:
    """Fail unless the text is what the golden file keeps."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", cases.PLANS)
def test_a_plan_looks_as_it_did_in_every_format(name: str) -> None:
    plan = cases.PLANS[name]
    agrees(f"plan_{name}.txt", render.plan_text(plan))
    agrees(f"plan_{name}.narrow.txt", render.plan_text(plan, NARROW))
    agrees(f"plan_{name}.color.txt", render.plan_text(plan, render.Look(color=True, verbose=True)))
    agrees(f"plan_{name}.md", render.plan_markdown(plan))
    agrees(f"plan_{name}.json", render.plan_json(plan))


@pytest.mark.parametrize("name", cases.REPORTS)
def test_a_report_looks_as_it_did_in_every_format(name: str) -> None:
    report = cases.REPORTS[name]
    agrees(f"report_{name}.txt", render.report_text(report))
    agrees(f"report_{name}.narrow.txt", render.report_text(report, NARROW))
    agrees(f"report_{name}.md", render.report_markdown(report))
    agrees(f"report_{name}.json", render.report_json(report))


@pytest.mark.parametrize("name", cases.ROWS)
def test_a_status_looks_as_it_did_in_every_format(name: str) -> None:
    rows = cases.ROWS[name]
    agrees(f"status_{name}.txt", render.status_text(rows))
    agrees(f"status_{name}.narrow.txt", render.status_text(rows, NARROW))
    agrees(f"status_{name}.md", render.status_markdown(rows))
    agrees(f"status_{name}.json", render.status_json(rows))
    jsonschema.validate(json.loads(render.status_json(rows)), STATUS)


@pytest.mark.parametrize("name", cases.PROOFS)
def test_proofs_look_as_they_did_in_every_format(name: str) -> None:
    proofs = cases.PROOFS[name]
    agrees(f"proofs_{name}.txt", render.proofs_text(proofs))
    agrees(f"proofs_{name}.narrow.txt", render.proofs_text(proofs, NARROW))
    agrees(f"proofs_{name}.md", render.proofs_markdown(proofs))
    agrees(f"proofs_{name}.json", render.proofs_json(proofs))
