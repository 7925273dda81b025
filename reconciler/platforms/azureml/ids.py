"""Pure: what the workspace calls models, and how the program refers to them.

A reference is that of a deployment: the model and the deployment that serves it. So a change of
what is fixed with a deployment is seen as a change of the reference, and is staged and proved.

    azureml://SUBSCRIPTION/group/workspace/models/fraud/versions/7/deployments/rc-0123456789abcdef
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote

from reconciler.model import ModelRef, Recipe, Version
from reconciler.platforms.azureml.connection import AzureMl

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_ASSET = re.compile(
    r"(?:azureml:)?(?P<before>/.*?/workspaces/[^/]+|/.*?/registries/[^/]+|)"
    r"/(?P<kind>models|environments|codes)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?:azureml:)?(?P<name>[^/:]+):(?P<version>[^/:]+)")
_DEPLOYMENTS = "/deployments/"


_SHARED = re.compile(r"azureml://registries/(?P<registry>[^/]+)/models/(?P<model>[^/]+)")


def shared_in(name: str) -> tuple[str, str]:
    """The shared registry and the model there that a registered model names, such as
    `azureml://registries/acme/models/fraud`; the registry is "" of one of the workspace."""
    match = _SHARED.fullmatch(name)
    return (match["registry"], match["model"]) if match else ("", name)


def registered_in(recipe: Recipe) -> str:
    """The registered model of this platform that versions of a recipe are of, or ""."""
    if (recipe.engine, recipe.place) != ("registry", "azureml"):
        return ""
    return dict(recipe.how)["name"]


def label_of(version: Version, mark: str) -> str:
    """The workspace's name for a version that was made elsewhere: `2026-11-1a2b3c4d`.

    The digits tell environments apart whose versions have one name, and versions whose names are
    spelled with what the workspace does not take.
    """
    digest = hashlib.sha256(f"{mark.casefold()}\n{version.folder}".encode()).hexdigest()[:8]
    return f"{spelled(version.version)[:200]}-{digest}"


def spelled(name: str) -> str:
    """A name with letters, digits, dashes and underscores only, as assets have it."""
    return _NOT_IN_A_NAME.sub("-", name).strip("-_")[:240] or "model"


def asset_id(at: AzureMl, kind: str, name: str, version: str) -> str:
    """The ARM id of a version of an asset of the workspace."""
    return f"{at.path}/{kind}/{quote(name, safe='')}/versions/{quote(version, safe='')}"


def whole_id(at: AzureMl, kind: str, written: str) -> str:
    """The id of an asset that people write as `NAME:VERSION`; any other as it is."""
    match = _SHORT.fullmatch(written)
    return asset_id(at, kind, match["name"], match["version"]) if match else written


def short_id(at: AzureMl, ident: str) -> str:
    """An id as people write it: `NAME:VERSION` where it is of this workspace, else as it is. One
    of a shared registry comes back by the registry's name, or by its place in ARM."""
    asset = _ASSET.fullmatch(ident)
    if asset and asset["before"].casefold() in ("", at.path.casefold()):
        return f"{asset['name']}:{asset['version']}"
    if asset and "/registries/" in asset["before"].casefold():
        registry = asset["before"].rpartition("/")[2]
        named = f"{asset['kind']}/{asset['name']}/versions/{asset['version']}"
        return f"azureml://registries/{registry}/{named}"
    short = _SHORT.fullmatch(ident)
    return f"{short['name']}:{short['version']}" if short else ident


def elsewhere(at: AzureMl, model: str) -> str:
    """A model as people know it, where it is of another workspace; else ""."""
    asset = _ASSET.fullmatch(model)
    before = asset["before"] if asset else ""
    if asset is None or before.casefold() in ("", at.path.casefold()):
        return ""
    _, is_workspace, workspace = before.rpartition("/workspaces/")
    named = f"version {asset['version']} of {asset['name']} in the workspace {workspace}"
    return named if is_workspace else ""


def model_id(at: AzureMl, mark: str, recipe: Recipe, version: Version) -> str:
    """The id of a version in the workspace: registered there, or as this environment does that."""
    name = registered_in(recipe)
    if shared_in(name)[0]:
        return f"{name}/versions/{quote(version.version, safe='')}"
    if name:
        return asset_id(at, "models", name, version.version)
    return asset_id(at, "models", spelled(version.model), label_of(version, mark))


def ref_of(at: AzureMl, model: str, deployment: str) -> ModelRef:
    """The reference of a deployment that serves a model, by the id of that."""
    below = f"{_DEPLOYMENTS}{deployment.lower()}"
    short = _SHORT.fullmatch(short_id(at, model))
    if short:
        name, version = (quote(short[each].lower(), safe="") for each in ("name", "version"))
        return ModelRef(f"{at.uri}/models/{name}/versions/{version}{below}")
    text = short_id(at, model).lower().removeprefix("azureml:").lstrip("/")
    return ModelRef(f"azureml://{quote(text, safe='/')}{below}")


def version_in(ref: ModelRef) -> str:
    """The version of the registered model that a deployment serves, "" where it serves another."""
    return unquote(ref.url.rpartition(_DEPLOYMENTS)[0].rpartition("/versions/")[2])


def deployment_in(ref: ModelRef) -> str:
    """The deployment that a reference names, "" where it is no reference of a deployment."""
    _, separator, name = ref.url.rpartition(_DEPLOYMENTS)
    return name if separator and ref.url.startswith("azureml://") else ""


def is_one_model(first: ModelRef, second: ModelRef) -> bool:
    """Whether two references name one model, whichever deployment serves it."""
    model, separator, _ = first.url.rpartition(_DEPLOYMENTS)
    return first == second or (bool(separator) and model == second.url.rpartition(_DEPLOYMENTS)[0])
