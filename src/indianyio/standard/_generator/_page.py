"""docs/standard-properties.md: which class stands for which property."""

from __future__ import annotations

from collections.abc import Iterator

from indianyio.standard._generator._data import Catalogue, Kind, PropertyEntry
from indianyio.standard._generator._modules import defined

__all__ = ["page_of"]

_HEAD = '''\
# The standard properties

These are the properties by which clients recognise a device. `indianyio.standard` has a class for each of them, in
a module for each kind of device, as libindi {version} defines them:

```python
from indianyio.standard.camera import CcdBinning, CcdExposure

CcdBinning(x=2, y=2)
CcdExposure(seconds=30)
```

If your device has other limits, subclass the class and declare the member again. If the name of a property is made
at run time, subclass its class with a name.

```python
from indianyio.properties import number
from indianyio.standard.focuser import AbsFocusPosition
from indianyio.standard.outputs import DigitalOutput

class Position(AbsFocusPosition):
    steps: float = number("FOCUS_ABSOLUTE_POSITION", label="Steps", format="%.f", max=50_000, step=100)

class Lamp(DigitalOutput, name="DIGITAL_OUTPUT_1", label="Lamp"):
    """The lamp above the desk."""

Lamp(on=True)
```

The tables list members by their attributes. Devices leave out a member in brackets if they do not support it; an
attribute with dots is a mapping of members that are made at run time, by their names on the wire. If a name on the
wire has a part in `<...>`, that part is made at run time. A star marks properties that KStars, Ekos, PHD2 or
CCDciel look for. "Saved" marks those that `CONFIG_SAVE` writes.

This page is generated from [catalogue.toml](../src/indianyio/standard/catalogue.toml), which has more: labels,
groups, formats, limits, states, the lines of libindi's source, and what differs in libindi {compared}
([decision 26](decisions/0026-the-catalogue-is-written-from-one-file.md)).
'''


def page_of(catalogue: Catalogue) -> str:
    """Return the page."""
    parts = [_HEAD.format(version=catalogue.version, compared=catalogue.compared)]
    parts += ["\n".join(_section(kind)) + "\n" for kind in catalogue.kinds]
    return "\n".join(parts)


def _section(kind: Kind) -> Iterator[str]:
    yield f"## {kind.title}"
    yield ""
    bits = f" `DRIVER_INTERFACE` {kind.interface}." if kind.interface else ""
    yield f"{kind.doc} Module `indianyio.standard.{kind.module}`.{bits}"
    yield ""
    yield "| Class | On the wire | Members | Meaning |"
    yield "|---|---|---|---|"
    for entry in kind.properties:
        members = [f"[{member.attribute}]" if member.optional else member.attribute for member in entry.members]
        if entry.runtime is not None:
            members.append(f"{entry.runtime.attribute}...")
        name = f"`{entry.name}`" + " ★" * bool(entry.clients)
        what = " ".join([_marked(entry), defined(entry)])
        yield f"| `{entry.class_}` | {name} | {', '.join(f'`{member}`' for member in members)} | {what} |"


def _marked(entry: PropertyEntry) -> str:
    doc = entry.doc if entry.doc.endswith(".") else f"{entry.doc}."
    return {"ro": f"Read-only. {doc}", "wo": f"Write-only. {doc}"}.get(entry.perm, doc)
