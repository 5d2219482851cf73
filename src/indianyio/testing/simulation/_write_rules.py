"""Rules about what clients write, for any driver: in order, refused if it is wrong, and always heard."""

from __future__ import annotations

from indianyio.driver._vectors import AnyVector
from indianyio.testing.simulation._driver_scene import Rule, Written
from indianyio.testing.simulation._reader import Heard

__all__ = ["AbortIsAnswered", "HandlesInOrder", "LastWritesAreHandled", "RefusesBadWrites", "is_abort", "name_of"]

_ABORT_SECONDS = 5.0
_REFUSAL_SECONDS = 5.0


class HandlesInOrder(Rule):
    """The writes to a vector are handled in the order in which they were sent, one after the other.

    A write that the line has garbled may arrive as another one, so only writes on a clear line count.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[tuple[str | None, str], int] = {}
        self._at_work: dict[tuple[str | None, str], int] = {}

    def begins(self, vector: AnyVector, number: int) -> None:
        """See that no write is handled before its turn, or while another one is."""
        key = vector.devicename, vector.name
        if number not in self.scene.written or not self.scene.written[number].is_certain:
            return
        if key in self._at_work:
            self.broken(f"{name_of(key)}: write {number} is handled while {self._at_work[key]} still is")
        last = self._last.get(key, 0)
        if number <= last:
            self.broken(f"{name_of(key)}: write {number} is handled after {last}")
        self._last[key] = number
        self._at_work[key] = number

    def ends(self, vector: AnyVector, number: int) -> None:
        """Note that its handler has ended."""
        key = vector.devicename, vector.name
        if self._at_work.get(key) == number:
            del self._at_work[key]


class RefusesBadWrites(Rule):
    """What a vector's definition does not allow is answered with Alert within 5 s, and never handled.

    One Alert may answer several writes, so any that comes after a write counts for it. Writes to a vector that is
    defined anew or deleted meanwhile are left out, and so is a vector whose ``validate`` is false.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._waiting: dict[int, float] = {}
        self._barred: set[int] = set()

    def wrote(self, written: Written) -> None:
        """Note until when an answer must have come."""
        wish = written.wish
        if wish.flaw and written.is_certain and self._validates(*wish.key):
            self._waiting[wish.number] = self.scene.troubled_until(written.at, _REFUSAL_SECONDS)
            self._barred.add(wish.number)

    def heard(self, message: Heard) -> None:
        """Find the writes that this answers, or excuses."""
        excuses = message.tag == "delProperty" or (message.tag.startswith("def") and not self.scene.asking)
        if not excuses and not (message.tag.startswith("set") and message.state == "Alert"):
            return
        device, name = message.key
        for number in list(self._barred if excuses else self._waiting):
            key = self.scene.written[number].wish.key
            if key == (device, name) or (excuses and not name and key[0] == device):
                self._waiting.pop(number, None)
                if excuses:
                    self._barred.discard(number)

    def begins(self, vector: AnyVector, number: int) -> None:
        """See that no such write is handled."""
        if number in self._barred:
            wish = self.scene.written[number].wish
            self.broken(f"{name_of(wish.key)}: {dict(wish.values)} was handled, although {wish.flaw}")
            self._barred.discard(number)
            self._waiting.pop(number, None)

    def second(self) -> None:
        """See whose answer is late."""
        for number, due in list(self._waiting.items()):
            if self.scene.now > due:
                del self._waiting[number]
                wish = self.scene.written[number].wish
                self.broken(f"{name_of(wish.key)}: {dict(wish.values)} was not refused, although {wish.flaw}")

    def _validates(self, device: str, name: str) -> bool:
        vectors = self.scene.driver.get(device)
        return vectors is not None and name in vectors and vectors[name].validate


class AbortIsAnswered(Rule):
    """A write to what stops something is answered within 5 s, whatever else goes on.

    Any update of that vector is an answer. Time in which the line lets nothing through does not count.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._waiting: dict[tuple[str, str], float] = {}

    def wrote(self, written: Written) -> None:
        """Note until when an answer must have come."""
        key = written.wish.key
        if written.is_certain and key not in self._waiting and is_abort(key[1], self.scene.aborts):
            self._waiting[key] = self.scene.troubled_until(written.at, _ABORT_SECONDS)

    def heard(self, message: Heard) -> None:
        """Take an update, or the end of the vector, for the answer."""
        if message.tag == "delProperty":
            for key in [key for key in self._waiting if key[0] == message.key[0]]:
                del self._waiting[key]
        elif message.tag.startswith("set"):
            self._waiting.pop(message.key, None)

    def second(self) -> None:
        """See whose answer is late."""
        for key, due in list(self._waiting.items()):
            if self.scene.now > due:
                del self._waiting[key]
                self.broken(f"{name_of(key)} was not answered for {self.scene.now - due + _ABORT_SECONDS:.0f} s")


class LastWritesAreHandled(Rule):
    """At the end of a run each vector still hears what is written to it.

    When all has been well for a while, a client writes once to each vector that can be written. The handler of that
    write must begin within an hour: those before it may take long. That it says something is not asked: some
    drivers answer only with what they measure. A vector that is deleted or defined anew meanwhile is left out.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._excused: set[int] = set()

    def heard(self, message: Heard) -> None:
        """Excuse the writes whose vector has gone, or has come again."""
        if message.tag != "delProperty" and not (message.tag.startswith("def") and not self.scene.asking):
            return
        device, name = message.key
        for number in self.scene.last:
            key = self.scene.written[number].wish.key
            if key == (device, name) or (not name and key[0] == device):
                self._excused.add(number)

    def over(self) -> None:
        """Report the writes that nothing has come of; if the run has ended by itself, another rule tells of it."""
        if self.scene.asked_to_end_at is None:
            return
        for number, is_handled in self.scene.last.items():
            if not is_handled.is_set() and number not in self._excused:
                wish = self.scene.written[number].wish
                self.broken(f"{name_of(wish.key)}: {dict(wish.values)}, written last, was not handled in an hour")


def is_abort(name: str, others: object) -> bool:
    """Return whether a vector stops something, as far as its name tells."""
    return "ABORT" in name.upper() or (isinstance(others, (list, tuple)) and name in others)


def name_of(key: tuple[str | None, str]) -> str:
    return f"{key[0]}.{key[1]}"
