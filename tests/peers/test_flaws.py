"""Each rule is broken by a server that has a flaw, and kept by the same server without it."""

from __future__ import annotations

import pytest

from tests.peers.client import BrokenRuleError
from tests.peers.flawed import flawed
from tests.peers.rules import RULES, Rule
from tests.peers.rules.clients import (
    BrokenMessageOfAClient,
    DescriptorsRunOut,
    GarbageHarmsNobody,
    ResetConnections,
    StalledClientIsBounded,
    StalledClientSlowsNobody,
)
from tests.peers.rules.drivers import (
    BrokenMessageOfADriver,
    DeadDriverIsDeleted,
    DeafDriverSlowsNobody,
    DeathIsSaid,
    DriverIsRestarted,
    EndsInTime,
    LostServerComesBack,
    LostServerIsDeleted,
)
from tests.peers.rules.updates import (
    BlobPolicies,
    BlobPoliciesOfAChain,
    MirrorIsExact,
    OrderIsKept,
    RequestsStayPrivate,
)

# A flaw, and what the rule says of it.
SEEN_AT_ONCE: list[tuple[type[Rule], str, str]] = [
    (MirrorIsExact, "no HEARD for the first", "different values of HEARD"),
    (OrderIsKept, "swaps updates", "300 updates of 300, or not in order"),
    (BlobPolicies, "BLOBs for all", "a BLOB for the client with Never"),
    (BlobPolicies, "texts for Only", "an update that is no BLOB for the client with Only"),
    (BlobPoliciesOfAChain, "remote BLOBs for all", "a BLOB for the client with Never"),
    (RequestsStayPrivate, "shares requests", "requests for 3 of 3 devices"),
    (BrokenMessageOfAClient, "disconnects for what is broken", "the server has closed the connection"),
    (GarbageHarmsNobody, "ends for garbage", "the server has ended, status 1"),
    (GarbageHarmsNobody, "completes half a write", "half a write was carried out"),
    (DescriptorsRunOut, "ends without descriptors", "the server has ended, status 1"),
    (BrokenMessageOfADriver, "passes on what is broken", "what the server sends is not XML"),
    (BrokenMessageOfADriver, "deletes for what is broken", "the device was deleted meanwhile"),
    (DeadDriverIsDeleted, "deletes all", "the other driver's device was deleted too"),
    (LostServerIsDeleted, "ends with another server", "the server has ended, status 1"),
]
# The flaw is that something does not come, and the rule's patience is made short.
WAITED_FOR: list[tuple[type[Rule], str, str]] = [
    (StalledClientSlowsNobody, "waits for clients", "no COUNT '333'"),
    (ResetConnections, "leaks descriptors", "30 descriptors are left"),
    # Which of the two depends on how much the kernel takes of what is written.
    (DeafDriverSlowsNobody, "waits for drivers", "no answer of Box within|takes nothing more within"),
    (DeadDriverIsDeleted, "deletes nothing", "no delProperty of Box"),
    (DeathIsSaid, "says nothing", "no message with a text"),
    (DriverIsRestarted, "starts nothing again", "no definition of Box"),
    (LostServerIsDeleted, "deletes nothing", "no delProperty of Box"),
    (LostServerComesBack, "connects nothing again", "no definition of Box"),
]
SHORT = 3.0


def ids(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("rule", "flaw", "seen"), SEEN_AT_ONCE, ids=ids)
def test_a_flaw_is_seen(rule: type[Rule], flaw: str, seen: str) -> None:
    with pytest.raises(BrokenRuleError, match=seen):
        rule().check(flawed(flaw))


@pytest.mark.long
@pytest.mark.parametrize(("rule", "flaw", "seen"), WAITED_FOR, ids=ids)
def test_what_does_not_come_is_missed(rule: type[Rule], flaw: str, seen: str) -> None:
    with pytest.raises(BrokenRuleError, match=seen):
        rule(SHORT).check(flawed(flaw))


def test_a_server_that_does_not_end_is_seen() -> None:
    with pytest.raises(BrokenRuleError, match=r"it had not ended after 0\.5 s"):
        EndsInTime(most_seconds=0.5).check(flawed("ignores SIGTERM"))


@pytest.mark.long
def test_memory_that_grows_is_seen() -> None:
    with pytest.raises(BrokenRuleError, match=r"[3-9]. MB more at last"):
        StalledClientIsBounded(fill_megabytes=30, more_megabytes=40).check(flawed("keeps everything"))


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_without_a_flaw_the_same_server_keeps_it(rule: type[Rule]) -> None:
    rule().check(flawed())


def test_each_rule_has_a_flaw() -> None:
    shown = {rule for rule, _, _ in [*SEEN_AT_ONCE, *WAITED_FOR]} | {EndsInTime, StalledClientIsBounded}
    assert shown == set(RULES)
