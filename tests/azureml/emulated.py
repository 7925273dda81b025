"""The sample of services/_azureml and its emulator, which runs what it deploys and what it trains."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from reconciler import emulator
from reconciler.cli import compose
from tests.door import Door
from tests.emulator.azureml import API, WS
from tests.lab import START, URL, LabClock
from tests.twins.contract import Twin

if TYPE_CHECKING:
    from reconciler.http.client import Http

SAMPLE = Path(__file__).parent.parent.parent / "services" / "_azureml"


class Emulated(Twin):
    """Its endpoint serves version 1, and git declares version 2."""

    environment = "endpoints"
    name = "churn"

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__()
        self.services = folder / "services"
        self.files = self.services / self.environment
        shutil.copytree(SAMPLE, self.files)
        self.clock = emulator.ManualClock(START)
        self.cloud = emulator.Cloud(emulator.Options(**options), clock=self.clock)
        self.cloud.seed(self.files / "_emulator" / "seed.yaml")

    def get(self, path: str) -> Any:
        """What the workspace answers, whoever asks."""
        session = requests.Session()
        session.mount(URL, emulator.InProcessAdapter(self.cloud))
        headers = {"Authorization": "Bearer anything"}
        return session.get(f"{URL}{WS}/{path}?{API}", headers=headers).json()

    def put(self, path: str, properties: Any) -> None:
        """Make an asset, whoever asks."""
        session = requests.Session()
        session.mount(URL, emulator.InProcessAdapter(self.cloud))
        headers = {"Authorization": "Bearer anything"}
        url = f"{URL}{WS}/{path}?{API}"
        done = session.put(url, json={"properties": properties}, headers=headers)
        assert done.status_code in (200, 201), done.text

    def close(self) -> None:
        """End the containers."""
        self.cloud.close()

    @property
    def environ(self) -> dict[str, str]:
        return {compose.EMULATOR_VARIABLE: URL}

    @property
    def engine_clock(self) -> Any:
        return LabClock(self.clock)

    def mount(self, http: Http) -> None:
        http.mount(URL, Door(emulator.InProcessAdapter(self.cloud)))
