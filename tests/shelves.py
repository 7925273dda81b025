"""Models on shelves, made by copying their data. One that holds "broken" does not start."""

import contextlib
import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.model import METRICS, MODEL, Address, Health, HealthCode, Live, ModelRef, Score
from reconciler.platforms import contract as c
from reconciler.platforms.platform import Connected, Engine, How, Kind, Platform
from reconciler.stores.contract import Place, name_in


@dataclass(frozen=True)
class Shelf(Address):
    name: str

    def __str__(self):
        return f"shelf/{self.name}"

    key = property(__str__)


@contextlib.contextmanager
def alone(folder):
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def put(path, document):
    new = path.with_name(f"new {path.name}")
    new.write_text(json.dumps(document))
    new.replace(path)


class Shelves(c.Target):
    can = c.Can()

    def __init__(self, folder, store):
        self.folder, self.store = folder, store

    def state(self, binding, **changes):
        path = self.folder / f"{binding.address.name}.json"
        with alone(self.folder):
            state = {**json.loads(path.read_text()), **changes}
            if changes:
                put(path, state)
        return state

    def text(self, url):
        return self.store.get(name_in(self.store.base, url)).content.decode()

    def observe(self, binding):
        state = self.state(binding)
        served, configured = ModelRef(state["served"]), ModelRef(state["told"])
        other = None if configured == served else configured
        return Live(Health(HealthCode.HEALTHY), served, other)

    def switch(self, binding, model):
        self.state(binding, told=model.ref.url)
        if "broken" in self.text(model.ref.url):
            return "failed"
        self.state(binding, served=model.ref.url)
        return ""

    def progress(self, operation):
        return c.Progress(c.OperationState.FAILED, "it does not start", c.Left.CANDIDATE_DECLARED)

    def score(self, binding, *, staged=False):
        return c.Answer(Score(("text",), ((self.text(self.state(binding)["served"]).strip(),),)))


class Copies(c.Trainer):
    def __init__(self, folder, store):
        self.folder, self.store = folder, store

    def start(self, job, order):
        with alone(self.folder):
            if (self.folder / job).exists():
                return
            places = {role: order.outputs[role].uri for role in (MODEL, METRICS)}
            content = Path(urlsplit(order.inputs["data"].uri).path).read_bytes()
            for role, written in ((MODEL, content), (METRICS, b'{"AUC": 0.9}')):
                self.store.put(name_in(self.store.base, places[role]), written)
            put(self.folder / job, places)

    def look(self, job):
        if not (path := self.folder / job).exists():
            return c.Job(c.JobState.NOT_STARTED)
        places = {role: Place(uri) for role, uri in json.loads(path.read_text()).items()}
        return c.Job(c.JobState.FINISHED, outputs=places)


def connect(environment, means):
    both = environment.connections["shelves"], means.store
    return Connected(lambda kind: Shelves(*both), lambda recipe: Copies(*both))


TEXT = {"description": "A text.", "type": "string"}
TEXTS = {"description": "Texts.", "type": "object", "additionalProperties": TEXT}
SCHEMA = {
    "connection": {
        **{"description": "A folder of shelves.", "type": "object", "required": ["folder"]},
        **{"additionalProperties": False, "properties": {"folder": TEXT}},
    },
    "kinds": {"Shelf": {"description": "A shelf.", "properties": {"shelf": TEXT}}},
    "engines": {"copies": {"description": "A copy.", "properties": {"outputs": TEXTS}}},
}
PLATFORM = Platform(
    name="shelves",
    schema=json.dumps(SCHEMA),
    connection=lambda block: block.folder / block.data["folder"],
    connect=connect,
    kinds={"Shelf": Kind(lambda spec, environment: Shelf(spec["shelf"]))},
    engines={"copies": Engine(lambda training, environment: How())},
)
