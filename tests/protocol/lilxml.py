"""A reader with the traps of libindi's, written from protocol.md W2 to W10, to see what C++ programs would see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&apos;": "'", "&quot;": '"'}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BLANKS = " \t\r\n"


class NotReadError(Exception):
    """The reader would drop this element."""


@dataclass
class Seen:
    """An element as it is seen."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Seen] = field(default_factory=list)


class Reader:
    """Read one element from the beginning of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self) -> str:
        if self.at == len(self.text):
            raise NotReadError("the stream ended")
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
        return ENTITIES.get(written, written)

    def value(self) -> str:
        quote = self.take()
        if quote not in "\"'":
            raise NotReadError(f"no quote before offset {self.at}")
        value = ""
        while (character := self.take()) != quote:
            if character == "&":
                value += self.entity()
            elif character >= " ":  # W5
                value += character
        return value

    def element(self) -> Seen:
        self.expect("<")
        seen = Seen(self.name())
        while True:
            self.skip_blanks()
            if self.text.startswith("/", self.at):
                self.take()
                self.skip_blanks()
                self.expect(">")
                return seen
            if self.text.startswith(">", self.at):
                self.take()
                self.content(seen)
                return seen
            name = self.name()
            self.skip_blanks()
            self.expect("=")
            self.skip_blanks()
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
            if self.text[self.at : self.at + 1] in {"?", "!"}:
                self.at = self.text.index(">", self.at) + 1  # W2
            elif self.text.startswith("/", self.at):
                self.take()
                self.close(seen)
                return
            else:
                self.at -= 1
                seen.children.append(self.element())

    def close(self, seen: Seen) -> None:
        if self.name() != seen.tag:
            raise NotReadError(f"{seen.tag} is closed by another end tag")
        self.skip_blanks()
        self.expect(">")
        seen.text = seen.text.rstrip(BLANKS)


def read(data: bytes) -> Seen:
    """Return the one element in ``data`` as libindi's reader sees it."""
    reader = Reader(data.decode())
    seen = reader.element()
    if reader.at != len(reader.text):
        raise NotReadError("there is more than one element")
    return seen
