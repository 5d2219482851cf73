"""A reader of INDI that shares nothing with the library's own: expat, and a simple mirror.

What checks a library must not be built from it. A fault in the framer that the library's own client
would hide is seen here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

__all__ = ["Heard", "Known", "Mirror", "Reader"]


@dataclass(frozen=True, slots=True)
class Heard:
    """One message.

    :ivar tag: of its element.
    :ivar attributes: of its element, as they came.
    :ivar members: by name, the attributes of each member.
    :ivar values: by name, the text of each member, without white space around it.
    """

    tag: str
    attributes: Mapping[str, str]
    members: Mapping[str, Mapping[str, str]]
    values: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """Which vector of which device it is about; an empty name if it is about all of them."""
        return self.attributes.get("device", ""), self.attributes.get("name", "")

    @property
    def state(self) -> str:
        """The state that it tells; an empty text if it tells none."""
        return self.attributes.get("state", "")


class Reader:
    """Makes messages of bytes, however they are cut."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._take_text
        # Newer versions of expat may wait for more bytes before they parse on, which would delay messages.
        if hasattr(self._parser, "SetReparseDeferralEnabled"):
            self._parser.SetReparseDeferralEnabled(False)
        self._depth = 0
        self._text: list[str] = []
        self._attributes: dict[str, str] = {}
        self._member: dict[str, str] = {}
        self._members: dict[str, dict[str, str]] = {}
        self._values: dict[str, str] = {}
        self._heard: list[Heard] = []
        self._parser.Parse(b"<stream>", False)

    def feed(self, data: bytes) -> list[Heard]:
        """Return the messages that end in ``data``.

        :raises ValueError: what came is not well-formed; nothing more can be read then.
        """
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as error:
            raise ValueError(f"what came is no XML ({error}): {data[:200]!r}") from error
        heard, self._heard = self._heard, []
        return heard

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._text = []
        if self._depth == 2:
            self._attributes, self._members, self._values = attributes, {}, {}
        elif self._depth == 3:
            self._member = attributes

    def _end(self, tag: str) -> None:
        if self._depth == 3:
            name = self._member.get("name", "")
            self._members[name] = self._member
            self._values[name] = "".join(self._text).strip()
        elif self._depth == 2:
            self._heard.append(Heard(tag, self._attributes, self._members, self._values))
        self._text = []
        self._depth -= 1

    def _take_text(self, text: str) -> None:
        self._text.append(text)


@dataclass(slots=True)
class Known:
    """A vector, as a client knows it.

    :ivar kind: ``Text``, ``Number``, ``Switch``, ``Light`` or ``BLOB``.
    :ivar attributes: of its definition.
    :ivar members: of its definition, the attributes of each by name.
    :ivar state: as it was told last.
    :ivar values: likewise, as texts.
    """

    kind: str
    attributes: Mapping[str, str]
    members: Mapping[str, Mapping[str, str]]
    state: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def is_writable(self) -> bool:
        """Whether a client may write it."""
        return self.attributes.get("perm", "ro") != "ro" and self.kind != "Light"


class Mirror(dict[tuple[str, str], Known]):
    """What a client knows: vectors, by the names of the device and of the vector."""

    def apply(self, heard: Heard) -> bool:
        """Take note of a message.

        :return: whether it says something of a vector that this mirror does not know.
        """
        kind = heard.tag[3:].removesuffix("Vector")
        if heard.tag.startswith("def"):
            values = {} if kind == "BLOB" else dict(heard.values)
            self[heard.key] = Known(kind, heard.attributes, heard.members, heard.state, values)
        elif heard.tag.startswith("set"):
            known = self.get(heard.key)
            if known is None:
                return True
            known.state = heard.state or known.state
            known.members = {
                name: _with_limits(one, heard.members.get(name)) for name, one in known.members.items()
            }
            if kind != "BLOB":
                known.values.update(heard.values)
        elif heard.tag == "delProperty":
            for key in list(self._named(heard)):
                del self[key]
        return False

    def copied(self) -> Mirror:
        """Return a mirror that no later message changes."""
        return Mirror(
            {key: Known(k.kind, k.attributes, k.members, k.state, dict(k.values)) for key, k in self.items()}
        )

    def _named(self, heard: Heard) -> Iterator[tuple[str, str]]:
        device, name = heard.key
        return (key for key in self if key[0] == device and name in {"", key[1]})


def _with_limits(member: Mapping[str, str], heard: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return what is known of a member with the new limits of an update, as libindi's clients take them."""
    new = {name: heard[name] for name in ("min", "max", "step") if name in heard} if heard else None
    return {**member, **new} if new else member
