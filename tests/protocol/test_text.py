"""Names and texts: what is refused, and what two kinds of reader make of the rest."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol._text import (
    escape_attribute,
    escape_text,
    replace_uncarried,
    require_name,
    require_xml_text,
)

XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")
    .filter(lambda character: character >= " ")
    .map(str)
    | st.sampled_from("\t\n&<>\"']")
)


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x0b", "\x1b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_d16_characters_that_xml_cannot_carry_are_refused(character: str) -> None:
    with pytest.raises(ValueError, match=f"^label has U\\+{ord(character):04X} at position 4, "):
        require_xml_text(f"bell{character}", "label")


@pytest.mark.parametrize("value", [5, None, b"bytes", True])
def test_d16_what_is_no_str_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"^label must be a str, not "):
        require_xml_text(value, "label")
    with pytest.raises(TypeError, match=r"^device name must be a str, not "):
        require_name(value, "device name")


@pytest.mark.parametrize(
    "text", ["", "\t\n\r", "plain", "é \x7f \x85 \ud7ff \ue000 \ufffd", "\U0001f52d\U0010ffff"]
)
def test_other_texts_come_back_as_they_are(text: str) -> None:
    assert require_xml_text(text, "text") == text


@pytest.mark.parametrize("name", ["A", "CCD Simulator", "x" * 63, "<&>\"'"])
def test_names_come_back_as_they_are(name: str) -> None:
    assert require_name(name, "name") == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("x" * 64, "has 64 bytes"),
        ("Kühler", r"has U\+00FC at position 1"),
        ("a\tb", r"has U\+0009"),
        ("a\x7f", r"has U\+007F"),
        (" a", "begins or ends with a blank"),
        ("a ", "begins or ends with a blank"),
        (" ", "begins or ends with a blank"),
    ],
)
def test_names_that_some_peer_would_change_are_refused(name: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^member name .*{fault}"):
        require_name(name, "member name")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("a & b < c", "a &amp; b &lt; c"),
        ("'quoted' \"twice\" >", "'quoted' \"twice\" >"),
        (">first", ">first"),
        ("'first", "'first"),
        ("]]>", "]]&gt;"),
        ("]]]>]>", "]]]&gt;]>"),
        ("&amp;", "&amp;amp;"),
    ],
)
def test_text_has_only_the_entities_that_xml_demands(text: str, escaped: str) -> None:
    assert escape_text(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain 'text'", "plain 'text'"),
        ('&<>"', "&amp;&lt;&gt;&quot;"),
        ("a\tb\nc\rd\r\ne", "a b c d  e"),
    ],
)
def test_attributes_have_entities_and_blanks(text: str, escaped: str) -> None:
    assert escape_attribute(text) == escaped


@given(XML_TEXT)
def test_an_xml_reader_gets_the_text_back(text: str) -> None:
    assert (ElementTree.fromstring(f"<x>{escape_text(text)}</x>").text or "") == text


@given(XML_TEXT)
def test_an_xml_reader_gets_the_attribute_back_but_for_white_space_and_del(text: str) -> None:
    expected = text.replace("\t", " ").replace("\n", " ").replace("\x7f", "")
    assert ElementTree.fromstring(f'<x a="{escape_attribute(text)}"/>').attrib["a"] == expected


@given(st.text(st.characters()))
def test_what_was_replaced_can_be_carried(text: str) -> None:
    replaced = replace_uncarried(text)
    assert require_xml_text(replaced, "text") == replaced
    assert len(replaced) == len(text)


def test_only_what_cannot_be_carried_is_replaced() -> None:
    assert replace_uncarried("bell\x07 <\ud800> é\n") == "bell\ufffd <\ufffd> é\n"
