"""What was seen, as a page."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Sequence

from tests.peers.outcomes import Outcome
from tests.peers.remarks import REMARKS
from tests.peers.rules import RULES, Rule
from tests.peers.rules.rule import PATIENCE
from tests.peers.servers import PEERS

__all__ = ["page", "paragraph", "title"]

INTRODUCTION = f"""# Servers side by side

What may the programs of an observatory expect of the server between them? Nineteen promises were asked of each
server below, from outside: real processes and sockets, a driver that is a plain program, a client with a parser of
its own, and lines between them that delay, split, cut and garble from a seed. A server had {PATIENCE:g} s for what
takes it some milliseconds, and what it did not keep was asked twice.

The promises are those that indianyio makes. A server that was meant to do something else is not wrong.
[Below](#what-was-seen-instead) is what each did instead, and how it was found to be the server and not the test.
"""

MEASURED = """Measured on two cores that other programs used too. indiserver and indianyio-indiserver let 128 MB of
messages wait for a client (`-m`); indianyio run lets 64 MiB wait. A server that ends at once does not wait for its
drivers.
"""

REPEAT = """## To repeat it

In a clone of this repository, with `indi-bin` from Debian:

```sh
.venv/bin/pip install -e '.[test]' indipyserver==0.0.6 indipy==0.5.0
.venv/bin/python -m tests.peers --peer indipy --rule Order
.venv/bin/python -m tests.peers --write
```

The second line asks a part: the rules and servers with these words in their names. The last one asks everything,
which takes half an hour, and writes this page; what was seen is kept in `tests/peers/outcomes.json`. Each promise
is a class in `tests/peers/rules`. `tests/peers/test_flaws.py` shows for each of them that a small server with a
flaw does not keep it, and that the same server without the flaw does.
"""


def page(outcomes: Sequence[Outcome]) -> str:
    """Return the page in Markdown."""
    found = {(one.peer, one.rule): one for one in outcomes}
    peers = [peer.name for peer in PEERS if any(peer.name == one.peer for one in outcomes)]
    parts = [
        INTRODUCTION,
        _versions(outcomes, peers),
        "## Which promises are kept\n",
        _table(["", *peers], [[_link(rule), *(_cell(found, peer, rule) for peer in peers)] for rule in RULES]),
        "## What was measured\n",
        MEASURED,
        _measured(found, peers),
        "## What was seen instead\n",
        *(_seen(found, peer) for peer in peers),
        "## What is asked, and why\n",
        *(f"### {title(rule)}\n\n{paragraph(rule)}\n" for rule in RULES),
        REPEAT,
    ]
    return "\n".join(part for part in parts if part)


def title(rule: type[Rule]) -> str:
    """Return the name of a rule in words."""
    words = re.findall("[A-Z][a-z]*", rule.__name__)
    return " ".join([words[0], *(word.lower() for word in words[1:])]).replace("Blob", "BLOB")


def paragraph(rule: type[Rule]) -> str:
    """Return what a rule asks, how, and why."""
    how = " ".join((inspect.getdoc(rule) or "").split())
    return textwrap.fill(f"*{rule.says}* {how} *Why:* {rule.why}", 130, break_on_hyphens=False)


def _link(rule: type[Rule]) -> str:
    return f"[{title(rule)}]({_anchor(title(rule))})"


def _anchor(text: str) -> str:
    return "#" + re.sub("[^a-z0-9 -]", "", text.lower()).replace(" ", "-")


def _cell(found: dict[tuple[str, str], Outcome], peer: str, rule: type[Rule]) -> str:
    one = found.get((peer, rule.__name__))
    if one is None:
        return ""
    if one.kept in {"no", "not always"}:
        return f"[{one.kept}]({_anchor(peer)})"
    return one.kept


def _versions(outcomes: Sequence[Outcome], peers: Sequence[str]) -> str:
    rows = []
    for peer in peers:
        theirs = [one for one in outcomes if one.peer == peer]
        versions = sorted({one.version for one in theirs})
        rows.append([peer, ", ".join(versions) or "not installed", max(one.day for one in theirs)])
    return _table(["Server", "Version", "Asked"], rows)


def _measured(found: dict[tuple[str, str], Outcome], peers: Sequence[str]) -> str:
    rules = [
        rule for rule in RULES if any(one.measured for (_, name), one in found.items() if name == rule.__name__)
    ]
    rows = []
    for peer in peers:
        theirs = [found.get((peer, rule.__name__)) for rule in rules]
        rows.append([peer, *(one.measured if one else "" for one in theirs)])
    return _table(["Server", *map(_link, rules)], rows)


def _seen(found: dict[tuple[str, str], Outcome], peer: str) -> str:
    theirs = [(rule, found[peer, rule.__name__]) for rule in RULES if (peer, rule.__name__) in found]
    lines = []
    for rule, one in theirs:
        if one.kept in {"no", "not always"}:
            remark = REMARKS.get(
                (peer, one.version, one.rule), "Nobody has looked yet whether it is the server or the test."
            )
            lines.append(f"- {_link(rule)}: {one.seen}. {remark}")
    reasons = sorted({one.seen for _, one in theirs if one.kept == "not asked"})
    for reason in reasons:
        names = ", ".join(title(rule) for rule, one in theirs if one.kept == "not asked" and one.seen == reason)
        lines.append(f"- Not asked, because {reason}: {names}.")
    return "\n".join([f"### {peer}", "", *lines, ""]) if lines else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines) + "\n"
