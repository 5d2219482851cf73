"""What a new package consists of: files that all packages have, and what depends on the kind of device.

Both are in TOML files beside this module, so that a kind is added just by writing a file.
"""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

__all__ = ["kinds", "package_files"]

_HERE = files(__package__)
_PLACE = re.compile("@[A-Z]+@")


def kinds() -> list[str]:
    """Return the kinds of devices for which there are packages, in alphabetical order."""
    return sorted(path.name.removesuffix(".toml") for path in (_HERE / "kinds").iterdir())


def package_files(kind: str, names: dict[str, str]) -> dict[str, str]:
    """Return the files of a package, by their paths in it.

    :param kind: one of :func:`kinds`.
    :param names: the texts that replace NAME, MODULE, CLASS, LABEL and PROGRAM.
    """
    package, brought = _read(_HERE / "package.toml"), _read(_HERE / "kinds" / f"{kind}.toml")
    parts = {name.replace("_", "").upper(): text for name, text in brought.items()}
    everything = {**package["parts"], **parts, **names}
    return {_filled(path, everything): f"{_filled(text, everything)}\n" for path, text in package["files"].items()}


def _filled(text: str, texts: dict[str, str]) -> str:
    """Replace the places in a text by texts, and the places in these likewise."""
    text = text.strip("\n")
    while _PLACE.search(text):
        text = _PLACE.sub(lambda place: texts[place[0].strip("@")].strip("\n"), text)
    return text


def _read(path: Traversable) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
