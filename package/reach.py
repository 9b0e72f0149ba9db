"""What a module imports, and what that imports, read from the sources without running them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_NATIVE: Final = (".so", ".pyd")
_BLOCKS: Final = ("body", "handlers", "orelse", "finalbody", "cases")
_BLOCK_ITEMS: Final = (ast.stmt, ast.excepthandler, ast.match_case)


@dataclass
class Tree:
    """Modules by name, from files by their path in a package (`a/b.py`, `a/__init__.py`)."""

    modules: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def add(self, path: str) -> None:
        """The module that is in the file at `path`, if any, can be imported."""
        name = module_name(path)
        if name is not None:
            self.modules.setdefault(name, path)
            parts = name.split(".")
            self.folders.update(".".join(parts[:end]) for end in range(1, len(parts)))

    def imported(self, name: str) -> Iterator[str]:
        """The modules that importing `name` runs: it and what it lies in, as far as it is here."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            one = ".".join(parts[:end])
            if one in self.modules:
                yield one
            elif one not in self.folders:
                return


def module_name(path: str) -> str | None:
    """The name that the file at `path` is imported by; None for what is no module."""
    folder, _, file = path.rpartition("/")
    stem = file.split(".")[0] if file.endswith(_NATIVE) else file.removesuffix(".py")
    if not stem.isidentifier() or not file.endswith((".py", *_NATIVE)):
        return None
    package = folder.replace("/", ".")
    if stem == "__init__":
        return package or None
    return f"{package}.{stem}" if package else stem


def reached(
    start: Iterable[str],
    tree: Tree,
    source: Callable[[str], Path],
    by_name: Mapping[str, Iterable[str]],
) -> set[str]:
    """Every module of `tree` that `start` imports, at once or later, directly or not.

    Args:
        start: Names of modules.
        tree: What can be imported.
        source: The file at a path of the tree.
        by_name: What a module imports by a name that is put together at run time.
    """
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        for module in tree.imported(waiting.pop()):
            if module in found:
                continue
            found.add(module)
            path = tree.modules[module]
            waiting += by_name.get(module, ())
            if path.endswith(".py"):
                waiting += _imports(source(path), module)
    return found


@cache  # several functions import the same libraries, and a source does not change meanwhile
def _imports(source: Path, module: str) -> frozenset[str]:
    is_package = source.name == "__init__.py"
    return frozenset(imports(source.read_bytes(), module, is_package=is_package))


def imports(text: bytes, module: str, *, is_package: bool) -> set[str]:
    """The names in the import statements of a source; `from a import b` may be a module `a.b`.

    Statements within functions count; those for the type checker alone do not.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    found: set[str] = set()
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """What may run of it; imports are statements, so expressions are passed over."""
    yield node
    is_for_types = isinstance(node, ast.If) and _is_for_types(node.test)
    for block in ("orelse",) if is_for_types else _BLOCKS:
        for child in getattr(node, block, ()):
            if isinstance(child, _BLOCK_ITEMS):
                yield from _statements(child)


def _is_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
