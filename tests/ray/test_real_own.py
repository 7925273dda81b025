"""An application of one's own on a real Ray: named by importPath, and asked how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live
OWN = """\
import json
from urllib.parse import unquote, urlsplit

from ray import serve


@serve.deployment
class Own:
    def __init__(self, model, greeting):
        with open(unquote(urlsplit(model["uri"]).path)) as file:
            self.said = json.load(file)
        self.version, self.greeting = model["version"], greeting

    def check_health(self):
        if self.said.get("sick"):
            raise RuntimeError("it does not feel well")

    async def __call__(self, request):
        word = f"{self.greeting} {self.said['word']}"
        return {"rows": [{"word": word}], "version": self.version}


def build(args):
    return Own.bind(args["model"], args["greeting"])
"""


@pytest.fixture
def serving(real_ray: RealRay, tmp_path: Path) -> Iterator[Serving]:
    """A tree of its own; in the end no application is on the cluster."""
    made = Serving.on(real_ray, tmp_path / "toys")
    yield made
    made.clear()


def test_an_application_of_ones_own_is_proved_and_a_sick_one_taken_back(serving: Serving) -> None:
    serving.versions({"3": {"word": "third", "sick": True}})
    (serving.folder / "code" / "serve.py").unlink()
    (serving.folder / "code" / "own.py").write_text(OWN)
    serving.want(churn="1")
    own = "code: code\n  importPath: own:build\n  deployment: Own\n  args: {greeting: hello}"
    serving.edit("code: code", own)
    serving.edit("answer: /rows", "answer: /rows, model: /version")
    assert "1 changed, 1 proved" in serving.apply()
    assert serving.answer("churn") == "hello first"
    serving.edit('version: "1"', 'version: "3"')
    said = serving.apply(errors.UNPROVED)
    assert "it does not feel well" in said
    assert "rolled back, and proved" in said
    assert serving.answer("churn") == "hello first"
