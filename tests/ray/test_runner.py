"""What runs on a node: the package is unpacked and its entrypoint run by a shell, as Ray does."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.model import METRICS, MODEL
from reconciler.platforms.ray import runner
from reconciler.stores.contract import Place
from tests.ray.orders import COMMAND, TRAIN, Home
from tests.ray.standin import TOKEN, Standin
from tests.stores.buckets import new_bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.platforms.contract import Order


class Node:
    """A machine that has the package of a job; what `environ` has is its own."""

    def __init__(self, folder: Path, home: Home, order: Order) -> None:
        ray = Standin()
        try:
            home.jobs(ray.url, TOKEN).start(home.job(order), order)
        finally:
            ray.close()
        self.entrypoint: str = ray.world.jobs[home.job(order)]["entrypoint"]
        (package,) = ray.world.packages.values()
        self.code, self.temporary = folder / "unpacked", folder / "tmp"
        zipfile.ZipFile(io.BytesIO(package)).extractall(self.code)
        self.temporary.mkdir()
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(self.temporary),
        }

    def begin(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            f"exec {self.entrypoint}",
            shell=True,
            cwd=self.code,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> tuple[int, str]:
        """The exit code, and what it printed; it leaves nothing behind on the node."""
        before = sorted(self.code.rglob("*"))
        process = self.begin()
        printed, _ = process.communicate(timeout=60)
        assert list(self.temporary.iterdir()) == []
        assert sorted(self.code.rglob("*")) == before
        return process.returncode, printed


def node_of(folder: Path, train: str = TRAIN, **fields: Any) -> tuple[Home, Node]:
    home = Home(folder, train)
    order = replace(home.order(**fields.pop("how", {})), **fields)
    return home, Node(folder, home, order)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_training_runs_in_a_folder_of_its_own(tmp_path: Path) -> None:
    home, node = node_of(tmp_path, f"open('left-behind', 'w').write('x')\n{TRAIN}")
    assert node.run() == (0, "trained\n")
    assert home.made("model.txt").read_text() == "trained on a,b"
    assert json.loads(home.made("metrics.json").read_text()) == {"AUC": 0.9}


def test_the_exit_code_of_the_command_is_that_of_the_job(tmp_path: Path) -> None:
    home, node = node_of(tmp_path, "import sys; sys.exit(3)")
    assert node.run()[0] == 3
    assert not home.made("model.txt").exists()


def test_a_parameter_with_blanks_and_quotes_stays_one_word(tmp_path: Path) -> None:
    train = "import sys; open(sys.argv[2], 'w').write(sys.argv[1])"
    home = Home(tmp_path, train)
    order = home.order(command="python train.py {parameters.p} {outputs.model}")
    recipe = replace(
        order.recipe, parameters=(("p", "a 'b' \"c\" $HOME {x}"),), outputs=((MODEL, "model.txt"),)
    )
    assert Node(tmp_path, home, replace(order, recipe=recipe)).run() == (0, "")
    assert home.made("model.txt").read_text() == "a 'b' \"c\" $HOME {x}"


def test_a_training_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    home, node = node_of(tmp_path, f"import time; time.sleep(60)\n{TRAIN}", timeout_s=0.5)
    assert node.run() == (124, "reconciler: it did not end within 0.5 s\n")
    assert not home.made("model.txt").exists()


def test_a_command_that_the_node_does_not_have_says_so(tmp_path: Path) -> None:
    _, node = node_of(tmp_path, how={"command": COMMAND.replace("python", "no-such-program")})
    code, printed = node.run()
    assert code == 1
    assert "the command no-such-program cannot be run on this node" in printed


def test_an_attempt_that_was_given_up_keeps_nothing(tmp_path: Path) -> None:
    home, node = node_of(tmp_path)
    home.order(2)
    code, printed = node.run()
    assert (code, "this attempt was given up" in printed) == (1, True)
    assert not home.made("model.txt").exists()


def test_an_attempt_that_is_given_up_while_it_waits_for_the_store_keeps_nothing(
    tmp_path: Path,
) -> None:
    home, node = node_of(tmp_path)
    folder = home.made("")
    with home.store._alone():
        process = node.begin()
        until(lambda: len(list(folder.glob(".m*"))) == 2)  # the outputs of the attempt, on the disk
        home.order(2)
        (folder / "model.txt").write_text("of the next attempt")
    printed, _ = process.communicate(timeout=60)
    assert "this attempt was given up" in printed
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["manifest.json", "model.txt"]
    assert home.made("model.txt").read_text() == "of the next attempt"


def test_an_input_that_the_node_does_not_have_says_so(tmp_path: Path) -> None:
    home, node = node_of(tmp_path)
    (home.root / "train.csv").unlink()
    code, printed = node.run()
    assert code == 1
    assert "train.csv is not on this node; store and data must be shared by all" in printed


def test_a_store_that_the_node_does_not_have_is_not_made_there(tmp_path: Path) -> None:
    home, node = node_of(tmp_path)
    node.entrypoint = node.entrypoint.replace(f'"root": "{home.root}/store"', '"root": "/no/store"')
    code, printed = node.run()
    assert code == 1
    assert "the store /no/store is not on this node" in printed
    assert not home.made("model.txt").exists()


def test_a_training_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    train = f"import sys, time; print('begun', flush=True); time.sleep(60)\n{TRAIN}"
    home, node = node_of(tmp_path, train)
    process = node.begin()
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    process.stdout.close()
    assert list(node.temporary.iterdir()) == []
    assert not home.made("model.txt").exists()


# --- buckets --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


def in_a_bucket(folder: Path, s3: str) -> tuple[Any, Node]:
    """The bucket as any client of S3 sees it, and a node whose own identity may enter it."""
    from obstore.store import S3Store

    home, bucket = Home(folder), new_bucket(s3)
    order = home.order()
    base = f"s3://{bucket}/prod/churn/1"
    told = replace(
        order,
        inputs={"train": Place(f"s3://{bucket}/data/the%20train.csv", "X-Amz-Signature=of-data")},
        outputs={
            MODEL: Place(f"{base}/model.txt", "X-Amz-Signature=of-model"),
            METRICS: Place(f"{base}/metrics.json", "X-Amz-Signature=of-metrics"),
        },
    )
    keys = {"AWS_ACCESS_KEY_ID": "a-node", "AWS_SECRET_ACCESS_KEY": "its-secret"}
    options = {"aws_endpoint": s3, "aws_region": "us-east-1", **{k.lower(): keys[k] for k in keys}}
    store = S3Store(bucket, client_options={"allow_http": True}, **options)  # type: ignore[arg-type]
    store.put("data/the train.csv", b"a,b")
    attempts = {"attempts": [{"job": home.job(order), "failure": ""}]}
    store.put("prod/churn/1/manifest.json", json.dumps(attempts).encode())
    node = Node(folder, home, told)
    assert "X-Amz" not in node.entrypoint
    node.environ |= {**keys, "AWS_ENDPOINT_URL": s3, "AWS_ALLOW_HTTP": "true"}
    node.environ["AWS_REGION"] = "us-east-1"
    return store, node


def test_a_node_reaches_a_bucket_by_an_identity_of_its_own(tmp_path: Path, s3: str) -> None:
    store, node = in_a_bucket(tmp_path, s3)
    assert node.run() == (0, "trained\n")
    assert bytes(store.get("prod/churn/1/model.txt").bytes()) == b"trained on a,b"
    assert json.loads(bytes(store.get("prod/churn/1/metrics.json").bytes())) == {"AUC": 0.9}


def test_an_attempt_that_is_given_up_while_it_writes_to_a_bucket_keeps_nothing(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the manifest and its write the next attempt begins, and ends."""
    store, node = in_a_bucket(tmp_path, s3)
    for name, value in node.environ.items():
        monkeypatch.setenv(name, value)
    order = json.loads(shlex.split(node.entrypoint)[2])
    check, checked = runner._check_current, []

    def late(told: dict[str, Any]) -> None:
        check(told)
        checked.append(told["job"])
        if told["job"] == order["job"]:
            after = {**order, "job": "the-next"}
            store.put("prod/churn/1/manifest.json", b'{"attempts": [{"job": "the-next"}]}')
            runner.publish(after, write("the next"))

    def write(words: str) -> dict[str, Path]:
        made = {role: tmp_path / f"{role} of {words}" for role in order["outputs"]}
        for path in made.values():
            path.write_text(words)
        return made

    monkeypatch.setattr(runner, "_check_current", late)
    with pytest.raises(RuntimeError, match="this attempt was given up"):
        runner.publish(order, write("the first"))
    assert checked == [order["job"], "the-next", "the-next"]
    for name in ("model.txt", "metrics.json"):
        assert bytes(store.get(f"prod/churn/1/{name}").bytes()) == b"the next"


def test_an_attempt_writes_over_what_one_before_it_left(tmp_path: Path, s3: str) -> None:
    store, node = in_a_bucket(tmp_path, s3)
    store.put("prod/churn/1/model.txt", b"of an attempt before")
    assert node.run() == (0, "trained\n")
    assert bytes(store.get("prod/churn/1/model.txt").bytes()) == b"trained on a,b"


def test_an_input_that_is_not_in_the_bucket_says_so(tmp_path: Path, s3: str) -> None:
    store, node = in_a_bucket(tmp_path, s3)
    store.delete("data/the train.csv")
    code, printed = node.run()
    assert code == 1
    assert "the%20train.csv is not in its bucket" in printed


def test_a_node_that_cannot_read_buckets_says_what_is_missing(tmp_path: Path, s3: str) -> None:
    _, node = in_a_bucket(tmp_path, s3)
    (tmp_path / "without" / "obstore").mkdir(parents=True)
    (tmp_path / "without" / "obstore" / "__init__.py").write_text("raise ImportError")
    node.environ["PYTHONPATH"] = str(tmp_path / "without")
    code, printed = node.run()
    assert code == 1
    assert "obstore is not installed on this node" in printed
