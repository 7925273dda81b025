"""Planning against exported definitions: no network, no credential.

A file says of which binding it speaks by its `$reconciler.name` mark (our `export` writes it),
by the `name` of the definition in it, or by its own file name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from reconciler.errors import ConfigurationError, Problem, WireError
from reconciler.model import Binding, Desired, Health, HealthCode, Live, ModelRef, Reason, Refusal
from reconciler.platforms.platform import Kind
from reconciler.strict_json import parse_json

MARK = "$reconciler"
MOST_BYTES = 64 * 1024 * 1024
MOST_SEPARATORS = 8_000_000  # half a gigabyte once it is read; a thousand exports have fewer


def exported(
    desired: Desired, live: Path, kinds: Mapping[str, Kind]
) -> Iterator[tuple[Binding, Live, ModelRef | None]]:
    """Each binding and what its export says, from a file or a folder of files; and what its
    endpoint calls the declared version, where that is not the model's file.

    A single file speaks of one binding and the others are left out; in a folder, a binding
    without a file is refused. ConfigurationError: unreadable files, or a file of no binding.
    """
    documents = _by_binding(desired, _files(live))
    single = not live.is_dir()
    if single and not documents:
        names = ", ".join(binding.name for binding in desired.bindings)
        why = (
            "this export is of no binding in the environment; its file name or its name must be "
            f"one of: {names}"
        )
        raise ConfigurationError.of_file(live, why)
    for binding in desired.bindings:
        if not single or binding.name in documents:
            yield binding, *_live(binding, documents.get(binding.name), kinds)


def _files(live: Path) -> list[Path]:
    """The exported files, of a folder or the one that is named; ConfigurationError for none."""
    try:
        if live.is_dir():
            files = sorted(path for path in live.iterdir() if path.name.endswith(".json"))
        else:
            live.stat()
            return [live]
    except FileNotFoundError as exc:
        why = "there is no such file or folder; `reconciler snapshot` or `export --out` writes one"
        raise ConfigurationError.of_file(live, why) from exc
    except OSError as exc:
        why = f"cannot be read: {exc.strerror}; correct the path or its permissions"
        raise ConfigurationError.of_file(live, why) from exc
    if not files:
        why = "the folder holds no .json file; `reconciler export --out` writes one per binding"
        raise ConfigurationError.of_file(live, why)
    return files


def _by_binding(desired: Desired, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """The documents by the name of their binding; ConfigurationError with every file that is none,
    and where two are of one binding."""
    by_name: dict[str, tuple[Path, dict[str, Any]]] = {}
    problems: list[Problem] = []
    for path in paths:
        document = read_document(path)
        if isinstance(document, Problem):
            problems.append(document)
            continue
        binding = _binding_of(desired, path, document)
        if binding is None:
            continue
        if binding.name in by_name:
            other = by_name[binding.name][0]
            problems.append(
                _wrong(path, f"{other} is an export of {binding.name} too; keep one of them")
            )
        by_name[binding.name] = (path, document)
    if problems:
        raise ConfigurationError(problems)
    return {name: document for name, (_, document) in by_name.items()}


def _binding_of(desired: Desired, path: Path, document: Mapping[str, Any]) -> Binding | None:
    """The binding that a document speaks of, by its mark, its name or its file's name."""
    mark = document.get(MARK)
    marked = mark.get("name") if isinstance(mark, dict) else None
    names = [marked] if marked else [document.get("name"), path.stem]
    for name in filter(None, names):
        for binding in desired.bindings:
            if name in (binding.name, getattr(binding.address, "name", None)):
                return binding
    return None


def _live(
    binding: Binding, document: Mapping[str, Any] | None, kinds: Mapping[str, Kind]
) -> tuple[Live, ModelRef | None]:
    """The live state that a document shows; with a refusal where there is none or a damaged one."""
    if document is None:
        why = "no export of it was given; run `reconciler export`, or leave it out"
        return Live(Health(HealthCode.HEALTHY), refusal=Refusal(Reason.NOT_EXPORTED, why)), None
    module = kinds[binding.kind].module
    calls_it = getattr(module, "ref_from_export", lambda *_: None)
    try:
        return module.live_from_export(document, binding), calls_it(document, binding)
    except WireError as exc:
        why = f"{exc.message}; export it again"
        refusal = Refusal(Reason.NOT_A_DEFINITION, why)
        return Live(Health(HealthCode.HEALTHY), refusal=refusal), None


def read_document(path: Path) -> dict[str, Any] | Problem:
    """The JSON object in a file, or what is wrong with the file."""
    try:
        # Asked of first: opening a pipe that nobody writes to would wait for ever.
        if not path.is_file():
            if path.is_dir():
                return _wrong(
                    path, "a folder, not an exported definition; rename it or move it away"
                )
            if path.is_symlink() and not path.exists():
                target = path.readlink()
                return _wrong(
                    path, f"a link to {target}, which is not there; correct it or remove it"
                )
            return _wrong(path, "not a file; remove it, or give the file that was exported")
        if path.stat().st_size > MOST_BYTES:
            return _wrong(path, "the file is larger than 64 MiB; export the definition again")
        content = path.read_bytes()
        if sum(map(content.count, (b",", b"[", b"{"))) > MOST_SEPARATORS:
            return _wrong(path, "more values than an export has; export the definition again")
        document = parse_json(content)
    except OSError as exc:
        return _wrong(path, f"cannot be read: {exc.strerror}; correct its permissions")
    except JSONDecodeError as exc:
        why = f"not JSON: {exc.msg}; export the definition again"
        return Problem(str(path), exc.lineno, exc.colno, why)
    except UnicodeDecodeError as exc:
        # A shell's `>` may have made it UTF-16, and would again.
        what = f"byte 0x{exc.object[exc.start]:02x} is not UTF-8"
        return _wrong(path, f"{what}; save the file as UTF-8, as `export --out` does")
    except ValueError as exc:  # nested too deeply, a number that is too long, half a character
        return _wrong(path, f"not JSON that can be read: {exc}; export the definition again")
    if not isinstance(document, dict):
        why = "not an exported definition: it is no JSON object; export the definition again"
        return Problem(str(path), 1, 1, why)
    return document


def _wrong(path: Path, why: str) -> Problem:
    return Problem(str(path), 0, 0, why)
