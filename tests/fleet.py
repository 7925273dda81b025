"""A fleet in a laboratory: many Classic endpoints of one service, each with its own model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.emulator.world import new_id
from tests.lab import LOCAL, Lab

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "1dc7c2a8627c008b3d7e34a128a0c404"
DATA = LOCAL / "_emulator" / "data" / "diabetes" / "young" / "2026-10.csv"
BINDINGS = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {{name: "fleet-${{slice}}"}}
forEach: {{slice: {{from: "001", to: "{last:03}"}}}}
spec:
  webService: Diabetes Scoring
  endpoint: "e${{slice}}"
  model: {{name: diabetes, version: "2026-10", with: {{slice: "${{slice}}"}}}}
"""


def make_fleet(folder: Path, size: int, **options: object) -> Lab:
    """A laboratory whose only bindings are `size` endpoints of one Classic service."""
    lab = Lab(folder, **options)
    for name in ("diabetes.yaml", "breast-cancer.yaml"):
        (lab.services / "local" / name).unlink()
    text = BINDINGS.format(last=size)
    (lab.services / "local" / "fleet.yaml").write_text(text, encoding="utf-8")
    service = lab.cloud.world.classic[SERVICE]
    for number in range(1, size + 1):
        name, slice_ = f"e{number:03}", f"{number:03}"
        service.endpoints[name] = replace(
            service.endpoints["young"], id=new_id(), name=name, resources=_resources(lab)
        )
        path = f"diabetes/{slice_}/2026-10.csv"
        lab.cloud._core.blobs.put("mllocal", "datasets", path, DATA.read_bytes())
    return lab


def _resources(lab: Lab) -> list[object]:
    young = lab.cloud.world.classic[SERVICE].endpoints["young"]
    return [dict(resource) for resource in young.resources]
