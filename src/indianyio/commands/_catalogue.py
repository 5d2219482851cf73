"""The entry of a driver in a catalogue: what KStars and INDI Web Manager need it to say, and how it is written.

Decision 28 lists rules that are not in any schema, but follow from what these programs do.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from indianyio.driver import IPyDriver
from indianyio.instrument import Interface

__all__ = [
    "GROUPS",
    "HEAD",
    "Entry",
    "catalogue_name",
    "check_label",
    "check_name",
    "describe",
    "labels_beside",
    "program_of",
    "programs_in",
    "version_number",
]

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- Made by: indianyio register -->\n'
"""The beginning of every catalogue that is made here."""

# The first that applies counts: a camera with a filter wheel and a guide port is a camera.
_GROUPS = {
    Interface.TELESCOPE: "Telescopes",
    Interface.CCD: "CCDs",
    Interface.FOCUSER: "Focusers",
    Interface.FILTER: "Filter Wheels",
    Interface.DOME: "Domes",
    Interface.ROTATOR: "Rotators",
    Interface.AO: "Adaptive Optics",
    Interface.SPECTROGRAPH: "Spectrographs",
    Interface.DETECTOR: "Detectors",
    Interface.WEATHER: "Weather",
}
_OTHER_GROUP = "Auxiliary"

GROUPS = (*_GROUPS.values(), _OTHER_GROUP, "Agent")
"""The groups that KStars knows; it takes any other group for adaptive optics."""

# No character that means something to a shell, and no name that a program other than a driver may have.
_NAME = re.compile(r"indi_[A-Za-z0-9][A-Za-z0-9_]{0,58}", re.ASCII)
_LONGEST_LABEL = 63

# libindi's own, by far the largest, has a tenth of a million.
_LARGEST_BYTES = 16 << 20
# The last ones are bytes of the command line that are no text.
_HARMFUL = re.compile(r"""["'\\$`!/<>&;|\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]""")
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """What a catalogue says about a driver."""

    label: str
    """What people see, unique among all drivers; some programs give the device this name."""

    device: str
    """The name of its device."""

    group: str
    manufacturer: str
    version: str
    has_more_devices: bool = False

    unseen: tuple[str, ...] = ()
    """The devices that KStars leaves out, because their names do not begin with the first word of ``device``."""

    def text(self, program: str) -> str:
        """Return the whole catalogue file.

        :param program: the name of the program beside indiserver.
        """
        more = ' mdpd="true"' if self.has_more_devices else ""
        attributes = f"label={quoteattr(self.label)} manufacturer={quoteattr(self.manufacturer)}{more}"
        return (
            f"{HEAD}<driversList>\n"
            f"    <devGroup group={quoteattr(self.group)}>\n"
            f"        <device {attributes}>\n"
            f"            <driver name={quoteattr(self.device)}>{program}</driver>\n"
            f"            <version>{escape(self.version)}</version>\n"
            f"        </device>\n"
            f"    </devGroup>\n"
            f"</driversList>\n"
        )


def catalogue_name(program: str) -> str:
    """Return the name of a driver's catalogue file.

    KStars only reads files named ``indi_*.xml``, and INDI Web Manager skips files with ``_sk`` in their names.
    """
    return f"indi_indianyio-{program.removeprefix('indi_').replace('_', '-')}.xml"


def program_of(catalogue: Path) -> str:
    """Return the program that has a catalogue file of this name, by :func:`catalogue_name`; empty if none has."""
    program = "indi_" + catalogue.stem.removeprefix("indi_indianyio-").replace("-", "_")
    return program if _NAME.fullmatch(program) and catalogue_name(program) == catalogue.name else ""


def check_name(name: str) -> str:
    """Return a name if a driver's program can have it.

    :raises ValueError: it cannot have this name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a driver's program; take indi_ and letters, digits or _, 64 at most"
        )
    return name


def check_label(label: str, what: str) -> str:
    """Return a text if every program can show it, and can safely pass it to a shell.

    :param what: which text it is, for the error.
    :raises ValueError: some program could not.
    """
    harmful = _HARMFUL.search(label)
    if harmful:
        reason = f"contains {harmful[0]!r}, which a program that starts drivers might take for a command"
    elif not label.strip() or label != label.strip():
        reason = "is empty, or begins or ends with blanks"
    elif len(label.encode()) > _LONGEST_LABEL:
        reason = f"is longer than {_LONGEST_LABEL} bytes"
    else:
        return label
    raise ValueError(f"the {what} {label!r} {reason}; give another one with --{what}")


def version_number(text: str) -> str:
    """Return the number with which a version begins, which is all that KStars reads; ``1.0`` if there is none."""
    found = _VERSION.match(text)
    return found[0] if found else "1.0"


def describe(driver: IPyDriver) -> Entry:
    """Return what a driver says about itself.

    :raises ValueError: it has no device.
    """
    names = list(driver)
    if not names:
        raise ValueError("the driver has no device, so a catalogue would have nothing to show")
    infos = [_information(driver, name) for name in names]
    bits = Interface.GENERAL
    for information in infos:
        text = information.get("DRIVER_INTERFACE", "").strip()
        # In decimal digits only, as KStars reads it.
        bits |= Interface(int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else Interface.GENERAL
    group = next((group for bit, group in _GROUPS.items() if bit in bits), _OTHER_GROUP)
    version = version_number(infos[0].get("DRIVER_VERSION", ""))
    first_word = "".join(names[0].split()[:1]).casefold()
    unseen = tuple(name for name in names if not name.casefold().startswith(first_word))
    return Entry(names[0], names[0], group, "Others", version, len(names) > 1, unseen)


def _information(driver: IPyDriver, name: str) -> Mapping[str, str]:
    device = driver[name]
    if "DRIVER_INFO" not in device:
        return {}
    return {member: str(value) for member, value in device["DRIVER_INFO"].items()}


def labels_beside(catalogue: Path) -> Iterator[tuple[str, Path]]:
    """Yield the labels in other catalogues of the same folder, each with its file.

    Catalogues that cannot be read are skipped; other programs cannot read them either.
    """
    for path in sorted(catalogue.parent.glob("*.xml")):
        if path != catalogue and not path.name.endswith("_sk.xml"):
            for device in _devices(path):
                yield device.get("label", ""), path


def programs_in(catalogue: Path) -> list[str]:
    """Return the programs that a catalogue names; none if it cannot be read."""
    return [(driver.text or "").strip() for device in _devices(catalogue) for driver in device.iter("driver")]


def _devices(catalogue: Path) -> list[Element]:
    """Return the devices in a catalogue; none if it is not a catalogue, or cannot be read."""
    try:
        # Whoever may write there may have put a pipe, which one would read for ever, or something endless.
        found = catalogue.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_BYTES:
            return []
        return list(parse(catalogue).iter("device"))
    except (OSError, ParseError, DefusedXmlException, LookupError, ValueError):
        return []
