"""Models on shelves, made by copying their data. One that holds "broken" does not start."""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.model import METRICS, MODEL, Address, Health, HealthCode, Live, ModelRef, Score
from reconciler.platforms import contract as c
from reconciler.platforms.platform import Connected, Engine, How, Kind, Platform
from reconciler.stores.contract import Place


def file(uri):
    return Path(urlsplit(uri).path)


@dataclass(frozen=True)
class Shelf(Address):
    name: str

    def __str__(self):
        return f"shelf/{self.name}"

    key = property(__str__)


class Shelves(c.Target):
    can = c.Can()

    def __init__(self, folder):
        self.folder = folder

    def state(self, binding, **changes):
        path = self.folder / f"{binding.address.name}.json"
        state = {**json.loads(path.read_text()), **changes}
        if changes:
            path.write_text(json.dumps(state))
        return state

    def observe(self, binding):
        state = self.state(binding)
        served, told = ModelRef(state["served"]), ModelRef(state["told"])
        return Live(Health(HealthCode.HEALTHY), served, None if told == served else told)

    def switch(self, binding, model):
        self.state(binding, told=model.ref.url)
        if "broken" in file(model.ref.url).read_text():
            return "failed"
        self.state(binding, served=model.ref.url)
        return ""

    def progress(self, operation):
        return c.Progress(c.OperationState.FAILED, "it does not start", c.Left.CANDIDATE_DECLARED)

    def score(self, binding, *, staged=False):
        text = file(self.state(binding)["served"]).read_text()
        return c.Answer(Score(("text",), ((text.strip(),),)))


class Copies(c.Trainer):
    def __init__(self, folder):
        self.folder = folder

    def start(self, job, order):
        model, metrics = order.outputs[MODEL].uri, order.outputs[METRICS].uri
        file(model).parent.mkdir(parents=True, exist_ok=True)
        file(model).write_text(file(order.inputs["data"].uri).read_text())
        file(metrics).write_text('{"AUC": 0.9}')
        with (self.folder / job).open("a") as started:
            started.write(json.dumps({MODEL: model, METRICS: metrics}) + "\n")

    def look(self, job):
        if not (self.folder / job).exists():
            return c.Job(c.JobState.NOT_STARTED)
        made = json.loads((self.folder / job).read_text())
        return c.Job(c.JobState.FINISHED, outputs={role: Place(uri) for role, uri in made.items()})


def connect(environment, means):
    folder = environment.connections["shelves"]
    return Connected(lambda kind: Shelves(folder), lambda recipe: Copies(folder))


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
