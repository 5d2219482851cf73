"""get, set and eval beside indi_getprop, indi_setprop and indi_eval: the same lines, and the same exit status."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from indianyio.commands import main
from tests.libindi.libindi_harness import IndiServer, indiserver, wait_until

SIMULATORS = [
    found
    for name in ("ccd", "telescope", "focus", "wheel", "dome", "weather", "gps", "rotator")
    if (found := shutil.which(f"indi_simulator_{name}"))
]

pytestmark = [
    pytest.mark.libindi,
    pytest.mark.long,
    pytest.mark.skipif(not SIMULATORS, reason="no simulators (Debian: apt-get install indi-bin)"),
]

MOUNT, CAMERA = "Telescope Simulator", "CCD Simulator"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndiServer]:
    home = tmp_path_factory.mktemp("home")
    with indiserver(home, *SIMULATORS) as running:
        count = len(SIMULATORS)
        answered = ["-t", "1", "*.CONNECTION.CONNECT"]
        assert wait_until(lambda: len(running.getprop(*answered).stdout.splitlines()) == count, 30)
        yield running


def theirs(server: IndiServer, tool: str, *arguments: str) -> tuple[int, list[str], str]:
    done = server.tool(tool, "-t", "1", *arguments)
    return done.returncode, sorted(done.stdout.splitlines()), done.stderr


def ours(
    server: IndiServer, capsys: pytest.CaptureFixture[str], command: str, *arguments: str
) -> tuple[int, list[str], str]:
    status = main([command, "-p", str(server.port), "-t", "1", *arguments])
    shown = capsys.readouterr()
    return status, sorted(shown.out.splitlines()), shown.err


@pytest.mark.parametrize(
    "queries",
    [
        [],
        [f"{MOUNT}.*.*"],
        [f"{MOUNT}.CONNECTION.*"],
        [f"{MOUNT}.CONNECTION.CONNECT"],
        ["-1", f"{CAMERA}.CONNECTION.CONNECT"],
        ["-1", f"{CAMERA}.CONNECTION.*"],
        ["*.CONNECTION.CONNECT", f"{CAMERA}.DRIVER_INFO.DRIVER_NAME"],
        ["*.*._STATE"],
        ["*.*._LABEL"],
        ["*.*._GROUP"],
        ["*.*._PERM"],
        ["*.*._TO"],
        ["-w", "*.*.*"],
        [f"{MOUNT}.NOPE.X"],
        [f"{MOUNT}.NOPE.X", f"{MOUNT}.CONNECTION.CONNECT"],
    ],
    ids=" ".join,
)
def test_get(server: IndiServer, capsys: pytest.CaptureFixture[str], queries: list[str]) -> None:
    assert ours(server, capsys, "get", *queries) == theirs(server, "indi_getprop", *queries)


@pytest.mark.parametrize(
    "expression",
    [
        f'"{MOUNT}.CONNECTION.CONNECT"==1',
        f'"{MOUNT}.CONNECTION._STATE"',
        f'"{CAMERA}.CONNECTION.DISCONNECT" + "{MOUNT}.CONNECTION.DISCONNECT"*2',
        f'"{CAMERA}.POLLING_PERIOD.PERIOD_MS"/3',
        f'"{CAMERA}.CONNECTION._TS" > 1000000000',
        "1+2*3-4/8",
        "2-3-4",
        "10/4/5",
        "1/0",
        "1/(-0)",
        "0/0",
        "0*(1/0)",
        "sqrt(-1)",
        "log(0)",
        "log(-1)",
        "log10(0)",
        "exp(1e9)",
        "exp(-1e9)",
        "pow(10,1000)",
        "pow(-10,1001)",
        "pow(0,-1)",
        "pow(-8,0.5)",
        "floor(1/0)",
        "(0/0)==(0/0)",
        "!(0/0)",
        "1e999",
        "(-0)",
        "1 == 2 == 0",
        "!0 && (1<2) || 0",
        "pow(2,10)+atan2(1,2)*raddeg(pi)-degrad(90)",
        "floor(2.5)+sqrt(2)+log(3)+log10(3)",
        "exp(1)+abs(0-1)+sin(1)+cos(1)",
        "tan(1)+asin(1)+acos(0)+atan(1)",
        "2>=3",
        f'"{MOUNT}.NOPE.X"==0',
        f'"{MOUNT}.DRIVER_INFO.DRIVER_VERSION"',
        f'"{MOUNT}.DRIVER_INFO._STATE"',
    ],
)
def test_eval(server: IndiServer, capsys: pytest.CaptureFixture[str], expression: str) -> None:
    status, _, words = theirs(server, "indi_eval", "-f", expression)
    shown = ours(server, capsys, "eval", "-f", expression)
    # Theirs prints everything on standard error, and before NaN a sign that says nothing.
    expected = words.replace("-nan", "nan").splitlines()
    assert (shown[0], [*shown[1], *shown[2].splitlines()]) == (status, expected)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ([f"{CAMERA}.POLLING_PERIOD.PERIOD_MS=900"], f"{CAMERA}.POLLING_PERIOD.PERIOD_MS=900"),
        ([f"{MOUNT}.DEBUG.DISABLE=On;ENABLE=Off"], f"{MOUNT}.DEBUG.DISABLE=On"),
        ([f"{MOUNT}.DEBUG.ENABLE;DISABLE=Off;On"], f"{MOUNT}.DEBUG.DISABLE=On"),
        (["-n", f"{CAMERA}.POLLING_PERIOD.PERIOD_MS=800"], f"{CAMERA}.POLLING_PERIOD.PERIOD_MS=800"),
        ([f"{MOUNT}.DRIVER_INFO.DRIVER_NAME=1"], None),
        ([f"{MOUNT}.NOPE.A=1"], None),
        ([f"{MOUNT}.CONNECTION.NOPE=On"], None),
        ([f"{MOUNT}.X.A;B=1"], None),
        (["nonsense"], None),
        ([], None),
    ],
    ids=str,
)
def test_set(
    server: IndiServer, capsys: pytest.CaptureFixture[str], settings: list[str], value: str | None
) -> None:
    expected = theirs(server, "indi_setprop", *settings)[0]
    if value is not None:
        other = value.replace("900", "700").replace("800", "700")
        server.setprop(other)
        wait_until(lambda: other in server.getprop(value.partition("=")[0]).stdout.splitlines(), 5)
    status, lines, words = ours(server, capsys, "set", *settings)
    assert (status, lines) == (expected, [])
    assert words.count("\n") == (status != 0)
    if value is not None:
        assert wait_until(lambda: value in server.getprop(value.partition("=")[0]).stdout.splitlines(), 5)


def test_snap(server: IndiServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pattern = str(tmp_path / "snap_{number}{format}")
    command = ["snap", "-p", str(server.port), CAMERA, "0.2", "--count", "2", "--save", pattern]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / f"snap_{n}.fits") for n in (1, 2)]
    assert all(path.read_bytes().startswith(b"SIMPLE  =") for path in tmp_path.glob("snap_*.fits"))


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for tool, command, words in (
        ("indi_getprop", "get", []),
        ("indi_setprop", "set", ["a.b.c=1"]),
        ("indi_eval", "eval", ['"a.b.c"']),
    ):
        expected = subprocess.run(
            [tool, "-p", "1", *words], capture_output=True, timeout=20, check=False
        ).returncode
        assert main([command, "-p", "1", *words]) == expected == 2
        assert capsys.readouterr().err.count("\n") == 1
