"""The benchmark suite: turns, ratios, what is missing, and what is written of it. No timing is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from benchmarks.__main__ import main
from benchmarks.catalogue import BENCHMARKS
from benchmarks.report import as_json, as_markdown
from benchmarks.suite import Benchmark, Contender, Limit, MissingPeerError, Target, run
from benchmarks.verdicts import verdicts

ROOT = Path(__file__).parent.parent
REMARKS = ROOT / "benchmarks" / "remarks"


def contender(name: str, *rounds: Mapping[str, float] | Exception, log: list[str] | None = None) -> Contender:
    left = iter(rounds)

    def measure(quick: bool) -> Mapping[str, float]:
        if log is not None:
            log.append(name)
        values = next(left)
        if isinstance(values, Exception):
            raise values
        return values

    return Contender(name, measure)


def benchmark(*contenders: Contender, targets: tuple[Target | Limit, ...] = (), higher: bool = True) -> Benchmark:
    return Benchmark("B0", "Nothing", "Of nothing.", "per s", higher, contenders, targets)


def test_contenders_take_turns_and_begin_in_turns() -> None:
    log: list[str] = []
    names = ("a", "b", "c")
    run(benchmark(*(contender(name, {}, {}, {}, log=log) for name in names)), 3, False)
    assert "".join(log) == "abcbcacab"


def test_ratios_are_those_of_each_round_and_every_one_of_ours_is_judged() -> None:
    outcome = run(
        benchmark(
            contender("ours x", {"case": 10, "other": 8}, {"case": 40, "other": 8}, {"case": 90, "other": 8}),
            contender("ours y", {"case": 5}, {"case": 5}, {"case": 5}),
            contender("peer", {"case": 5}, {"case": 10}, {"case": 10}),
            targets=(
                Target("case", "ours", "peer", 3),
                Target("other", "ours x", "case@ours", 0.2),
                Limit("case", "ours", 39),
            ),
        ),
        3,
        False,
    )
    shown = [(one.ours, one.reached, one.is_reached) for one in verdicts(outcome)]
    assert shown == [
        ("ours x", "4 ×", True),
        ("ours y", "0.5 ×", False),
        ("ours x", "0.2 ×", True),
        ("ours x", "40 per s", False),
        ("ours y", "5 per s", True),
    ]


def test_where_lower_is_better_the_ratio_is_turned_round() -> None:
    contenders = (contender("ours", {"case": 10}), contender("peer", {"case": 30}))
    outcome = run(benchmark(*contenders, targets=(Target("case", "ours", "peer", 3),), higher=False), 1, False)
    assert [(one.reached, one.is_reached) for one in verdicts(outcome)] == [("3 ×", True)]


def broken(targets: tuple[Target | Limit, ...]) -> Benchmark:
    return benchmark(
        contender("ours", {"case": 10}, RuntimeError("a message was lost")),
        contender("peer", MissingPeerError("it is not installed: apt-get install peer")),
        targets=targets,
    )


def test_what_is_missing_or_fails_is_told_and_stops_nothing() -> None:
    said: list[str] = []
    outcome = run(broken((Target("case", "ours", "peer", 3),)), 2, True, said.append)
    assert outcome.missing == {"peer": "it is not installed: apt-get install peer"}
    assert outcome.failures == {"ours": ["round 2: RuntimeError: a message was lost"]}
    assert [(one.reached, one.is_reached) for one in verdicts(outcome)] == [
        ("not measured; failed rounds: 1", False)
    ]
    text = as_markdown([outcome], {"Python": "3"}, {"B0": "b0.svg"})
    for part in (
        "peer is missing: it is not",
        "a message was lost",
        "| Python | 3 |",
        "](b0.svg)",
        "2 quick rounds",
    ):
        assert part in text
    assert json.loads(json.dumps(as_json([outcome], {})))["benchmarks"][0]["measured"] == {
        "ours": [{"case": 10}, {}]
    }


@pytest.mark.parametrize("rounds", [({"case": 90}, RuntimeError("lost")), (RuntimeError("lost"),) * 2])
def test_who_loses_a_message_does_not_reach_a_target(rounds: tuple[Mapping[str, float] | Exception, ...]) -> None:
    others = contender("peer", {"case": 1}, {"case": 1})
    target = Target("case", "ours", "peer", 3)
    outcome = run(benchmark(contender("ours", *rounds), others, targets=(target,)), 2, False)
    assert [one.is_reached for one in verdicts(outcome)] == [False]


def test_a_peer_that_fails_makes_no_verdict() -> None:
    failing = contender("peer", RuntimeError("gone"))
    outcome = run(
        benchmark(contender("ours", {"case": 1}), failing, targets=(Target("case", "ours", "peer", 3),)), 1, False
    )
    assert [(one.reached, one.is_reached) for one in verdicts(outcome)] == [("not measured", None)]


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = benchmark(contender("indianyio", {"case": 1234.5}), targets=(Limit("case", "indianyio", 1),))
    report, figures = tmp_path / "report.md", tmp_path / "figures.json"
    arguments = ["b0", "--rounds", "1", "--report", str(report), "--json", str(figures)]
    assert main(arguments, [good]) == 0
    assert "MISSED" in capsys.readouterr().out
    assert "| indianyio | 1 234 (1 234..1 234) |" in report.read_text(encoding="utf-8")
    assert json.loads(figures.read_text(encoding="utf-8"))["benchmarks"][0]["targets"][0]["enough"] is False


def test_a_failure_of_ours_is_a_status() -> None:
    assert main([], [benchmark(contender("indianyio", RuntimeError("lost"), RuntimeError("lost")))]) == 1


def test_the_page_has_the_remarks_as_they_are_written() -> None:
    """The page is generated, so a remark that is changed only there is lost."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    remarks = {path.stem: path.read_text(encoding="utf-8").strip() for path in REMARKS.glob("*.md")}
    assert remarks
    assert not [name for name, remark in remarks.items() if remark not in page]


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["B99"])
    assert "there is no benchmark B99" in capsys.readouterr().err


@pytest.mark.parametrize("one", BENCHMARKS, ids=lambda one: one.name)
def test_targets_name_contenders_that_there_are(one: Benchmark) -> None:
    names = [each.name for each in one.contenders]
    assert len(set(names)) == len(names)
    for target in one.targets:
        assert any(name.startswith(target.ours) for name in names)
        if isinstance(target, Target):
            peer = target.peer.rpartition("@")[2]
            assert any(name.startswith(peer) for name in names), peer


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.libindi
@pytest.mark.parametrize("name", [one.name for one in BENCHMARKS])
def test_the_quick_suite_runs_as_a_user_runs_it(name: str, tmp_path: Path) -> None:
    """Peers that are not installed are reported as missing."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [measured] = json.loads(figures.read_text(encoding="utf-8"))["benchmarks"]
    assert {"indianyio asyncio", "indianyio trio"} <= set(measured["measured"]) or name == "B1"
