"""What servers did when they were asked, and where that is kept between runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.peers.client import BrokenRuleError
from tests.peers.rules import NotAskedError, Rule
from tests.peers.servers import MissingPeerError, Peer

__all__ = ["FILE", "Outcome", "load", "outcome", "save"]

FILE = Path(__file__).with_name("outcomes.json")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one server did with one rule.

    :ivar peer: the server's name.
    :ivar rule: the name of the rule's class.
    :ivar kept: ``"yes"``, ``"no"``, ``"not always"``, ``"not asked"`` or ``"not installed"``.
    :ivar seen: what was seen instead, or why it was not asked.
    :ivar measured: what was measured on the way.
    :ivar day: when, as in 2026-01-31.
    """

    peer: str
    version: str
    rule: str
    kept: str
    seen: str
    measured: str
    day: str

    def line(self) -> str:
        """Return it as one line of text."""
        return (
            f"{self.peer}: {self.rule}: {': '.join(part for part in (self.kept, self.seen, self.measured) if part)}"
        )


def outcome(peer: Peer, rule: type[Rule]) -> Outcome:
    """Ask a server about a rule; if it breaks the rule, ask again, because the machine may have been too slow."""
    first = _ask(peer, rule)
    if first.kept != "no":
        return first
    second = _ask(peer, rule)
    return second if second.kept == "no" else Outcome(**{**asdict(first), "kept": "not always"})


def _ask(peer: Peer, rule: type[Rule]) -> Outcome:
    asked = rule()
    version = kept = seen = ""
    try:
        version = peer.version()
        asked.check(peer)
        kept = "yes"
    except MissingPeerError as exc:
        kept, seen = "not installed", str(exc)
    except NotAskedError as exc:
        kept, seen = "not asked", str(exc)
    except (BrokenRuleError, OSError) as exc:  # OSError: the connection, or the server, did not last
        kept, seen = "no", str(exc)
    day = time.strftime("%Y-%m-%d")
    return Outcome(peer.name, version, rule.__name__, kept, seen, "; ".join(asked.measured), day)


def load(file: Path = FILE) -> list[Outcome]:
    """Return the outcomes in a file; an empty list if there is no such file."""
    if not file.exists():
        return []
    return [Outcome(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def save(new: Iterable[Outcome], file: Path = FILE) -> list[Outcome]:
    """Replace older outcomes of the same servers and rules by these, and return all."""
    kept = {(each.peer, each.rule): each for each in [*load(file), *new]}
    everything = [kept[key] for key in sorted(kept)]
    lines = ",\n".join(json.dumps(asdict(each), ensure_ascii=False) for each in everything)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return everything
