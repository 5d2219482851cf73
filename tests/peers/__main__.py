"""Ask every server every rule: ``python -m tests.peers [--write] [--rule NAME] [--peer NAME]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.outcomes import outcome, save
from tests.peers.rules import RULES
from tests.peers.servers import PEERS
from tests.peers.table import page

PAGE = Path(__file__).parents[2] / "docs" / "peers.md"


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line.

    :raises SystemExit: it is wrong, or asks for help.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description="Ask every server every rule.")
    parser.add_argument(
        "--write", action="store_true", help=f"write docs/{PAGE.name}, also with what was seen in earlier runs"
    )
    parser.add_argument("--rule", default="", help="only rules with this in their name")
    parser.add_argument("--peer", default="", help="only servers with this in their name")
    return parser.parse_args(words)


def main() -> int:
    """Return 0; what a server does not keep is a result, not an error."""
    options = parse()
    for peer in (peer for peer in PEERS if options.peer in peer.name):
        for rule in (rule for rule in RULES if options.rule in rule.__name__):
            seen = outcome(peer, rule)
            sys.stdout.write(f"{seen.line()}\n")
            sys.stdout.flush()
            if options.write:
                PAGE.write_text(page(save([seen])), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
