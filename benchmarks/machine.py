"""Where and with what a run was made; without that its figures mean nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["facts"]

_PACKAGES = ("indianyio", "anyio", "trio", "pybase64", "defusedxml", "indipydriver", "indipyserver", "indipyclient")


def facts() -> Mapping[str, str]:
    """Return the machine and the versions, each by its name."""
    found = {
        "Processor": _processor(),
        "Processors": str(os.cpu_count()),
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "indiserver": _indiserver(),
    }
    return found | {name: _package(name) for name in _PACKAGES}


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", _text("/proc/cpuinfo"))
    return found[1] if found else platform.machine()


def _memory() -> str:
    found = re.search(r"MemTotal:\s*(\d+) kB", _text("/proc/meminfo"))
    return f"{int(found[1]) / 1e6:.0f} GB" if found else "unknown"


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace") if Path(path).exists() else ""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _indiserver() -> str:
    if shutil.which("indiserver") is None:
        return "not installed"
    # It has no option for it, and says it with its usage.
    said = subprocess.run(["indiserver", "-h"], capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"INDI Library: (\S+)", said.stderr + said.stdout)
    return found[1] if found else "unknown version"
