"""From ``MODULE:NAME`` to a driver, with an error that says what to do about it."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from types import ModuleType

from indianyio._failures import described
from indianyio.driver import IPyDriver
from indianyio.exceptions import DriverLoadError

__all__ = ["build_driver", "find_driver", "load_driver"]


def load_driver(target: str, folder: str | os.PathLike[str] | None = None) -> IPyDriver:
    """Import a module and make its driver.

    :param target: ``MODULE:NAME``; NAME is a class, which is called without arguments, a driver, or a function
        that returns one.
    :param folder: put first in the module search path, by default the current folder.
    :raises DriverLoadError: there is no such module or name, the module or the constructor fails, or NAME is
        something else; the error it failed with is the cause.
    """
    return build_driver(target, find_driver(target, folder))


def find_driver(target: str, folder: str | os.PathLike[str] | None = None) -> object:
    """Import a module and return what NAME is in it, without calling it.

    :param target: ``MODULE:NAME``, or the name of an installed driver.
    :param folder: put first in the module search path, by default the current folder; for an installed driver none
        is by default.
    :raises DriverLoadError: there is no such thing, or it cannot be a driver.
    """
    place = target if ":" in target else _installed(target)
    module_name, colon, name = place.partition(":")
    if not (module_name and colon and name) or module_name.startswith("."):
        raise DriverLoadError(target, "a driver is named as MODULE:NAME, for example mydriver:Driver")
    if folder is not None or place is target:
        _put_first(_absolute(target, folder))
    module = _import(target, module_name)
    try:
        found: object = getattr(module, name)
    except AttributeError:
        raise DriverLoadError(target, f"module {module_name!r} has no {name!r}; {_offer(module)}") from None
    _check_kind(target, module, found)
    return found


def _installed(name: str) -> str:
    """Return where an installed driver is, as ``MODULE:NAME``."""
    from indianyio.run._installed import installed_drivers  # takes time, and few need it

    drivers = installed_drivers()
    if name in drivers:
        return drivers[name].place
    known = f"installed are {', '.join(drivers)}" if drivers else "no package with drivers is installed"
    hint = "a driver is named as MODULE:NAME, for example mydriver:Driver, or by the name of an installed one"
    raise DriverLoadError(name, f"{hint}; {known}")


def build_driver(target: str, found: object) -> IPyDriver:
    """Make the driver of what :func:`find_driver` returned.

    :param target: what was asked for, for errors.
    :param found: a driver class, a driver, or a function that returns one.
    :raises DriverLoadError: the call fails or returns something else.
    """
    if isinstance(found, IPyDriver):
        return found
    name = target.partition(":")[2]
    try:
        made: object = found() if callable(found) else found
    except Exception as exc:
        raise DriverLoadError(target, f"{name}(), called without arguments, fails: {described(exc)}") from exc
    if isinstance(made, IPyDriver):
        return made
    if inspect.iscoroutine(made):
        made.close()
    raise DriverLoadError(target, f"{name}() returned {_kind(made)}, not a driver")


def _absolute(target: str, folder: str | os.PathLike[str] | None) -> str:
    try:
        return os.path.realpath(os.getcwd() if folder is None else folder)
    except FileNotFoundError:
        hint = "change to another one, or name the driver's with --folder, as an absolute path"
        raise DriverLoadError(target, f"the current folder has been removed; {hint}") from None


def _put_first(entry: str) -> None:
    if sys.path[:1] != [entry]:
        sys.path.insert(0, entry)


def _import(target: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{module_name}.".startswith(f"{exc.name}."):
            raise DriverLoadError(target, f"module {module_name!r} fails on import: {described(exc)}") from exc
        hint = f"; write {module_name[:-3]!r}, without .py" if module_name.endswith(".py") else ""
        raise DriverLoadError(target, f"{exc} (looked in {sys.path[0]} first){hint}") from exc
    except (Exception, SystemExit) as exc:
        # SystemExit: a script that runs itself when it is imported.
        raise DriverLoadError(target, f"module {module_name!r} fails on import: {described(exc)}") from exc


def _check_kind(target: str, module: ModuleType, found: object) -> None:
    if isinstance(found, type):
        usable = issubclass(found, IPyDriver)
    else:
        usable = isinstance(found, IPyDriver) or callable(found)
    if not usable:
        name = target.partition(":")[2]
        raise DriverLoadError(target, f"{name!r} is {_kind(found)}, not a driver; {_offer(module)}")
    if inspect.iscoroutinefunction(found):
        raise DriverLoadError(target, "it is an async function; a plain function that returns a driver is needed")


def _offer(module: ModuleType) -> str:
    """Say which names of a module would do; functions are left out, for what they return is not known."""
    names = sorted(
        repr(name)
        for name, value in vars(module).items()
        if not name.startswith("_") and value is not IPyDriver and _is_driver(value)
    )
    return f"its drivers are {', '.join(names)}" if names else "it has no drivers"


def _is_driver(value: object) -> bool:
    return isinstance(value, IPyDriver) or (isinstance(value, type) and issubclass(value, IPyDriver))


def _kind(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"of type {type(value).__name__}"
