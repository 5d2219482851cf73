"""A reader with the traps of libindi's, written from protocol.md W2 to W13, to see what C++ programs would see.

That it reads what lilxml 1.9.9 reads is a test itself, where libindi is installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&apos;": "'", "&quot;": '"'}
DECLARATION = re.compile(r"<[?!][^>\0]*+>")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BLANKS = " \t\n\r\x0b\x0c"


class NotReadError(Exception):
    """The reader would drop this element."""


@dataclass
class Seen:
    """An element as it is seen."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Seen] = field(default_factory=list)


def text_of(data: bytes) -> str:
    """Return bytes as people would read them; lilxml minds no encoding (W12)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


class Reader:
    """Read one element from the beginning of a text.

    :ivar crossed: whether an entity went on across markup or another ``&``, so that something else than the
        author meant was read.
    """

    def __init__(self, text: str) -> None:
        self.text = DECLARATION.sub("", text)  # W2: wherever it stands
        self.at = 0
        self.crossed = False

    def take(self) -> str:
        if self.at == len(self.text):
            raise NotReadError("the stream ended")
        if self.text[self.at] == "\0":
            raise NotReadError("NUL (W13)")
        self.at += 1
        return self.text[self.at - 1]

    def skip_blanks(self) -> None:
        while self.text[self.at : self.at + 1] and self.text[self.at] in BLANKS:
            self.at += 1

    def expect(self, character: str) -> None:
        if self.take() != character:
            raise NotReadError(f"no {character!r} before offset {self.at}")

    def name(self) -> str:
        found = NAME.match(self.text, self.at)
        if found is None:
            raise NotReadError(f"no name at offset {self.at}")
        self.at = found.end()
        return found[0]

    def entity(self) -> str:
        """Read on from behind a ``&`` up to the next ``;``, whatever is in between (W7, W8)."""
        written = "&"
        while not written.endswith(";"):
            written += self.take()
            self.crossed = self.crossed or written[-1] in "<>\"'&"
        return ENTITIES.get(written, written)

    def value(self) -> str:
        quote = self.take()
        if quote not in "\"'":
            raise NotReadError(f"no quote before offset {self.at}")
        value = ""
        while (character := self.take()) != quote:
            if character == "&":
                value += self.entity()
            elif character >= " " and character != "\x7f":  # W5
                value += character
        return value

    def element(self) -> Seen:
        self.expect("<")
        self.skip_blanks()
        seen = Seen(self.name())
        while True:
            self.skip_blanks()
            if self.text.startswith("/", self.at):
                self.take()
                self.expect(">")
                return seen
            if self.text.startswith(">", self.at):
                self.take()
                self.content(seen)
                return seen
            name = self.name()
            if not self.text.startswith((*BLANKS, "="), self.at):
                raise NotReadError(f"a bogus character in the name {name}")
            while self.text.startswith((*BLANKS, "="), self.at):
                self.take()
            seen.attributes.setdefault(name, self.value())  # W6

    def content(self, seen: Seen) -> None:
        self.skip_blanks()
        first = True
        while True:
            character = self.take()
            if character != "<":
                # W9: an entity is not decoded if it stands first.
                seen.text += self.entity() if character == "&" and not first else character
                first = False
                continue
            if self.text.startswith("/", self.at):
                self.take()
                self.close(seen)
                return
            self.at -= 1
            seen.text = seen.text.rstrip(BLANKS)
            seen.children.append(self.element())
            self.skip_blanks()
            first = True

    def close(self, seen: Seen) -> None:
        end = self.text.find(">", self.at)
        if "".join(character for character in self.text[self.at : end] if character not in BLANKS) != seen.tag:
            raise NotReadError(f"{seen.tag} is closed by another end tag")
        self.at = end
        self.expect(">")
        seen.text = seen.text.rstrip(BLANKS)


def read(data: bytes, *, may_cross: bool = True) -> Seen:
    """Return the one element in ``data`` as libindi's reader sees it.

    :param may_cross: whether an entity may go on across markup; otherwise that is no element.
    """
    reader = Reader(text_of(data))
    seen = reader.element()
    if reader.crossed and not may_cross:
        raise NotReadError("an entity with markup in it")
    if reader.at != len(reader.text):
        raise NotReadError("there is more than one element")
    return seen
