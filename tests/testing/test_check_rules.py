"""Every rule of check_driver, broken by a driver that breaks only this one."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
import trio.testing

from indianyio.protocol import Attachment
from indianyio.streams import SharedMemory, memory_pair
from indianyio.streams._base import WrappingStream
from indianyio.testing import RULES, Finding, MisbehavingStream, Mischief, check_driver
from tests.testing.scripted_driver import ANSWERS, Scripted, Spoil
from tests.testing.slider import Slider

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def checked(spoil: Spoil) -> list[Finding]:
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Scripted(far, spoil).run)
        findings = await check_driver(near)
    return findings


def exchanged(name: str, old: str, new: str) -> Spoil:
    """Exchange a text in one of the answers."""

    def spoil(which: str, text: str, asked: str) -> str:
        assert name != which or old in text
        return text.replace(old, new) if which == name else text

    return spoil


def silent(*asked_words: str, not_words: str = "\n") -> Spoil:
    """Say nothing when asked for this."""

    def spoil(which: str, text: str, asked: str) -> str:
        return "" if all(word in asked for word in asked_words) and not_words not in asked else text

    return spoil


def late_change(which: str, text: str, asked: str) -> str:
    return text.replace('label="Info"', 'label="Other"') if which == "info" and 'device="*"' in asked else text


def only_time(number: int) -> Spoil:
    """Say nothing the n-th time that everything is asked for."""
    seen = 0

    def spoil(which: str, text: str, asked: str) -> str:
        nonlocal seen
        is_all = '<getProperties version="1.7"/>' in asked
        seen += is_all and which == "connection"
        return "" if is_all and seen == number else text

    return spoil


def without_connection(which: str, text: str, asked: str) -> str:
    return "" if which == "connection" else text.replace(">2<", ">32768<")


def connected_too_late(which: str, text: str, asked: str) -> str:
    if which == "connected":
        return ""
    return text + ANSWERS["connected"] if which == "ccd" and "oneSwitch" in asked else text


BROKEN: dict[str, Spoil] = {
    "output": exchanged("connected", "<setSwitch", "I am connecting now\n<setSwitch"),
    "well-formed": exchanged("readonly", "read-only", "read & only"),
    "words": exchanged("info", 'perm="ro"', 'perm="readonly"'),
    "set-state": exchanged("connected", ' state="Ok"', ""),
    "timestamp": exchanged("readonly", "2026-01-31T23:59:59", "yesterday"),
    "timeout": exchanged("connection", 'timeout="60"', 'timeout="a minute"'),
    "members": exchanged("ccd", "</defBLOBVector>", '<defBLOB name="CCD1" label="again"/></defBLOBVector>'),
    "decimal": exchanged("image", ">0.1<", ">0:06<"),
    "format": exchanged("exposure", "%5.2f", "%s"),
    "values": exchanged("connected", ">Off<", ">No<"),
    "defined": exchanged("refused", "<set", '<setLightVector device="D" name="NOTHING" state="Ok"/><set'),
    "kind": exchanged("refused", "<set", '<setTextVector device="D" name="CCD_EXPOSURE" state="Ok"/><set'),
    "member": exchanged("image", "0</oneNumber>", '0</oneNumber><oneNumber name="LEFT">0</oneNumber>'),
    "limits": exchanged("image", ">0.1<", ">-0.1<"),
    "switch-rule": exchanged("connected", ">Off<", ">On<"),
    "one-on": exchanged("connection", ">On<", ">Off<"),
    "repeated": late_change,
    "deleted": exchanged("disconnected", 'name="CCD1"', 'name="CCD9"'),
    "blob-attributes": exchanged("image", 'format=".fits"', 'format="fits"'),
    "blob-size": exchanged("image", 'size="3"', 'size="4"'),
    "blob-base64": exchanged("image", ' enclen="4">\nYWJj', ">\nY\nWJj"),
    "blob-enclen": exchanged("image", 'enclen="4"', 'enclen="5"'),
    "answers-star": silent('device="*"'),
    "answers-device": silent('<getProperties version="1.7" device="D"/>'),
    "answers-vector": silent("<getProperties", "name="),
    "refuses-range": silent(">110<"),
    "refuses-member": silent("NO_SUCH_MEMBER"),
    "refuses-number": silent("banana"),
    "refuses-read-only": silent("newTextVector"),
    "interface": exchanged("info", ">2<", ">camera<"),
    "class": exchanged("info", ">2<", ">10<"),
    "standard": exchanged("info", "DRIVER_EXEC", "DRIVER_FILE"),
    "connection": without_connection,
    "connect-first": connected_too_late,
    "connection-state": exchanged("connected", ' state="Ok"', ' state="Idle"'),
    "survives": lambda which, text, asked: "END" if which == "image" else text,
}


def attached(attributes: str) -> Spoil:
    """Attach the image, which the stream cannot, and say of it what its attributes say."""
    return exchanged("image", 'enclen="4">\nYWJj\n</oneBLOB>', f'attached="true" {attributes}/>')


# More ways to break some of them.
MORE: list[tuple[str, Spoil]] = [
    ("output", exchanged("connected", "<setSwitch", "<" * 200_000 + "<setSwitch")),
    ("words", exchanged("connection", 'rule="OneOfMany"', 'rule="One"')),
    ("words", exchanged("info", ' state="Idle"', "")),
    ("set-state", exchanged("image", 'name="CCD1" state="Ok"', 'name="CCD1" state="Fine"')),
    ("timestamp", exchanged("readonly", "2026-01-31T", "2026-01-31 ")),
    ("decimal", exchanged("exposure", 'max="10"', 'max="10 s"')),
    ("decimal", exchanged("image", ">0.1<", ">0x1<")),
    ("decimal", exchanged("image", ">0.1<", ">nan<")),
    ("one-on", exchanged("disconnected", ">On<", ">Off<")),
    ("switch-rule", exchanged("disconnected", ">Off<", ">On<")),
    ("defined", exchanged("image", 'name="CCD1" state', 'name="CCD7" state')),
    ("blob-attributes", exchanged("image", 'size="3"', 'size="²"')),
    ("blob-attributes", exchanged("image", 'size="3"', f'size="{"9" * 5000}"')),
    ("blob-attributes", exchanged("image", ' format=".fits"', "")),
    ("blob-size", exchanged("image", "YWJj", "YWJ")),
    ("blob-base64", exchanged("image", "YWJj", "YW?j")),
    ("blob-base64", exchanged("image", "\nYWJj\n", "\r\nYWJj\r\n")),
    ("blob-enclen", exchanged("image", "\nYWJj\n", "YWJj")),
    ("blob-enclen", exchanged("image", 'enclen="4">\nYWJj', f'enclen="100">\n{"YWJj" * 25}')),
    ("connection-state", exchanged("connected", '"CONNECT">On<', '"CONNECT">Off<')),
    ("connection-state", exchanged("disconnected", '"CONNECT">Off<', '"CONNECT">On<')),
    ("interface", exchanged("info", ">2<", f">{'9' * 5000}<")),
    ("interface", exchanged("info", ">2<", ">²<")),
    ("class", exchanged("info", ">2<", ">4096<")),
    ("standard", exchanged("connection", 'name="DISCONNECT"', 'name="UNCONNECT"')),
    ("refuses-range", exchanged("refused", 'name="CCD_EXPOSURE"', 'name="CCD1"')),
]


# These count, so that each test needs one of its own.
SILENT_THE_NTH_TIME = {"answers-all": 1, "survives-garbage": 3}


async def test_a_driver_without_a_fault() -> None:
    assert await checked(lambda which, text, asked: text) == []


@pytest.mark.parametrize("rule", [*BROKEN, *SILENT_THE_NTH_TIME])
async def test_a_driver_that_breaks_one_rule(rule: str) -> None:
    nth = SILENT_THE_NTH_TIME.get(rule)
    findings = await checked(BROKEN[rule] if nth is None else only_time(nth))
    assert {finding.rule for finding in findings} == {rule}, "\n".join(map(str, findings))
    assert all(finding.data for finding in findings)


@pytest.mark.parametrize(("rule", "spoil"), MORE)
async def test_more_ways_to_break_a_rule(rule: str, spoil: Spoil) -> None:
    findings = await checked(spoil)
    assert rule in {finding.rule for finding in findings}, "\n".join(map(str, findings))
    assert all(finding.data for finding in findings)


class Attaching(WrappingStream):
    """Sends three bytes attached to whatever says so."""

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        memory = SharedMemory.create("test")
        memory.write(b"abc")
        await super().send(data, [memory] if b"attached=" in bytes(data) else [])
        memory.close()


@pytest.mark.parametrize(
    ("attributes", "rules"),
    [
        ('len="3"', set[str]()),
        ("", set[str]()),
        ('len="many"', {"blob-attached"}),
        ('len="5"', {"blob-attached"}),
        (f'len="{"9" * 5000}"', {"blob-attached"}),
    ],
    ids=["len", "size", "no number", "too much", "far too much"],
)
async def test_attachments_that_are_not_what_they_say(attributes: str, rules: set[str]) -> None:
    near, far = memory_pair(carries_attachments=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Scripted(Attaching(far), attached(attributes)).run)
        findings = await check_driver(near)
    assert {finding.rule for finding in findings} == rules, findings
    assert all(finding.data for finding in findings)


async def test_what_nobody_can_follow_ends_the_examination() -> None:
    """A driver that never comes to an end of its rubbish costs neither time nor memory."""
    asked: list[str] = []

    def spoil(which: str, text: str, asking: str) -> str:
        asked.append(asking)
        return "rubbish " * 300_000 if which == "connected" else text

    findings = await checked(spoil)
    assert "output" in {finding.rule for finding in findings}
    assert all(finding.data for finding in findings)
    assert not any("banana" in one for one in asked)


@pytest.mark.parametrize("seed", range(15))
async def test_garbage_gives_findings_and_never_any_error(seed: int) -> None:
    near, far = memory_pair()
    bad = MisbehavingStream(far, sending=Mischief(garble=0.002 * (1 + seed % 5), pieces=400), seed=seed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Scripted(bad, lambda which, text, asked: text).run)
        findings = await check_driver(near)
    assert findings
    assert all(finding.data and str(finding) for finding in findings)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(exchanged("exposure", 'min="0"', 'min="0.05"'), id="an exposure that is over"),
        pytest.param(
            exchanged(
                "exposure",
                "<defNumberVector",
                '<defSwitchVector device="D" name="RESET" label="Reset"'
                ' group="Main" state="Idle" perm="rw" rule="OneOfMany" timeout="0"><defSwitch name="RESET">'
                "Off</defSwitch></defSwitchVector><defNumberVector",
            ),
            id="a button",
        ),
    ],
)
async def test_what_drivers_of_libindi_do_and_nobody_minds(spoil: Spoil) -> None:
    rules = {finding.rule for finding in await checked(spoil)}
    assert rules <= {"refuses-member"}  # the scripted driver has no answer for a button


async def test_a_driver_that_does_not_end() -> None:
    class Lingering(Slider):
        async def leave(self) -> None:
            await anyio.sleep(1000)

    driver = Lingering()
    driver.grace = 60
    [finding] = await check_driver(driver)
    assert finding.rule == "ends"
    assert finding.data
    assert await check_driver(Slider) == []


async def test_without_writes_it_is_only_asked() -> None:
    asked: list[str] = []

    def spoil(which: str, text: str, asking: str) -> str:
        asked.append(asking)
        return text

    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Scripted(far, spoil).run)
        assert await check_driver(near, writes=False) == []
    assert asked
    assert all("<getProperties" in one for one in asked)


def test_every_rule_is_broken_here() -> None:
    assert {rule.id for rule in RULES} == {*BROKEN, *SILENT_THE_NTH_TIME, "ends", "blob-attached"}
    assert len({rule.id for rule in RULES}) == len(RULES)
