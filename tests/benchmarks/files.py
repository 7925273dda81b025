"""A fleet of model files: in folders, without any network, and with the store in a bucket.

The whole process counts. Lists of a bucket carry no contents, so each record is read by itself:
with so many requests at a time, latency alone takes a time that is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.bounds import reads
from tests.benchmarks.fleets import ACCOUNT, CONTAINER
from tests.benchmarks.planning import figures
from tests.benchmarks.program import CloudProcess, Cost, reconciler, run
from tests.benchmarks.rows import Row, Setting, judged
from tests.stores.buckets import KEY, Google, Slow, google_key, new_bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARALLEL = 16  # requests at a time
_DOCUMENTS = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: files}
spec: {store: STORE, data: data, local: {}, limits: {parallel: 16, changes: "100%"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: m}
spec: THE_MODEL
---
apiVersion: reconciler/v1
kind: ModelFile
forEach: {n: {from: "000001", to: "LAST"}}
metadata: {name: "f-${n}"}
spec: {path: "serving/${n}.json", create: true, model: {name: m, version: "1"}}
"""


_TRAINED = """
  training:
    engine: local
    command: "cp {inputs.d} {outputs.model}"
    inputs: {d: d.csv}
    outputs: {model: m.bin}"""
_TAKEN_IN = '{file: "${version}.csv"}'  # the engine local trains into folders only


def model_files(setting: Setting) -> Iterator[Row]:
    """Many pointers of one environment, and their records, in folders of this machine."""
    cost = _planned(setting, "folder", "store", _TRAINED)
    yield judged(
        f"no-op plan, {setting.small:,} model files in a folder store, whole process",
        cost.wall_s,
        1.0,
        unit=" s",
        said=f"{cost.cpu_s:.2f} s CPU",
        figures=figures(cost),
    )


def bucket_files(setting: Setting) -> Iterator[Row]:
    """The same with the records in buckets, whose servers are in this process."""
    slow = Slow()
    with s3_server(slow) as url:
        yield _in_bucket(setting, slow, "S3 (moto)", url, f"s3://{new_bucket(url)}/prod", KEY)
    with Google(slow, page=1_000) as google:  # as the real one
        at, key = f"gs://{google.bucket}/prod", google_key(google.url)
        yield _in_bucket(setting, slow, "Google's (stand-in)", google.url, at, key)


def blob_files(setting: Setting) -> Iterator[Row]:
    """The same with the records in Azure Blob storage, whose lists carry them."""
    cloud = setting.cloud
    cloud.control("world", {"host": cloud.url})
    at, key = f"az://{ACCOUNT}/{CONTAINER}", "env:BENCH_STORE_KEY"
    store = f'{{url: "{at}", endpoint: "{cloud.url}/blob/{ACCOUNT}", key: "{key}"}}'
    told = ("/usr/bin/env", f"RECONCILER_ORIGINS={cloud.url}")

    def delay() -> None:
        cloud.control("latency", {"latency_s": setting.latency_s})

    cost = _planned(setting, "Azure Blob", store, _TAKEN_IN, told, delay, cloud)
    yield judged(
        f"no-op plan, {setting.small:,} model files, store in Azure Blob, whole process",
        cost.wall_s,
        1.5,
        unit=" s",
        said=f"{cost.asked:,} requests",
        figures=figures(cost),
    )


def _in_bucket(setting: Setting, slow: Slow, where: str, url: str, at: str, key: str) -> Row:
    """Latency comes with the plans: the fleet is made without."""
    slow.latency_s = 0.0
    store = f'{{url: "{at}", endpoint: "{url}", key: "env:STORE_KEY"}}'
    told = ("/usr/bin/env", f"STORE_KEY={key}", f"RECONCILER_ORIGINS={url}")

    def delay() -> None:
        slow.latency_s = setting.latency_s

    cost = _planned(setting, where, store, _TAKEN_IN, told, delay)
    floor_s = reads(setting.small, PARALLEL, setting.latency_s)
    return judged(
        f"no-op plan, {setting.small:,} model files, store in {where}: wall ÷ floor",
        cost.wall_s / floor_s,
        1.5,
        said=f"{cost.wall_s:.2f} s with the start",
        figures={"floor_s": floor_s, **figures(cost)},
    )


def _planned(
    setting: Setting,
    where: str,
    store: str,
    model: str,
    told: tuple[str, ...] = (),
    then: Callable[[], object] = lambda: None,
    at: CloudProcess | None = None,
) -> Cost:
    """The cost of a plan of a fleet that was made before; `then` is called between the two."""
    folder = setting.folder / f"files in {where}"
    for name in ("store", "data"):
        (folder / name).mkdir(parents=True)
    for name in ("d", "1"):
        (folder / "data" / f"{name}.csv").write_text("x")
    documents = _DOCUMENTS.replace("STORE", store).replace("THE_MODEL", model)
    documents = documents.replace("LAST", f"{setting.small:06}")
    (folder / "all.yaml").write_text(documents, encoding="utf-8")
    run([*told, *reconciler(), "apply", "--yes", "-f", str(folder)], at)
    then()
    command = [*told, *reconciler(), "plan", "-f", str(folder), "--detailed-exitcode"]
    costs = sorted((run(command, at) for _ in range(setting.repeats)), key=lambda cost: cost.wall_s)
    return costs[setting.repeats // 2]
