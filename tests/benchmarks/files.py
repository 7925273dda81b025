"""A fleet of model files: in folders, without any network, and with the store in a bucket.

The whole process counts. Lists of a bucket carry no contents, so each record is read by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.planning import figures
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rows import Row, Setting, judged
from tests.stores.buckets import KEY, new_bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    yield _planned(setting, ("store", _TRAINED), "a folder store", 1.0)


def bucket_files(setting: Setting) -> Iterator[Row]:
    """The same with the records in a bucket of moto's server, which is in this process."""
    with s3_server() as url:
        store = f'{{url: "s3://{new_bucket(url)}/prod", endpoint: "{url}", key: "env:S3_KEY"}}'
        told = ("/usr/bin/env", f"S3_KEY={KEY}", f"RECONCILER_ORIGINS={url}")
        yield _planned(setting, (store, _TAKEN_IN), "a store in S3 (moto)", 6.0, told)


def _planned(
    setting: Setting,
    kept: tuple[str, str],
    where: str,
    most_s: float,
    told: tuple[str, ...] = (),
) -> Row:
    """The row of a plan; `kept` are the store and the model, as YAML."""
    (store, model), count, folder = kept, setting.small, setting.folder / where.partition(" ")[2]
    for name in ("store", "data"):
        (folder / name).mkdir(parents=True)
    for name in ("d", "1"):
        (folder / "data" / f"{name}.csv").write_text("x")
    documents = _DOCUMENTS.replace("STORE", store).replace("THE_MODEL", model)
    documents = documents.replace("LAST", f"{count:06}")
    (folder / "all.yaml").write_text(documents, encoding="utf-8")
    run([*told, *reconciler(), "apply", "--yes", "-f", str(folder)])
    command = [*told, *reconciler(), "plan", "-f", str(folder), "--detailed-exitcode"]
    costs = sorted((run(command) for _ in range(setting.repeats)), key=lambda cost: cost.wall_s)
    cost = costs[setting.repeats // 2]
    return judged(
        f"no-op plan, {count:,} model files in {where}, whole process",
        cost.wall_s,
        most_s,
        unit=" s",
        said=f"{cost.cpu_s:.2f} s CPU",
        figures=figures(cost),
    )
