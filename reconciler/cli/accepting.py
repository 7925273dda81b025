"""`drift --accept`: what was changed outside git is written into the YAML, where it can say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.cli.editing import finish, loaded, make_edits
from reconciler.console import say
from reconciler.desired.edit import NewText
from reconciler.errors import ConfigurationError
from reconciler.outcome import Kept, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.model import FieldDiff, Observed, Plan

_SETTINGS = "settings."


def accept(
    services: Path, found: Plan, observed: Mapping[str, Observed], *, dry_run: bool
) -> Outcome:
    """The diff of the YAML; 7 where something drifted that it cannot say, which is said."""
    edits, wanted, failed = [], list[NewText](), False
    for change in found.changes:
        for field in change.drift.fields if change.drift is not None else ():
            text = _text(observed[change.address], field)
            if isinstance(text, NewText):
                wanted.append(text)
            else:
                say(f"{change.name}: {field.path} cannot be accepted: {text}")
                failed = True
    for path in sorted({text.source.path for text in wanted}):
        try:
            edits += make_edits(text for text in wanted if text.source.path == path)
        except ConfigurationError as exc:
            say(f"not accepted: {exc.message}")
            failed = True
    loaded(services, edits, found.environment)  # or the error of a tree that is not valid so
    finish(edits, dry_run=dry_run)
    code = errors.PARTIAL if failed else errors.SUCCESS
    return Outcome(Kept("".join(map(str, edits))), code, has_changes=bool(edits))


def _text(observed: Observed, field: FieldDiff) -> NewText | str:
    """What is to be written; or why nothing is."""
    binding, live = observed.binding, observed.live_version
    if field.path == "model":
        if not live:
            return "no version that is known here; apply puts the declared one back"
        return NewText(binding.source, binding.version.version, live)
    declared = dict(binding.settings).get(field.path.removeprefix(_SETTINGS))
    if not field.path.startswith(_SETTINGS) or declared is None or field.after is None:
        return "no text of the YAML; change it by hand, or let apply put it back"
    trail = ("spec", *field.path.split("."))
    return NewText(binding.source, declared, field.after, trail)
