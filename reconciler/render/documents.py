"""Plans, reports, rows and proofs as JSON for programs; and the way back for plans and reports.

Control, format and separator characters are written as JSON escapes, so that a document can be
shown in a terminal, and reads back as exactly what it was made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from reconciler.codec import make_codec, read
from reconciler.model import (
    Action,
    Judgement,
    ModelRef,
    NotManaged,
    Plan,
    Proof,
    Report,
    Rule,
    RuleKind,
)
from reconciler.render.cells import is_hidden
from reconciler.render.findings import Finding
from reconciler.render.status import StatusRow
from reconciler.strict_json import parse_json

PLAN = "reconciler/plan/v1"
REPORT = "reconciler/report/v1"
STATUS = "reconciler/status/v1"
PROOFS = "reconciler/proofs/v1"
ERROR = "reconciler/error/v1"
RUN = "reconciler/run/v1"
_LONGEST_S = 1e12  # of a training; ten thousand of these still add up to a number
_UNUSUAL = re.compile(r"[^\n -~]")
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})?")


# --- writing -------------------------------------------------------------------------------


def plan_json(plan: Plan) -> str:
    """The plan as JSON that `parse_plan` reads."""
    # Of a plan that is kept, and so may be applied: not in another world.
    world = {"world": plan.world} if plan.id and plan.world else {}
    return json_document({"schema": PLAN, "id": plan.id, **world, **_plan(plan)})


def report_json(report: Report) -> str:
    """The report as JSON; `plan` is the last look of the run."""
    document = CODEC.unstructure(report)
    proofs, plan = list(map(_proof, report.proofs)), _plan(report.plan)
    return json_document({"schema": REPORT, **document, "proofs": proofs, "plan": plan})


def status_json(rows: Iterable[StatusRow], unmanaged: NotManaged | None = None) -> str:
    """The rows as JSON, and what is unmanaged where somebody looked."""
    beside = {"unmanaged": CODEC.unstructure(unmanaged)} if unmanaged is not None else {}
    bindings = [{**CODEC.unstructure(row), "drifted": row.drifted} for row in rows]
    return json_document({"schema": STATUS, "bindings": bindings, **beside})


def proofs_json(proofs: Iterable[Proof]) -> str:
    """The proofs as JSON."""
    every = tuple(proofs)
    proved = all(proof.proved for proof in every)
    return json_document({"schema": PROOFS, "proved": proved, "proofs": list(map(_proof, every))})


def error_json(exit_code: int, error: str, findings: Iterable[Finding]) -> str:
    """The error that ended a command before it had a document, and every problem with its place."""
    problems = [
        {**asdict(finding.source), "rule": finding.rule, "message": finding.message}
        for finding in findings
        if finding.source.path
    ]
    return json_document(
        {"schema": ERROR, "exit_code": exit_code, "error": error, "problems": problems}
    )


def json_document(value: object, indent: int = 2) -> str:
    """The value as JSON that can be shown in a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return _UNUSUAL.sub(lambda match: _escaped(match[0]), text) + "\n"


def _escaped(char: str) -> str:
    if not is_hidden(char):
        return char
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def _plan(plan: Plan) -> dict[str, Any]:
    document = CODEC.unstructure(plan)
    del document["id"], document["world"]
    if plan.unmanaged is None:
        del document["unmanaged"]
    changes = document.pop("changes")
    summary = {"digest": plan.digest, "converged": plan.converged, "counts": _counts(plan)}
    return {**document, **summary, "changes": changes}


def _counts(plan: Plan) -> dict[str, int]:
    return {action.name: count for action, count in plan.counts.items()}


def _proof(proof: Proof) -> dict[str, Any]:
    return {**CODEC.unstructure(proof), "proved": proof.proved}


# --- reading -------------------------------------------------------------------------------


def parse_plan(text: str) -> Plan:
    """The plan of a JSON document; ValueError names the place that is damaged."""
    root = _loaded(text, "plan")
    _expect(root, PLAN, "plan")
    return _plan_in(root, "plan")


def parse_document(text: str) -> Plan | Report:
    """The plan of `plan --out`, or the report of `apply --report`; ValueError for anything else."""
    root = _loaded(text, "document")
    schema = root.get("schema")
    if schema == PLAN:
        return _plan_in(root, "document")
    if schema == REPORT:
        return _report_in(root, "document")
    if schema != RUN:
        raise ValueError(f"document.schema: {schema!r} is neither {PLAN!r} nor {RUN!r}")
    if root.get("report") is None:
        error = root.get("error") or "without a word why"
        raise ValueError(f"the run ended before there was anything to report: {error}")
    return _report_in(root["report"], "document.report")


def _loaded(text: str, what: str) -> dict[str, Any]:
    try:
        root = parse_json(text)
    except ValueError as exc:
        raise ValueError(f"{what}: not JSON: {exc}") from exc
    return read(CODEC, dict[str, Any], root, what)


def _expect(root: dict[str, Any], schema: str, place: str) -> None:
    if "schema" not in root:
        raise ValueError(f"{place}.schema: is missing")
    if root["schema"] != schema:
        raise ValueError(f"{place}.schema: {root['schema']!r} is not {schema!r}")


def _plan_in(root: dict[str, Any], place: str) -> Plan:
    plan = read(CODEC, Plan, root, place)
    _check(plan, root, place)
    return plan


def _report_in(root: Any, place: str) -> Report:
    root = read(CODEC, dict[str, Any], root, place)
    _expect(root, REPORT, place)
    report = read(CODEC, Report, root, place)
    _check(report.plan, root["plan"], f"{place}.plan")
    return report


def _check(plan: Plan, root: dict[str, Any], place: str) -> None:
    """ValueError unless what the document says of its changes is what they amount to."""
    if not _COMMIT.fullmatch(plan.commit):
        raise ValueError(f"{place}.commit: {plan.commit!r} is not 40 or 64 hex digits")
    amounts = {"digest": plan.digest, "converged": plan.converged, "counts": _counts(plan)}
    for at, change in enumerate(plan.changes):
        forecast = change.forecast
        if forecast and not (
            forecast.at_once > 0 <= forecast.runs and 0 <= (forecast.seconds or 0) <= _LONGEST_S
        ):
            raise ValueError(f"{place}.changes[{at}].forecast: is no forecast")
    for name, amount in amounts.items():
        declared = root.get(name)
        if json.dumps(declared, sort_keys=True) != json.dumps(amount, sort_keys=True):
            raise ValueError(f"{place}.{name}: {declared!r} does not fit the changes: {amount!r}")


def _action(value: Any, _: Any) -> Action:
    if value not in Action.__members__:
        raise ValueError(f"{value!r} is none of {', '.join(Action.__members__)}")
    return Action[value]


@dataclass(frozen=True)
class _Gate:
    """A judgement without a rule inside, which is easier to ask for by `jq`."""

    metric: str
    rule: RuleKind
    bound: Decimal
    passed: bool | None
    candidate: float | None
    live: float | None
    message: str


def _gate(judgement: Judgement) -> dict[str, Any]:
    rule = judgement.rule
    parts = {**vars(judgement), "metric": rule.metric, "rule": rule.kind, "bound": rule.bound}
    return dict(CODEC.unstructure(_Gate(**parts)))


def _judgement(value: Any, _: Any) -> Judgement:
    gate = CODEC.structure(value, _Gate)
    rule = Rule(gate.metric, gate.rule, gate.bound)
    return Judgement(rule, gate.passed, gate.candidate, gate.live, gate.message)


CODEC = make_codec()
CODEC.register_unstructure_hook(ModelRef, str)
CODEC.register_structure_hook(Action, _action)
CODEC.register_unstructure_hook(Action, lambda action: action.name)
CODEC.register_structure_hook(Judgement, _judgement)
CODEC.register_unstructure_hook(Judgement, _gate)
