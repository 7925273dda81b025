"""Making, changing and deleting a New service: what is sent, and what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator import Fault
from reconciler.errors import (
    ConflictError,
    RefusedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
)
from reconciler.http.response import Headers, Response
from reconciler.model import HealthCode, Model
from reconciler.platforms.arm import read_list
from reconciler.platforms.contract import DONE
from reconciler.platforms.studio.hosts import Hosts
from tests.fresh import FRESH, IMPORT_KEY, SERVICE, binding_of, declare, service_of
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.model import ModelRef
    from reconciler.platforms.studio.new import WebServices

MARK = "local@mllocal/models"
TAGS = {"managed-by": "reconciler", "reconciler-environment": MARK}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Lab]:
    """A maker of labs that declare a service which is not there."""

    def made(**options: Any) -> Lab:
        lab = Lab(tmp_path / "lab", **options)
        declare(lab)
        lab.sent.clear()
        return lab

    return made


def target(lab: Lab) -> WebServices:
    return lab.world().targets["WebService"]  # type: ignore[return-value]


def model(lab: Lab) -> ModelRef:
    """A model that is there: the one that somebody deployed."""
    live = target(lab).observe(binding_of(lab, "breast-cancer"))
    assert live.served is not None
    return live.served


def finish(lab: Lab, operation: str) -> None:
    lab.clock.advance(60)
    assert target(lab).progress(operation) == DONE


def created(lab: Lab) -> None:
    finish(lab, target(lab).create(binding_of(lab), Model(model(lab))))


def test_a_service_that_is_not_there_is_missing_by_the_services_own_word(
    make: Callable[..., Lab],
) -> None:
    lab = make()
    assert target(lab).observe(binding_of(lab)).health.code is HealthCode.MISSING


@pytest.mark.parametrize("body", ["", "{}", '{"error": {"code": "ResourceGroupNotFound"}}'])
def test_any_other_404_says_nothing_of_the_service(make: Callable[..., Lab], body: str) -> None:
    lab = make()
    lab.cloud.faults.script(Fault("arm.get", "status", status=404, body=body, times=9))
    with pytest.raises(UnreadableError):
        target(lab).observe(binding_of(lab))
    with pytest.raises(UnreadableError):
        target(lab).create(binding_of(lab), Model(model_of_fault(lab)))
    assert lab.writes == []


def model_of_fault(lab: Lab) -> ModelRef:
    return lab.world().ledger.ref(binding_of(lab).version)


def test_a_service_is_made_with_its_model_its_settings_its_secrets_and_our_tags(
    make: Callable[..., Lab],
) -> None:
    lab = make()
    created(lab)
    service = service_of(lab)
    assert service is not None
    assert service.tags == TAGS
    properties = service.properties
    assert properties["title"] == "Fresh"
    assert properties["realtimeConfiguration"] == {"maxConcurrentCalls": 20}
    assert properties["diagnostics"]["level"] == "Error"
    assert properties["storageAccount"]["name"] == "mllocal"
    assert properties["storageAccount"]["key"] == lab.environ["LOCAL_STORE_KEY"]
    node = properties["package"]["nodes"]["node5"]["parameters"]
    assert node["Account Key"]["value"] == IMPORT_KEY
    live = target(lab).observe(binding_of(lab))
    assert (live.served, live.ours, live.keep) == (model(lab), True, None)
    assert set(binding_of(lab).settings) <= set(live.settings)
    assert live.health.code is HealthCode.HEALTHY


def test_a_service_that_is_being_made_is_waited_for(make: Callable[..., Lab]) -> None:
    lab = make()
    operation = target(lab).create(binding_of(lab), Model(model(lab)))
    assert target(lab).progress(operation).words.startswith("Provisioning")
    live = target(lab).observe(binding_of(lab))
    assert (live.health.code, live.refusal) == (HealthCode.PROGRESSING, None)
    with pytest.raises(UnavailableError, match="is just being created"):
        target(lab).switch(binding_of(lab), Model(model(lab)))
    finish(lab, operation)


def test_the_model_of_the_file_need_not_be_there(make: Callable[..., Lab]) -> None:
    lab = make()
    path = lab.services / "local" / "exports" / "breast-cancer.json"
    (deployed,) = {p.rsplit("/", 1)[1] for p in [model(lab).url]}
    text = path.read_text()
    assert deployed in text
    path.write_text(text.replace(deployed, "of-another-environment.ilearner"))
    created(lab)
    assert target(lab).observe(binding_of(lab)).served == model(lab)


@pytest.mark.parametrize("switch", ["ignored", "honoured"])
def test_what_is_there_by_now_is_never_overwritten(make: Callable[..., Lab], switch: str) -> None:
    lab = make(if_none_match=switch)
    created(lab)
    before, lab.sent[:] = service_of(lab), []
    with pytest.raises(ConflictError):
        target(lab).create(binding_of(lab), Model(model(lab)))
    assert lab.writes == []
    assert service_of(lab) == before


@pytest.mark.parametrize(
    ("switch", "error"), [("ignored", UnreadableError), ("honoured", ConflictError)]
)
def test_a_service_that_appears_between_the_look_and_the_write_is_noticed(
    make: Callable[..., Lab], switch: str, error: type[Exception]
) -> None:
    lab = make(if_none_match=switch)
    created(lab)
    gone = '{"error": {"code": "NotFound", "details": [{"code": "WebServiceNotFound"}]}}'
    ref = model(lab)
    lab.cloud.faults.script(Fault("arm.get", "status", status=404, body=gone))
    with pytest.raises(error):
        target(lab).create(binding_of(lab), Model(ref))


@pytest.mark.parametrize("kind", ["lost-answer", "reset"])
def test_a_creation_is_sent_once_and_never_again_without_a_look(
    make: Callable[..., Lab], kind: str
) -> None:
    lab = make()
    lab.cloud.faults.script(Fault("arm.put", kind))
    with pytest.raises(UnreachableError):
        target(lab).create(binding_of(lab), Model(model(lab)))
    assert [method for method, _ in lab.writes] == ["PUT"]
    lab.clock.advance(60)
    assert (service_of(lab) is not None) == (kind == "lost-answer")


def test_a_creation_that_fails_says_why_and_how_to_get_out(make: Callable[..., Lab]) -> None:
    lab = make()
    lab.cloud.faults.play("operation", "no room")
    operation = target(lab).create(binding_of(lab), Model(model(lab)))
    lab.clock.advance(60)
    assert "no room" in target(lab).progress(operation).words
    live = target(lab).observe(binding_of(lab))
    assert live.health.code is HealthCode.DEGRADED
    assert live.refusal is not None
    assert live.refusal.code == "creation_failed"
    assert "write `state: absent` below spec and apply" in live.refusal.message
    assert (live.ours, live.keep) == (True, None)
    finish(lab, target(lab).delete(binding_of(lab).address))
    assert service_of(lab) is None


@pytest.mark.parametrize("maps", ["replace", "merge"])
def test_an_update_changes_what_git_owns_and_nothing_else(
    make: Callable[..., Lab], maps: str
) -> None:
    lab = make(patch_maps=maps)
    created(lab)
    service = service_of(lab)
    assert service is not None
    service.properties["description"] = "somebody's"
    service.properties["title"] = "drift"
    service.properties["diagnostics"] = {"level": "All", "expiry": "2099-01-01T00:00:00Z"}
    changed = ("title", "diagnostics", "parameters")  # §3.5: `{}` is absent after a PATCH
    before = {n: v for n, v in service.properties.items() if n not in changed}
    lab.sent.clear()
    finish(lab, target(lab).update(binding_of(lab)))
    assert [method for method, _ in lab.writes] == ["PATCH"]
    service = service_of(lab)
    assert service is not None
    assert {n: service.properties[n] for n in before} == before
    assert service.properties["title"] == "Fresh"
    assert service.properties["diagnostics"].get("expiry") is None
    assert service.tags == TAGS
    assert set(binding_of(lab).settings) <= set(target(lab).observe(binding_of(lab)).settings)


@pytest.mark.parametrize("maps", ["replace", "merge"])
def test_protection_is_written_onto_the_service_and_taken_back(
    make: Callable[..., Lab], maps: str
) -> None:
    lab = make(patch_maps=maps)
    created(lab)
    service = service_of(lab)
    assert service is not None
    service.tags["team"] = "risk"
    for protect in (True, False):
        declare(lab, FRESH + f"  protect: {str(protect).lower()}\n")
        finish(lab, target(lab).update(binding_of(lab)))
        assert target(lab).observe(binding_of(lab)).protected is protect
        assert service_of(lab).tags["team"] == "risk"  # type: ignore[union-attr]


def test_a_service_that_git_did_not_make_is_marked_as_adopted(make: Callable[..., Lab]) -> None:
    lab = make()
    declare(lab, FRESH.replace(SERVICE, "breast-cancer-predictive") + "  protect: true\n")
    (lab.services / "local" / "breast-cancer.yaml").unlink()
    finish(lab, target(lab).update(binding_of(lab)))
    found = service_of(lab, "breast-cancer-predictive")
    assert found is not None
    adopted = {**TAGS, "reconciler-adopted": "true", "reconciler-protect": "true"}
    assert (found.tags, found.properties["title"]) == (adopted, "Fresh")


def not_ours(lab: Lab) -> None:
    service = service_of(lab)
    assert service is not None
    service.tags.clear()


def read_only(lab: Lab) -> None:
    service = service_of(lab)
    assert service is not None
    service.properties["readOnly"] = True


def of_another(lab: Lab) -> None:
    service = service_of(lab)
    assert service is not None
    service.tags["Reconciler-Environment"] = "staging@mllocal/models"
    service.tags.pop("reconciler-environment")


KEPT = [
    (not_ours, "not_owned", "az tag update --operation merge --resource-id '/subscriptions/"),
    (of_another, "not_owned", "it does not carry the tags of this environment"),
    (read_only, "read_only", "the service is readOnly"),
]


@pytest.mark.parametrize(("spoil", "code", "why"), KEPT)
def test_what_is_not_ours_or_locked_is_never_deleted(
    make: Callable[..., Lab], spoil: Callable[[Lab], None], code: str, why: str
) -> None:
    lab = make()
    created(lab)
    spoil(lab)
    live = target(lab).observe(binding_of(lab))
    assert live.keep is not None
    assert live.keep.code == code
    assert why in live.keep.message
    lab.sent.clear()
    with pytest.raises(RefusedError):
        target(lab).delete(binding_of(lab).address)
    assert lab.writes == []
    assert service_of(lab) is not None


def test_a_service_of_another_environment_is_not_written(make: Callable[..., Lab]) -> None:
    lab = make()
    created(lab)
    of_another(lab)
    refusal = target(lab).observe(binding_of(lab)).refusal
    assert refusal is not None
    assert refusal.code == "not_owned"
    assert "belongs to staging@mllocal/models, not to local@mllocal/models" in refusal.message
    with pytest.raises(RefusedError):
        target(lab).switch(binding_of(lab), Model(model(lab)))
    with pytest.raises(RefusedError):
        target(lab).update(binding_of(lab))


def test_a_deletion_ends_and_is_nothing_where_nothing_is(make: Callable[..., Lab]) -> None:
    lab = make()
    created(lab)
    where = binding_of(lab).address
    finish(lab, target(lab).delete(where))
    assert target(lab).observe(binding_of(lab)).health.code is HealthCode.MISSING
    lab.sent.clear()
    assert target(lab).delete(where) == ""
    assert lab.writes == []


def test_a_deletion_that_another_began_is_accepted_again(make: Callable[..., Lab]) -> None:
    lab = make()
    created(lab)
    target(lab).delete(binding_of(lab).address)
    finish(lab, target(lab).delete(binding_of(lab).address))
    assert service_of(lab) is None


# --- what git does not declare ---------------------------------------------------------------


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("page_size", [1, 50])
def test_our_services_that_git_does_not_declare_are_found(
    make: Callable[..., Lab], shown: bool, page_size: int
) -> None:
    lab = make(list_tags=shown, page_size=page_size)
    created(lab)
    everything = {each.address.id for each in lab.desired().bindings}
    assert target(lab).owned(everything) == ()
    where = binding_of(lab).address
    (found,) = target(lab).owned(everything - {where.id})
    assert (found.address, found.name, found.protected, found.keep) == (where, SERVICE, False, None)


def test_a_service_that_only_says_so_in_the_list_is_not_ours(make: Callable[..., Lab]) -> None:
    """The list may be older than the service: somebody has taken it out of our hands since."""
    lab = make()
    created(lab)
    before = lab.cloud.handle

    def stale(request: Any) -> Any:
        answer = before(request)
        if request.path.rstrip("/").endswith("webServices"):
            not_ours(lab)
        return answer

    lab.cloud.handle = stale  # type: ignore[method-assign]
    assert target(lab).owned(set()) == ()


ODD_LISTS = ["", "{}", "[]", "null", '{"value": null}', '{"value": [1]}', '{"value": [{}]}']
ODD_LISTS += ['{"value": [], "nextLink": 5}', '{"value": [{"name": "x", "tags": []}]}']


@pytest.mark.parametrize("body", ODD_LISTS)
def test_a_list_that_was_not_read_to_its_end_says_nothing(
    make: Callable[..., Lab], body: str
) -> None:
    lab = make()
    created(lab)
    headers = {"Content-Type": "application/json"}
    fault = Fault("arm.list", "status", status=200, body=body, headers=headers)
    lab.cloud.faults.script(fault)
    with pytest.raises(UnreadableError):
        target(lab).owned(set())


def test_a_list_that_leads_round_in_circles_says_nothing(make: Callable[..., Lab]) -> None:
    lab = make()
    where = binding_of(lab).address.path.rsplit("/", 1)[0]  # type: ignore[attr-defined]
    link = f"{lab.url}{where}?api-version=2017-01-01"
    body = f'{{"value": [], "nextLink": "{link}"}}'
    headers = {"Content-Type": "application/json"}
    lab.cloud.faults.script(Fault("arm.list", "status", 9, 200, headers, body))
    with pytest.raises(UnreadableError, match="leads back"):
        target(lab).owned(set())


def test_a_list_that_never_ends_is_an_error(make: Callable[..., Lab]) -> None:
    lab = make()
    where = binding_of(lab).address.path.rsplit("/", 1)[0]  # type: ignore[attr-defined]
    numbers = iter(range(10_000))

    class Endless:
        def request(self, *_: object, **__: object) -> Response:
            link = f"{lab.url}{where}?page={next(numbers)}"
            return Response(200, Headers({}), f'{{"value": [], "nextLink": "{link}"}}'.encode())

    with pytest.raises(UnreadableError, match="listing X: the list has more than 1,000 pages"):
        read_list(Endless(), None, lab.url, "listing X")  # type: ignore[arg-type]


def test_an_operation_at_a_regional_host_is_asked_for(make: Callable[..., Lab]) -> None:
    """Recorded in West Central US, of a service that was asked at management.azure.com."""
    for host in ("westcentralus.management.azure.com", "management.azure.com"):
        assert f"https://{host}/subscriptions/1" in Hosts("westcentralus").arm_origins


@pytest.mark.parametrize(
    "where", ["https://evil.example/x", "https://a.b.management.azure.com/x", "x"]
)
def test_a_write_whose_operation_cannot_be_asked_for_is_not_called_refused(
    make: Callable[..., Lab], where: str
) -> None:
    with pytest.raises(
        UnreadableError, match="the write was accepted, but its operation"
    ) as caught:
        target(make()).progress(where)
    assert "plan again" in caught.value.message


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_would_be_another_path_is_never_asked_for(
    make: Callable[..., Lab], name: str
) -> None:
    lab = make()
    address = replace(binding_of(lab).address, name=name)  # type: ignore[type-var]
    with pytest.raises(UnreadableError, match="cannot be a part of a path"):
        target(lab).delete(address)
    assert lab.sent == []


def test_a_list_that_leads_to_another_host_gets_no_token(make: Callable[..., Lab]) -> None:
    lab = make()
    body = '{"value": [], "nextLink": "https://evil.example/x"}'
    headers = {"Content-Type": "application/json"}
    lab.cloud.faults.script(Fault("arm.list", "status", 1, 200, headers, body))
    with pytest.raises(RefusedError, match="must not go to"):
        target(lab).owned(set())
