"""Exported definitions: the mark that says whose they are, and plans against them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.model import MODEL, Artifact, ArtifactState, Binding, Desired, ModelRef, Observed
from reconciler.offline.exports import MARK, exported
from reconciler.platforms import kinds
from reconciler.stores.contract import name_in, url_of

SCHEMA = "reconciler/export/v1"


def export_document(binding: Binding, document: Mapping[str, Any]) -> dict[str, Any]:
    """An exported state with the mark that says of which binding it speaks, and what in it no
    write can change."""
    mark = {
        "schema": SCHEMA,
        "kind": binding.kind,
        "name": binding.name,
        "address": str(binding.address),
        "readOnly": list(kinds()[binding.kind].read_only),
    }
    return {MARK: mark, **document}


def observe_exports(desired: Desired, live: Path, base: str) -> tuple[Observed, ...]:
    """One observation per binding of which there is an export, or must be one; nothing is known of
    the models in the store, whose files begin with `base`. Another one than the declared goes by
    its folder there: no manifest is read that would say which version it is."""
    observed = []
    for binding, state, called in exported(desired, live, kinds()):
        ref = called or ModelRef(url_of(base, binding.version.file(MODEL)))
        file = name_in(base, state.served.url) if state.served else None
        name = binding.version.version if state.served == ref else (file or "").rpartition("/")[0]
        observed.append(Observed(binding, state, Artifact(ArtifactState.UNKNOWN, ref), None, name))
    return tuple(observed)
