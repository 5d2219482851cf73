"""What the five kinds of vectors have in common: names and values, and the messages they give rise to.

A vector is a mapping from a member's name to its value. It makes messages and keeps the books: what has changed
since it was last sent, and the message text that waits for the next send. It sends nothing and knows no clock,
so the time is an argument. Every maker checks all its arguments before it changes anything; once it has
returned, the message counts as sent.

Nothing is sticky but state, timeout and values: a message text travels once, a BLOB's size too. The answer to a
refused write is no send of the driver's, so it leaves the books as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import ClassVar, Generic, TypeAlias, TypeVar, cast

from indianyio._model._attributes import STATES, Heading, VectorAttributes
from indianyio._model._members import Member, WordMember
from indianyio._model._writes import WriteTarget, check_access, check_form
from indianyio._vocabulary import Permission, State
from indianyio.exceptions import LocalProtocolError, UnknownMemberError
from indianyio.protocol._frames import Head
from indianyio.protocol._messages import DefVector, DelProperty, NewVector, SetVector
from indianyio.protocol._text import brief, escape_attribute, format_timestamp, require_xml_text

__all__ = ["AnyVector", "Kind", "VectorModel"]

MemberT_co = TypeVar("MemberT_co", bound=Member[object], covariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes a vector one of the five kinds.

    :ivar vectortype: the name drivers know it by.
    :ivar member: what it is made of.
    :ivar new: the message that may write it; ``None`` if none may.
    """

    vectortype: str
    member: type[Member[object]]
    new: type[NewVector] | None


class VectorModel(VectorAttributes, Mapping[str, ValueT_co], Generic[MemberT_co, ValueT_co]):
    """A named group of members that a driver reports and a client may write.

    Two vectors are equal only if they are the same object.

    :ivar kind: what the vector is made of.
    :param name: the vector's name in its device.
    :param label: what people read.
    :param group: the page on which clients show it.
    :param perm: ``ro``, ``wo`` or ``rw``.
    :param state: ``Idle``, ``Ok``, ``Busy`` or ``Alert``.
    :param members: at least one, all of the vector's kind, no two of one name.
    :raises TypeError: an argument or a member is of the wrong type.
    :raises ValueError: an argument has no legal value, or members are missing or of one name.
    """

    kind: ClassVar[Kind]

    _head: Head  # of the updates: their tag, the device and the vector
    _ordered_by: ClassVar[str] = ""  # the attribute of members by whose value an update orders them
    _kept_device: str | None = None
    _start: str
    _end: str

    __hash__ = object.__hash__

    def __init__(
        self, name: str, label: str, group: str, perm: str, state: str, members: Iterable[MemberT_co]
    ) -> None:
        super().__init__(name, label, group, perm, state)
        self._members = self._taken(members)

    def _taken(self, members: Iterable[MemberT_co]) -> dict[str, MemberT_co]:
        taken: dict[str, MemberT_co] = {}
        for member in members:
            if not isinstance(member, self.kind.member):
                wanted = self.kind.member.__name__
                raise TypeError(f"{self.vectortype} {self._name!r} is made of {wanted}, not of {member!r}")
            if member.name in taken:
                raise ValueError(f"vector {self._name!r} has two members with the name {member.name!r}")
            taken[member.name] = member
        if not taken:
            raise ValueError(f"vector {self._name!r} needs at least one member")
        return taken

    @property
    def vectortype(self) -> str:
        """The kind of the vector, such as ``SwitchVector``."""
        return self.kind.vectortype

    def __repr__(self) -> str:
        return f"<{self.vectortype} {self.devicename}.{self._name} {self._state}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    # -- members and values ------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> ValueT_co:
        # That the members' type and the values' type fit is said where both are given, in the five kinds.
        return cast("ValueT_co", self.member(name).membervalue)

    def __setitem__(self, name: str, value: object) -> None:
        member = self._members.get(name) or self.member(name)
        member.membervalue = value

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def data(self) -> Mapping[str, MemberT_co]:
        """The members by name; the mapping itself cannot be changed."""
        return MappingProxyType(self._members)

    def member(self, name: str) -> MemberT_co:
        """Return the member, not its value.

        :raises UnknownMemberError: there is none of that name; it is a :class:`KeyError`.
        """
        try:
            return self._members[name]
        except KeyError:
            raise UnknownMemberError(self.devicename, self._name, name, tuple(self._members)) from None

    def members(self) -> list[MemberT_co]:
        """Return the members in the order of their definition."""
        return list(self._members.values())

    def update(self, values: Mapping[str, object] | Iterable[tuple[str, object]] = (), /, **more: object) -> None:
        """Assign several values, as :meth:`dict.update` does, all of them or none.

        :raises UnknownMemberError: a name is no member's.
        :raises TypeError: a value is of the wrong type.
        :raises ValueError: a value is one that its member cannot have.
        """
        wanted = dict(values, **more)
        for name, value in wanted.items():
            self.member(name).check(value)
        for name, value in wanted.items():
            self[name] = value

    # -- messages ----------------------------------------------------------------------------------------------

    def define(
        self,
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> DefVector:
        """Return the definition; what has changed still counts as changed.

        A client that knows the vector already ignores all of a second definition (docs/protocol.md W25). So this
        may answer one client's getProperties, and must not cost the others the update that is due.

        :param timestamp: the time of the send, UTC if it is naive.
        :param message: a text for people; if empty the one that is waiting in ``message``.
        :param timeout: a new timeout in seconds, which stays.
        :param state: a new state, which stays.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        heading = self._heading(timestamp, message, timeout, state)
        self._message = ""
        return self._definition(heading)

    @abstractmethod
    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector:
        """Return an update of the named members; without names one that carries only the state.

        :raises UnknownMemberError: a name is no member's; nothing has changed then.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """

    def encode_update(
        self,
        members: Iterable[WordMember],
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
        new_state = self._state if state is None else STATES.get(state) or self._checked_state(state)
        if new_state is not self._state or new_timeout != self._timeout:
            self._timeout, self._state, self.changed = new_timeout, new_state, True
        if self._ordered_by:
            members = sorted(members, key=attrgetter(self._ordered_by))
        body = "".join([member.tell() for member in members])
        if if_changed and not (body or self.changed or text):
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

    def delete(self, *, timestamp: datetime, message: str = "") -> DelProperty:
        """Disable the vector and return the message that deletes it at the clients.

        All of it counts as changed from then on, since nobody knows any of it.

        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        heading = self._heading(timestamp, message, None, None)
        self._message = ""
        self.enable = False
        self.changed = True
        for member in self._members.values():
            member.changed = True
        return DelProperty(
            device=heading["device"],
            name=self._name,
            timestamp=heading["timestamp"],
            message=heading["message"],
        )

    # -- clients' writes ---------------------------------------------------------------------------------------

    def check_write(self, new: NewVector) -> None:
        """Refuse a write that breaks a rule of this vector; nothing changes in either case.

        With ``validate`` false only what cannot be made an event of is refused.

        :raises WriteRefusedError: the write is refused, as a whole; the text is for the client.
        """
        if self.validate and self._is_surely_good(new):
            return
        target = WriteTarget(self.devicename, self._name, self._label or self._name, self.kind.new)
        check_form(target, new)
        self._check_readable(target, new)
        if self.validate:
            check_access(target, self._perm, self._members, new)
            self._check_values(target, new)

    def _is_surely_good(self, new: NewVector) -> bool:
        """Return whether no rule can refuse this write. Nearly all are so, and the rules only explain refusals."""
        if type(new) is not self.kind.new or self._perm is Permission.RO or not new.members:
            return False
        known = self._members
        for one in new.members:
            member = known.get(one.name)
            if member is None or not member.accepts(getattr(one, "value", "")):
                return False
        return len(new.members) == 1 or len({one.name for one in new.members}) == len(new.members)

    def note_refusal(self) -> None:
        """Take note that a client's write was refused: the vector becomes Alert, except while it is Busy.

        Busy means that an operation of the driver's is running; its end will set the state, and a client's mistake
        must not make it look failed. The vector counts as changed either way, so that the next update of what has
        changed goes out and every client sees the true state again.
        """
        if self._state is not State.BUSY:
            self._state = State.ALERT
        self.changed = True

    def refusal(self, reason: str, *, timestamp: datetime) -> SetVector:
        """Return the answer to a refused write: state Alert, ``reason`` as message, the values as they are.

        The client that wrote shows the values it asked for and waits in state Busy, so the answer repeats all
        values (no BLOBs: those are large, and nobody was shown one). Members that are still to be reported, and a
        message that is waiting, stay so.

        :param reason: a text for the client; it is cut to what INDI's readers take, and what XML cannot carry in
            it is replaced, so that an answer is always possible.
        :raises LocalProtocolError: the vector belongs to no device.
        """
        answer = Heading(
            device=self._device(),
            name=self._name,
            state=State.ALERT,
            timestamp=format_timestamp(timestamp),
            message=brief(reason),
        )
        # The answer says Alert whatever the state is now, so the state is to be told again.
        self.changed = True
        return self._answer(answer)

    def unsent(self, update: SetVector) -> None:
        """Take back that an update was sent: it was made, but its sending was cancelled.

        What it told counts as changed again, and a message of it waits for the next send.
        """
        self._untell([self.member(one.name) for one in update.members], update.message or "")

    def _untell(self, members: Iterable[Member[object]], message: str) -> None:
        """Take back that an update of these members, with this message, was sent."""
        for member in members:
            member.unsent()
        self.changed = True
        self._message = self._message or message

    # -- what the kinds provide --------------------------------------------------------------------------------

    @abstractmethod
    def _definition(self, heading: Heading) -> DefVector:
        """Return the definition with all members."""

    @abstractmethod
    def _answer(self, heading: Heading) -> SetVector:
        """Return an update with what a client is shown after a refused write."""

    def _check_readable(self, target: WriteTarget, new: NewVector) -> None:
        """Refuse members which no event could be made of."""

    def _check_values(self, target: WriteTarget, new: NewVector) -> None:
        """Refuse members which break a rule of the kind."""

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _heading(
        self,
        timestamp: datetime,
        message: str,
        timeout: str | float | None,
        state: str | None,
    ) -> Heading:
        """Check the arguments of a send, then store those that stay and return what the message starts with."""
        device = self._device()
        stamp = format_timestamp(timestamp)
        text = require_xml_text(message, self._what("message")) or self._message
        new_timeout = self._timeout if timeout is None else self._checked_timeout(timeout)
        new_state = self._state if state is None else self._checked_state(state)
        self.changed = self.changed or (new_timeout, new_state) != (self._timeout, self._state)
        self._timeout, self._state = new_timeout, new_state
        return Heading(device=device, name=self._name, state=self._state, timestamp=stamp, message=text or None)

    def _sent(self, members: Iterable[Member[object]]) -> None:
        for member in members:
            member.sent()
        self.changed = False
        self._message = ""

    def _device(self) -> str:
        if not self.devicename:
            raise LocalProtocolError(f"vector {self._name!r} belongs to no device yet, so it cannot be sent")
        return self.devicename


AnyVector: TypeAlias = VectorModel[Member[object], object]
