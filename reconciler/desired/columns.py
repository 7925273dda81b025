"""The columns that the tables of a training must have: `spec.training.columns`, by input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.desired.part import Part
from reconciler.errors import Problem
from reconciler.near import near

_TABLES = (".csv", ".tsv", "}")  # an ending that a binding completes is not known here


def columns_of(training: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The declared columns, by the name of the input."""
    declared = training.get("columns", {}).items()
    return tuple(sorted((name, tuple(columns)) for name, columns in declared))


def column_problems(block: Part) -> Iterator[Problem]:
    """The problems of columns of an input that is not there, or is no table."""
    inputs = block.data.get("inputs", {})
    for name in block.data.get("columns", {}):
        if name not in inputs:
            yield block.problem(f"there is no such input{near(name, inputs)}", "columns", name)
        elif not inputs[name].casefold().endswith(_TABLES):
            why = f"{inputs[name]} is no table; columns are of a .csv or .tsv file"
            yield block.problem(why, "columns", name)
