"""The directive ``public``: the reference of a module, every public name of it.

Each name is documented once, where it is at home; other modules that export it too say where that is. References in
docstrings and in annotations are to private modules, as often as not, because that is where the names are defined;
they are led to where the names are documented.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from _public import homes, is_class, members, names, source_of
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from indianyio.instrument import Property
from indianyio.properties import Declaration, Member

# Where a bare name may come from that an annotation has and the public module has not.
_ELSEWHERE = (
    "builtins",
    "typing",
    "random",
    "collections.abc",
    "xml.etree.ElementTree",
    "anyio.abc",
    "anyio.streams.tls",
    "trio.testing",
)

# A page of this folder, in a docstring.
_CITED = re.compile(r"(?<![`\w/])docs/(decisions/)?[\w-]+(\.md)?")

# Private classes that signatures name, and that the pages of the reference document by hand.
NAMED = (
    "indianyio._model._attributes.SendOptions",
    "indianyio._model._blob_members.BLOBFile",
    "indianyio._model._members.Member",
    "indianyio._model._members.WordMember",
    "indianyio.instrument._framework._following.Followed",
    "indianyio.wires._network.WireOptions",
)


class Public(SphinxDirective):
    """``.. public:: indianyio.client``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the documentation of the module."""
        lines = StringList(list(_lines(self.arguments[0])), source=self.arguments[0])
        found = nodes.section()
        found.document = self.state.document
        self.state.nested_parse(lines, self.content_offset, found)
        return found.children


def _lines(module: str) -> Iterator[str]:
    yield from (f".. automodule:: {module}", "")
    elsewhere = []
    aliases = []  # They come last: they are read where a signature leads to them.
    for name in names(module):
        value = getattr(import_module(module), name)
        home = homes()[id(value)]
        if home != f"{module}.{name}":
            elsewhere.append(f":py:obj:`{name} <{home}>`")
        elif is_class(value):
            yield from _class(home, value) if value.__name__ == name else _renamed(name, value)
        elif inspect.isroutine(value):
            yield from (f".. autofunction:: {home}", "")
        else:
            aliases += _data(module, name)
    yield from aliases
    if elsewhere:
        yield from (f"Also here, and documented where they are at home: {', '.join(elsewhere)}.", "")


def _class(home: str, cls: type) -> Iterator[str]:
    yield f".. autoclass:: {home}"
    if _bases(cls):
        yield "   :show-inheritance:"
    yield "   :member-order: bysource"
    if hasattr(cls, "__members__"):
        yield "   :undoc-members:"
    if shown := members(cls):
        yield f"   :members: {', '.join(shown)}"
    yield ""
    yield from (f"   {line}" for line in [*_properties(cls, shown), *_values(cls)])


def _properties(cls: type, shown: list[str]) -> Iterator[str]:
    """Tell which properties an instrument has, beside those of its public bases."""
    declared = [(name, inspect.getattr_static(cls, name)) for name in shown]
    properties = [(name, value.values) for name, value in declared if isinstance(value, Property)]
    if properties:
        listed = ", ".join(f"``{name}`` (:py:obj:`~{homes()[id(values)]}`)" for name, values in properties)
        yield from (f"Properties: {listed}.", "")


def _values(cls: type) -> Iterator[str]:
    """Tell what the attributes of a class of values are on the wire."""
    declaration = getattr(cls, "declaration", None)
    if isinstance(declaration, Declaration):
        yield from (f"On the wire ``{declaration.name}``, with", "")
        for member in _members_of(declaration):
            what = f"``{member.name}``, {member.label}" if member.name else "members that are made at run time"
            yield f"- ``{member.attribute}``: {what}"
        yield ""


def _members_of(declaration: Declaration) -> list[Member]:
    template = declaration.template
    return [*declaration.members, *([] if template is None else [template])]


def _renamed(name: str, cls: type) -> Iterator[str]:
    """Document a class by another name than its own, of which autodoc would only say that it is one."""
    parameters = inspect.signature(cls).parameters.values()
    shown = ", ".join(str(parameter.replace(annotation=parameter.empty)) for parameter in parameters)
    yield from (f".. py:class:: {name}({shown})", "")
    bases = (f":py:class:`~{homes()[id(base)]}`" for base in _bases(cls))
    yield from (f"   Bases: {', '.join(bases)}", "")
    yield from (f"   {line}" for line in inspect.cleandoc(cls.__doc__ or "").splitlines())
    yield ""


def _data(module: str, name: str) -> Iterator[str]:
    assigned, text = source_of(module, name)
    yield from (f".. py:data:: {name}", "")
    yield from (f"   ``{assigned}``", "")
    yield from (f"   {line}" for line in text.splitlines())
    yield ""


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """Lead a reference that Sphinx did not find to where what is meant is documented."""
    if node.get("refdomain") != "py":
        return None
    known = env.get_domain("py").objects  # type: ignore[attr-defined]
    for path in _meanings(node["reftarget"], node.get("py:module"), node.get("py:class")):
        found = _found(path)
        if found is None:
            continue
        home = next((home for home in _homes(*found, path) if home in known), None)
        if home is not None:
            entry = known[home]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, home)
        if not _is_ours(found[0], path):
            return content
    return None


def _meanings(target: str, module: str | None, cls: str | None) -> Iterator[str]:
    """Yield what a name may stand for, the likeliest first."""
    if module:
        if cls:
            yield f"{module}.{cls}.{target}"
        yield f"{module}.{target}"
    yield target
    # Docstrings are written for the module in which they stand, which is a private one.
    first, *rest = target.split(".")
    alike = [home for home in (*homes().values(), *NAMED) if home.rpartition(".")[2] == first]
    if len(alike) == 1:
        yield ".".join([*alike, *rest])
    yield from (f"{where}.{target}" for where in _ELSEWHERE)


def _found(path: str) -> tuple[object, object] | None:
    """Return what a dotted name means, and whose attribute it is; ``None`` if there is no such thing."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:count]))
        except (ImportError, ValueError):
            continue
        owner: Any = None
        for part in parts[count:]:
            owner, value = value, _attribute(value, part)
            if value is None:
                return None
        return value, owner
    return None


def _attribute(owner: object, name: str) -> object | None:
    if not is_class(owner):
        return getattr(owner, name, None)
    found = inspect.getattr_static(owner, name, None)
    # An attribute of instances stands in the docstring of the class.
    return owner if found is None and f":ivar {name}:" in (owner.__doc__ or "") else found


def _homes(value: object, owner: object, path: str) -> Iterator[str]:
    """Yield under which names a thing may be documented."""
    if id(value) in homes():
        yield homes()[id(value)]
    for base in getattr(owner, "__mro__", ()):
        if id(base) in homes():
            yield f"{homes()[id(base)]}.{path.rpartition('.')[2]}"
    yield path


def _is_ours(value: object, path: str) -> bool:
    """Tell whether a thing should be documented; of what only type checkers know the name is enough."""
    if isinstance(value, TypeVar | ParamSpec) or not (is_class(value) or inspect.isroutine(value)):
        return False
    return str(getattr(value, "__module__", None) or path).split(".")[0] == "indianyio"


def _signature(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Show how a thing is called; not if only the library makes it, of something private, or nobody does."""
    if signature is None:
        return None
    declaration = getattr(value, "declaration", None)
    if what == "class" and (getattr(value, "_is_protocol", False) or _is_private(signature)):
        return "", returns
    if what == "class" and isinstance(declaration, Declaration):
        return f"(*, {', '.join(member.attribute for member in _members_of(declaration))})", returns
    # A default such as <factory> is no Python, and Sphinx then takes the annotations for text.
    return re.sub(r"= <[^<>]*>", "= ...", signature), returns


def _is_private(signature: str) -> bool:
    """Tell whether something private of ours is needed, which no reader has."""
    for path in re.findall(r"indianyio\.[\w.]+", signature):
        found = _found(path)
        if found and is_class(found[0]) and id(found[0]) not in homes() and path not in NAMED:
            return True
    return False


def _public_bases(app: Sphinx, name: str, cls: type, options: object, bases: list[Any]) -> None:
    bases[:] = _bases(cls)


def _bases(cls: type) -> list[type]:
    """Return the bases that tell a reader something; of a private one the nearest public base."""
    shown: dict[type, None] = {}
    for base in cls.__bases__:
        public = (one for one in base.__mro__ if id(one) in homes() or not one.__module__.startswith("indianyio"))
        shown[next(public)] = None
    return [base for base in shown if base is not object and base.__module__ not in ("typing", "abc")]


def _docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Lead from the pages that a docstring cites to them; one that is not there is an error."""
    if what == "module" and name.startswith("indianyio.standard."):
        del lines[1:]  # what follows is for whoever reads the source, and the same in all of them
    lines[:] = [_CITED.sub(lambda cited: _page(cited[0], app.srcdir), line) for line in lines]


def _page(cited: str, folder: Path) -> str:
    """Return a reference to a page; a decision may be cited by its number."""
    name = cited.removeprefix("docs/").removesuffix(".md")
    found = sorted(folder.glob(f"{name}*.md")) if name.startswith("decisions/") else []
    document = found[0].relative_to(folder).with_suffix("") if len(found) == 1 else name
    return f":doc:`{cited} </{document}>`"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("public", Public)
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-bases", _public_bases)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
