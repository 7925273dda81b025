"""The guide to Ray: its YAML is valid, and its sentences are those of the program."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from reconciler.cli import compose

GUIDE = (Path(__file__).parent.parent.parent / ".github" / "RAY.md").read_text("utf-8")


def test_the_documents_of_the_guide_are_valid_together(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) == 3
    document = "---\n".join(f"apiVersion: reconciler/v1\n{block}" for block in blocks)
    (tmp_path / "all.yaml").write_text(document)
    for name in ("training/train.py", "serving/serve.py", "probes/churn.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}")
    for words in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (binding,) = compose.load(tmp_path)["production"].bindings
    assert dict(binding.recipe.how)["memory"] == "16Gi"
    assert ("the cluster of the training", "https://ray.acme.internal:8265") in binding.terms
