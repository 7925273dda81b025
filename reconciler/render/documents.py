"""Plans, reports, rows and proofs as JSON for programs; and the way back for plans.

Control, format and separator characters are written as JSON escapes, so that a document can be
shown in a terminal, and reads back as exactly what it was made of.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from reconciler.model import (
    NOWHERE,
    Action,
    Change,
    Drift,
    Failure,
    FieldDiff,
    Forecast,
    Judgement,
    Plan,
    Proof,
    Report,
    Rule,
    RuleKind,
    Score,
    Source,
)
from reconciler.render.annotations import Finding
from reconciler.render.cells import is_hidden
from reconciler.render.status import StatusRow

PLAN = "reconciler/plan/v1"
REPORT = "reconciler/report/v1"
STATUS = "reconciler/status/v1"
PROOFS = "reconciler/proofs/v1"
ERROR = "reconciler/error/v1"
_LONGEST_S = 1e12  # of a training; ten thousand of these still add up to a number
_UNUSUAL = re.compile(r"[^\n -~]")

_Value = TypeVar("_Value")


def plan_json(plan: Plan) -> str:
    """The plan as JSON that `parse_plan` reads."""
    # Of a plan that is kept, and so may be applied: not in another world.
    world = {"world": plan.world} if plan.id and plan.world else {}
    return json_document({"schema": PLAN, "id": plan.id, **world, **_plan(plan)})


def report_json(report: Report) -> str:
    """What a run did as JSON; `plan` is the last look."""
    return json_document(
        {
            "schema": REPORT,
            "elapsed_s": _float(report.elapsed_s),
            "stopped_by": report.stopped_by,
            "forced": report.forced,
            "done": list(report.done),
            "proofs": [_proof(proof) for proof in report.proofs],
            "failures": [_failure(failure) for failure in report.failures],
            "unfinished": [
                {"name": one.name, "address": one.address, "reached": one.reached.value}
                for one in report.unfinished
            ],
            "plan": _plan(report.plan),
        }
    )


def status_json(rows: Iterable[StatusRow]) -> str:
    """The rows as JSON."""
    return json_document({"schema": STATUS, "bindings": [_row(row) for row in rows]})


def proofs_json(proofs: Iterable[Proof]) -> str:
    """The proofs as JSON."""
    shown = tuple(proofs)
    proved = all(proof.proved for proof in shown)
    return json_document({"schema": PROOFS, "proved": proved, "proofs": [_proof(p) for p in shown]})


def error_json(exit_code: int, error: str, findings: Iterable[Finding]) -> str:
    """What ended a command before it had a document: the text, and every problem with its place."""
    problems = [
        {**_source(finding.source), "rule": finding.rule, "message": finding.message}
        for finding in findings
        if finding.source.path
    ]
    return json_document(
        {"schema": ERROR, "exit_code": exit_code, "error": error, "problems": problems}
    )


def json_document(value: object, indent: int = 2) -> str:
    """The value as JSON that can be shown in a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return _UNUSUAL.sub(lambda found: _escaped(found[0]), text) + "\n"


def _escaped(char: str) -> str:
    if not is_hidden(char):
        return char
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "environment": plan.environment,
        "cloud": plan.cloud,
        "commit": plan.commit,
        "digest": plan.digest,
        "converged": plan.converged,
        "counts": {action.name: count for action, count in plan.counts.items()},
        "excess": list(plan.excess),
        "notes": list(plan.notes),
        "changes": [_change(change) for change in plan.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "name": change.name,
        "kind": change.kind,
        "address": change.address,
        "action": change.action.name,
        "code": change.code,
        "why": change.why,
        "before": change.before,
        "after": change.after,
        "after_ref": change.after_ref,
        "key": change.key,
        "probe": change.probe,
        "terms": dict(change.terms),
        "diffs": [_diff(diff) for diff in change.diffs],
        "gates": [_judgement(judgement) for judgement in change.gates],
        "warnings": list(change.warnings),
        "source": _source(change.source),
        "forecast": _forecast(change.forecast),
        "drift": _drift(change.drift),
    }


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    return {"proved_at": drift.proved_at, "fields": [_diff(field) for field in drift.fields]}


def _diff(diff: FieldDiff) -> dict[str, str | None]:
    return {"path": diff.path, "before": diff.before, "after": diff.after}


def _forecast(forecast: Forecast | None) -> dict[str, Any] | None:
    if forecast is None:
        return None
    return {
        "service": forecast.service,
        "at_once": forecast.at_once,
        "runs": forecast.runs,
        "seconds": _float(forecast.seconds),
    }


def _source(source: Source) -> dict[str, Any]:
    return {"path": source.path, "line": source.line, "column": source.column}


def _judgement(judgement: Judgement) -> dict[str, Any]:
    rule = judgement.rule
    return {
        "metric": rule.metric,
        "rule": rule.kind.value,
        "bound": str(rule.bound),
        "passed": judgement.passed,
        "candidate": _float(judgement.candidate),
        "live": _float(judgement.live),
        "message": judgement.message,
    }


def _float(value: float | None) -> float | str | None:
    """The number; as text where JSON has no such number (nan, inf, -inf)."""
    return value if value is None or math.isfinite(value) else str(float(value))


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "name": proof.name,
        "address": proof.address,
        "model": proof.model,
        "proved": proof.proved,
        "read_back": proof.read_back,
        "rolled_back": proof.rolled_back,
        "gone": proof.gone,
        "health": {"code": proof.health.code.value, "message": proof.health.message},
        "before": _score(proof.before),
        "after": _score(proof.after),
        "warnings": list(proof.warnings),
    }


def _score(score: Score | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {"columns": list(score.columns), "rows": [list(row) for row in score.rows]}


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "name": failure.name,
        "address": failure.address,
        "message": failure.message,
        "exit_code": failure.exit_code,
    }


def _row(row: StatusRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "address": row.address,
        "sync": row.sync.value,
        "health": row.health.value,
        "live": row.live,
        "wanted": row.wanted,
        "drifted": row.drifted,
        "message": row.message,
    }


# --- reading -------------------------------------------------------------------------------


def parse_plan(text: str) -> Plan:
    """The plan of a JSON document; ValueError names the place that is damaged."""
    root = loaded(text, "plan")
    root.expect("schema", PLAN)
    return plan_in(root, root.get("id", str))


def plan_in(root: Node, id: str = "") -> Plan:
    """The plan that an object holds; ValueError unless it agrees with itself."""
    plan = Plan(
        root.get("environment", str),
        root.get("cloud", str),
        tuple(_parse_change(node) for node in root.nodes("changes")),
        excess=root.texts("excess"),
        notes=root.texts("notes"),
        id=id,
        commit=root.made("commit", _commit),
        world=root.get("world", str) if root.has("world") else "",
    )
    _check(root, plan)
    return plan


def loaded(text: str, what: str) -> Node:
    """The object that is the JSON document; ValueError where it is none."""
    try:
        return Node(json.loads(text), what)
    except RecursionError as exc:
        raise ValueError(f"{what}: not JSON of a {what}: nested too deeply") from exc
    except json.JSONDecodeError as exc:
        raise ValueError(f"{what}: not JSON: {exc}") from exc


def _check(root: Node, plan: Plan) -> None:
    """ValueError unless what the document says of its changes is what they amount to."""
    digest = root.get("digest", str)
    try:
        found = plan.digest
    except UnicodeEncodeError as exc:
        why = f"{root.place}.changes: half a character (a lone surrogate)"
        raise ValueError(why) from exc
    if digest != found:
        raise ValueError(
            f"{root.place}.digest: {digest!r} does not fit the changes, which are {found}"
        )
    if root.get("converged", bool) != plan.converged:
        raise ValueError(f"{root.place}.converged: does not fit the changes")
    counts = root.node("counts")
    for action, count in plan.counts.items():
        if counts.get(action.name, int) != count:
            raise ValueError(f"{counts.place}.{action.name}: there are {count}")


class Node:
    """An object of the document and its place, which every error names."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{place}: must be an object")
        self.place = place
        self._value: dict[str, Any] = value

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self._value

    def any(self, name: str) -> Any:
        """The member, whatever it is."""
        if name not in self._value:
            raise ValueError(f"{self.place}.{name}: is missing")
        return self._value[name]

    def get(self, name: str, kind: type[_Value]) -> _Value:
        """The member of exactly this type (true is not a whole number)."""
        value = self.any(name)
        if type(value) is not kind:
            raise ValueError(f"{self.place}.{name}: must be {_KINDS[kind]}")
        return value

    def expect(self, name: str, value: str) -> None:
        """Return when the member is exactly this text."""
        found = self.get(name, str)
        if found != value:
            raise ValueError(f"{self.place}.{name}: {found!r} is not {value!r}")

    def maybe(self, name: str, kind: type[_Value]) -> _Value | None:
        """The member of this type, or None for null."""
        return None if self.any(name) is None else self.get(name, kind)

    def node(self, name: str) -> Node:
        """The object at this member."""
        return Node(self.any(name), f"{self.place}.{name}")

    def nodes(self, name: str) -> list[Node]:
        """The objects listed at this member."""
        found = enumerate(self.get(name, list))
        return [Node(value, f"{self.place}.{name}[{at}]") for at, value in found]

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts listed at this member."""
        return _texts(self.get(name, list), f"{self.place}.{name}")

    def all_texts(self) -> dict[str, str]:
        """Every member of the object, each a text."""
        return {name: self.get(name, str) for name in self._value}

    def rows(self, name: str) -> tuple[tuple[str, ...], ...]:
        """The lists of texts listed at this member."""
        found = enumerate(self.get(name, list))
        return tuple(_texts(value, f"{self.place}.{name}[{at}]") for at, value in found)

    def made(self, name: str, make: Callable[[str], _Value]) -> _Value:
        """What `make` makes of the text at this member."""
        text = self.get(name, str)
        try:
            return make(text)
        except (ValueError, KeyError, InvalidOperation) as exc:
            raise ValueError(f"{self.place}.{name}: {text!r} is not known here") from exc

    def number(self, name: str) -> float | None:
        """The number at this member, or None for null; nan and inf are texts."""
        value = self.any(name)
        if isinstance(value, str):
            return self.made(name, float)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self.place}.{name}: must be a number or null")
        try:
            return float(value)
        except OverflowError as exc:
            raise ValueError(f"{self.place}.{name}: is too large a number") from exc


def _texts(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{place}: must be a list")
    for at, one in enumerate(value):
        if not isinstance(one, str):
            raise ValueError(f"{place}[{at}]: must be text")
    return tuple(value)


_KINDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
}


def _parse_change(node: Node) -> Change:
    return Change(
        name=node.get("name", str),
        kind=node.get("kind", str),
        address=node.get("address", str),
        action=node.made("action", Action.__getitem__),
        code=node.get("code", str),
        why=node.get("why", str),
        before=node.get("before", str),
        after=node.get("after", str),
        after_ref=node.get("after_ref", str),
        key=node.get("key", str),
        probe=node.get("probe", str),
        terms=node.node("terms").all_texts(),
        diffs=tuple(_parse_diff(one) for one in node.nodes("diffs")),
        gates=tuple(_parse_judgement(one) for one in node.nodes("gates")),
        warnings=node.texts("warnings"),
        source=_parse_source(node.node("source")),
        forecast=None if node.any("forecast") is None else _parse_forecast(node.node("forecast")),
        drift=None if node.any("drift") is None else _parse_drift(node.node("drift")),
    )


def _parse_drift(node: Node) -> Drift:
    return Drift(tuple(map(_parse_diff, node.nodes("fields"))), node.get("proved_at", str))


def _parse_forecast(node: Node) -> Forecast:
    at_once, runs, seconds = node.get("at_once", int), node.get("runs", int), node.number("seconds")
    if at_once < 1 or runs < 0 or not (seconds is None or 0 <= seconds <= _LONGEST_S):
        raise ValueError(f"{node.place}: is no forecast")
    return Forecast(node.get("service", str), at_once, runs, seconds)


def _parse_source(node: Node) -> Source:
    source = Source(node.get("path", str), node.get("line", int), node.get("column", int))
    return NOWHERE if source == NOWHERE else source


def _parse_diff(node: Node) -> FieldDiff:
    return FieldDiff(node.get("path", str), node.maybe("before", str), node.maybe("after", str))


def _commit(text: str) -> str:
    if not re.fullmatch(r"([0-9a-f]{40}|[0-9a-f]{64})?", text):
        raise ValueError("a commit is 40 or 64 hex digits, or nothing")
    return text


def _bound(text: str) -> Decimal:
    bound = Decimal(text)
    if not bound.is_finite():
        raise ValueError("a bound must be a number")
    return bound


def _parse_judgement(node: Node) -> Judgement:
    rule = Rule(node.get("metric", str), node.made("rule", RuleKind), node.made("bound", _bound))
    return Judgement(
        rule,
        node.maybe("passed", bool),
        node.number("candidate"),
        node.number("live"),
        node.get("message", str),
    )
