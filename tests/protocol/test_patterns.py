"""Patterns are compiled late, and nothing that needs one notices; the XML parser is imported late."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from indianyio.protocol._compiled import LazyPattern


def test_a_pattern_does_what_a_compiled_one_does() -> None:
    compiled = re.compile(r"(?P<letter>[a-c])(\d)", re.IGNORECASE)
    text = "x A1 b2"
    for name, arguments in (("findall", (text,)), ("sub", ("-", text))):
        assert getattr(LazyPattern(compiled.pattern, re.IGNORECASE), name)(*arguments) == getattr(compiled, name)(
            *arguments
        )
    for name in ("match", "search", "fullmatch"):
        for position in (0, 2, 5):
            lazy, found = LazyPattern(compiled.pattern, re.IGNORECASE), getattr(compiled, name)(text, position)
            again = getattr(lazy, name)(text, position)
            assert (again and again.groupdict()) == (found and found.groupdict())
    assert [found[0] for found in LazyPattern(rb"[a-c]").finditer(b"abd")] == [b"a", b"b"]


def test_a_pattern_is_compiled_once_and_not_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    compile_pattern = re.compile

    def counted(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
        compiled.append(pattern)
        return compile_pattern(pattern, flags)

    monkeypatch.setattr(re, "compile", counted)
    lazy = LazyPattern("a+")
    assert lazy.pattern == "a+"
    assert compiled == []
    for _ in range(3):
        assert lazy.match("aa")
        assert lazy.fullmatch("ab") is None
    assert compiled == ["a+"]


def test_a_broken_pattern_is_broken_when_it_is_used() -> None:
    with pytest.raises(re.error):
        LazyPattern("(").match("")
    with pytest.raises(AttributeError, match="split"):
        LazyPattern("a").split("a")  # type: ignore[attr-defined]


LOOK = """
import re, sys
compiled, compile_pattern = [], re.compile
re.compile = lambda *arguments: compiled.append(arguments[0]) or compile_pattern(*arguments)
import indianyio.protocol
from indianyio.protocol import Framer, SetTextVector, OneText, decode, encode
assert not [pattern for pattern in compiled if "BLOB" in str(pattern) or "TextVector" in str(pattern)], compiled
message = SetTextVector(device="D", name="N", state="Ok", members=(OneText(name="a", value="x"),))
[frame] = Framer(decoding=True).feed(encode(message))
assert decode(frame) == message
print(*(name for name in ("xml.etree.ElementTree", "defusedxml") if name in sys.modules))
[frame] = Framer(decoding=True).feed(b"<message message='&#65;'/>")
assert decode(frame).message == "A"
print(*(name for name in ("xml.etree.ElementTree", "defusedxml") if name in sys.modules))
"""


def test_the_xml_parser_is_imported_when_a_message_needs_it() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["", "xml.etree.ElementTree defusedxml"]
