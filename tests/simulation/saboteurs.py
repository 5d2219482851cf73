"""Rules of an observatory that see something else than what is, and so must be broken; see ``test_rules``."""

from __future__ import annotations

import logging
from dataclasses import replace

import msgspec

from indianyio import SnoopEvent
from indianyio.testing.simulation import Heard, Mirror
from tests.simulation import observatory_rules as rules
from tests.simulation import server_rules, write_rules
from tests.simulation.observatory import Rule
from tests.simulation.stations import Station
from tests.simulation.writers import Session, User


def _c1(rule: Rule) -> Session:
    return next(session for session in rule.scene.sessions if session.part.name == "c1")


class MissesAnUpdate(rules.UpdatesAreWhole):
    missed = False

    def heard(self, session: Session, message: Heard) -> None:
        if message.tag == "setNumberVector" and self.scene.now > 5 and not self.missed:
            self.missed = True
        else:
            super().heard(session, message)


class HearsAnUpdateTwice(rules.UpdatesAreWhole):
    def heard(self, session: Session, message: Heard) -> None:
        super().heard(session, message)
        if message.tag == "setNumberVector":
            super().heard(session, message)


class HearsARefusalThatSaysMore(rules.UpdatesAreWhole):
    def heard(self, session: Session, message: Heard) -> None:
        if message.tag == "setNumberVector":
            message = replace(message, attributes={**message.attributes, "state": "Alert"})
        super().heard(session, message)


class HearsNoEnd(rules.LivesAreToldApart):
    def heard(self, session: Session, message: Heard) -> None:
        if message.tag != "delProperty":
            super().heard(session, message)


class KnowsWhatHasGone(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror["Ghost", "COUNT"] = _c1(self).mirror["Mount", "COUNT"]
        super().quiet()


class KnowsNothing(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror = Mirror()
        super().quiet()


class KnowsOldValues(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror["Mount", "COUNT"].values["serial"] = "0"
        super().quiet()


class KnowsWhatWasDeleted(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror["Dome", "PANEL"] = _c1(self).mirror["Dome", "COUNT"]
        next(one for one in self.scene.stations if one.name == "Dome").panel.enable = False
        super().quiet()


class DoesNotKnowThePanel(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror.pop(("Dome", "PANEL"), None)
        next(one for one in self.scene.stations if one.name == "Dome").panel.enable = True
        super().quiet()


class HandlesTwice(write_rules.WritesAreHandledInOrder):
    def handled(self, station: Station, vector: str, number: int) -> None:
        for _ in range(2):
            super().handled(station, vector, number)


class HandlesAnothersWrite(write_rules.WritesAreHandledInOrder):
    def handled(self, station: Station, vector: str, number: int) -> None:
        super().handled(station, "COUNT", number)


class HandlesNothing(write_rules.WritesArrive):
    def handled(self, station: Station, vector: str, number: int) -> None:
        pass


class HearsNoAnswer(write_rules.AbortsAreAnswered):
    def heard(self, session: Session, message: Heard) -> None:
        pass


class LeavesTwice(rules.LeavesOnce):
    def over(self) -> None:
        self.scene.stations[0].left += 1
        super().over()


class GetsABLOB(rules.BLOBsAreWanted):
    def heard(self, session: Session, message: Heard) -> None:
        super().heard(session, Heard("setBLOBVector", message.attributes, {}, {}))


class GetsMoreThanBLOBs(rules.BLOBsAreWanted):
    def heard(self, session: Session, message: Heard) -> None:
        super().heard(session, Heard("setNumberVector", {"device": "Mount", "name": "COUNT"}, {}, {}))


class SeesNobodyWhoWantsBLOBs(rules.BLOBsAreWanted):
    def passed(self, receiver: str, data: bytes) -> None:
        everybody: list[Session | User] = [*self.scene.sessions, *self.scene.users]
        for one in everybody:
            # The plan's own part is another test's, too.
            settings = {**one.part.settings, "policy": "Never", "images": ""}
            one.part = msgspec.structs.replace(one.part, settings=settings)
        super().passed(receiver, data)

    def heard(self, session: Session, message: Heard) -> None:
        pass


class SnoopsNoEnd(rules.SnoopersAreTold):
    def snooped(self, station: Station, event: SnoopEvent) -> None:
        if self.scene.now < 14:
            super().snooped(station, event)


class SnoopsBackwards(rules.SnoopersAreTold):
    kept: SnoopEvent | None = None

    def snooped(self, station: Station, event: SnoopEvent) -> None:
        super().snooped(station, event)
        self.kept = self.kept or event
        if self.scene.now < 14:
            super().snooped(station, self.kept)


class SeesItsOwn(server_rules.NothingComesBack):
    def passed(self, receiver: str, data: bytes) -> None:
        super().passed(receiver, data.replace(b"Dome", b"Mount"))


class ServerFails(server_rules.ServersEndInOrder):
    def over(self) -> None:
        self.scene.failures["A"] = OSError("made up")
        super().over()


class ServerEndsEarly(server_rules.ServersEndInOrder):
    def over(self) -> None:
        self.scene.ended["A"] = 3.0
        super().over()


class ServerEndsLate(server_rules.ServersEndInOrder):
    def over(self) -> None:
        self.scene.ended["A"] += 100
        super().over()


class LogsAnError(server_rules.NothingUnexpectedIsLogged):
    def quiet(self) -> None:
        try:
            raise KeyError("made up")
        except KeyError:
            logging.getLogger("indianyio.server").exception("serving failed")


class LeavesATask(server_rules.NothingIsLeft):
    def over(self) -> None:
        self.scene.tasks_left += 1
        super().over()


class KeepsMuch(server_rules.QueuesAreBounded):
    most_bytes = -1


class KeepsMuchForClients(server_rules.QueuesAreBounded):
    def _most_for_clients(self) -> int:
        return 100


class GivesUpWhoReads(server_rules.WhoReadsIsKept):
    def quiet(self) -> None:
        self.scene.network.hung_up.append((3.0, next(self.scene.network.lines("c1", "A"))))
        super().quiet()


SABOTEURS: tuple[type[Rule], ...] = (
    MissesAnUpdate,
    HearsAnUpdateTwice,
    HearsARefusalThatSaysMore,
    HearsNoEnd,
    KnowsWhatHasGone,
    KnowsNothing,
    KnowsOldValues,
    HandlesTwice,
    HandlesAnothersWrite,
    HandlesNothing,
    HearsNoAnswer,
    LeavesTwice,
    GetsABLOB,
    GetsMoreThanBLOBs,
    SeesNobodyWhoWantsBLOBs,
    SnoopsNoEnd,
    SnoopsBackwards,
    SeesItsOwn,
    ServerFails,
    ServerEndsEarly,
    ServerEndsLate,
    LogsAnError,
    LeavesATask,
    KeepsMuch,
    KeepsMuchForClients,
    GivesUpWhoReads,
    KnowsWhatWasDeleted,
    DoesNotKnowThePanel,
)
