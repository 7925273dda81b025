"""The common part of registries of model versions: artifacts of many files, metrics of runs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from reconciler.errors import UnreadableError
from reconciler.model import Recipe

NEAR = 5  # so many of what there is are shown where something is not
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that an archive can say


def asked(recipe: Recipe) -> tuple[str, str]:
    """The registered model and the version that a recipe takes in."""
    return dict(recipe.how)["name"], dict(recipe.parameters)["version"]


def nearest(numbers: Iterable[int], wanted: int) -> str:
    """The numbers of versions next to the wanted one, in words; "" where there are none."""
    close = sorted(numbers, key=lambda number: (abs(number - wanted), number))[:NEAR]
    return ", ".join(map(str, sorted(close)))


def archive(path: Path, names: Iterable[str], download: Callable[[str, IO[bytes]], object]) -> None:
    """Write an archive whose bytes depend on nothing but its files: no times, not compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for name in sorted(names):
            with made.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as into:
                download(name, into)


def metrics_of(run: Mapping[str, Any], what: str) -> dict[str, float]:
    """The last value of each metric of a run, as MLflow's REST says it: a text where it is not
    finite."""
    try:
        listed = run["data"].get("metrics", [])
        return {str(metric["key"]): float(metric["value"]) for metric in listed}
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnreadableError(f"{what}: its metrics are damaged") from exc
