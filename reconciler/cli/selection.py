"""Which bindings of an environment a command works on: by name, by label, by shard."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from reconciler.errors import ConfigurationError
from reconciler.model import Address, Binding, Declared, Desired
from reconciler.near import near


@dataclass(frozen=True)
class Selection:
    """The bindings that were asked for; nothing means everything.

    A binding is selected when its name fits one of `targets` and none of `excludes`, when it has
    all `labels` (`key=value`), and when it belongs to the `shard` (`2/4`). What a change `since` a
    commit touches takes the files and git; `choose.desired` asks them.
    """

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    shard: str = ""
    since: str = ""

    def of(self, desired: Desired) -> Desired:
        """The selected part; ConfigurationError for a selection that means nothing."""
        if self == Selection():
            return desired
        names = {binding.name for binding in desired.bindings}
        for glob in self.targets:
            if not any(fnmatchcase(name, glob) for name in names):
                where = desired.environment.name
                raise ConfigurationError(
                    f"--target {glob} fits no binding of {where}{near(glob, names)}"
                )
        pairs = [_pair(label) for label in self.labels]
        chosen = tuple(b for b in desired.bindings if self._names(b) and _has(b, pairs))
        if not chosen:
            from reconciler.render.cells import counted

            raise ConfigurationError(
                f"no binding of {desired.environment.name} matches the selection "
                f"({counted(len(desired.bindings), 'binding')} declared)"
            )
        of_shard = self._of_shard(desired.bindings)
        declared = Declared(len(desired.bindings), len(of_shard))
        chosen = self._of_shard(chosen)
        names = {binding.name for binding in chosen}
        left_out = tuple(b for b in desired.bindings if b.name not in names)
        return replace(
            desired, bindings=chosen, declared=declared, left_out=left_out, shard=self.shard
        )

    def _of_shard(self, bindings: tuple[Binding, ...]) -> tuple[Binding, ...]:
        return tuple(b for b in bindings if in_shard(b.address, self.shard))

    def _names(self, binding: Binding) -> bool:
        fits = not self.targets or any(fnmatchcase(binding.name, t) for t in self.targets)
        return fits and not any(fnmatchcase(binding.name, e) for e in self.excludes)


def shard_of(text: str) -> tuple[int, int]:
    """Number (from 1) and count of a shard that is written `2/4`; ConfigurationError otherwise."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", text)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigurationError(f"--shard {text}: write NUMBER/COUNT, from 1/4 to 4/4 for example")
    return int(match[1]), int(match[2])


def in_shard(address: Address, shard: str) -> bool:
    """Whether an address belongs to a shard: by itself alone, so that others may come and go."""
    if not shard:
        return True
    number, count = shard_of(shard)
    digest = hashlib.sha256(address.id.folded.encode()).digest()
    return int.from_bytes(digest[:8], "big") % count + 1 == number


def _has(binding: Binding, pairs: list[tuple[str, str]]) -> bool:
    return all(pair in binding.labels for pair in pairs)


def _pair(label: str) -> tuple[str, str]:
    name, equals, value = label.partition("=")
    if not (name and equals):
        raise ConfigurationError(f"--label {label}: write KEY=VALUE")
    return name, value
