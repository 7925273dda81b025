"""What a good tree means."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.desired import load
from reconciler.errors import ConfigurationError
from reconciler.model import NOWHERE, Auth, RuleKind, SecretName, Source, StoreUrl, Version
from reconciler.platforms.studio.connection import CloudName, studio_of
from tests.desired.trees import (
    BINDING,
    ENVIRONMENT,
    GOOD,
    KINDS,
    MODEL,
    PLATFORMS,
    complaints,
    loaded,
    write,
)

REPOSITORY = Path(__file__).parents[2]
WORKSPACE = (
    "    workspace: {id: 9cd6d9da1c25b9e551f1bcf07e58daee, region: westeurope, token: env:T}\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("services")


def test_the_shipped_services_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = loaded(Path("services/local"))["local"]
    assert [str(each.address) for each in found.bindings] == [
        "Diabetes Scoring/middle",
        "Diabetes Scoring/senior",
        "Diabetes Scoring/young",
        "breast-cancer-predictive",
    ]
    young = found.bindings[2]
    assert young.version == Version("diabetes", "2026-10", (("slice", "young"),))
    assert dict(young.recipe.inputs) == {"input1": "datasets/diabetes/young/2026-10.csv"}
    assert dict(young.recipe.outputs) == {"model": "output2", "metrics": "output1"}
    assert young.part == "Diabetes [trained model]"
    assert young.source == Source("services/local/diabetes.yaml", 5, 18)
    assert found.bindings[3].timeout_s == 1800
    assert found.bindings[3].labels == (("team", "oncology"),)


def test_an_environment_has_defaults(root: Path) -> None:
    environment = loaded(write(root, GOOD))["prod"].environment
    studio = studio_of(environment)
    assert studio.cloud is CloudName.EMULATOR
    assert studio.auth == "default"
    assert environment.parallel == 8
    assert studio.workspace is None
    assert environment.store.key is not None
    assert environment.store.key.variable == "STORE_KEY"
    assert environment.store.key.source == Source("services/environment.yaml", 5, 41)
    service = studio.training_services["churn-training"]
    assert (service.url, service.key.variable) == ("/workspaces/w/services/s", "TRAINING_KEY")
    assert service.source == Source("services/environment.yaml", 12, 23)


@pytest.mark.parametrize(
    ("written", "store"),
    [
        ("file:///srv/models", StoreUrl("file:///srv/models")),
        ("s3://acme-models/prod", StoreUrl("s3://acme-models/prod")),
        ("gs://acme_models", StoreUrl("gs://acme_models")),
        ("az://mlprod/models", StoreUrl("az://mlprod/models")),
        (
            "{url: 's3://m-1/a/b', endpoint: 'https://minio.acme:9000', key: env:K}",
            StoreUrl("s3://m-1/a/b", SecretName("K"), "https://minio.acme:9000"),
        ),
        ("{url: 's3://m-1', region: eu-west-1}", StoreUrl("s3://m-1", region="eu-west-1")),
        (
            "{url: 'az://mlprod/models', auth: github-oidc}",
            StoreUrl("az://mlprod/models", auth=Auth.GITHUB_OIDC),
        ),
    ],
)
def test_a_store_is_what_is_written(root: Path, written: str, store: StoreUrl) -> None:
    text = f"""\
apiVersion: reconciler/v1
kind: Environment
metadata: {{name: home}}
spec: {{store: {written}}}
"""
    environment = loaded(write(root, {"environment.yaml": text}))["home"].environment
    assert environment.store == environment.data == store


def test_data_in_the_bucket_of_the_store_are_opened_as_it_is(root: Path) -> None:
    text = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec:
  store: {url: "s3://m-1/prod", endpoint: "https://minio.acme:9000", key: env:K}
  data: s3://m-1/data
"""
    environment = loaded(write(root, {"environment.yaml": text}))["home"].environment
    wanted = StoreUrl("s3://m-1/data", SecretName("K"), "https://minio.acme:9000")
    assert environment.data == wanted
    assert wanted.named == "s3://m-1/data at https://minio.acme:9000"


def test_the_region_is_that_of_the_workspace_if_it_is_not_given(root: Path) -> None:
    text = ENVIRONMENT.replace("    region: southcentralus\n", WORKSPACE)
    environment = loaded(write(root, {**GOOD, "environment.yaml": text}))["prod"].environment
    studio = studio_of(environment)
    assert studio.region == "westeurope"
    assert studio.workspace is not None
    assert studio.workspace.token.variable == "T"


def test_a_region_that_is_given_wins(root: Path) -> None:
    files = {**GOOD, "environment.yaml": ENVIRONMENT + WORKSPACE}
    assert (
        loaded(write(root, files))["prod"].environment.connections["studio"].region
        == "southcentralus"
    )


def test_the_nearest_environment_applies(root: Path) -> None:
    west = ENVIRONMENT.replace("name: prod", "name: west").replace("ml-prod", "ml-west")
    second = BINDING.replace("probe.json", "p.json")
    files = {
        **GOOD,
        "west/a/environment.yaml": west,
        "west/a/deep/churn.yaml": second,
        "west/a/deep/p.json": "{}",
        "west/churn.yaml": second.replace("churn", "other", 1).replace("-pred", "-x"),
        "west/p.json": "{}",
    }
    found = loaded(write(root, files))
    assert list(found) == ["prod", "west"]
    assert [each.source.path for each in found["prod"].bindings] == [
        "services/churn.yaml",
        "services/west/churn.yaml",
    ]
    assert [each.source.path for each in found["west"].bindings] == [
        "services/west/a/deep/churn.yaml"
    ]


def test_a_name_may_be_used_again_in_another_environment(root: Path) -> None:
    west = ENVIRONMENT.replace("name: prod", "name: west").replace("ml-prod", "ml-west")
    files = {"west/e.yaml": west, "west/churn.yaml": BINDING, "west/probe.json": "{}"}
    assert len(loaded(write(root, {**GOOD, **files}))) == 2


def test_gates_keep_their_order_and_the_digits_as_written(root: Path) -> None:
    rules = """\
    - {metric: AUC, noWorseThanLive: "0.010"}
    - {metric: RMSE, atMost: "1e2"}
"""
    found = loaded(write(root, {**GOOD, "models/churn.yaml": MODEL + rules}))["prod"].bindings[0]
    assert [(each.metric, each.kind, each.bound) for each in found.accept] == [
        ("AUC", RuleKind.AT_LEAST, Decimal("0.85")),
        ("AUC", RuleKind.NO_WORSE_THAN_LIVE, Decimal("0.010")),
        ("RMSE", RuleKind.AT_MOST, Decimal("1e2")),
    ]


@pytest.mark.parametrize(
    ("said", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), (None, 7200)]
)
def test_a_timeout_is_read_in_its_unit(root: Path, said: str | None, seconds: float) -> None:
    line = f"    timeout: {said}\n    outputs" if said else "    outputs"
    files = {**GOOD, "models/churn.yaml": MODEL.replace("    outputs", line)}
    assert loaded(write(root, files))["prod"].bindings[0].timeout_s == seconds


def test_arguments_fill_inputs_and_parameters(root: Path) -> None:
    model = MODEL.replace("churn/$", "${slice}/$").replace(
        "    outputs", '    parameters: {Seed: "${seed}", Both: "${slice}-${version}"}\n    outputs'
    )
    binding = BINDING.replace('"2026-10"', '"7"\n    with: {slice: a b, seed: "1"}')
    files = {**GOOD, "models/churn.yaml": model, "churn.yaml": binding}
    recipe = loaded(write(root, files))["prod"].bindings[0].recipe
    assert recipe.inputs == (("input1", "datasets/a b/7.csv"),)
    assert recipe.parameters == (("Both", "a b-7"), ("Seed", "1"))


def test_an_argument_cannot_lead_an_input_elsewhere(root: Path) -> None:
    model = MODEL.replace("churn/$", "${slice}/$")
    binding = BINDING.replace('"2026-10"', '"7"\n    with: {slice: ../secret}')
    files = {**GOOD, "models/churn.yaml": model, "churn.yaml": binding}
    assert complaints(write(root, files)) == [
        'services/churn.yaml:8:5: spec.model: the input "input1" becomes '
        '"datasets/../secret/7.csv", which is not a path of the data; '
        "write folder/file, without a leading /, without .. or /./ and without ?"
    ]


def test_an_argument_is_not_expanded_again(root: Path) -> None:
    model = MODEL.replace("churn/$", "${slice}/$")
    binding = BINDING.replace('"2026-10"', '"7"\n    with: {slice: "${each}"}')
    binding = "forEach: {each: ['${version}']}\n" + binding
    files = {**GOOD, "models/churn.yaml": model, "churn.yaml": binding}
    recipe = loaded(write(root, files))["prod"].bindings[0].recipe
    assert recipe.inputs == (("input1", "datasets/${version}/7.csv"),)


def test_a_probe_is_kept_as_compact_json(root: Path) -> None:
    files = {**GOOD, "probe.json": '{\n "b": [1, 2.50],\n "a": "ü"\n}\n'}
    text = BINDING + "    columns: [Scored Labels]\n"
    probe = loaded(write(root, {**files, "churn.yaml": text}))["prod"].bindings[0].probe
    assert probe is not None
    assert probe.request == '{"b":[1,2.5],"a":"\\u00fc"}'
    assert probe.columns == ("Scored Labels",)


def test_a_binding_needs_no_probe(root: Path) -> None:
    text = BINDING.split("  verify")[0]
    assert loaded(write(root, {**GOOD, "churn.yaml": text}))["prod"].bindings[0].probe is None


def test_an_alias_is_fine_within_bounds(root: Path) -> None:
    text = BINDING.replace("  name: churn\n", "  name: &n churn\n", 1)
    text = text.replace("    name: churn\n", "    name: *n\n")
    assert loaded(write(root, {**GOOD, "churn.yaml": text}))["prod"].bindings[0].name == "churn"


def test_a_mistake_that_came_by_an_alias_is_told_where_it_was_written_and_used(root: Path) -> None:
    text = BINDING.replace("  name: churn\n", "  name: churn\n  labels: &l {a: 1}\n", 1)
    text = text.replace('"2026-10"', '"1"\n    with: *l')
    assert complaints(write(root, {**GOOD, "churn.yaml": text})) == [
        'services/churn.yaml:5:18: metadata.labels.a: 1 is a number; write "1" '
        "(this is text, or 1.10 becomes 1.1)",
        'services/churn.yaml:11:11: spec.model.with.a: 1 is a number; write "1" '
        "(this is text, or 1.10 becomes 1.1)",
    ]


def test_the_root_may_be_called_otherwise(root: Path) -> None:
    found = load(write(root, GOOD), PLATFORMS, display="the-demo")["prod"]
    assert found.bindings[0].source == Source("the-demo/churn.yaml", 4, 9)
    with pytest.raises(ConfigurationError, match=r"^the-demo: no such folder"):
        load(root / "nowhere", PLATFORMS, display="the-demo")


def test_a_kind_that_no_platform_offers_is_an_error_and_never_dropped(root: Path) -> None:
    said = 'services/churn.yaml:2:7: kind: "WebService" is not one of Environment, Model'
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        load(write(root, GOOD), {})
    near = {**GOOD, "churn.yaml": BINDING.replace("WebService", "WebServices")}
    with pytest.raises(ConfigurationError, match='did you mean "WebService"'):
        loaded(write(root, near))


@pytest.mark.parametrize(
    ("name", "old", "what"),
    [("churn.yaml", "kind: WebService", "kind"), ("models/churn.yaml", "engine: studio", "engine")],
)
def test_a_platform_that_the_environment_does_not_connect_is_named(
    root: Path, name: str, old: str, what: str
) -> None:
    bare = ENVIRONMENT.partition("  studio:\n")[0]
    write(root, {**GOOD, "environment.yaml": bare})
    said = f'{what}: the environment "prod" does not connect the platform of '
    assert any(said in line and line.endswith("add spec.studio to it") for line in complaints(root))


def test_what_the_operating_system_lists_first_does_not_matter(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {f"{name}.yaml": BINDING.replace('"2026-10"', "4") for name in "abc"}
    write(root, {**GOOD, **bad})
    forwards = complaints(root)
    monkeypatch.setattr(os, "scandir", _Backwards)
    assert complaints(root) == forwards
    for name in bad:
        (root / name).unlink()
    assert loaded(root) == loaded(root)


class _Backwards:
    """`os.scandir` as another operating system might list."""

    _real = staticmethod(os.scandir)

    def __init__(self, path: Any) -> None:
        self._entries = sorted(self._real(path), key=lambda entry: entry.name, reverse=True)

    def __enter__(self) -> list[Any]:
        return self._entries

    def __exit__(self, *_: object) -> None:
        return None


_ODD = ["---", "- a", "  <<: *a", "&a", "*a", "\t", "!!x y", "{", "]", "? [a]", "key: 1", "|", "%"]
_LINES = [*BINDING.splitlines(), *MODEL.splitlines(), *ENVIRONMENT.splitlines(), *_ODD]
_TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(_LINES)).map("\n".join))
_BYTES = st.one_of(
    st.binary(max_size=200), _TEXTS.map(lambda text: text.encode("utf-8", "replace"))
)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(_BYTES)
def test_only_complaints_come_out_of_arbitrary_bytes(root: Path, data: bytes) -> None:
    for path in ("churn.yaml", "environment.yaml"):
        for line in complaints(write(root, {**GOOD, path: data})):
            assert line.startswith("services")


def test_loading_needs_no_network_library() -> None:
    script = (
        "import sys; from pathlib import Path; from reconciler.desired import load\n"
        "from reconciler.platforms import platforms\n"
        "load(Path('services/local'), platforms())\n"
        "print([m for m in ('requests', 'azure', 'deepdiff', 'urllib3') if m in sys.modules])"
    )
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_binding_knows_where_it_was_written(root: Path) -> None:
    found = loaded(write(root, GOOD))["prod"]
    assert found.environment.source == Source("services/environment.yaml", 3, 18)
    assert found.bindings[0].source == Source("services/churn.yaml", 4, 9) != NOWHERE
    assert set(KINDS) == {"WebService", "ClassicEndpoint"}


def test_of_very_many_problems_the_first_are_listed_and_the_rest_counted(root: Path) -> None:
    write(root, {**GOOD, "churn.yaml": "a: 1\n" * 1_051})
    with pytest.raises(ConfigurationError) as caught:
        loaded(root)
    *told, more = caught.value.message.splitlines()
    assert told == [str(each) for each in caught.value.problems[:1_000]]
    left = len(caught.value.problems) - 1_000
    assert left >= 50
    assert more == f"and {left} more; fix these first"
