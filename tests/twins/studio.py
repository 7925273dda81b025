"""Studio's twins: the laboratory with one endpoint, New or Classic."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.emulator.messages import Response
from tests import fresh
from tests.lab import APART, Lab
from tests.twins.contract import SECOND, THIRD, Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEW, CLASSIC = "breast-cancer", "diabetes-young"


class StudioTwin(Lab, Twin):
    """The laboratory with one binding only."""

    def __init__(self, folder: Path, name: str, **how: Any) -> None:
        super().__init__(folder, **how)
        self.name = name
        local = self.services / "local"
        kept, gone = ("diabetes", NEW) if name == CLASSIC else (NEW, "diabetes")
        (local / f"{gone}.yaml").unlink()
        path = local / f"{kept}.yaml"
        path.write_text(
            next(d for d in path.read_text().split("---\n") if f"{name}," in d or f"{name}}}" in d)
        )
        blobs, data = self.cloud._core.blobs, name.replace("-young", "/young")
        file = blobs.get("mllocal", "datasets", f"{data}/{SECOND}.csv")
        assert file is not None
        fewer = file.rstrip().rpartition(b"\n")[0] + b"\n"
        blobs.put("mllocal", "datasets", f"{data}/{THIRD}.csv", fewer)
        self._around = self.cloud.faults.around

    def digest_of(self, name: str) -> str:
        self.cloud.settle()
        world, address = self.cloud.world, self.binding(name).address
        for service in world.services.values():
            if str(address).endswith(f"/{service.name}"):
                return service.model
        endpoint = str(address).rpartition("/")[2]
        found = [
            s.endpoints[endpoint].model for s in world.classic.values() if endpoint in s.endpoints
        ]
        return found[0] if found else ""

    def starts(self) -> list[str]:
        ran = [job for job in self.cloud.world.jobs.values() if job.state != "NotStarted"]
        return [str(sorted(job.results.values())) for job in ran]

    def spoil(self) -> None:
        good = self.digest_of(self.name)

        def refusing(route: str, address: str, serve: Callable[[], Response]) -> Response:
            if route == "rrs.execute" and self.digest_of(self.name) != good:
                return Response(400, {}, b"")
            return self._around(route, address, serve)

        self.cloud.faults.around = refusing  # type: ignore[method-assign]

    def mend(self) -> None:
        self.cloud.faults.around = self._around  # type: ignore[method-assign]

    def undeclared(self) -> object:
        """The export, without its model, our mark and what a PATCH may drop (§3.5)."""
        binding = self.binding()
        document = self.world(read_only=True).targets[binding.kind].export(binding)
        tags = document.get("tags", {}).items()
        ours = ("managed-by", "reconciler-")
        kept = {name: value for name, value in tags if not name.startswith(ours)}
        return _blank({**document, "tags": kept})

    def unmark(self) -> None:
        for service in self.cloud.world.services.values():
            service.tags.clear()

    def set_by_hand(self, number: int) -> str:
        world = self.cloud.world
        if self.name == CLASSIC:
            (service,) = (s for s in world.classic.values() if s.name == "Diabetes Scoring")
            service.endpoints["senior"].throttle = "High"
            service.endpoints["senior"].max_calls = number
        else:
            (of,) = (s for s in world.services.values() if s.name == "breast-cancer-predictive")
            of.properties["realtimeConfiguration"] = {"maxConcurrentCalls": number}
        return "settings.maxConcurrentCalls"

    def declare_another(self) -> str:
        if self.name == NEW:
            fresh.declare(self)
            return fresh.NAME
        path = self.services / "local" / "diabetes.yaml"
        text = path.read_text()
        other = text.replace(f"name: {CLASSIC}}}", "name: other}").replace(
            "endpoint: young", "endpoint: middle"
        )
        (path.parent / "other.yaml").write_text(other)
        return "other"


def _blank(value: Any) -> Any:
    if isinstance(value, dict):
        empty = (None, "", {}, [])
        return {k: _blank(v) for k, v in sorted(value.items()) if v not in empty}
    if isinstance(value, list):
        return [_blank(item) for item in value]
    return "model" if isinstance(value, str) and value.endswith(".ilearner") else value


@contextlib.contextmanager
def _opened(folder: Path, name: str, *, apart: bool) -> Iterator[Twin]:
    made = StudioTwin(folder, name, **(APART if apart else {}))
    yield made
    made.close()


def new(folder: Path, _: object, apart: bool) -> contextlib.AbstractContextManager[Twin]:
    return _opened(folder, NEW, apart=apart)


def classic(folder: Path, _: object, apart: bool) -> contextlib.AbstractContextManager[Twin]:
    return _opened(folder, CLASSIC, apart=apart)
