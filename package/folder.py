"""One function's package: a folder that holds what it imports, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, Final

import yaml

from package.bytecode import compile_all
from package.native import without_sections
from package.reach import Tree, module_name, reached

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from package.bytecode import Interpreter
    from package.deployed import DeployedFunction
    from package.libraries import Library

OURS: Final = ("functions", "shared")
_TIME: Final = 315_532_800  # 1980-01-01: the first moment that a zip file can name
_MODE: Final = 0o644


class BadContents(Exception):
    """What contents.yaml says does not fit what there is."""


@dataclass(frozen=True)
class Contents:
    """contents.yaml: what goes into packages beside what import statements show, and what not."""

    data: dict[str, list[str]]
    by_name: dict[str, list[str]]
    only_imported: frozenset[str]
    left_out: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Contents:
        """The file at `path`."""
        document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        return cls(
            document["data"],
            document["by_name"],
            frozenset(document["only_imported"]),
            tuple(document["left_out"]),
        )


@dataclass(frozen=True)
class Materials:
    """What packages are made of.

    Args:
        root: The repository.
        site: The folder in which the libraries are installed.
        libraries: They, as locked.
        contents: What is declared.
        interpreter: Compiles for the runtime; None leaves the sources as they are.
    """

    root: Path
    site: Path
    libraries: tuple[Library, ...]
    contents: Contents
    interpreter: Interpreter | None


@dataclass(frozen=True)
class Package:
    """A package that has been made."""

    function: DeployedFunction
    folder: Path
    libraries: tuple[Library, ...]

    @property
    def files(self) -> list[Path]:
        """Its files, sorted."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @property
    def size(self) -> int:
        """Bytes, unpacked."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over each file's path and content: what two builds have in common."""
        return digest(self.files, self.folder)


def digest(files: Iterable[Path], folder: Path) -> str:
    """SHA-256 over the files' paths from a folder and their contents, in their order."""
    whole = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return whole.hexdigest()


def build(function: DeployedFunction, materials: Materials, target: Path) -> Package:
    """The function's package is in the folder `target`, and nothing else is.

    Raises:
        BadContents: contents.yaml names what is not there, or leaves out what is imported.
        DidNotRun: A source could not be compiled.
    """
    ours = {
        path.relative_to(materials.root).as_posix(): path
        for room in OURS
        for path in sorted((materials.root / room).rglob("*.py"))
    }
    theirs = {
        file: materials.site / file for library in materials.libraries for file in library.files
    }
    source = {**theirs, **ours}
    modules = _modules(function, source, materials.contents)
    used = tuple(one for one in materials.libraries if not modules.isdisjoint(_named(one.files)))
    chosen = [path for path in ours if module_name(path) in modules]
    data = _data(modules, materials)
    library_files = [file for one in used for file in _chosen(one, modules, materials.contents)]
    _copy({path: source[path] for path in [*chosen, *library_files]} | data, target)
    if materials.interpreter is not None:
        instead = [path for path in library_files if path.endswith(".py")]
        compile_all(target, chosen, instead, materials.interpreter)
    _settle(target)
    return Package(function, target, used)


def _modules(
    function: DeployedFunction, source: dict[str, Path], contents: Contents
) -> frozenset[str]:
    tree = Tree()
    for path in source:
        tree.add(path)
    missing = [name for name in function.entries if name not in tree.modules]
    missing += [
        name
        for module, names in contents.by_name.items()
        for name in [module, *names]
        if name not in tree.modules
    ]
    if missing:
        raise BadContents("no such modules: " + ", ".join(missing))
    return frozenset(reached(function.entries, tree, source.__getitem__, contents.by_name))


def _named(files: tuple[str, ...]) -> set[str]:
    return {name for file in files if (name := module_name(file)) is not None}


def _chosen(library: Library, modules: frozenset[str], contents: Contents) -> list[str]:
    only_imported = library.locked.name in contents.only_imported
    chosen, wrong = [], []
    for file in library.files:
        module = module_name(file)
        if any(fnmatch(file, pattern) for pattern in contents.left_out):
            if module in modules:
                wrong.append(file)
        elif module is None or module in modules or not only_imported:
            chosen.append(file)
    if wrong:
        raise BadContents("left out, but imported: " + ", ".join(wrong))
    return chosen


def _data(modules: frozenset[str], materials: Materials) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for module in sorted(modules & materials.contents.data.keys()):
        for name in materials.contents.data[module]:
            path = materials.root / name
            if not path.exists():
                raise BadContents(f"{module} reads {name}, which is not there")
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            found |= {
                one.relative_to(materials.root).as_posix(): one for one in files if one.is_file()
            }
    return found


def _copy(files: dict[str, Path], target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    for path, source in files.items():
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        copy.write_bytes(without_sections(content) if ".so" in copy.name else content)


def _settle(target: Path) -> None:
    """Times and modes are the same whenever and by whomever it was made."""
    for path in sorted(target.rglob("*"), reverse=True):
        path.chmod(_MODE if path.is_file() else 0o755)
        os.utime(path, (_TIME, _TIME))
    os.utime(target, (_TIME, _TIME))


def pack(package: Package, target: Path) -> Path:
    """The package as a zip file: the same bytes for the same package."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in package.files:
            entry = zipfile.ZipInfo(path.relative_to(package.folder).as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever this runs: modes are read then
            entry.external_attr = (0o100000 | _MODE) << 16
            packed.writestr(entry, path.read_bytes(), compresslevel=9)
    return target
