"""The same for the rules about users and about the last writes; see :mod:`tests.simulation.saboteurs`."""

from __future__ import annotations

from indianyio.testing.simulation import Heard
from tests.simulation import last_writes, user_rules
from tests.simulation.observatory import Rule
from tests.simulation.stations import STOP, Station
from tests.simulation.writers import LastWrite, Session, User


class ReadsNothing(user_rules.UsersKnowWhatTheyHeard):
    def _read(self, *args: object) -> None:
        pass


class ReadsOtherNumbers(user_rules.UsersKnowWhatTheyHeard):
    """What the user knows stands nowhere any more, from the first noise on."""

    def passed(self, receiver: str, data: bytes) -> None:
        noisy = receiver.startswith("A for u1#") and self.scene.now > 17
        super().passed(receiver, data.translate(bytes.maketrans(b"123", b"777")) if noisy else data)


class KeepsWhatIsStale(user_rules.NothingStaleIsKept):
    def quiet(self) -> None:
        client = self.scene.users[0].client
        assert client is not None
        client["Mount"]["COUNT"].stale = True
        super().quiet()


class SeesNothingMove(user_rules.VerdictsAreTrue):
    def moved(self, station: Station, value: float) -> None:
        pass


class SeesNoTimeOut(user_rules.VerdictsAreTrue):
    """What was set got lost, and the client said that there is no answer."""

    def moved(self, station: Station, value: float) -> None:
        pass

    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        super().settled(user, device, value, TimeoutError("made up"))


class GetsAnotherImage(user_rules.ImagesAreTrue):
    def got_image(self, user: User, device: str, content: bytes) -> None:
        super().got_image(user, device, content + b"more")


class GetsImagesBackwards(user_rules.ImagesAreTrue):
    def got_image(self, user: User, device: str, content: bytes) -> None:
        super().got_image(user, device, content)
        super().got_image(user, device, next(one for one in self.scene.stations if one.name == device).image_of(1))


class SeesNothingDone(last_writes.LastWritesGetThrough):
    def moved(self, station: Station, value: float) -> None:
        pass


class HearsNothingOfLastWrites(last_writes.LastWritesGetThrough):
    def heard(self, session: Session, message: Heard) -> None:
        pass


class UsersHearNothingOfLastWrites(last_writes.LastWritesGetThrough):
    def settled_last(self, last: LastWrite, failure: Exception | None) -> None:
        pass


class SeesNoLastAbort(last_writes.LastWritesGetThrough):
    def handled(self, station: Station, vector: str, number: int) -> None:
        pass


class HearsOnlyAnothersAborts(last_writes.LastWritesGetThrough):
    def heard(self, session: Session, message: Heard) -> None:
        if message.key[1] != STOP:
            super().heard(session, message)


class HearsOfNoEnd(user_rules.VerdictsAreTrue):
    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        super().settled(user, device, value, TimeoutError("made up"))


USER_SABOTEURS: tuple[type[Rule], ...] = (
    ReadsNothing,
    ReadsOtherNumbers,
    KeepsWhatIsStale,
    SeesNothingMove,
    HearsOfNoEnd,
    SeesNoTimeOut,
    GetsAnotherImage,
    GetsImagesBackwards,
    SeesNothingDone,
    HearsNothingOfLastWrites,
    UsersHearNothingOfLastWrites,
    SeesNoLastAbort,
    HearsOnlyAnothersAborts,
)
