"""Findings as SARIF 2.1.0, which code scanning and editors read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from reconciler.model import canonical_json
from reconciler.render.cells import visible
from reconciler.render.documents import json_document
from reconciler.render.findings import RULES, Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "%SRCROOT%"


def sarif_json(findings: Sequence[Finding], version: str) -> str:
    """The findings of one run of this version of the program; their rules are those of RULES."""
    rules = sorted(RULES)
    driver = {
        "name": "reconciler",
        "version": version,
        "rules": [{"id": rule, "shortDescription": {"text": RULES[rule]}} for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, rules.index(finding.rule)) for finding in findings],
    }
    return json_document({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    """One result of SARIF; `rule` is the place of its rule in the list of rules."""
    # A digest without the line number, so that a finding that moved is not shown as a new one.
    identity = canonical_json([finding.source.path, finding.rule, finding.message])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    result = {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": visible(finding.message)},
        "partialFingerprints": {"reconciler/v1": digest},
    }
    if finding.source.path:
        place = {"uri": quote(finding.source.path), "uriBaseId": ROOT}
        if finding.source.path.startswith("/"):
            place = {"uri": f"file://{quote(finding.source.path)}"}
        # Code scanning wants a line of everything, also of what is about a whole file.
        region = {"startLine": max(finding.source.line, 1)}
        if finding.source.line and finding.source.column:
            region["startColumn"] = finding.source.column
        result["locations"] = [{"physicalLocation": {"artifactLocation": place, "region": region}}]
    return result
