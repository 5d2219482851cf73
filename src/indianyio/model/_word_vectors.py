"""Vectors whose values are words: what they tell, as messages or as the bytes that go out.

Both say the same. The bytes are what a driver sends; the messages are for whoever wants to look at them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import ClassVar, TypeVar

from indianyio._vocabulary import Permission
from indianyio.model._members import WordMember
from indianyio.model._vectors import Heading, VectorModel
from indianyio.protocol._frames import Head
from indianyio.protocol._messages import SetVector
from indianyio.protocol._text import escape_attribute, require_xml_text

__all__ = ["WordVectorModel"]

MemberT_co = TypeVar("MemberT_co", bound=WordMember, covariant=True)


class WordVectorModel(VectorModel[MemberT_co, str]):
    """A vector whose values are words on the wire: every kind but BLOBs."""

    _head: Head  # of the updates: their tag, the device and the vector
    _ordered_by: ClassVar[str] = ""  # the attribute of members by whose value an update orders them
    _kept_device: str | None = None
    _start: str
    _end: str

    def set_all(
        self,
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector:
        """Return an update of all members.

        :param timestamp: the time of the send, UTC if it is naive.
        :param message: a text for people; if empty the one that is waiting in ``message``.
        :param timeout: a new timeout in seconds, which stays.
        :param state: a new state, which stays.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        return self._update(self._heading(timestamp, message, timeout, state), self.members())

    def set_changed(
        self,
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector | None:
        """Return an update of what has changed, or ``None`` if there is nothing to say.

        There is something to say if a member has changed, or state or timeout, or a message is given or waiting.

        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        heading = self._heading(timestamp, message, timeout, state)
        due = [member for member in self.members() if member.changed]
        if not (due or self.changed or heading["message"]):
            return None
        return self._update(heading, due)

    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector:
        """Return an update of the named members, each once; without names one that carries only the state.

        :raises UnknownMemberError: a name is no member's; nothing has changed then.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        wanted = [self.member(name) for name in dict.fromkeys(names)]
        return self._update(self._heading(timestamp, message, timeout, state), wanted)

    def encode_update(
        self,
        members: Iterable[MemberT_co],
        stamp: str,
        *,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
        if_changed: bool = False,
    ) -> bytes | None:
        """Return an update of these members as it goes on the wire; what it tells counts as sent.

        The bytes are those of the message that :meth:`set_members` makes, and the books are kept alike. But no
        message is made: the start tag and the members' elements are kept as text from one update to the next.

        :param members: members of this vector; without any, the update carries only the state.
        :param stamp: the time of the send, as it goes on the wire.
        :param message: a text for people; if empty the one that is waiting in ``message``.
        :param timeout: a new timeout in seconds, which stays.
        :param state: a new state, which stays.
        :param if_changed: return ``None`` if there is nothing to say, see :meth:`set_changed`.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        if self._kept_device is not self.devicename:
            self._keep_start()
        text = require_xml_text(message, self._what("message")) if message != "" else self._message
        new_timeout = self._timeout if timeout is None else self._checked_timeout(timeout)
        new_state = self._state if state is None else self._checked_state(state)
        changed = self.changed or new_state is not self._state or new_timeout != self._timeout
        self._timeout, self._state = new_timeout, new_state
        if self._ordered_by:
            members = sorted(members, key=attrgetter(self._ordered_by))
        body = "".join([member.tell() for member in members])
        if if_changed and not (body or changed or text):
            return None
        self.changed = False
        self._message = ""
        waits = "" if self._perm is Permission.RO else f'" timeout="{new_timeout}'
        said = f'" message="{escape_attribute(text)}' if text else ""
        start = f'{self._start}{new_state}{waits}" timestamp="{stamp}{said}"'
        return (f"{start}>\n{body}{self._end}" if body else f"{start}/>\n").encode()

    def _keep_start(self) -> None:
        """Write what all updates begin and end with: it changes only with the device."""
        device, tag = self._device(), f"set{self.vectortype}"
        self._start = f'<{tag} device="{escape_attribute(device)}" name="{escape_attribute(self._name)}" state="'
        self._end = f"</{tag}>\n"
        self._head = (tag, device, self._name)
        self._kept_device = device

    @abstractmethod
    def _report(self, heading: Heading, members: Sequence[MemberT_co]) -> SetVector:
        """Return an update with these members."""

    def _update(self, heading: Heading, members: Sequence[MemberT_co]) -> SetVector:
        report = self._report(heading, members)
        self._sent(members)
        return report

    def _answer(self, heading: Heading) -> SetVector:
        return self._report(heading, self.members())
