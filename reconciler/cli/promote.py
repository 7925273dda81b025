"""`promote`: the version of one environment, written into the YAML of another."""

from __future__ import annotations

import difflib
import io
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reconciler import desired, errors
from reconciler.cli import session
from reconciler.cli.output import say, write_file
from reconciler.desired.edit import NewVersion, with_versions
from reconciler.desired.promotion import environments, notes, promotions, some
from reconciler.errors import ConfigurationError, Problem, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.desired.promotion import Promotion
    from reconciler.model import Desired


def promote(services: Path, name: str, from_: str, to: str, *, dry_run: bool) -> int:
    """`promote`: 0 when the target declares the version, also if it did before."""
    found = session.load(services)
    source, target = environments(found, from_, to)
    chosen = promotions(source, target, name)
    if chosen.left_out:
        say(f"{some(chosen.left_out)}: left out, not in both environments")
    for each in chosen.found:
        if each.old == each.new:
            say(f"{each}: {to} has version {each.new} already")
    to_do = [each for each in chosen.found if each.old != each.new]
    if not to_do:
        return errors.SUCCESS
    edits = [_edit(path, each) for path, each in _by_path(to_do).items()]
    after = _loaded(services, edits)
    _prove(found, after, target, to_do)
    for note in notes(to_do, source.environment, target.environment, after[to].bindings):
        say(note)
    sys.stdout.write(redact("".join(map(str, edits))))
    sys.stdout.flush()
    _finish(edits, dry_run=dry_run)
    return errors.SUCCESS


@dataclass(frozen=True)
class _Edit:
    """A file before and after."""

    path: str
    before: bytes
    after: bytes

    def __str__(self) -> str:
        """The unified diff, as git and patch read it."""
        name = self.path.lstrip("/")
        before, after = _lines(self.before), _lines(self.after)
        lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
        unended = "\n\\ No newline at end of file\n"
        return "".join(line if line.endswith("\n") else line + unended for line in lines)


def _lines(data: bytes) -> list[str]:
    return list(io.StringIO(data.decode(), newline="\n"))


def _by_path(promotions: Iterable[Promotion]) -> dict[str, list[Promotion]]:
    found = defaultdict(list)
    for each in promotions:
        found[each.source.path].append(each)
    return found


def _edit(path: str, promotions: Iterable[Promotion]) -> _Edit:
    before = _bytes(path)
    wanted = [NewVersion(each.source, each.old, each.new) for each in promotions]
    try:
        return _Edit(path, before, with_versions(path, before.decode(), wanted).encode())
    except UnicodeDecodeError as exc:
        raise _changed(path) from exc


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        why = f"cannot be read: {exc.strerror}; run this again when it can"
        raise ConfigurationError([Problem(path, 0, 0, why)]) from exc


def _changed(path: str) -> ConfigurationError:
    why = "the file was changed meanwhile; run this again"
    return ConfigurationError([Problem(path, 0, 0, why)])


def _loaded(services: Path, edits: Iterable[_Edit]) -> dict[str, Desired]:
    """The desired state as it would be with the edits."""
    instead = {
        PurePosixPath(edit.path).relative_to(services.as_posix()): edit.after.decode("utf-8-sig")
        for edit in edits
    }
    return desired.load(services, session.kinds(), instead=instead)


def _prove(
    before: Mapping[str, Desired],
    after: Mapping[str, Desired],
    target: Desired,
    promotions: Iterable[Promotion],
) -> None:
    """Raise unless exactly the promoted bindings changed, in their version and its recipe."""
    new = {binding.name: each.new for each in promotions for binding in each.bindings}
    name = target.environment.name
    got = after[name].bindings if name in after else ()
    recipes = {binding.name: binding.recipe for binding in got}
    bindings = tuple(
        replace(b, version=replace(b.version, version=new[b.name]), recipe=recipes[b.name])
        if b.name in new and b.name in recipes
        else b
        for b in target.bindings
    )
    if {**before, name: replace(target, bindings=bindings)} != after:
        raise ConfigurationError("the desired state was changed meanwhile; run this again")


def _finish(edits: Sequence[_Edit], *, dry_run: bool) -> None:
    """Write every file, or none if one of them is not what was read."""
    for edit in edits:
        if _bytes(edit.path) != edit.before:
            raise _changed(edit.path)
    for edit in edits:
        if not dry_run:
            write_file(Path(edit.path), edit.after, Path(edit.path).stat().st_mode & 0o7777)
        say(f"{'would write' if dry_run else 'wrote'} {edit.path}")
