"""ServeApplication against what answers as Ray does: writes, faults, and other writers."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import (
    ConflictError,
    RefusedError,
    UnavailableError,
    UnreachableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.model import (
    Binding,
    HealthCode,
    Model,
    ModelRef,
    Probe,
    Recipe,
    SecretName,
    Version,
)
from reconciler.platforms.contract import DONE, Left, OperationState
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.coalesce import EMPTY_S, MOST_WRITES
from reconciler.platforms.ray.connection import Ray, credential_of
from reconciler.platforms.ray.package import code_of
from reconciler.platforms.ray.serve_application import ServeApplications, live_from_export
from reconciler.platforms.ray.serve_config import Application, ServeAddress, short_name
from reconciler.soon import Once
from reconciler.stores.folder import FolderStore
from tests.ray.serve_standin import APPLICATIONS, ServeStandin, Shown
from tests.ray.standin import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.platforms.contract import Target

MARK = "prod@store"
FOREIGN = {
    "name": "theirs",
    "route_prefix": "/theirs",
    "import_path": "their.module:app",
    "runtime_env": {"env_vars": {"PASSWORD": "hunter2-of-others"}, "pip": ["a==1.0"]},
    "args": {"rate": 0.1, "many": [1, 2.0, None, "ä"]},
}


class Place:
    """A store, a cluster, and a target of both; `paused` are the pauses that it made."""

    def __init__(self, root: Path, standin: ServeStandin | None = None) -> None:
        (root / "store").mkdir(parents=True)
        (root / "code").mkdir()
        (root / "code" / "serve.py").write_text("def load(path): ...\n")
        self.root = root
        self.store = FolderStore(root / "store")
        self.standin = standin or ServeStandin()
        self.serve = self.standin.serve
        self.paused: list[float] = []
        self.now = 0.0
        self.target = self.another()

    def another(
        self,
        mark: str = MARK,
        pause: Callable[[float], object] | None = None,
        cluster: str = "",
    ) -> ServeApplications:
        """The target of another run."""
        http = Http(threads=8, sleep=pause or self.paused.append, retries=0)
        ray = Ray(self.standin.url, SecretName("RAY_TOKEN"), self.standin.at, cluster)
        known = self.cluster(ray, http)
        return ServeApplications(ray, known, mark, self.store, http, lambda: self.now)

    def cluster(self, ray: Ray, http: Http) -> Cluster:
        """The cluster as another run knows it."""
        credential = credential_of(ray, lambda _: TOKEN, frozenset())
        return Cluster(Client(http, ray, credential), self.store)

    def model(self, version: str) -> Model:
        self.store.put(f"churn/{version}/model", f"model {version}".encode())
        ref = ModelRef(f"{self.store.uri}/churn/{version}/model")
        return Model(ref, Version("churn", version))

    def binding(
        self, name: str = "churn", *, adopt: bool = False, start_s: float = 600.0, **settings: str
    ) -> Any:
        return Binding(
            name,
            "ServeApplication",
            self.address(name),
            Version("churn", "1"),
            Recipe("file"),
            part=Application(
                name, f"/{name}", folder=str(self.root / "code"), answer="/rows", start_s=start_s
            ),
            settings=tuple(settings.items()),
            adopt=adopt,
            probe=Probe("{}", ("version",)),
        )

    def address(self, name: str = "churn") -> ServeAddress:
        return ServeAddress(self.standin.url.removeprefix("http://"), name)

    def served(self, name: str = "churn") -> str:
        """The version that answers, asked without the target."""
        shown = self.serve.applications[name]
        return str(shown.serves["args"]["model"]["version"]) if shown.serves else ""

    @property
    def puts(self) -> int:
        return len(self.serve.bodies)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.standin.close()


def test_an_application_is_made_switched_and_scored(place: Place) -> None:
    one, two, binding = place.model("1"), place.model("2"), place.binding()
    assert place.target.observe(binding).health.code is HealthCode.MISSING
    operation = place.target.create(binding, one)
    assert place.target.progress(operation) == DONE
    live = place.target.observe(binding)
    assert (live.served, live.ours, live.health.code) == (one.ref, True, HealthCode.HEALTHY)
    place.target.switch(binding, two)
    assert place.target.observe(binding).served == two.ref
    answer = place.target.score(binding)
    assert (answer.score.rows, answer.model) == ((("2",),), two.ref.url)
    with pytest.raises(ConflictError, match="is there by now"):
        place.target.create(binding, one)


def test_what_is_there_already_is_not_sent_again(place: Place) -> None:
    one, binding = place.model("1"), place.binding(replicas="2")
    place.target.switch(binding, one)
    for target in (place.target, place.another()):
        assert target.progress(target.switch(binding, one)) == DONE
        assert target.progress(target.update(binding)) == DONE
    assert place.puts == 1
    assert len(place.standin.world.packages) == 1


def test_applications_of_others_are_sent_back_as_they_were_and_never_shown(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    place.serve.declare([FOREIGN])
    place.serve.applications["made"] = Shown(None, source="imperative")
    place.target.switch(place.binding(), place.model("1"))
    (body,) = place.serve.bodies
    assert body["applications"][0] == FOREIGN
    assert [each["name"] for each in body["applications"]] == ["theirs", "churn"]
    assert set(place.serve.applications) == {"theirs", "made", "churn"}
    beside = {str(each) for each in place.target.neighbours([place.binding()])}
    assert {each.rpartition("/")[2] for each in beside} == {"theirs", "made"}
    place.target.delete(place.address())
    assert place.serve.bodies[-1]["applications"] == [FOREIGN]
    notes = [path.read_text() for path in place.root.rglob("*.json")]
    assert "hunter2" not in caplog.text + "".join(notes)


def test_what_the_cluster_is_told_beside_applications_stays(place: Place) -> None:
    place.serve.declare([FOREIGN])
    place.serve.around = {
        "target_capacity": 50.0,
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": 8123},
    }
    place.target.switch(place.binding(), place.model("1"))
    (body,) = place.serve.bodies
    assert {name: body[name] for name in place.serve.around} == place.serve.around


def test_many_swaps_of_a_cluster_are_few_requests(place: Place) -> None:
    one, two = place.model("1"), place.model("2")
    names = [f"a{number:03}" for number in range(60)]
    with ThreadPoolExecutor(60) as pool:
        list(pool.map(lambda name: place.target.switch(place.binding(name), one), names))
        first = place.puts
        list(pool.map(lambda name: place.target.switch(place.binding(name), two), names))
    assert {place.served(name) for name in names} == {"2"}
    assert first <= 12
    assert place.puts - first <= 12


def test_one_that_is_refused_does_not_stop_the_others(place: Place) -> None:
    place.serve.declare([FOREIGN])
    binding = place.binding("theirs")
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(place.target.switch, place.binding(), place.model("1"))
        bad = pool.submit(place.target.switch, binding, place.model("1"))
        assert isinstance(bad.exception(), RefusedError)
        assert good.exception() is None
    assert place.served() == "1"
    assert place.serve.applications["theirs"].config == FOREIGN


def test_a_candidate_that_does_not_start_is_taken_back_letter_for_letter(place: Place) -> None:
    binding, one, two = place.binding(replicas="1"), place.model("1"), place.model("2")
    place.target.switch(binding, one)
    before = place.serve.applications["churn"].config
    place.serve.breaks = lambda config: config["args"]["model"]["version"] == "2"
    (place.root / "code" / "serve.py").write_text("# changed with the version\n")
    target = place.another()
    operation = target.switch(binding, two)
    failed = target.progress(operation)
    assert (failed.state, failed.left) == (OperationState.FAILED, Left.CANDIDATE_DECLARED)
    assert failed.words == "Ray did not deploy it: ValueError: the model is broken"
    live = place.another().observe(binding)  # of a run that knows nothing of this one
    assert (live.served, live.configured) == (one.ref, two.ref)
    assert live.health.code is HealthCode.DEGRADED
    again = place.another()
    assert again.progress(again.take_back(binding, one)) == DONE
    assert place.serve.applications["churn"].config == before
    assert place.another().observe(binding).served == one.ref


def test_code_that_changed_since_the_plan_is_not_served(place: Place) -> None:
    planned = short_name(code_of(place.root / "code", built=True).uri)
    binding, one = place.binding(code=planned), place.model("1")
    place.target.switch(binding, one)
    (place.root / "code" / "serve.py").write_text("# nobody approved this\n")
    with pytest.raises(RefusedError, match="changed since this was planned"):
        place.another().switch(binding, place.model("2"))
    assert place.served() == "1"
    place.another().take_back(binding, one)  # the way back is never refused for it


def test_code_that_the_cluster_forgot_is_not_declared_again(place: Place) -> None:
    binding, one, two = place.binding(), place.model("1"), place.model("2")
    place.target.switch(binding, one)
    place.serve.breaks = lambda config: config["args"]["model"]["version"] == "2"
    place.target.switch(binding, two)
    place.standin.world.packages.clear()
    place.another().take_back(binding, one)
    assert len(place.standin.world.packages) == 1
    assert place.served() == "1"


def test_code_that_the_cluster_dropped_meanwhile_is_sent_again(place: Place) -> None:
    packages = place.standin.world.packages
    place.target.switch(place.binding("a"), place.model("1"))
    sent = dict(packages)
    packages.clear()  # nothing used it for ten minutes
    place.now += 600
    place.target.switch(place.binding("b"), place.model("1"))
    assert packages == sent


def test_what_failed_is_tried_again_as_a_configuration_that_ray_has_not_seen(place: Place) -> None:
    binding, one = place.binding(), place.model("1")
    place.serve.breaks = lambda _: True
    place.target.create(binding, one)
    place.serve.breaks = lambda _: False
    place.another().switch(binding, one)
    assert place.served() == "1"
    assert place.serve.applications["churn"].config["args"]["model"]["attempt"] == 2


def test_settings_that_do_not_come_into_effect_are_taken_back(place: Place) -> None:
    binding, one = place.binding(replicas="1"), place.model("1")
    place.target.switch(binding, one)
    before = place.serve.applications["churn"].config
    place.serve.breaks = lambda config: config["deployments"][0].get("num_replicas") == 9
    operation = place.target.update(place.binding(replicas="9"))
    failed = place.target.progress(operation)
    assert failed.state is OperationState.FAILED
    assert "its previous settings are declared again" in failed.words
    assert place.serve.applications["churn"].config == before
    place.serve.applications["churn"].status = "DEPLOYING"  # as Ray is for a while
    assert place.another().observe(binding).served == one.ref


def test_the_way_back_is_what_ran_although_anothers_write_makes_all_deploying(place: Place) -> None:
    for version in ("1", "2"):
        place.target.switch(place.binding(), place.model(version))
    before = place.serve.applications["churn"].config
    target = place.another()
    assert target.observe(place.binding()).served == place.model("2").ref
    place.serve.applications["churn"].status = "DEPLOYING"  # as all are after each write
    place.serve.breaks = lambda config: bool(config.get("deployments"))
    operation = target.update(place.binding(replicas="9"))
    assert target.progress(operation).state is OperationState.FAILED
    assert place.serve.applications["churn"].config == before


def test_a_slow_start_is_waited_for_until_the_declared_time(place: Place) -> None:
    binding, one, two = place.binding(), place.model("1"), place.model("2")
    place.target.switch(binding, one)
    place.serve.slow = lambda _: True
    operation = place.target.switch(binding, two)
    assert place.target.progress(operation).state is OperationState.RUNNING
    live = place.another().observe(binding)
    assert (live.served, live.health.code) == (one.ref, HealthCode.PROGRESSING)
    place.now = 601
    failed = place.target.progress(operation)
    assert (failed.state, failed.left) == (OperationState.FAILED, Left.CANDIDATE_DECLARED)


def test_the_way_back_has_time_however_short_a_start_may_be(place: Place) -> None:
    binding, one, two = place.binding(start_s=5.0), place.model("1"), place.model("2")
    place.target.switch(binding, one)
    place.serve.slow = lambda _: True
    place.now = 100.0
    operation = place.target.switch(binding, two)
    place.now += 6
    assert place.target.progress(operation).state is OperationState.FAILED
    live = place.target.observe(binding)  # which is not waited for: it can be taken back
    assert (live.health.code, live.configured) == (HealthCode.DEGRADED, two.ref)
    back = place.target.take_back(binding, one)
    place.now += 500
    assert place.target.progress(back).state is OperationState.RUNNING


# --- others ---------------------------------------------------------------------------------------


def test_two_environments_share_a_cluster(place: Place) -> None:
    other = place.another("other@store")
    place.target.switch(place.binding("a"), place.model("1"))
    other.switch(place.binding("b"), place.model("1"))
    assert {place.served(name) for name in "ab"} == {"1"}
    with pytest.raises(RefusedError, match="belongs to prod@store"):
        other.switch(place.binding("a"), place.model("2"))
    with pytest.raises(RefusedError, match="does not carry"):
        other.delete(place.address("a"))
    assert [each.name for each in other.owned([])] == ["b"]
    assert place.target.owned([place.address("a").id]) == ()


def test_a_change_that_another_writer_replaced_is_written_again(place: Place) -> None:
    place.serve.declare([FOREIGN])
    stale = [FOREIGN]
    declare = place.serve.put

    def beaten(body: Any) -> None:
        declare(body)
        if stale:
            place.serve.declare([stale.pop()])  # it read before, and writes after

    place.serve.put = beaten  # type: ignore[method-assign]
    place.target.switch(place.binding(), place.model("1"))
    assert place.served() == "1"
    assert place.puts == 2


def test_a_writer_that_never_stops_is_named(place: Place) -> None:
    declare = place.serve.put

    def beaten(body: Any) -> None:
        declare(body)
        place.serve.declare([FOREIGN])

    place.serve.put = beaten  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="somebody else writes"):
        place.target.switch(place.binding(), place.model("1"))


def test_a_change_that_is_undone_later_is_made_again_but_not_for_ever(place: Place) -> None:
    operation = place.target.switch(place.binding(), place.model("1"))
    for _ in range(MOST_WRITES):
        place.serve.declare([FOREIGN])  # read before our request, and written after it
        assert place.target.progress(operation).state is OperationState.RUNNING
        assert place.target.progress(operation) == DONE
    place.serve.declare([FOREIGN])
    gone = place.target.progress(operation)
    assert (gone.state, gone.left) == (OperationState.FAILED, Left.AS_BEFORE)


def test_a_swap_and_a_deletion_that_are_undone_are_made_again(place: Place) -> None:
    place.target.switch(place.binding(), place.model("1"))
    before = place.serve.applications["churn"].config
    operation = place.target.switch(place.binding(), place.model("2"))
    place.serve.declare([before])
    assert place.target.progress(operation).state is OperationState.RUNNING
    assert (place.target.progress(operation), place.served()) == (DONE, "2")
    before = place.serve.applications["churn"].config
    operation = place.target.delete(place.address())
    place.serve.declare([before])
    assert place.target.progress(operation).state is OperationState.RUNNING
    assert (place.target.progress(operation), place.serve.applications) == (DONE, {})


def test_what_somebody_else_declares_meanwhile_is_left_alone(place: Place) -> None:
    place.target.switch(place.binding(), place.model("1"))
    operation = place.target.switch(place.binding(), place.model("2"))
    theirs = {**FOREIGN, "name": "churn", "route_prefix": "/churn"}
    place.serve.declare([theirs])
    assert place.target.progress(operation).state is OperationState.FAILED
    assert place.serve.applications["churn"].config == theirs


def test_a_cluster_that_changes_while_edits_are_made_is_read_again(place: Place) -> None:
    real = place.store.put

    def slow(name: str, content: bytes) -> str:
        if name.startswith("_serve/"):
            place.serve.declare([FOREIGN])
        return real(name, content)

    place.store.put = slow  # type: ignore[method-assign]
    place.target.switch(place.binding(), place.model("1"))
    assert (place.puts, set(place.serve.applications)) == (1, {"theirs", "churn"})


def test_writers_that_share_nothing_but_a_cluster_lose_no_change(place: Place) -> None:
    place.serve.slow = lambda _: True
    others = [Place(place.root / str(number), place.standin) for number in range(6)]
    begun: dict[str, tuple[Place, str]] = {}

    def switch(number: int) -> None:
        by, name = others[number % len(others)], f"a{number}"
        while name not in begun:  # as the engine does
            with contextlib.suppress(ConflictError, UnavailableError):
                begun[name] = by, by.target.switch(by.binding(name), by.model("1"))

    def ask(by: Place, operation: str) -> None:
        with contextlib.suppress(ConflictError):
            by.target.progress(operation)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(switch, range(24)))
        puts = -1
        while puts != place.puts:  # somebody wrote again
            puts = place.puts
            list(pool.map(ask, *zip(*begun.values(), strict=True)))
    assert set(place.serve.applications) == {f"a{number}" for number in range(24)}
    for shown in place.serve.applications.values():
        shown.serves, shown.status = shown.config, "RUNNING"
    assert {by.target.progress(operation) for by, operation in begun.values()} == {DONE}


def test_somebody_elses_edit_of_our_application_is_drift_and_is_repaired(place: Place) -> None:
    binding, one = place.binding(), place.model("1")
    place.target.switch(binding, one)
    ours = json.loads(json.dumps(place.serve.applications["churn"].config))
    ours["args"] = {"theirs": 1}
    place.serve.declare([ours])
    target = place.another()
    live = target.observe(binding)
    assert (live.served, live.refusal) == (None, None)
    assert "reconciler_serve" in live.model_text
    target.switch(binding, one)
    assert target.observe(binding).served == one.ref


def test_an_application_that_was_there_is_taken_over_only_by_adoption(place: Place) -> None:
    place.serve.declare([{**FOREIGN, "name": "churn", "route_prefix": "/churn"}])
    live = place.target.observe(place.binding())
    assert live.refusal is not None
    with pytest.raises(RefusedError, match="adopt: true"):
        place.target.switch(place.binding(), place.model("1"))
    adopting = place.binding(adopt=True)
    assert place.target.observe(adopting).refusal is None
    place.target.switch(adopting, place.model("1"))
    assert place.served() == "1"
    assert [(o.name, o.adopted) for o in place.target.owned(frozenset())] == [("churn", True)]
    assert "hunter2" not in "".join(path.read_text() for path in place.root.rglob("*.json"))


def test_variables_of_an_application_are_kept_by_the_cluster_alone(place: Place) -> None:
    place.serve.declare([{**FOREIGN, "name": "churn", "route_prefix": "/churn"}])
    adopting, one, two = place.binding(adopt=True), place.model("1"), place.model("2")
    place.target.switch(adopting, one)
    before = place.serve.applications["churn"].config
    assert before["runtime_env"]["env_vars"] == {"PASSWORD": "hunter2-of-others"}
    place.serve.breaks = lambda config: config["args"]["model"]["version"] == "2"
    place.target.switch(adopting, two)
    assert "hunter2" not in "".join(path.read_text() for path in place.root.rglob("*.json"))
    live = place.another().observe(adopting)
    assert (live.served, live.configured) == (one.ref, two.ref)
    place.another().take_back(adopting, one)
    assert place.serve.applications["churn"].config == before


def test_the_name_of_an_application_that_was_deleted_is_free_for_others(place: Place) -> None:
    place.target.switch(place.binding(), place.model("1"))
    place.target.delete(place.address())
    theirs = {**FOREIGN, "name": "churn", "route_prefix": "/churn"}
    place.serve.declare([theirs])
    assert place.another().observe(place.binding()).refusal is not None
    with pytest.raises(RefusedError, match="adopt: true"):
        place.another().switch(place.binding(), place.model("1"))
    assert place.serve.applications["churn"].config == theirs


def test_a_route_of_others_is_refused_before_anything_is_sent(place: Place) -> None:
    place.serve.declare([{**FOREIGN, "route_prefix": "/churn"}])
    with pytest.raises(RefusedError, match="that of the application theirs"):
        place.target.switch(place.binding(), place.model("1"))
    assert place.puts == 0


def test_a_ray_that_would_take_the_only_replica_down_is_refused(place: Place) -> None:
    for version, refused in (("2.59.1", True), ("2.60.0", False), ("3.0.0.dev0", False)):
        place.standin.world.version = version
        refusal = place.another().observe(place.binding()).refusal
        assert (refusal is not None) is refused, version
    assert place.puts == 0


def test_what_ray_does_not_show_is_not_sent_back(place: Place) -> None:
    hidden = {**FOREIGN, "runtime_env": {"env_vars": {"PASSWORD": "<redacted>"}}}
    place.serve.declare([hidden])
    with pytest.raises(RefusedError, match="does not show all of the application theirs"):
        place.target.switch(place.binding(), place.model("1"))
    assert place.puts == 0


# --- faults ---------------------------------------------------------------------------------------


def test_an_empty_answer_of_a_dashboard_that_cannot_ask_is_unknown(place: Place) -> None:
    place.serve.declare([FOREIGN])
    place.serve.hidden = True
    with pytest.raises(UnavailableError, match="Serve does not run, and it does"):
        place.target.observe(place.binding())
    with pytest.raises(UnavailableError):
        place.target.switch(place.binding(), place.model("1"))
    assert place.puts == 0
    assert set(place.serve.applications) == {"theirs"}


def test_dead_controllers_do_not_hide_the_one_that_lives(place: Place) -> None:
    place.serve.declare([FOREIGN])
    place.serve.hidden, place.serve.dead = True, 12
    with pytest.raises(UnavailableError):
        place.target.switch(place.binding(), place.model("1"))
    assert place.puts == 0
    assert set(place.serve.applications) == {"theirs"}


def test_a_list_that_is_empty_while_another_client_starts_serve_is_read_again(place: Place) -> None:
    place.serve.started = True

    def meanwhile(seconds: float) -> None:
        place.paused.append(seconds)
        if seconds == EMPTY_S:
            place.serve.declare([FOREIGN])

    place.another(pause=meanwhile).switch(place.binding(), place.model("1"))
    assert EMPTY_S in place.paused
    assert set(place.serve.applications) == {"theirs", "churn"}


def test_a_write_whose_answer_is_lost_is_looked_for(place: Place) -> None:
    place.standin.world.faults["PUT", APPLICATIONS] = ["lost"]
    place.target.switch(place.binding(), place.model("1"))
    assert place.puts == 1
    assert place.served() == "1"


@pytest.mark.parametrize(
    "fault", [(503, b"The GCS may be down", "text/plain"), (500, b"Traceback", "text/plain")]
)
def test_a_write_that_failed_is_an_error_of_all_that_waited(place: Place, fault: Any) -> None:
    place.standin.world.faults["PUT", APPLICATIONS] = [fault] * 3
    with pytest.raises((UnavailableError, UnreachableError)):
        place.target.switch(place.binding(), place.model("1"))
    assert place.serve.applications == {}
    place.standin.world.faults.clear()
    place.another().switch(place.binding(), place.model("1"))
    assert place.served() == "1"


@pytest.mark.parametrize(
    "fault",
    [
        (200, b"<!doctype html><title>Sign in</title>", "text/html"),
        (200, b'{"applications": ', "application/json"),
        (503, b"The GCS may be down", "text/plain"),
        (403, b"Forbidden", "text/plain"),
        (404, b"404: Not Found", "text/plain"),
    ],
)
def test_an_answer_that_cannot_be_read_is_never_absence(place: Place, fault: Any) -> None:
    place.standin.world.faults["GET", APPLICATIONS] = [fault] * 8
    with pytest.raises(WireError):
        place.target.observe(place.binding())
    with pytest.raises(WireError):
        place.target.owned([])
    with pytest.raises(WireError):
        place.target.switch(place.binding(), place.model("1"))
    assert place.puts == 0


def test_a_reborn_cluster_is_refused_and_nothing_is_sent_there(place: Place) -> None:
    place.target.switch(place.binding(), place.model("1"))
    place.standin.restart()
    with pytest.raises(RefusedError, match="was restarted and has forgotten"):
        place.another().observe(place.binding())
    assert place.puts == 1


def test_a_cluster_that_restarts_during_a_write_gets_no_application_without_its_code(
    place: Place,
) -> None:
    target, binding, two = place.another(cluster="any"), place.binding(), place.model("2")
    target.switch(binding, place.model("1"))
    put = place.serve.put

    def restart(_: Any) -> None:
        place.serve.put = put  # type: ignore[method-assign]
        place.standin.restart()

    place.serve.put = restart  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="was restarted meanwhile"):
        target.switch(binding, two)
    assert place.serve.applications == {}
    operation = target.switch(binding, two)  # as the engine does
    code = place.serve.applications["churn"].config["runtime_env"]["working_dir"]
    assert code.removeprefix("gcs://") in place.standin.world.packages
    place.standin.restart()
    assert target.progress(operation).state is OperationState.FAILED
    assert place.serve.applications == {}


def test_a_model_that_is_in_no_store_is_refused(place: Place) -> None:
    with pytest.raises(RefusedError, match="nobody knows its SHA-256"):
        place.target.switch(place.binding(), Model(ModelRef("s3://elsewhere/model")))


# --- reading --------------------------------------------------------------------------------------


class Soon:
    """Work that begins when it is asked for."""

    def __call__(self, work: Callable[[], Any]) -> Callable[[], Any]:
        once: Once[Any] = Once()
        return lambda: once("", work)


def test_a_plan_asks_a_cluster_once_for_any_number_of_applications(place: Place) -> None:
    names = [f"a{number}" for number in range(40)]
    for name in names[:20]:
        place.target.switch(place.binding(name), place.model("1"))
    place.standin.world.requests.clear()
    bindings = [place.binding(name) for name in names]
    target: Target = place.another().surveyed(bindings, Soon())
    found = [target.observe(binding).health.code for binding in bindings]
    assert found == [HealthCode.HEALTHY] * 20 + [HealthCode.MISSING] * 20
    assert place.standin.world.requests.count(f"GET {APPLICATIONS}") == 1
    assert len(place.standin.world.requests) <= 6


def test_a_plan_sends_no_write(place: Place) -> None:
    place.target.observe(place.binding())
    place.target.owned([])
    assert all(request.startswith("GET ") for request in place.standin.world.requests)


def test_a_deleted_application_is_gone_and_deleting_again_is_no_error(place: Place) -> None:
    place.target.switch(place.binding(), place.model("1"))
    address = place.address()
    for _ in range(2):
        assert place.target.progress(place.target.delete(address)) == DONE
    assert place.serve.applications == {}
    assert place.puts == 2


def test_an_export_can_be_planned_against(place: Place) -> None:
    binding, one = place.binding(), place.model("1")
    place.target.switch(binding, one)
    config = place.serve.applications["churn"].config
    config["runtime_env"]["env_vars"] = {"PASSWORD": "hunter2"}
    options = {"runtime_env": {"env_vars": {"TOKEN": "hunter3"}}}
    config["deployments"] = [{"name": "Model", "ray_actor_options": options}]
    document = place.target.export(binding)
    assert "hunter" not in json.dumps(document)
    assert document["runtime_env"]["env_vars"] == {"PASSWORD": ""}
    live = live_from_export({"$reconciler": {}, **document}, binding)
    assert live.served == one.ref
