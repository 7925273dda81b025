"""Pure: plans, reports, status rows and proofs -> text, Markdown, JSON; and JSON -> plan."""

from reconciler.render.cells import Look
from reconciler.render.checkup import checkup_json, checkup_markdown, checkup_text
from reconciler.render.documents import parse_plan, plan_json, proofs_json, report_json, status_json
from reconciler.render.explanation import (
    comparison_json,
    comparison_markdown,
    comparison_text,
    explanation_json,
    explanation_markdown,
    explanation_text,
)
from reconciler.render.history import history_json, history_markdown, history_text
from reconciler.render.markdown import (
    plan_markdown,
    proofs_markdown,
    report_markdown,
    status_markdown,
)
from reconciler.render.status import StatusRow, Sync, status_row, status_text
from reconciler.render.text import plan_text, proofs_text, report_text
