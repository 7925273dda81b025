"""What GitHub's runner makes of a log and of the file of outputs (actions/runner, ActionCommand.cs).

It compares by culture and so passes over what has no weight there; here that is everything but
printable ASCII, which is more, so what is safe here is safe there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """One command that the runner obeys."""

    name: str
    properties: dict[str, str]
    data: str


def commands(log: str) -> list[Said]:
    """Every command in a log; of the names, all are taken for known ones."""
    return [said for line in re.split(r"\r\n|\r|\n", log) if (said := _command(line))]


def _command(line: str) -> Said | None:
    seen = re.sub(r"[^\x20-\x7e]", "", line)
    if seen.lstrip().startswith("::") and "::" in seen.lstrip()[2:]:
        head, data = line.lstrip()[2:].split("::", 1)
        name, _, rest = head.partition(" ")
        pairs = (pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        told = {key: _unescaped(value, {"%3A": ":", "%2C": ","}) for key, value in pairs}
        return Said(name, told, _unescaped(data, {}))
    if old := re.search(r"##\[([^\]]*)\](.*)", seen):
        return Said(old[1], {}, old[2])
    return None


def _unescaped(text: str, more: dict[str, str]) -> str:
    for escape, char in {"%0D": "\r", "%0A": "\n", **more, "%25": "%"}.items():
        text = text.replace(escape, char)
    return text


def outputs(text: str) -> dict[str, str]:
    """Name → value of a file of outputs; whatever is no output is an error."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if "<<" not in line:
            name, value = line.split("=", 1)
            found[name] = value
            continue
        name, delimiter = line.split("<<", 1)
        value = []
        while (following := next(lines)) != delimiter:
            value.append(following)
        found[name] = "\n".join(value)
    return found
