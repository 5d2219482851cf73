"""What the package promises, and how it parts with what it promised by mistake."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from typing import get_args

import pytest

import indianyio
from indianyio import protocol
from indianyio.protocol import AnyMessage
from indianyio.protocol._messages import MESSAGES


def test_everything_promised_is_there() -> None:
    assert len(protocol.__all__) == len(set(protocol.__all__)) == 47
    for name in protocol.__all__:
        assert getattr(protocol, name) is not None
        assert not name.startswith("_")


def test_every_message_class_is_public() -> None:
    assert set(get_args(AnyMessage)) == set(MESSAGES.values())
    for cls in MESSAGES.values():
        assert getattr(protocol, cls.__name__) is cls


@pytest.mark.parametrize("name", protocol._DROPPED)
def test_a_dropped_name_still_imports_and_warns(name: str) -> None:
    assert name not in protocol.__all__
    statement = compile(f"from indianyio.protocol import {name}", "importing.py", "exec")
    namespace: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match=rf"indianyio\.protocol\.{name} is internal") as caught:
        exec(statement, namespace)
    assert caught[0].filename == "importing.py"
    assert namespace[name] is getattr(import_module(f"indianyio.protocol.{protocol._DROPPED[name]}"), name)


def test_getfloat_stays_where_its_users_have_it() -> None:
    with pytest.warns(DeprecationWarning, match=r"indianyio\.getfloat stays"):
        assert protocol.getfloat is indianyio.getfloat  # type: ignore[attr-defined]


def test_what_never_was_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'odd'"):
        _ = protocol.odd  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="odd"):
        exec("from indianyio.protocol import odd", {})


def test_a_star_import_does_not_warn() -> None:
    namespace: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("from indianyio.protocol import *", namespace)
    assert set(protocol.__all__) <= set(namespace)


def test_no_module_of_ours_uses_a_dropped_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert int(done.stdout) > 100


IMPORT_ALL = """
import importlib, pkgutil, warnings
warnings.filterwarnings("error", message=r"indianyio\\.protocol\\.")
import indianyio
names = [module.name for module in pkgutil.walk_packages(indianyio.__path__, "indianyio.")]
for name in names:
    if not name.endswith("__main__") and ".examples." not in name:
        importlib.import_module(name)
print(len(names))
"""
