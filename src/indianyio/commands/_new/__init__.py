"""Write a small package with a working driver, its tests, and what is needed to install and register it.

The driver uses hardware that exists only in the package; put yours in its place. Existing files are not replaced.
"""

from __future__ import annotations

import argparse
import ast
import keyword
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from indianyio.commands._catalogue import check_name
from indianyio.commands._new._kinds import kinds, package_files
from indianyio.commands._output import say

__all__ = ["add_arguments", "run"]

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", re.ASCII)
_PUBLIC = 0o755
# Modules that the package and its tests import, directly or not: one of the same name would be in their way.
_TAKEN = sys.stdlib_module_names.union(
    ["anyio", "attr", "attrs", "defusedxml", "idna", "indianyio", "iniconfig", "msgspec", "outcome", "packaging"],
    ["pluggy", "py", "pybase64", "pygments", "pytest", "sniffio", "sortedcontainers", "trio", "typing_extensions"],
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the name of the package and its folder, such as my-focuser")
    listed = ", ".join(kinds())
    parser.add_argument(
        "--kind",
        choices=kinds(),
        default="focuser",
        metavar="KIND",
        help=f"the kind of device: {listed} (default: %(default)s)",
    )
    parser.add_argument("--folder", type=Path, default=Path(), metavar="PATH", help="where to put it (default: .)")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: a package cannot have this name.
    :raises OSError: something of that name exists already, or it cannot be written.
    """
    words = re.split("[-_]", options.name)
    module, class_name = "_".join(words), "".join(word.capitalize() for word in words)
    _check(options.name, module, class_name)
    names = {
        "NAME": options.name,
        "MODULE": module,
        "CLASS": class_name,
        "LABEL": " ".join(word.capitalize() for word in words),
        "PROGRAM": check_name(f"indi_{module}"),
    }
    contents = package_files(options.kind, names)
    _check_class(options.name, class_name, contents)
    folder = options.folder / options.name
    _write(folder, contents)
    say(f"written: {folder}")
    say(f"next: cd {folder}, pip install '.[test]', pytest")
    return 0


def _check(name: str, module: str, class_name: str) -> None:
    """Check that a package can have a name.

    :raises ValueError: the name is not legal, or its module would hide another one.
    """
    is_taken = module in _TAKEN or keyword.iskeyword(module) or keyword.iskeyword(class_name)
    if is_taken or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a package; use small letters, digits and -, as in my-focuser")


def _check_class(name: str, class_name: str, contents: dict[str, str]) -> None:
    """Check that the name of the driver's class does not clash with another one in its modules.

    :raises ValueError: one of its modules has that name already.
    """
    for path, text in contents.items():
        if path.endswith(".py") and list(_names(ast.parse(text))).count(class_name) > 1:
            raise ValueError(f"{name!r} cannot name a package whose {path} has another {class_name}; try my-{name}")


def _names(module: ast.Module) -> Iterator[str]:
    """Yield what a module defines and imports."""
    for statement in module.body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                yield from (one.asname or one.name for one in imported)


def _write(folder: Path, contents: dict[str, str]) -> None:
    """Write a folder of files, in one step.

    :raises FileExistsError: it exists already.
    """
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(f"{folder} exists already; it is left as it is")
    if not folder.parent.is_dir():
        raise NotADirectoryError(
            f"there is no folder {folder.parent}; make it first, or name another with --folder"
        )
    temporary = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        temporary.chmod(_PUBLIC)
        for name, text in contents.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary)
        raise
