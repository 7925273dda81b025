"""The twin of MLflow: its stand-in, and a server that follows an alias of it."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING

from tests.mlflow.standin import Registry, registry
from tests.twins.local import DOCUMENTS, Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.twins.contract import Twin

ALIAS = """\
apiVersion: reconciler/v1
kind: ModelAlias
metadata: {name: m}
spec:
  registeredModel: models
  alias: m
  create: true
  model: {name: m, version: "2026-10"}
  verify:
    url: "http://127.0.0.1:PORT/m"
    within: 2s
    request: probe.json
    answer: /rows
    model: /version
    columns: [text]
"""


class Aliases(Home):
    """Versions that are trained here, published, and led to by an alias."""

    by_turns = True

    def __init__(self, folder: Path, known: Registry) -> None:
        super().__init__(folder)
        self.known = known
        known.add("models", {}, theirs="1")
        known.add("somebody", {}, m="1")
        self.file = ALIAS.replace("PORT", str(self.server.server_port))
        connected = DOCUMENTS.replace("local: {}", f"local: {{}}, mlflow: {{url: {known.url}}}")
        text = (connected + self.file).replace("HERE", str(self.folder))
        (self.folder / "all.yaml").write_text(text)

    def answer(self, name: str) -> tuple[str, bytes]:
        model = self.known.models["models"]
        if name not in model["aliases"]:
            raise FileNotFoundError(name)
        version = model["versions"][model["aliases"][name]]
        folder = version["source"].partition(":/")[2]
        files = self.known.artifacts.items()
        (content,) = [content for path, content in files if path.startswith(f"{folder}/")]
        return version["tags"]["reconciler.version"].rpartition("/")[2], content

    def undeclared(self) -> object:
        theirs = self.known.models["models"]["aliases"]["theirs"]
        return theirs, copy.deepcopy(self.known.models["somebody"])

    def set_by_hand(self, number: int) -> str:
        theirs = self.known.models["somebody"]
        while len(theirs["versions"]) < number:
            self.known.add("somebody", {})
        theirs["aliases"]["m"] = str(number)
        return "model"

    def unmark(self) -> None:
        self.known.models["models"]["tags"].clear()

    def declare_another(self) -> str:
        text = self.file.replace("name: m}\nspec", "name: other}\nspec")
        text = text.replace("alias: m\n", "alias: other\n").replace('/m"', '/other"')
        (self.folder / "other.yaml").write_text(text)
        return "other"


@contextlib.contextmanager
def aliases(folder: Path, *_: object) -> Iterator[Twin]:
    """With a store in a folder."""
    with registry() as known:
        made = Aliases(folder, known)
        yield made
        made.close()
