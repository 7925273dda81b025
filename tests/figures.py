"""The figures of the design, measured: run `python -m tests.figures`.

It prints a table and fails nothing: what must hold is held by tests. Lines are physical lines;
the emulator is left out, since it is a cloud and no part of the reconciler.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from tests.test_floorplan import CLIMBS, LONGEST_FILE

PACKAGE = Path(__file__).parent.parent / "reconciler"
LONGEST_FUNCTION, MOST_PARAMETERS = 50, 8
# What belongs to one platform: kinds, hosts, error codes, endings and ports of Studio; and so on.
PLATFORM_STRINGS = re.compile(
    r"webservice|classicendpoint|classic/|azureml\.net|azure\.com|machinelearning|ilearner"
    r"|x-ms-|studio|\bworkspace\b|\bbes\b|\brrs\b|\barm\b|trainingservice|training.service"
    r"|cannotstartjob|missingjobid|lowlatency|preventupdate|serveapplication|modelalias"
    r"|onlineendpoint|modelfile\b",
    re.IGNORECASE,
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*_FUNCTIONS, ast.ClassDef, ast.Module)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Print the table."""
    files = sorted(p for p in PACKAGE.rglob("*.py") if "emulator" not in p.parts)
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lengths = {path: len(text.splitlines()) for path, text in texts.items()}
    functions = [
        (path, node)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, _Function)
    ]
    private, once = _private_names(trees.values())
    prose = sum(map(_prose_lines, texts.values(), trees.values()))
    long_files = [path for path, length in lengths.items() if length > LONGEST_FILE]
    long_ones = [f for f in functions if _lines(f[1]) > LONGEST_FUNCTION]
    wide_ones = [f for f in functions if _parameters(f[1]) > MOST_PARAMETERS]
    circles = _circles(trees)
    strings = {
        path: found for path, tree in trees.items() if (found := _platform_strings(path, tree))
    }
    rows = [
        ("lines of the package without the emulator", f"{sum(lengths.values()):,}", "18,000", []),
        (f"files longer than {LONGEST_FILE} lines", len(long_files), "0", map(_name, long_files)),
        (f"functions longer than {LONGEST_FUNCTION} lines", len(long_ones), "0", _named(long_ones)),
        (
            f"functions of more than {MOST_PARAMETERS} parameters",
            len(wide_ones),
            "0",
            _named(wide_ones),
        ),
        ("private names used exactly once", f"{once / private:.0%} of {private:,}", "45 %", []),
        ("import circles", len(circles), "0", circles),
        ("arrows upwards", sum(map(len, CLIMBS.values())), "0", sorted(CLIMBS)),
        ("comments and docstrings", f"{prose / sum(lengths.values()):.1%}", "16 %", []),
        ("files with platform strings outside platforms/", len(strings), "0", _counted(strings)),
    ]
    for what, now, goal, where in rows:
        print(f"{what:<50} {now:>16}   goal {goal}")
        for line in where:
            print(f"    {line}")


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _named(functions: list[tuple[Path, _Function]]) -> Iterator[str]:
    for path, node in functions:
        yield f"{_name(path)}:{node.lineno} {node.name}"


def _counted(strings: dict[Path, list[str]]) -> Iterator[str]:
    for path, found in strings.items():
        yield f"{_name(path)}: {', '.join(f'{word} ({n})' for word, n in Counter(found).items())}"


def _lines(node: _Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _parameters(node: _Function) -> int:
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def _private_names(trees: Iterable[ast.Module]) -> tuple[int, int]:
    """How many private names the package defines, and how many of them it uses exactly once."""
    defined, used = set[str](), Counter[str]()
    for tree in trees:
        defined |= {n.name for n in ast.walk(tree) if isinstance(n, (*_FUNCTIONS, ast.ClassDef))}
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            defined |= {target.id for target in targets if isinstance(target, ast.Name)}
        used.update(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
        )
    private = [name for name in defined if name.startswith("_") and not name.startswith("__")]
    return len(private), sum(used[name] == 1 for name in private)


def _prose_lines(text: str, tree: ast.AST) -> int:
    """The lines that are a comment, end in one, or are of a docstring."""
    lines = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and node.body:
            first = node.body[0]
            if ast.get_docstring(node, clean=False) is not None:
                lines |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def _circles(trees: dict[Path, ast.Module]) -> list[str]:
    """The groups of files that import one another, by whatever way and wherever in a file."""
    modules = {_module(path): tree for path, tree in trees.items()}
    direct = {name: _imports(tree, modules.keys()) - {name} for name, tree in modules.items()}
    reached = {name: _reached(name, direct) for name in direct}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in direct
        if name in reached[name]
    }
    return sorted(f"{len(group)}: {', '.join(sorted(group))}" for group in groups)


def _reached(start: str, direct: dict[str, set[str]]) -> set[str]:
    reached, left = set[str](), [start]
    while left:
        new = direct[left.pop()] - reached
        reached |= new
        left += new
    return reached


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, known: Container[str]) -> set[str]:
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                names.add(submodule if submodule in known else node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in known}


def _platform_strings(path: Path, tree: ast.AST) -> list[str]:
    """The platform words in the string literals of a file, docstrings aside; none are counted in
    platforms/, and in stores/, where each file is of one vendor."""
    if path.relative_to(PACKAGE).parts[0] in ("platforms", "stores"):
        return []
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, _DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        match[0].lower()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in documented
        for match in PLATFORM_STRINGS.finditer(node.value)
    ]


if __name__ == "__main__":
    main()
