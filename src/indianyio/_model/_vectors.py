"""What the five kinds of vectors have in common: names and values, and the messages made from them.

A vector is a mapping from a member's name to its value. It makes messages and keeps account: what has changed since
it was last sent, and the message text that waits for the next send. It sends nothing and has no clock, so the time
is an argument. Every method that makes a message checks all its arguments before it changes anything; when it has
returned, the message counts as sent.

Only state, timeout and values last: a message text travels once, and so does a BLOB's size. The answer to a refused
write is not a send by the driver, so it does not change the account.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import ClassVar, Generic, TypeAlias, TypeVar, Unpack, cast

from indianyio._model._attributes import STATES, Heading, SendOptions, VectorAttributes
from indianyio._model._members import Kind, Member, WordMember
from indianyio._model._writes import WriteTarget, check_access, check_form
from indianyio._vocabulary import Permission, State
from indianyio.exceptions import LocalProtocolError, UnknownMemberError
from indianyio.protocol._elements import WireMember
from indianyio.protocol._frames import MESSAGE_END, Head
from indianyio.protocol._messages import DefVector, DelProperty, NewVector, SetVector
from indianyio.protocol._text import brief, escape_attribute, format_timestamp, require_xml_text

__all__ = ["AnyVector", "VectorModel"]

MemberT_co = TypeVar("MemberT_co", bound=Member[object], covariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)

_END = MESSAGE_END.decode()


class VectorModel(VectorAttributes, Mapping[str, ValueT_co], Generic[MemberT_co, ValueT_co]):
    """A named group of members that a driver reports and a client may write.

    Two vectors are equal only if they are the same object.

    :ivar kind: what the vector consists of.
    :param name: the vector's name in its device.
    :param label: the text that people read.
    :param group: the page on which clients show it.
    :param perm: ``ro``, ``wo`` or ``rw``.
    :param state: ``Idle``, ``Ok``, ``Busy`` or ``Alert``.
    :param members: at least one, all of the vector's kind, no two with the same name.
    :raises TypeError: an argument or a member is of the wrong type.
    :raises ValueError: an argument has an illegal value, or members are missing or have the same name.
    """

    kind: ClassVar[Kind]

    _head: Head  # the head of its updates: their tag, the device and the vector
    _ordered_by: ClassVar[str] = ""  # the attribute of members by which an update orders them
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
        # Each of the five kinds declares a member type and a value type that fit each other.
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
        """Return the member rather than its value.

        :raises UnknownMemberError: there is none with that name; it is a :class:`KeyError`.
        """
        try:
            return self._members[name]
        except KeyError:
            raise UnknownMemberError(self.devicename, self._name, name, tuple(self._members)) from None

    def members(self) -> list[MemberT_co]:
        """Return the members in the order of their definition."""
        return list(self._members.values())

    def update(self, values: Mapping[str, object] | Iterable[tuple[str, object]] = (), /, **more: object) -> None:
        """Assign several values, as :meth:`dict.update` does; either all of them or none.

        :raises UnknownMemberError: the vector has no member of that name.
        :raises TypeError: a value is of the wrong type.
        :raises ValueError: a member cannot have its value.
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
        **options: Unpack[SendOptions],
    ) -> DefVector:
        """Return the definition; what has changed still counts as changed.

        A client that already knows the vector ignores a second definition entirely (docs/protocol.md W25). So this
        may be the answer to one client's getProperties, and it must not deprive the others of the update that is
        due.

        :param timestamp: the time of the send; if naive, in UTC.
        :param options: message, timeout and state, see :class:`SendOptions`.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
        """
        heading = self._heading(timestamp, **options)
        self._message = ""
        return self._definition(heading)

    @abstractmethod
    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        **options: Unpack[SendOptions],
    ) -> SetVector:
        """Return an update of the named members; without names, one that carries only the state.

        :raises UnknownMemberError: the vector has no member of that name; then nothing has changed.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
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
        """Return an update of these members as it goes on the wire; what it reports counts as sent.

        The bytes are those of the message that :meth:`set_members` makes, and the account is kept in the same way.
        But no message object is made: the start tag and the members' elements are kept as text between updates.

        :param members: members of this vector; without any, the update carries only the state.
        :param stamp: the time of the send, as it goes on the wire.
        :param message: a text for people; if it is empty, the one that is waiting in ``message``.
        :param timeout: a new timeout in seconds, which stays.
        :param state: a new state, which stays.
        :param if_changed: return ``None`` if there is nothing to say, as ``set_changed`` does.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
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
        return (f"{start}>\n{body}{self._end}" if body else f"{start}/>{_END}").encode()

    def _keep_start(self) -> None:
        """Write the beginning and the end of all updates, which change only with the device."""
        device, tag = self._device(), f"set{self.vectortype}"
        self._start = f'<{tag} device="{escape_attribute(device)}" name="{escape_attribute(self._name)}" state="'
        self._end = f"</{tag}>{_END}"
        self._head = (tag, device, self._name)
        self._kept_device = device

    def delete(self, *, timestamp: datetime, message: str = "") -> DelProperty:
        """Disable the vector and return the message that deletes it at the clients.

        From then on all of it counts as changed, because nobody knows any of it.

        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
        """
        heading = self._heading(timestamp, message)
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
        """Refuse a write that breaks a rule of this vector; in either case nothing changes.

        If ``validate`` is false, this refuses only a write from which no event could be made.

        :raises WriteRefusedError: the write is refused as a whole; the text is for the client.
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
        """Return whether no rule can refuse a write. Nearly all are like that; the rules only explain refusals."""
        if type(new) is not self.kind.new or self._perm is Permission.RO or not new.members:
            return False
        known = self._members
        for one in new.members:
            member = known.get(one.name)
            if member is None or not member.accepts(getattr(one, "value", "")):
                return False
        return len(new.members) == 1 or len({one.name for one in new.members}) == len(new.members)

    def note_refusal(self) -> None:
        """Note that a client's write was refused: the vector becomes Alert, unless it is Busy.

        Busy means that an operation of the driver is in progress. Its end will set the state, and a client's
        mistake must not make it look failed. Either way the vector counts as changed, so that the next update of
        what has changed is sent and every client sees the true state again.
        """
        if self._state is not State.BUSY:
            self._state = State.ALERT
        self.changed = True

    def refusal(self, reason: str, *, timestamp: datetime) -> SetVector:
        """Return the answer to a refused write: state Alert, ``reason`` as message, and the present values.

        The client that wrote shows the values it asked for and waits in state Busy, so the answer repeats all
        values (except BLOBs: they are large, and nobody has seen one). What is still to be reported stays so.

        :param reason: a text for the client; it is cut to the length that INDI's readers take, and characters that
            XML cannot carry are replaced, so that an answer is always possible.
        :raises LocalProtocolError: the vector does not belong to a device.
        """
        answer = Heading(
            device=self._device(),
            name=self._name,
            state=State.ALERT,
            timestamp=format_timestamp(timestamp),
            message=brief(reason),
        )
        # The answer says Alert whatever the state is now, so the state must be reported again.
        self.changed = True
        return self._answer(answer)

    def unsent(self, update: SetVector) -> None:
        """Undo the sending of an update that was made, but whose sending was cancelled.

        What it reported counts as changed again, and its message waits for the next send.
        """
        self._untell([self.member(one.name) for one in update.members], update.message or "")

    def _untell(self, members: Iterable[Member[object]], message: str) -> None:
        """Undo the sending of an update with these members and this message."""
        for member in members:
            member.unsent()
        self.changed = True
        self._message = self._message or message

    # -- what the kinds provide --------------------------------------------------------------------------------

    def _writing(self) -> dict[str, object]:
        """Return what a definition says about writes; a kind that says something else overrides this."""
        return {"perm": self.perm, "timeout": self._wire_timeout()}

    def _waiting(self) -> dict[str, object]:
        """Return what an update says about writes."""
        return {"timeout": self._wire_timeout()}

    @abstractmethod
    def _answer(self, heading: Heading) -> SetVector:
        """Return an update with what a client is shown after a refused write."""

    def _check_readable(self, target: WriteTarget, new: NewVector) -> None:
        """Refuse members from which no event could be made."""

    def _check_values(self, target: WriteTarget, new: NewVector) -> None:
        """Refuse members that break a rule of the kind."""

    def _definition(self, heading: Heading) -> DefVector:
        """Return the definition with all members."""
        members = tuple(member.definition() for member in self._members.values())
        return self.kind.definition(
            **heading, label=self._wire_label(), group=self.group, **self._writing(), members=members
        )

    def _report(self, heading: Heading, members: Iterable[WireMember]) -> SetVector:
        """Return an update with these members' elements."""
        return self.kind.report(**heading, **self._waiting(), members=tuple(members))

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _heading(
        self,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> Heading:
        """Check the arguments of a send, then store those that last, and return what the message starts with."""
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
