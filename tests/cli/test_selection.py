"""Which bindings a command works on."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.selection import Selection
from reconciler.errors import ConfigurationError
from reconciler.model import Desired, Live
from reconciler.plan import make_plan
from reconciler.platforms.studio.new import WebServiceAddress
from tests.test_plan import ENVIRONMENT, HEALTHY, NEW, binding, observed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def planned(command: Command, *options: str) -> list[str]:
    ran = command("plan", "-o", "json", *options)
    assert ran.code == errors.SUCCESS, ran.err
    return [change["name"] for change in json.loads(ran.out)["changes"]]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["-t", "breast-cancer"], ["breast-cancer"]),
        (["-t", "*-middle", "-t", "*-young"], ["diabetes-middle", "diabetes-young"]),
        (["-x", "diabetes-*"], ["breast-cancer"]),
        (["-t", "diabetes-*", "-x", "*-senior"], ["diabetes-middle", "diabetes-young"]),
        (["-l", "team=oncology"], ["breast-cancer"]),
        (["-x", "nothing-like-it", "-t", "b*"], ["breast-cancer"]),
    ],
)
def test_a_selection_leaves_the_others_out(
    lab: Lab, command: Command, options: list[str], names: list[str]
) -> None:
    assert sorted(planned(command, *options)) == names


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-t", "breast-cancr"], '--target breast-cancr fits no binding of local; did you mean "breast-cancer"?'),
        (["-x", "*"], "no binding of local matches the selection (4 bindings declared)"),
        (["-l", "team=nobody"], "no binding of local matches the selection (4 bindings declared)"),
        (["-l", "team"], "--label team: write KEY=VALUE"),
        (["--shard", "0/4"], "--shard 0/4: write NUMBER/COUNT, from 1/4 to 4/4 for example"),
        (["--shard", "5/4"], "--shard 5/4: write NUMBER/COUNT"),
        (["--shard", "half"], "--shard half: write NUMBER/COUNT"),
    ],
)  # fmt: skip
def test_a_selection_that_means_nothing_is_refused(
    lab: Lab, command: Command, options: list[str], why: str
) -> None:
    for name in ("plan", "apply", "status"):
        ran = command(name, *options)
        assert ran.code == errors.CONFIGURATION
        assert why in ran.err
    assert lab.cloud.log == []


def test_only_what_is_selected_is_applied(lab: Lab, command: Command) -> None:
    assert command("apply", "--yes", "-t", "*-young").code == errors.SUCCESS
    assert [job.state for job in lab.cloud.world.jobs.values()] == ["Finished"]
    assert command("plan", "-t", "*-young", "--detailed-exitcode").code == errors.SUCCESS
    assert command("plan", "--detailed-exitcode").code == errors.CHANGES


def test_the_shards_of_a_plan_are_the_plan(lab: Lab, command: Command) -> None:
    whole = planned(command)
    for count in (1, 2, 3, 7):
        parts = [planned(command, "--shard", f"{i}/{count}") for i in range(1, count + 1)]
        assert Counter(name for part in parts for name in part) == Counter(whole)


def test_shards_of_a_fleet_are_about_as_large_and_do_not_depend_on_the_others(lab: Lab) -> None:
    lab.edit(
        "breast-cancer.yaml",
        "metadata: {name: breast-cancer, ",
        'forEach: {n: {from: "1", to: "1000"}}\nmetadata: {name: "breast-cancer-${n}", ',
    )
    lab.edit("breast-cancer.yaml", "breast-cancer-predictive", '"breast-cancer-${n}"')
    wanted = lab.desired()
    sizes = [len(Selection(shard=f"{i}/4").of(wanted).bindings) for i in range(1, 5)]
    assert sum(sizes) == 1003
    assert all(200 < size < 300 for size in sizes)
    fewer = Selection(targets=("*-1*",), shard="2/4").of(wanted).bindings
    assert set(fewer) <= set(Selection(shard="2/4").of(wanted).bindings)


def test_shards_have_a_lock_each(lab: Lab, command: Command) -> None:
    shards = [f"{i}/3" for i in (1, 2, 3)]
    busy = {shard for shard in shards if planned(command, "--shard", shard)}
    for shard in shards:
        assert command("apply", "--yes", "--shard", shard).code == errors.SUCCESS
    blobs = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
    locks = {name for name in blobs if name.startswith("_locks/")}
    assert locks == {f"_locks/local/{shard.replace('/', '-of-')}.json" for shard in busy}
    assert len(locks) > 1
    ran = command("unlock", "--shard", "2/2", "--force", "it is dead")
    assert "shard 2/2 of environment local was not locked" in ran.err
    assert command("unlock", "--shard", "2", "--force", "x").code == errors.CONFIGURATION


def test_only_what_a_change_touches_is_planned(lab: Lab, command: Command, tmp_path: Path) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test")
    for arguments in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "."]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert planned(command, "--since", "HEAD") == []
    lab.edit("breast-cancer.yaml", '"2026-10"', '"2026-11"')
    assert planned(command, "--since", "HEAD") == ["breast-cancer"]
    assert planned(command, "--since", "HEAD", "-t", "diabetes-*") == []
    ran = command("plan", "--since", "nothing")
    assert ran.code == errors.CONFIGURATION
    assert 'there is no commit "nothing" here' in ran.err


def test_a_selection_of_nothing_is_everything(lab: Lab) -> None:
    wanted = lab.desired()
    assert Selection().of(wanted) is wanted
    with pytest.raises(ConfigurationError):
        Selection(targets=("?",)).of(wanted)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ([], ""),
        (["-t", "bike-1*", "-t", "bike-0[1-5]"], ""),
        (["-t", "bike-[0-3]*"], "40 of 100 endpoints would change (40%)"),
        (["--shard", "1/20"], "of the shard would change (100%), and limits.changes is 30%"),
    ],
)
def test_limits_count_what_the_environment_declares_whatever_is_selected(
    options: list[str], refused: str
) -> None:
    """Neither are a dozen of a hundred too many, nor do shards of few let everything pass."""
    one = binding()
    all_of_them = tuple(
        replace(one, name=f"bike-{n:02}", address=WebServiceAddress("s", "g", f"bike-{n:02}"))
        for n in range(100)
    )
    targets = tuple(o for o in options if o.startswith("bike"))
    shard = options[1] if "--shard" in options else ""
    chosen = Selection(targets=targets, shard=shard).of(Desired(ENVIRONMENT, all_of_them))
    due = chosen.bindings if options else all_of_them[:30]
    seen = [
        observed(binding=b) if b in due else observed(Live(HEALTHY, served=NEW), binding=b)
        for b in chosen.bindings
    ]
    excess = make_plan(ENVIRONMENT, seen, chosen.declared).excess
    assert bool(excess) is bool(refused)
    assert refused in "".join(excess)
