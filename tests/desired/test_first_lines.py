"""The first line of a file leads editors to the schema that `init` writes."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.cli.begin import SCHEMA

REPOSITORY = Path(__file__).parents[2]
LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


def test_the_schema_of_each_sample_is_where_init_writes_it() -> None:
    samples = [p for p in (REPOSITORY / "services").rglob("*.yaml") if "_emulator" not in p.parts]
    assert len(samples) >= 5
    for path in samples:
        found = LINE.match(path.read_text())
        assert found, path
        schema = (path.parent / found[1]).resolve()
        assert schema == REPOSITORY / SCHEMA
        assert schema.is_file()
