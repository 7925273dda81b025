"""Pure: how a New web service is made from an exported definition and what the export left out.

An export holds no secret and nothing that belongs to the service it was taken of alone, and a PUT
needs some of it: the key of the storage account, the commitment plan, and the credentials that
modules of the graph use (STUDIO_PROTOCOL.md §3.3, §3.5). git names the secrets; the rest
is of the environment. The model in the file is never created: a service begins with the version
that its binding wants, once that is trained and accepted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConfigurationError, UnreadableError
from reconciler.model import GIVEN, MADE_FROM, Creation, SecretName, canonical_json
from reconciler.platforms.arm_marks import with_mark
from reconciler.platforms.members import member, near, objects, spelled, text, without
from reconciler.platforms.platform import Wanted
from reconciler.platforms.studio.connection import Refused, account_of, holder_of, studio_of
from reconciler.platforms.studio.new_definition import (
    PARTS,
    READ_ONLY,
    WRITE_ONLY,
    assets_with_credentials,
    assets_with_model,
    assets_without_location,
    check_depth,
    find_model_asset,
    parse_definition,
)
from reconciler.platforms.studio.new_settings import with_settings
from reconciler.secrecy import holds_secret, plain_secrets

if TYPE_CHECKING:
    from reconciler.model import Binding, Environment, ModelRef
    from reconciler.platforms.platform import Block
    from reconciler.platforms.studio.connection import Studio
    from reconciler.platforms.studio.new_definition import Definition

# A trail below `spec`, and what is wrong there.
Misfit = tuple[tuple[str, ...], str]
SecretAt = Callable[..., SecretName]  # the secret that is named at a trail below `spec`

MOST_PAYLOAD_BYTES = 3_000_000  # §3.10: above, the parts must be in a blob
# Of another service, of the server alone, or said anew by `create`.
_NOT_TAKEN = (
    *READ_ONLY,
    *WRITE_ONLY,
    *("packageType", "storageAccount", "readOnly"),
    *("payloadsInBlobStorage", "payloadsLocation"),
)
_FILE = ("definition",)


@dataclass(frozen=True)
class NewService:
    """The parts that a service is made of: the `template` of its definition as JSON, and the
    secrets that are missing in its properties, by the names that lead there."""

    template: str
    secrets: tuple[tuple[tuple[str, ...], SecretName], ...] = ()

    def creation(self, file: str) -> Creation:
        """The creation that people approve: the file of the definition, and where secrets go."""
        named = [[path, name.variable] for path, name in self.secrets]
        digest = hashlib.sha256(canonical_json([self.template, named]).encode()).hexdigest()[:12]
        given = (f"env:{name.variable} as {'/'.join(path)}" for path, name in self.secrets)
        return Creation(self, digest, ((MADE_FROM, file), (GIVEN, ", ".join(given))))


def creation(spec: Block, environment: Environment) -> Creation | None:
    """How the service of a binding's spec is made; None where it says nothing of that.

    ConfigurationError with all that is wrong, at the places in the spec. A fleet is made of one
    text, which is kept once.
    """
    said = spec.data
    if "definition" in said and "create" not in said:
        why = "spec.create is missing, which says what an export leaves out"
        raise ConfigurationError([spec.problem(why, *_FILE)])
    if "create" in said and "definition" not in said:
        why = "spec.definition is missing; name the exported file to create it from"
        raise ConfigurationError([spec.problem(why, "create")])
    if "definition" not in said:
        return None
    made = make_creation(spec.json_file(_DEFINITION, *_FILE), said, environment, spec.secret)
    if isinstance(made, list):
        file = said["definition"]
        raise ConfigurationError(
            [spec.problem(f'"{file}": {why}' if at == _FILE else why, *at) for at, why in made]
        )
    kept = replace(made, template=spec.keep(made.template, *_FILE))
    return kept.creation(said["definition"])


def _without_plain_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """The definition; ValueError if it holds a secret by its name. Of the key of the storage
    account `make_creation` says more."""
    plain = [
        json.dumps(".".join(map(str, trail)), ensure_ascii=False)
        for trail in plain_secrets(document)
        if [str(step).casefold() for step in trail[1:2]] != ["storageaccount"]
    ]
    if plain:
        why = "take the value out, renew it, and name it in spec.create.secrets by env:NAME"
        raise ValueError(f"holds a secret in plain text at {', '.join(plain)}; {why}")
    return document


_DEFINITION = Wanted(
    _without_plain_secrets,
    '{"location": …, "properties": …}',
    "take it out, renew it, and name it in spec.create by env:NAME",
    most_mib=16,  # a definition of the 3 MB that a service is created of, with room for its blanks
)


def make_creation(
    document: Mapping[str, Any], spec: Mapping[str, Any], environment: Environment, secret: SecretAt
) -> NewService | list[Misfit]:
    """How the service of a binding's spec is made; or why it cannot be, all of it at once."""
    try:
        definition = parse_definition(document)
        check_depth(document)
        properties = objects(document, "properties")
        named = spec["create"].get("secrets", {})
        hidden = dict(_encrypted(properties, named))
        wrong = [
            *((_FILE, why) for why in _not_fit(document, definition, spec.get("asset"))),
            *_unnamed_secrets(hidden, named),
        ]
        if "storageAccount" not in spec["create"] and not account_of(environment):
            why = "storageAccount is missing; the store is in no storage account with a key"
            wrong.append((("create",), why))
        if wrong:
            return wrong
        return _creation(definition, properties, hidden, spec["create"], environment, secret)
    except UnreadableError as exc:
        return [(_FILE, exc.message)]


def creation_body(
    binding: Binding, ref: ModelRef, environment: Environment, secret: Callable[[SecretName], str]
) -> dict[str, Any]:
    """The PUT that makes the service with its model, its settings and the environment's tags."""
    assert binding.create is not None
    made: NewService = binding.create.part
    document: dict[str, Any] = json.loads(made.template)
    properties: dict[str, Any] = document["properties"]
    definition = parse_definition(document)
    key = find_model_asset(definition, holder_of(binding))
    assert isinstance(key, str)  # `make_creation` found it
    for trail, name in made.secrets:
        reduce(getitem, trail[:-1], properties)[trail[-1]] = secret(name)
    said_anew = {
        "assets": assets_with_model(definition, key, ref),
        **with_settings(properties, binding.settings),
    }
    kept = without(properties, said_anew)
    tags = with_mark(definition.tags, environment.mark, protect=binding.protect)
    return {**document, "tags": tags, "properties": {**kept, **said_anew}}


def _not_fit(
    document: Mapping[str, Any], definition: Definition, asset: str | None
) -> Iterator[str]:
    """Why no service can be made of the definition, in words without any secret."""
    properties = objects(document, "properties")
    kind = text(properties, "packageType") or "Graph"
    if kind.casefold() != "graph":
        yield f'its packageType is "{kind}"; only a Graph can be created'
    if not definition.assets:
        yield "it has no assets; export the definition again with the parts that are kept in a blob"
        return
    if definition.read_only:
        yield (
            "readOnly is true, and the model of such a service can never be replaced; "
            "take readOnly out"
        )
    if member(properties, "keys") or text(objects(properties, "storageAccount"), "key"):
        yield (
            "it contains keys, which are secrets; remove them, renew them, and name the storage "
            "account's in spec.create"
        )
    key = find_model_asset(definition, asset)
    if not isinstance(key, str):
        training = "it has no trained model and is probably of the training service; export the "
        yield (f"{training}predictive one" if key.code == Refused.NO_MODEL_ASSET else key.message)
        return
    if with_credentials := assets_with_credentials(definition, ""):
        yield (
            f"asset {', '.join(with_credentials)} carries credentials or a SAS; move the file "
            "into the service's own storage account and give its URI without a query"
        )
    if without := assets_without_location(definition, key):
        yield f"asset {', '.join(without)} has no locationInfo.uri; export the definition again"
    size = len(json.dumps({name: member(properties, name) for name in PARTS}).encode())
    if size > MOST_PAYLOAD_BYTES:
        yield (
            f"its parts are {size:,} bytes, and above {MOST_PAYLOAD_BYTES:,} the platform takes "
            "them only from a blob; deploy this service by hand, and bind it"
        )


def _encrypted(
    properties: Mapping[str, Any], named: Mapping[str, object]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The parameters whose value is a secret, by the name that git calls them, and their place.

    `node5/Account Key` is of a module in the graph, `Account Key` a parameter of the service. They
    are known by their certificateThumbprint; the ciphertext beside it serves one region only. One
    that has the name of a secret and no value is another, and one whose value is empty may be.
    """
    package = objects(properties, "package")
    above = (spelled(properties, "package"), spelled(package, "nodes"))
    for node, members in objects(package, "nodes").items():
        if not isinstance(members, dict):
            raise UnreadableError(f"node {node} of the package is not an object")
        for name, value in objects(members, "parameters").items():
            if _is_hidden(name, value, may_be=f"{node}/{name}" in named):
                yield f"{node}/{name}", (*above, node, spelled(members, "parameters"), name)
    for name, value in objects(properties, "parameters").items():
        if _is_hidden(name, value, may_be=name in named):
            yield name, (spelled(properties, "parameters"), name)


def _is_hidden(name: str, value: Any, *, may_be: bool) -> bool:
    if not isinstance(value, dict):
        return False
    if member(value, "certificateThumbprint"):
        return True
    return holds_secret(name) and (may_be or member(value, "value") is None)


def _unnamed_secrets(hidden: Mapping[str, object], named: Mapping[str, object]) -> Iterator[Misfit]:
    """Misfits between the values that a definition hides and the secrets that are named for
    them."""
    if missing := [name for name in hidden if name not in named]:
        listed = ", ".join(f'"{name}"' for name in missing)
        yield (
            ("create",),
            f"the definition hides the value of {listed}; name it in secrets: "
            f'{{"{missing[0]}": env:NAME}}',
        )
    for name in named:
        if name not in hidden:
            why = f'the definition hides no value called "{name}"; {near(name, hidden)}'
            yield ("create", "secrets", name), why


def _creation(
    definition: Definition,
    properties: Mapping[str, Any],
    hidden: Mapping[str, tuple[str, ...]],
    written: Mapping[str, Any],
    environment: Environment,
    secret: SecretAt,
) -> NewService:
    """The service to create: a template without any secret, and where each secret goes in it."""
    studio = studio_of(environment)
    account, key = account_of(environment), environment.store.key
    if "storageAccount" in written:
        account = written["storageAccount"]["name"]
        key = secret("create", "storageAccount", "key")
    assert key is not None  # `make_creation` refused what is in no account
    taken = _taken(properties)
    taken["storageAccount"] = {"name": account}
    taken["commitmentPlan"] = {"id": _plan(written["commitmentPlan"], studio)}
    if studio.workspace and not member(properties, "machineLearningWorkspace"):
        taken["machineLearningWorkspace"] = {"id": studio.workspace.id}
    template = {
        "location": studio.region,
        "tags": dict(definition.tags),
        "properties": {"packageType": "Graph", **taken},
    }
    secrets: list[tuple[tuple[str, ...], SecretName]] = [(("storageAccount", "key"), key)]
    for name, trail in hidden.items():
        at = reduce(getitem, trail, properties)
        secrets.append(((*trail, spelled(at, "value")), secret("create", "secrets", name)))
    # Members keep their order: it is the order of an input's columns (§3.3).
    return NewService(json.dumps(template, separators=(",", ":")), tuple(secrets))


def _taken(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that a new service gets as they are written.

    Diagnostics with an expiry are not: it is over by the time an export is used again, and the
    service refuses a time in the past. `spec.settings` says them anew.
    """
    over = member(objects(properties, "diagnostics"), "expiry") is not None
    return without(properties, (*_NOT_TAKEN, "diagnostics") if over else _NOT_TAKEN)


def _plan(written: str, studio: Studio) -> str:
    """The ARM id of a commitment plan: as it is, or of a name in the environment's group."""
    if written.startswith("/"):
        return written
    group = f"/subscriptions/{studio.subscription}/resourceGroups/{studio.resource_group}"
    return f"{group}/providers/Microsoft.MachineLearning/commitmentPlans/{written}"
