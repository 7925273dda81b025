"""The way back from JSON for what a run did, and for whatever a comment can be made of."""

from __future__ import annotations

from reconciler.model import (
    Failure,
    Health,
    HealthCode,
    Plan,
    Proof,
    Reached,
    Report,
    Score,
    Unfinished,
)
from reconciler.render.documents import PLAN, REPORT, Node, loaded, plan_in

RUN = "reconciler/run/v1"


def parse_document(text: str) -> Plan | Report:
    """The plan of `plan --out`, or the report of `apply --report`; ValueError for anything else."""
    root = loaded(text, "document")
    schema = root.get("schema", str)
    if schema == PLAN:
        return plan_in(root, root.get("id", str))
    if schema == REPORT:
        return report_in(root)
    if schema != RUN:
        raise ValueError(f"document.schema: {schema!r} is neither {PLAN!r} nor {RUN!r}")
    if root.any("report") is None:
        error = root.get("error", str) or "without a word why"
        raise ValueError(f"the run ended before there was anything to report: {error}")
    return report_in(root.node("report"))


def report_in(root: Node) -> Report:
    """The report that an object holds; ValueError names the place that is damaged."""
    root.expect("schema", REPORT)
    return Report(
        plan_in(root.node("plan")),
        root.texts("done"),
        tuple(_proof(node) for node in root.nodes("proofs")),
        tuple(_failure(node) for node in root.nodes("failures")),
        root.number("elapsed_s") or 0.0,
        root.get("forced", str),
        root.get("stopped_by", int),
        tuple(
            Unfinished(one.get("name", str), one.get("address", str), one.made("reached", Reached))
            for one in root.nodes("unfinished")
        ),
    )


def _failure(node: Node) -> Failure:
    return Failure(
        node.get("name", str),
        node.get("address", str),
        node.get("message", str),
        node.get("exit_code", int),
    )


def _proof(node: Node) -> Proof:
    health = node.node("health")
    return Proof(
        name=node.get("name", str),
        address=node.get("address", str),
        model=node.get("model", str),
        read_back=node.get("read_back", bool),
        health=Health(health.made("code", HealthCode), health.get("message", str)),
        before=_score(node, "before"),
        after=_score(node, "after"),
        warnings=node.texts("warnings"),
        rolled_back=node.get("rolled_back", bool),
        gone=node.get("gone", bool),
    )


def _score(node: Node, name: str) -> Score | None:
    if node.any(name) is None:
        return None
    score = node.node(name)
    return Score(score.texts("columns"), score.rows("rows"))
