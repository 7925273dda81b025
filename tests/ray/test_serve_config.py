"""Configurations of applications: what is declared, on top of what is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.model import Model, ModelRef, Version
from reconciler.platforms.ray.serve_config import (
    BUILT,
    Application,
    Placed,
    ServeAddress,
    attempted_again,
    fingerprint,
    hides,
    merged,
    placed,
    placed_of,
    settings_of,
    text_of,
)

CHURN = Application("churn", "/churn")
MODEL = Placed("s3://models/churn/2/model", "churn", "2", "ab" * 32, "prod@store")
PACKAGE = "gcs://_ray_pkg_0123456789abcdef.zip"


def made(current: Any = None, **settings: str) -> Any:
    return merged(
        current, CHURN, {k.replace("_", "."): v for k, v in settings.items()}, MODEL, PACKAGE
    )


def test_a_new_application_has_what_is_declared_and_nothing_else() -> None:
    assert made(replicas="2", resources_cpus="0.5", maxSurge="100") == {
        "name": "churn",
        "route_prefix": "/churn",
        "import_path": BUILT,
        "runtime_env": {"working_dir": PACKAGE},
        "args": {
            "model": {
                "name": "churn",
                "version": "2",
                "uri": MODEL.uri,
                "sha256": MODEL.sha256,
                "mark": "prod@store",
            }
        },
        "deployments": [
            {
                "name": "Model",
                "num_replicas": 2,
                "max_surge_percent": 100,
                "ray_actor_options": {"num_cpus": 0.5},
            }
        ],
    }


def test_what_is_not_declared_stays() -> None:
    current = {
        "runtime_env": {"pip": ["x"], "working_dir": "gcs://old.zip"},
        "args": {"theirs": {"deep": [1]}, "model": {"attempt": 3}},
        "deployments": [
            {
                "name": "Model",
                "user_config": {"a": 1},
                "ray_actor_options": {"resources": {"x": 1}},
            },
            {"name": "Other", "num_replicas": 7},
        ],
        "logging_config": {"log_level": "DEBUG"},
    }
    before = json.dumps(current)
    config = made(current, resources_cpus="1")
    assert json.dumps(current) == before
    assert config["runtime_env"] == {"pip": ["x"], "working_dir": PACKAGE}
    assert config["args"]["theirs"] == {"deep": [1]}
    assert "attempt" not in config["args"]["model"]
    assert config["logging_config"] == {"log_level": "DEBUG"}
    ours, other = config["deployments"]
    assert other == {"name": "Other", "num_replicas": 7}
    assert ours["user_config"] == {"a": 1}
    assert ours["ray_actor_options"] == {"resources": {"x": 1}, "num_cpus": 1.0}


def test_declaring_again_changes_nothing() -> None:
    config = made(replicas="2", resources_memory="2Gi", args_mode="fast")
    assert made(config, replicas="2", resources_memory="2Gi", args_mode="fast") == config


def test_a_fixed_number_of_replicas_and_scaling_take_turns() -> None:
    fixed = made(replicas="2")
    scaled = made(fixed, autoscaling_min="1", autoscaling_max="5", autoscaling_requests="2.5")
    (options,) = scaled["deployments"]
    assert "num_replicas" not in options
    assert options["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 5,
        "target_ongoing_requests": 2.5,
    }
    (options,) = made(scaled, replicas="3")["deployments"]
    assert options == {"name": "Model", "num_replicas": 3}


def test_settings_are_read_as_they_were_written() -> None:
    settings = {
        "replicas": "2",
        "resources.cpus": "0.5",
        "resources.memory": "2Gi",
        "maxSurge": "100",
        "args.mode": "fast",
    }
    config = merged(None, CHURN, settings, MODEL, PACKAGE)
    shown = json.loads(json.dumps(config).replace("2147483648.0", "2147483648"))
    assert dict(settings_of(shown, "Model")) == {
        **settings,
        "route": "/churn",
        "importPath": BUILT,
        "code": "0123456789ab",
    }


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("replicas", 2, "2"),
        ("replicas", "auto", "auto"),
        ("resources.cpus", 1.0, "1"),
        ("resources.memory", 1536 * 1024 * 1024, "1536Mi"),
        ("resources.memory", 1000, "1000"),
        ("route", None, ""),
        ("args.x", {"a": [1]}, '{"a": [1]}'),
        ("args.x", True, "true"),
    ],
)
def test_values_as_people_write_them(name: str, value: object, text: str) -> None:
    assert text_of(name, value) == text


def test_what_a_configuration_says_of_its_model_is_what_was_placed() -> None:
    ref, version = ModelRef("s3://models/churn/2/model"), Version("churn", "2")
    said = placed(Model(ref, version), "ab" * 32, "prod@store", protect=True)
    config = merged(None, CHURN, {}, said, "")
    assert placed_of(config) == said
    assert said.ref == ref
    assert said.protected


@pytest.mark.parametrize(
    "config",
    [{}, {"args": None}, {"args": []}, {"args": {"model": "x"}}, {"args": {"model": {"uri": 7}}}],
)
def test_a_configuration_of_others_names_no_model(config: Any) -> None:
    assert placed_of(config) == Placed()
    assert Placed().ref is None


def test_a_fingerprint_sees_what_differs_and_not_how_numbers_are_written() -> None:
    one = made(resources_cpus="1")
    assert fingerprint(json.loads(json.dumps(one).replace("1.0", "1"))) == fingerprint(one)
    assert fingerprint(made(resources_cpus="2")) != fingerprint(one)
    again = attempted_again(one)
    assert fingerprint(again) != fingerprint(one)
    assert attempted_again(again)["args"]["model"]["attempt"] == 3
    assert placed_of(again) == placed_of(one)


def test_what_ray_hides_is_found_anywhere() -> None:
    assert hides({"deployments": [{"ray_actor_options": {"env_vars": {"A": "<redacted>"}}}]})
    assert not hides({"runtime_env": {"env_vars": {"A": "shown"}}})


def test_an_address_is_one_name_below_the_cluster() -> None:
    address = ServeAddress("ray.example.com:8265", "churn")
    assert str(address) == "serve/ray.example.com:8265/churn"
    assert address.key == "serve/ray.example.com-8265/churn"
