"""Our servers keep the rules."""

from __future__ import annotations

import pytest

from tests.peers.rules import RULES, Rule
from tests.peers.rules.updates import BlobPolicies, MirrorIsExact, OrderIsKept, RequestsStayPrivate
from tests.peers.servers import OURS, Peer

FAST = (MirrorIsExact, OrderIsKept, BlobPolicies, RequestsStayPrivate)
PATIENCE = 30.0


@pytest.mark.parametrize("rule", FAST, ids=lambda rule: str(rule.__name__))
@pytest.mark.parametrize("peer", [OURS[0], OURS[3]], ids=lambda peer: str(peer.name))
def test_ours_keep_it(peer: Peer, rule: type[Rule]) -> None:
    rule(PATIENCE, seed=1).check(peer)


@pytest.mark.long
@pytest.mark.soak  # they ask with a patience of seconds, which a busy machine may need for itself
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
@pytest.mark.parametrize("peer", OURS, ids=lambda peer: str(peer.name))
def test_ours_keep_all(peer: Peer, rule: type[Rule]) -> None:
    rule(PATIENCE, seed=2).check(peer)
