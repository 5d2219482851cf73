"""Every public name has a docstring, and its place in the reference."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def _load(name: str) -> ModuleType:
    """Import a module of the site's, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


public = _load("_public")
MODULES: tuple[str, ...] = public.modules()
NO_NEED = {"__version__", "version"}


def test_the_public_modules_are_found() -> None:
    assert {"indianyio", "indianyio.client", "indianyio.instrument.focuser", "indianyio.standard.camera"} < {
        *MODULES
    }
    assert not [module for module in MODULES if "._" in module]
    assert len(MODULES) > 50


def test_every_public_module_is_on_one_page_of_the_reference() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.rst")]
    shown = re.findall(r"^\.\. public:: (\S+)$", "\n".join(pages), re.MULTILINE)
    assert sorted(shown) == sorted(module for module in MODULES if public.names(module) or module in shown)


def _module(requirement: str) -> str:
    """Return the module that a requirement brings."""
    name = re.split("[ =<>]", requirement)[0]
    return {"pyserial": "serial"}.get(name, name.replace("-", "_"))


def test_what_the_site_imports_is_brought_by_its_own_extra() -> None:
    """Who installs only that, as the README tells, has nothing of the others."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    brought = set(map(_module, [*project["dependencies"], *extras["docs"]]))
    others = {_module(wanted) for extra in extras.values() for wanted in extra} - brought
    assert {"astropy", "numpy", "serial", "zeroconf"} < others
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(others)}))\n"
        f"sys.path.insert(0, {str(DOCS)!r}); import _public; print(len(_public.homes()))"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 100


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_and_its_names_have_docstrings(module: str) -> None:
    assert import_module(module).__doc__
    described = [name for name in public.names(module) if name not in NO_NEED]
    assert [name for name in described if not public.documentation(module, name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_the_methods_of_public_classes_have_docstrings(module: str) -> None:
    values = [_value(module, name) for name in public.names(module)]
    classes = [value for value in values if isinstance(value, type) and public.is_class(value)]
    missing = [
        f"{cls.__name__}.{name}"
        for cls in classes
        for name in public.members(cls)
        if is_method(cls, name) and not inspect.getdoc(getattr(cls, name))
    ]
    assert missing == []


def is_method(cls: type, name: str) -> bool:
    member = inspect.getattr_static(cls, name)
    return isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)


def _value(module: str, name: str) -> object:
    value: object = getattr(import_module(module), name)
    return value


def test_a_name_is_at_home_in_one_place() -> None:
    homes = public.homes()
    assert homes[id(_value("indianyio", "ConnectionLostError"))] == "indianyio.exceptions.ConnectionLostError"
    assert homes[id(_value("indianyio", "open_client"))] == "indianyio.client.open_client"
    assert homes[id(_value("indianyio.instrument", "Focuser"))] == "indianyio.instrument.focuser.Focuser"
    assert homes[id(_value("indianyio.driver", "Device"))] == "indianyio.Device"


def test_a_class_shows_what_it_has_from_private_bases_and_not_what_it_has_from_public_ones() -> None:
    focuser = public.members(_value("indianyio.instrument", "Focuser"))
    assert "move_to" in focuser
    assert "report" not in focuser
    assert "leave" not in focuser
    assert "leave" in public.members(_value("indianyio", "IPyDriver"))
