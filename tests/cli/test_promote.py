"""`promote` through the command line: what it prints, writes and refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli import promote as module
from tests.desired.trees import write
from tests.desired.two import FLEETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran

    Command = Callable[..., Ran]

CHURN = Path("services/production/churn.yaml")
STAGES = ("--from", "staging", "--to", "production")
DIFF = """\
--- a/services/production/churn.yaml
+++ b/services/production/churn.yaml
@@ -6,6 +6,6 @@
   webService: churn-predictive
   model:
     name: churn
-    version: "2026-10"
+    version: "2026-11"
   verify:
     request: probe.json
"""
WORKSPACE = (
    "    workspace: {id: 9cd6d9da1c25b9e551f1bcf07e58daee, region: southcentralus, token: env:T}\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two environments below `services`, in the current folder."""
    files = {
        name: text + WORKSPACE.replace("9cd6", f"{name.startswith('staging'):04x}")
        if name.endswith("environment.yaml")
        else text
        for name, text in FLEETS.items()
    }
    write(tmp_path / "services", files)
    monkeypatch.chdir(tmp_path)


def contents() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_the_version_is_written_and_the_difference_is_printed(command: Command) -> None:
    before = contents()
    ran = command("promote", "churn", *STAGES)
    assert (ran.code, ran.out) == (errors.SUCCESS, DIFF)
    assert ran.err == f"wrote {CHURN}\n"
    before[CHURN] = before[CHURN].replace(b"2026-10", b"2026-11")
    assert contents() == before


def test_a_dry_run_prints_the_same_and_writes_nothing(command: Command) -> None:
    before = contents()
    ran = command("promote", "churn", *STAGES, "--dry-run")
    assert (ran.code, ran.out) == (errors.SUCCESS, DIFF)
    assert ran.err == f"would write {CHURN}\n"
    assert contents() == before


def test_a_second_promotion_has_nothing_to_do(command: Command) -> None:
    command("promote", "churn", *STAGES)
    before = contents()
    ran = command("promote", "churn", *STAGES)
    assert (ran.code, ran.out) == (errors.SUCCESS, "")
    assert ran.err == "churn: production has version 2026-11 already\n"
    assert contents() == before


def test_a_pattern_promotes_the_files_of_many_bindings(command: Command) -> None:
    ran = command("promote", "*", *STAGES)
    assert ran.code == errors.SUCCESS
    assert 'version: "8", with: {at: "${at}"}}   # all of them\n' in ran.out
    assert ran.out.count("+++ b/") == 2
    assert command("promote", "*", *STAGES).err == (
        "bike-a and 2 more: production has version 8 already\n"
        "churn: production has version 2026-11 already\n"
    )


def test_the_printed_difference_is_one_that_git_applies(command: Command) -> None:
    CHURN.write_bytes(CHURN.read_bytes().replace(b"\n", b"\r\n").rstrip())
    bare = CHURN.read_bytes()
    ran = command("promote", "churn", *STAGES)
    after = CHURN.read_bytes()
    assert after == bare.replace(b"2026-10", b"2026-11")
    CHURN.write_bytes(bare)
    subprocess.run(["git", "apply", "-"], input=ran.out.encode(), check=True)
    assert CHURN.read_bytes() == after


def test_permissions_links_and_a_byte_order_mark_are_kept(command: Command) -> None:
    kept = Path("services/production/_kept.yaml")
    CHURN.rename(kept)
    kept.write_bytes(b"\xef\xbb\xbf" + kept.read_bytes())
    kept.chmod(0o660)
    CHURN.symlink_to(kept.name)
    wanted = kept.read_bytes().replace(b"2026-10", b"2026-11")
    assert command("promote", "churn", *STAGES).code == errors.SUCCESS
    assert CHURN.is_symlink()
    assert kept.read_bytes() == wanted
    assert kept.stat().st_mode & 0o7777 == 0o660


@pytest.mark.parametrize("services", ["./services/", "services/../services", "."])
def test_the_folder_may_be_named_in_many_ways(command: Command, services: str) -> None:
    ran = command("promote", "churn", *STAGES, "-f", services)
    assert ran.code == errors.SUCCESS
    assert b"2026-11" in CHURN.read_bytes()


def test_a_version_that_would_be_trained_again_is_said_and_written(command: Command) -> None:
    bikes = Path("services/production/bikes.yaml")
    bikes.write_text(bikes.read_text().replace('with: {at: "$', 'with: {at: "city-$'))
    ran = command("promote", "bike-*", *STAGES)
    assert ran.code == errors.SUCCESS
    assert "production does not take the 8 of staging but trains its own" in ran.err
    assert 'version: "8"' in bikes.read_text()


REFUSED = [
    (("churm", *STAGES), 'error: staging has no binding "churm"; did you mean "churn"?'),
    (("churn", "--from", "stagin", "--to", "production"), 'there is no environment "stagin"; did you mean "staging"?'),
    (("bike-a", *STAGES), "bikes.yaml:3:18: forEach makes bike-b and 1 more of this version too"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "why"), REFUSED)
def test_what_cannot_be_promoted_changes_nothing(
    command: Command, arguments: tuple[str, ...], why: str
) -> None:
    before = contents()
    ran = command("promote", *arguments)
    assert (ran.code, ran.out) == (errors.CONFIGURATION, "")
    assert why in ran.err
    assert contents() == before


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"2026-10"', '&v "2026-10"', "9:14: spec.model.version: an anchor or an alias"),
        ("metadata:\n", "forEach: {at: [x]}\nmetadata:\n", "is filled in by forEach"),
    ],
)
def test_one_version_that_cannot_be_changed_stops_all(
    command: Command, old: str, new: str, why: str
) -> None:
    text = CHURN.read_text().replace(old, new)
    CHURN.write_text(text.replace('"2026-10"', '"2026-10-${at}"') if "at:" in new else text)
    before = contents()
    ran = command("promote", "*", *STAGES)
    assert (ran.code, ran.out) == (errors.CONFIGURATION, "")
    assert f"error: {CHURN}:" in ran.err
    assert why in ran.err
    assert contents() == before


def changing(monkeypatch: pytest.MonkeyPatch, path: Path, after: str) -> None:
    """Let somebody else write to a file once a function of the command has returned."""
    called = getattr(module, after)

    def then_write(*arguments: object) -> object:
        found = called(*arguments)
        path.write_bytes(path.read_bytes().replace(b"2026-10", b"2026-09") + b"# theirs\n")
        return found

    monkeypatch.setattr(module, after, then_write)


@pytest.mark.parametrize(
    ("path", "after"),
    [
        (CHURN, "promotions"),
        (CHURN, "make_edits"),
        (CHURN, "loaded"),
        (Path("services/production/bikes.yaml"), "loaded"),
        (Path("services/models/churn.yaml"), "promotions"),
    ],
)
def test_files_that_are_changed_meanwhile_are_not_written_over(
    command: Command, monkeypatch: pytest.MonkeyPatch, path: Path, after: str
) -> None:
    if path.parent.name == "models":
        path.write_text(path.read_text().replace("datasets", "2026-10"))
    before = contents()
    changing(monkeypatch, path, after)
    ran = command("promote", "*", *STAGES)
    assert ran.code == errors.CONFIGURATION
    assert "changed meanwhile; run this again" in ran.err
    del before[path]
    assert path.read_bytes().endswith(b"# theirs\n")
    assert {name: text for name, text in contents().items() if name != path} == before


def test_a_file_that_cannot_be_written_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    before = contents()
    monkeypatch.setattr(Path, "replace", full)
    ran = command("promote", "churn", *STAGES)
    assert ran.code == errors.CONFIGURATION
    assert f"{CHURN} cannot be written: No space left on device" in ran.err
    assert contents() == before


@pytest.mark.parametrize("given", [("churn",), ("churn", "--to", "production"), STAGES])
def test_what_is_missing_is_wrong_usage(command: Command, given: tuple[str, ...]) -> None:
    assert command("promote", *given).code == errors.USAGE
