"""What a server promises, as far as it can be asked from outside: each rule starts a server and asks."""

from __future__ import annotations

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
from tests.peers.rules.rule import NotAskedError, Rule
from tests.peers.rules.updates import (
    BlobPolicies,
    BlobPoliciesOfAChain,
    MirrorIsExact,
    OrderIsKept,
    RequestsStayPrivate,
)

__all__ = ["RULES", "NotAskedError", "Rule"]

RULES: tuple[type[Rule], ...] = (
    MirrorIsExact,
    OrderIsKept,
    BlobPolicies,
    BlobPoliciesOfAChain,
    RequestsStayPrivate,
    BrokenMessageOfAClient,
    GarbageHarmsNobody,
    StalledClientSlowsNobody,
    StalledClientIsBounded,
    ResetConnections,
    DescriptorsRunOut,
    BrokenMessageOfADriver,
    DeafDriverSlowsNobody,
    DeadDriverIsDeleted,
    DeathIsSaid,
    DriverIsRestarted,
    LostServerIsDeleted,
    LostServerComesBack,
    EndsInTime,
)
"""All rules, in the order of the table."""
