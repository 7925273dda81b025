"""Who may import whom. This table is the architecture; CONTRIBUTING.md shows it to people."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from reconciler.platforms import BUILT_IN, platforms

PACKAGE = Path(__file__).parent.parent / "reconciler"
LONGEST_FILE = 400  # lines; the emulator is a cloud of its own

MAY_IMPORT = {
    "auth": set(),
    "soon": set(),
    "strict_json": set(),
    "near": set(),
    "model": {"auth", "model"},
    "secrecy": set(),
    "errors": {"secrecy"},
    "codec": set(),
    "gates": {"model"},
    "limits": {"model"},
    "waves": {"model"},
    "freeze": {"model"},
    "plan": {"model", "gates", "limits", "waves"},
    "approval": {"model"},
    "verify": {"model"},
    "render": {"strict_json", "model", "codec", "render"},
    "git": {"errors"},
    "console": {"errors", "render"},
    "outcome": {"model", "errors", "render"},
    "desired": {
        "secrecy",
        "freeze",
        "strict_json",
        "model",
        "errors",
        "near",
        "desired",
        "platforms.platform",
        "stores.kinds",
    },
    "http": {"strict_json", "model", "errors", "soon", "http"},
    "stores": {
        "strict_json",
        "model",
        "errors",
        "soon",
        "http",
        "stores",
        "stores.contract",
        "stores.kinds",
        "stores.survey",
    },
    "platforms": {
        *(
            "secrecy",
            "strict_json",
            "model",
            "errors",
            "git",
            "near",
            "soon",
            "http",
            "stores",
            "stores.contract",
        ),
        *("platforms", "platforms.platform"),
    },
    "ledger": {"strict_json", "model", "errors", "codec", "soon", "stores.contract", "ledger"},
    "engine": {
        "near",
        *(
            "strict_json",
            "model",
            "errors",
            "soon",
            "gates",
            "limits",
            "waves",
            "plan",
            "approval",
            "verify",
        ),
        *("platforms", "stores.contract", "stores.survey", "ledger", "engine"),
    },
    "ci": {"strict_json", "model", "errors", "git", "console", "outcome", "http", "render", "ci"},
    "report": {"model", "errors", "render", "report"},
    "offline": {
        *("secrecy", "strict_json", "model", "errors", "codec", "console", "outcome"),
        *("http", "stores", "stores.contract", "render", "offline", "platforms.platform"),
    },
    "emulator": {"emulator"},
    "api": {"model", "approval", "outcome", "console", "cli"},
}

# What still climbs, file by file: this table only shrinks.
CLIMBS: dict[str, set[str]] = {}

# Arrows that close a circle, of imports for types alone: this table only shrinks.
CLOSING = {
    ("emulator.core", "emulator.definitions"),
    ("emulator.core", "emulator.served"),
    ("emulator.jobs", "emulator.served"),
}

ALONE = {
    "platforms.platform",  # what `desired` is handed platforms as
    *("stores.contract", "stores.survey"),  # what is asked of any store, and of a list of it
    "stores.kinds",  # what a URL of a store looks like
}

PURE = {
    "auth",
    "codec",
    "model",
    "plan",
    "waves",
    "freeze",
    "approval",
    "gates",
    "limits",
    "verify",
    "render",
}
IMPURE = {
    "requests",
    "urllib3",
    "os",
    "pathlib",
    "time",
    "random",
    "typer",
    "azure",
    "rich",
    "socket",
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions and under TYPE_CHECKING."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "reconciler":
                found |= {f"reconciler.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    return found


def arrows() -> dict[str, set[str]]:
    """Every module of ours -> those that it imports, at its top, lazily, or for types."""
    names = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        froms = (node for node in nodes if isinstance(node, ast.ImportFrom))
        pairs = [(node.module or "", alias.name) for node in froms for alias in node.names]
        ours = [
            (f"{m}.".removeprefix("reconciler."), n) for m, n in pairs if m[:10] == "reconciler"
        ]
        wanted = {m + n if m + n in names else m.removesuffix(".") for m, n in ours}
        found[name] = wanted & set(names) - {name}
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = arrows()
    for begin, end in CLOSING:
        assert end in graph[begin], f"{begin} no longer imports {end}: shrink the table"
        graph[begin].remove(end)
    tuple(TopologicalSorter(graph).static_order())  # CycleError names the circle


def files_of(room: str) -> list[Path]:
    single = PACKAGE / f"{room}.py"
    return [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))


def room_of(module: str) -> str:
    """The room of a module; a file that a room may import alone is named whole."""
    inside = module.removeprefix("reconciler.")
    return inside if inside in ALONE else inside.split(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    assert files_of(room), f"the table names {room}, which does not exist"
    for path in files_of(room):
        ours = {room_of(n) for n in imports_of(path) if n.startswith("reconciler.")}
        ours -= {"__version__"}
        climbs = CLIMBS.get(str(path.relative_to(PACKAGE)), set())
        assert ours - MAY_IMPORT[room] == climbs, f"{path}: {sorted(ours - MAY_IMPORT[room])}"


@pytest.mark.parametrize("room", sorted(PURE))
def test_a_pure_room_touches_no_world(room: str) -> None:
    for path in files_of(room):
        touched = {name.split(".")[0] for name in imports_of(path)} & IMPURE
        assert not touched, f"{path} imports {sorted(touched)}"


def test_every_room_is_in_the_table() -> None:
    rooms = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir()}
    rooms -= {"__init__", "__pycache__", "__main__", "py", "cli"}
    assert rooms == set(MAY_IMPORT)


def test_no_file_of_the_package_is_longer_than_the_design_allows() -> None:
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
        if "emulator" not in path.parts
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_one_place_says_where_two_values_differ() -> None:
    users = {p.stem for p in PACKAGE.rglob("*.py") if "deepdiff" in imports_of(p)}
    assert users == {"differences"}


def test_only_http_and_the_emulators_test_door_open_sockets() -> None:
    users = {
        str(path.relative_to(PACKAGE).parts[0])
        for path in PACKAGE.rglob("*.py")
        if {name.split(".")[0] for name in imports_of(path)} & {"requests", "urllib3"}
    }
    assert users <= {"http", "emulator"}


# --- strings of one platform ---------------------------------------------------------------------

# What is known inside the folder of a platform only, beside its kinds and fields: hosts, error
# codes, endings of files, ports, and what it calls its own things.
STRINGS = {
    "studio": (
        *(r"\bClassic\b", r"\bNew web service", r"\bStudio\b", r"[Tt]raining services?\b"),
        *(r"azureml", r"management\.azure", r"InitializingContainers", r"CannotStartJob"),
        *(r"\.ilearner", r"\.arff", r"\binput1\b", r"\boutput1\b"),
        *(r"\b[Aa]sset or resource\b", r"\.asset\b"),
    ),
    "local": (r"\bpointer file",),
    "Azure": (r"x-ms-",),
    "mlflow": (r"\bMLflow\b", r"mlflow-artifacts", r"RESOURCE_DOES_NOT_EXIST"),
}
# Files outside that still have some: this list only shrinks.
STILL = {
    *("engine/evaluation.py", "gates.py", "secrecy.py"),
}
# The emulator is Studio's twin, and a file of `stores/` is of one vendor, whose words it may know.
_ELSEWHERE = ("platforms", "emulator", "stores")


def strings_of_platforms() -> re.Pattern[str]:
    kinds = [rf"\b{name}\b" for each in platforms().values() for name in each.kinds]
    return re.compile("|".join([*kinds, *(each for more in STRINGS.values() for each in more)]))


def test_what_belongs_to_one_platform_stands_in_its_folder() -> None:
    pattern = strings_of_platforms()
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in _ELSEWHERE
        and pattern.search(path.read_text(encoding="utf-8"))
    }
    assert found <= STILL, sorted(found - STILL)


def test_no_platform_imports_another() -> None:
    for platform in BUILT_IN:
        for path in (PACKAGE / "platforms" / platform).rglob("*.py"):
            others = {f"reconciler.platforms.{name}" for name in BUILT_IN if name != platform}
            touched = {n for n in imports_of(path) if any(n.startswith(other) for other in others)}
            assert not touched, f"{path} imports {sorted(touched)}"
