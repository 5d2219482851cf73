"""The drivers of installed packages, which declare them as entry points of the group ``indianyio.drivers``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points

__all__ = ["GROUP", "InstalledDriver", "installed_drivers"]

GROUP = "indianyio.drivers"
"""The group of entry points; each is called as its executable will be, such as ``indi_my_focuser``."""


@dataclass(frozen=True)
class InstalledDriver:
    """A driver that a package declares."""

    name: str
    """What it is called in commands."""

    place: str
    """``MODULE:NAME``."""

    package: str
    """The distribution that declares it, and its version; empty if that is not known."""


def installed_drivers() -> dict[str, InstalledDriver]:
    """Return the drivers that packages of this environment declare, by name; nothing is imported.

    If two packages declare the same name it is that of the package whose name comes first.
    """
    found = []
    for point in entry_points(group=GROUP):
        package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
        found.append(InstalledDriver(point.name, point.value.partition("[")[0].strip(), package))
    found.sort(key=lambda driver: (driver.name, driver.package))
    drivers: dict[str, InstalledDriver] = {}
    for driver in found:
        drivers.setdefault(driver.name, driver)
    return drivers
