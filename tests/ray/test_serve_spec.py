"""What is refused in the YAML of an application, before anything is sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.compose import load
from reconciler.errors import ConfigurationError
from reconciler.platforms.ray.serve_application import ServeApplications
from reconciler.platforms.ray.serve_config import BUILT, Application

if TYPE_CHECKING:
    from reconciler.model import Binding

TREE = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: toys}
spec:
  store: store
  ray: {url: "http://127.0.0.1:8265", token: env:RAY_TOKEN, serve: "http://127.0.0.1:8000"}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: words}
spec: {file: "${version}.json"}
---
apiVersion: reconciler/v1
kind: ServeApplication
metadata: {name: churn}
spec:
  application: churn
  code: code
  replicas: 2
  model: {name: words, version: "1"}
  verify: {request: probe.json}
"""


def loaded(folder: Path, *changes: tuple[str, str]) -> Binding:
    """The one binding of the tree, in which something is another."""
    text = TREE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "serve.py").write_text("def load(path): ...\n")
    (folder / "probe.json").write_text("{}")
    (folder / "all.yaml").write_text(text)
    (binding,) = load(folder)["toys"].bindings
    return binding


def test_what_is_declared_is_a_value_and_settings_by_name(tmp_path: Path) -> None:
    binding = loaded(
        tmp_path,
        (
            "replicas: 2",
            'resources: {cpus: "0.50", memory: 2048Mi}\n  args: {mode: fast}\n'
            '  autoscaling: {min: 1, max: 4, requests: "2"}',
        ),
    )
    folder = str(tmp_path / "code")
    assert binding.part == Application("churn", "/churn", folder=folder)
    assert str(binding.address) == "serve/127.0.0.1:8265/churn"
    assert binding.create is not None
    settings = dict(binding.settings)
    assert re.fullmatch("[0-9a-f]{12}", settings.pop("code"))
    assert settings == {
        "route": "/churn",
        "importPath": BUILT,
        "maxSurge": "100",
        "resources.cpus": "0.5",
        "resources.memory": "2Gi",
        "args.mode": "fast",
        "autoscaling.min": "1",
        "autoscaling.max": "4",
        "autoscaling.requests": "2",
    }


def test_an_application_of_your_own_owns_what_it_says(tmp_path: Path) -> None:
    own = ("  code: code\n  replicas: 2\n", '  importPath: "app:build"\n  route: /v1/churn\n')
    binding = loaded(tmp_path, own)
    assert dict(binding.settings) == {"route": "/v1/churn", "importPath": "app:build"}
    assert not binding.part.is_built  # type: ignore[attr-defined]
    terms = dict(binding.terms)
    assert terms["the application"] == "app:build"
    assert terms["where the probe is asked"] == "/v1/churn"


def test_the_code_is_part_of_what_is_declared(tmp_path: Path) -> None:
    before = dict(loaded(tmp_path).settings)["code"]
    assert dict(loaded(tmp_path).settings)["code"] == before
    (tmp_path / "code" / "more.py").write_text("x = 1\n")
    assert dict(loaded(tmp_path).settings)["code"] != before


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("  code: code\n", "", 'spec: "code" is missing: the folder with serve.py'),
        ("code: code", "code: elsewhere", "elsewhere; correct the path of the code"),
        (
            "replicas: 2",
            "replicas: 2\n  autoscaling: {min: 1, max: 2}",
            "spec.replicas: replicas are fixed or scaled",
        ),
        (
            "code: code",
            'importPath: "app:build"',
            "spec.replicas: which deployment of your application is meant?",
        ),
        ("replicas: 2", "deployment: Mine", "spec.deployment: only an application of your own"),
        ("replicas: 2", "args: {model: x}", 'spec.args.model: the argument "model" says'),
        ("replicas: 2", "args: {api_token: x}", "spec.args.api_token holds a secret by its name"),
        ("replicas: 2", "replicas: 0", "spec.replicas: 0 is out of range; write 1 to 10000"),
        ("replicas: 2", "route: /churn/", '"/churn/" is not a route'),
        ("replicas: 2", "importPath: app.build", '"app.build" is not MODULE:NAME'),
        ("replicas: 2", "resources: {memory: 2GB}", '"2GB" is not an amount of memory'),
        ("replicas: 2", "startTimeout: soon", "is not a duration"),
        ("replicas: 2", "startTimeout: 2h", "spec.startTimeout: a run waits 1h at most"),
        ("application: churn", "application: a/b", '"a/b" is not the name of an application'),
        (', serve: "http://127.0.0.1:8000"', "", "add spec.ray.serve to the environment"),
        (
            "http://127.0.0.1:8265",
            "127.0.0.1:8265",
            "is not the URL of a server; write https://HOST:PORT",
        ),
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265/api/jobs/", "URL without /api/jobs/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/-/routes", "URL without /-/routes"),
        ("http://127.0.0.1:8265", "http://ray.acme:8265", "this machine; write https://ray.acme"),
        ("http://127.0.0.1:8000", "http://models.acme", "this machine; write https://models.acme"),
        ("http://127.0.0.1:8000", "https://a@models.acme", "write https://HOST:PORT"),
    ],
)
def test_mistakes_have_a_place_and_a_way_out(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, (old, new))
    assert why in caught.value.message
    assert "all.yaml:" in caught.value.message


def test_the_longest_start_is_as_long_as_a_run_waits(tmp_path: Path) -> None:
    binding = loaded(tmp_path, ("replicas: 2", "startTimeout: 1h"))
    assert binding.part.start_s == ServeApplications.can.stuck_after_s  # type: ignore[attr-defined]


def test_code_without_serve_py_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path)
    (tmp_path / "code" / "serve.py").rename(tmp_path / "code" / "other.py")
    with pytest.raises(ConfigurationError, match=r"has no serve.py with load\(path\)"):
        load(tmp_path)
