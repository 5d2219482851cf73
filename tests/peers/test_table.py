"""The page about servers says what was seen, and no more."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.peers.__main__ import PAGE, parse
from tests.peers.client import BrokenRuleError
from tests.peers.flawed import flawed
from tests.peers.outcomes import Outcome, load, outcome, save
from tests.peers.remarks import REMARKS
from tests.peers.rules import RULES, NotAskedError, Rule
from tests.peers.servers import OURS, PEERS, MissingPeerError, Peer
from tests.peers.table import page, paragraph, title

DONE = Outcome("indiserver", "1.9.9", "OrderIsKept", "yes", "", "", "2026-01-31")


def row(text: str, beginning: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {beginning}"))


def test_the_page_is_what_was_seen() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(load())


def test_every_server_was_asked_every_rule() -> None:
    asked = {(one.peer, one.rule) for one in load() if one.kept != "not installed"}
    assert asked == {(peer.name, rule.__name__) for peer in PEERS for rule in RULES}


def test_ours_keep_all_of_them() -> None:
    ours = {peer.name for peer in OURS}
    assert {one.kept for one in load() if one.peer in ours} == {"yes"}


def test_for_all_that_is_not_kept_somebody_has_looked_why() -> None:
    broken = {(one.peer, one.version, one.rule) for one in load() if one.kept in {"no", "not always"}}
    assert broken == set(REMARKS)


def test_each_rule_is_explained() -> None:
    text = page([DONE])
    for rule in RULES:
        assert f"\n### {title(rule)}\n\n{paragraph(rule)}\n" in text
        words = " ".join(paragraph(rule).split())
        assert words.startswith(f"*{rule.says}* ")
        assert words.endswith(f"*Why:* {rule.why}")
        assert len(paragraph(rule)) < 1000


def test_links_lead_to_headings() -> None:
    text = page([replace(DONE, kept="no", seen="nothing came")])
    anchors = {re.sub("[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in text.splitlines()}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors


@pytest.mark.parametrize(
    ("kept", "cell"),
    [
        ("yes", "yes"),
        ("no", "[no](#indiserver)"),
        ("not always", "[not always](#indiserver)"),
        ("not asked", "not asked"),
    ],
)
def test_a_cell(kept: str, cell: str) -> None:
    text = page([replace(DONE, kept=kept, seen="something seen")])
    assert row(text, "[Order is kept]") == f"| [Order is kept](#order-is-kept) | {cell} |"
    assert ("something seen" in text) == (kept != "yes")


def test_a_remark_is_about_one_version() -> None:
    told = REMARKS["indiserver", "1.9.9", "DeathIsSaid"]
    death = replace(DONE, rule="DeathIsSaid", kept="no", seen="no text")
    assert f"no text. {told}" in page([death])
    assert "no text. Nobody has looked" in page([replace(death, version="2.0.0")])


def test_what_was_measured_is_shown() -> None:
    assert row(page([replace(DONE, measured="11.8 s")]), "indiserver | 11") == "| indiserver | 11.8 s |"


def test_newer_outcomes_take_the_place_of_older_ones(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.json"
    assert load(file) == []
    other = replace(DONE, rule="MirrorIsExact")
    save([DONE, other], file)
    newer = replace(DONE, kept="no", seen="„nothing“")
    assert save([newer], file) == load(file) == [other, newer]


class Answers(Rule):
    """Does in each run what comes next in the list."""

    says, why = "", ""
    runs: list[Exception | None]

    def ask(self, peer: Peer) -> None:
        self.measured.append("1 s")
        answer = self.runs.pop(0)
        if answer is not None:
            raise answer


@pytest.mark.parametrize(
    ("runs", "kept", "seen"),
    [
        ([None], "yes", ""),
        ([BrokenRuleError("first"), BrokenRuleError("second")], "no", "second"),
        ([ConnectionResetError("reset"), ConnectionRefusedError("refused")], "no", "refused"),
        ([BrokenRuleError("first"), None], "not always", "first"),
        ([NotAskedError("no programs")], "not asked", "no programs"),
    ],
)
def test_an_outcome(runs: list[Exception | None], kept: str, seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = list(runs)
    monkeypatch.setattr(Answers, "runs", left, raising=False)
    one = outcome(flawed(), Answers)
    assert (one.peer, one.rule, one.kept, one.seen, one.measured) == ("flawed", "Answers", kept, seen, "1 s")
    assert left == []
    assert one.line().startswith(f"flawed: Answers: {kept}")


def test_who_is_not_installed_is_not_asked() -> None:
    def version() -> str:
        raise MissingPeerError("somebody is not installed: pip install somebody")

    one = outcome(replace(flawed(), version=version), Answers)
    assert (one.kept, one.seen) == ("not installed", "somebody is not installed: pip install somebody")


def test_a_wrong_option_is_refused() -> None:
    assert parse(["--peer", "indipy", "--write"]).write
    with pytest.raises(SystemExit):
        parse(["--pear", "indipy"])
