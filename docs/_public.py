"""Which names of the package are public, where each of them is at home, and which members a class shows.

The site's reference is made of this, and the tests look with it whether anything is missing.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from enum import Enum
from functools import cache
from importlib import import_module

import indianyio

__all__ = ["documentation", "homes", "is_class", "members", "modules", "names", "source_of"]

# A module's names are at home in the first of these that exports them; the rest of the modules come behind.
_FIRST = ("indianyio.exceptions", "indianyio.client", "indianyio.server", "indianyio.instrument.", "indianyio")

# Drivers to be read as sources, and what is kept for one version under its former name.
_LEFT_OUT = ("indianyio.examples", "indianyio.model")


@cache
def modules() -> tuple[str, ...]:
    """Return the public modules of the package: none of their names begins with an underscore."""
    found = ["indianyio"]
    for module in pkgutil.walk_packages(indianyio.__path__, "indianyio."):
        parts = module.name.split(".")
        if not any(part.startswith("_") for part in parts) and not module.name.startswith(_LEFT_OUT):
            found.append(module.name)
    return tuple(found)


def names(module: str) -> list[str]:
    """Return the public names of a module."""
    return list(getattr(import_module(module), "__all__", ()))


@cache
def homes() -> dict[int, str]:
    """Return where each public object is documented, by its ``id``: the module and the name in it."""
    found: dict[int, str] = {}
    for module in sorted(modules(), key=_rank):
        values = {name: getattr(import_module(module), name) for name in names(module)}
        # A second name for the same, such as Light for State, comes behind that with which it was made.
        for name in sorted(values, key=lambda name: getattr(values[name], "__name__", name) != name):
            found.setdefault(id(values[name]), f"{module}.{name}")
    return found


def _rank(module: str) -> tuple[int, str]:
    for rank, first in enumerate(_FIRST):
        if module == first or (first.endswith(".") and module.startswith(first)):
            return rank, module
    return len(_FIRST), module


def is_class(value: object) -> bool:
    """Tell whether it is a class; an alias such as ``list[int]`` is none."""
    return isinstance(value, type) and not hasattr(value, "__origin__")


def members(cls: type) -> list[str]:
    """Return the public members that the reference shows with a class.

    These are its own and those of its private bases. What it has from a public base is shown there.
    """
    if issubclass(cls, Enum):
        return list(cls.__members__)
    found: dict[str, None] = {}
    for base in cls.__mro__:
        if base is cls or (base.__module__.startswith("indianyio") and id(base) not in homes()):
            found.update({name: None for name, value in vars(base).items() if _shown(name, value)})
    return list(found)


def _shown(name: str, value: object) -> bool:
    # The fields of tuples and structs stand in the docstring of their class.
    is_field = inspect.ismemberdescriptor(value) or type(value).__name__ == "_tuplegetter"
    return not name.startswith("_") and not is_field and not inspect.isclass(value)


def documentation(module: str, name: str) -> str:
    """Return the docstring of a public name, and of what is neither class nor function the text below it."""
    value = getattr(import_module(module), name)
    if inspect.isroutine(value) or is_class(value):
        return inspect.cleandoc(value.__doc__ or "")
    return source_of(module, name)[1]


def source_of(module: str, name: str) -> tuple[str, str]:
    """Return what a name is assigned, and the text below that, from the module in which it is.

    :raises LookupError: it is not there.
    """
    tree = ast.parse(inspect.getsource(import_module(module)))
    statements = list(_statements(tree.body))
    for statement, following in zip(statements, [*statements[1:], None], strict=True):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return source_of(statement.module or "", alias.name)
                if alias.name == "*" and name in names(statement.module or ""):
                    return source_of(statement.module or "", name)
        elif _assigns(statement, name):
            text = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                text = inspect.cleandoc(str(following.value.value))
            return ast.unparse(statement.value), text  # type: ignore[attr-defined]
        elif isinstance(statement, ast.FunctionDef) and statement.name == name:  # a fixture of pytest's
            return ", ".join(f"@{ast.unparse(one)}" for one in statement.decorator_list), _text(statement)
    raise LookupError(f"{module} has no {name}")


def _text(function: ast.FunctionDef) -> str:
    return ast.get_docstring(function) or ""


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):  # if TYPE_CHECKING
            yield from _statements(statement.body)


def _assigns(statement: ast.stmt, name: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)
