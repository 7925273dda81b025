"""A New service that git declares and nobody deployed: made from an export of another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.cli.exporting import export_document

if TYPE_CHECKING:
    from reconciler.emulator.world import WebService
    from reconciler.model import Binding
    from tests.lab import Lab

NAME, SERVICE = "fresh", "fresh-predictive"
IMPORT_KEY = "the-key-of-the-import-module"
FRESH = """\
apiVersion: reconciler/v1
kind: WebService
metadata: {name: fresh}
spec:
  webService: fresh-predictive
  model: {name: breast-cancer, version: "2026-10"}
  definition: exports/breast-cancer.json
  create:
    commitmentPlan: plan
    secrets: {"node5/Account Key": env:LOCAL_IMPORT_KEY}
  settings: {title: Fresh, maxConcurrentCalls: 20, diagnostics: {level: Error}}
  verify:
    request: probes/breast-cancer.json
    columns: [Scored Labels]
"""


def declare(lab: Lab, text: str = FRESH, file: str = "fresh.yaml") -> None:
    """Write the binding, and the export that it is made from."""
    local = lab.services / "local"
    (local / "exports").mkdir(exist_ok=True)
    exported = local / "exports" / "breast-cancer.json"
    if not exported.exists():
        binding = binding_of(lab, "breast-cancer")
        document = lab.world().targets["WebService"].export(binding)
        exported.write_text(json.dumps(export_document(binding, document), indent=2))
    (local / file).write_text(text)
    keys = local / "_emulator" / "emulator.env"
    if "LOCAL_IMPORT_KEY" not in keys.read_text():
        keys.write_text(f"{keys.read_text()}\nLOCAL_IMPORT_KEY={IMPORT_KEY}\n")


def binding_of(lab: Lab, name: str = NAME) -> Binding:
    return next(each for each in lab.desired().bindings if each.name == name)


def service_of(lab: Lab, name: str = SERVICE) -> WebService | None:
    """The service in the emulated cloud, after everything that was due."""
    lab.cloud.settle()
    found = (s for s in lab.cloud.world.services.values() if s.name == name)
    return next(found, None)
