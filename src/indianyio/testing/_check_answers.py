"""The rules about answers: how a driver answers requests and writes, and how it ends (docs/protocol.md, part 3)."""

from __future__ import annotations

from collections.abc import Callable

from indianyio.protocol import DefVector, SetSwitchVector, SetVector
from indianyio.testing._check_rules import Found, Rule
from indianyio.testing._examination import Evidence, Probe

__all__ = ["ANSWER_RULES"]


def _unanswered(what: str) -> Callable[[Evidence], Found]:
    """Return a function that looks for requests of one kind that no definition has answered."""

    def look(evidence: Evidence) -> Found:
        for probe in evidence.probes:
            if probe.what == what and probe is not evidence.lost_at:
                device, name = probe.key
                if not any(
                    isinstance(one.message, DefVector)
                    and device in ("", one.message.device)
                    and name in ("", one.message.name)
                    for one in evidence.after(probe)
                ):
                    yield "nothing was defined in answer to this", probe.sent

    return look


def _not_refused(*what: str) -> Callable[[Evidence], Found]:
    """Return a function that looks for wrong writes that neither an update nor a message has answered."""

    def look(evidence: Evidence) -> Found:
        for probe in evidence.probes:
            if probe.what in what and probe is not evidence.lost_at and not _answered(evidence, probe):
                yield "neither an update nor a message came in answer to this", probe.sent

    return look


def _answered(evidence: Evidence, probe: Probe) -> bool:
    device, name = probe.key
    for one in evidence.after(probe):
        message = one.message
        if isinstance(message, SetVector) and (message.device, message.name) == (device, name):
            return True
        if message.tag == "message" and getattr(message, "device", None) in (None, device):
            return True
    return False


def _connect_first(evidence: Evidence) -> Found:
    for probe in evidence.probes:
        if probe.what != "connect":
            continue
        for one in evidence.after(probe):
            message = one.message
            if isinstance(message, SetVector) and (message.device, message.name) == probe.key:
                break
            if isinstance(message, DefVector):
                yield f"{message.name} is defined before CONNECTION is answered", one.data
                break
        else:
            if probe is not evidence.lost_at:
                yield "CONNECTION was not answered", probe.sent


def _connection_state(evidence: Evidence) -> Found:
    """Check the outcome of CONNECTION: to clients a device is connected if it is Ok and CONNECT is On."""
    for probe in evidence.probes:
        if probe.what not in ("connect", "disconnect"):
            continue
        told = [
            one
            for one in evidence.after(probe)
            if isinstance(one.message, SetSwitchVector) and (one.message.device, one.message.name) == probe.key
        ]
        if not told:
            continue  # this is for another rule
        last = told[-1].message
        assert isinstance(last, SetSwitchVector)
        # An update that does not name the switch leaves it as it was written.
        on = {member.name: member.value for member in last.members}.get("CONNECT")
        if probe.what == "connect" and last.state == "Ok" and on == "Off":
            yield "CONNECTION is Ok after CONNECT, but CONNECT is Off", told[-1].data
        elif probe.what == "connect" and last.state == "Idle":
            yield (
                "CONNECTION is Idle after CONNECT, which to clients means neither connected nor refused",
                told[-1].data,
            )
        elif probe.what == "disconnect" and on == "On":
            yield "CONNECT is On after DISCONNECT", told[-1].data


def _survives(evidence: Evidence) -> Found:
    if evidence.lost_at is not None:
        yield f"the driver ended after this{evidence.failure and ': '}{evidence.failure}", evidence.lost_at.sent


def _ends(evidence: Evidence) -> Found:
    if evidence.lost_at is None and evidence.ended is False:
        # All there is to show are the last bytes that either side has sent.
        shown = evidence.said[-1].data if evidence.said else evidence.probes[-1].sent
        yield f"it did not end properly{evidence.failure and ': '}{evidence.failure}", shown


ANSWER_RULES: tuple[Rule, ...] = (
    Rule("answers-all", "getProperties is answered.", "3.2", "error", _unanswered("all")),
    Rule("answers-star", "getProperties for the device * is answered.", "2.9", "warning", _unanswered("star")),
    Rule("answers-device", "getProperties for a device is answered.", "3.2", "error", _unanswered("device")),
    Rule("answers-vector", "getProperties for a vector is answered.", "3.2", "error", _unanswered("vector")),
    Rule("refuses-range", "A number out of range is refused in words.", "3.2", "warning", _not_refused("range")),
    Rule("refuses-member", "An unknown member is refused in words.", "3.2", "warning", _not_refused("member")),
    Rule("refuses-number", "A text that is not a number is refused.", "3.2", "warning", _not_refused("number")),
    Rule("refuses-read-only", "A write to an ro vector is answered.", "3.2", "warning", _not_refused("read-only")),
    Rule("survives-garbage", "After garbage the driver still answers.", "1.1 W14", "error", _unanswered("garbage")),
    Rule("connect-first", "CONNECTION is answered before more is defined.", "3.3", "error", _connect_first),
    Rule("connection-state", "CONNECTION shows whether it succeeded.", "3.3", "error", _connection_state),
    Rule("survives", "The driver goes on while its input does.", "3.1", "error", _survives),
    Rule("ends", "The driver ends when its input does.", "3.1", "error", _ends),
)
