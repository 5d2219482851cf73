"""The drop-in for indiserver as a process: its drivers, its fifo, its log and its exit status."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from indianyio.protocol import DefTextVector, DelProperty, EnableBLOB, GetProperties
from tests.libindi.libindi_harness import IndiServer, installed, tcp_client, unix_client, wait_until
from tests.server.dropin import (
    DIES,
    DROP_IN,
    ON_TRIO,
    SECONDS,
    defines,
    make_driver,
    program,
    run_to_end,
    says,
    text,
)

pytestmark = pytest.mark.long

simulators = pytest.mark.skipif(not installed("indi_simulator_telescope"), reason="indi-bin is not installed")

SERVERS = [
    pytest.param(DROP_IN, id="asyncio"),
    pytest.param(ON_TRIO, id="trio"),
    pytest.param(("indiserver",), id="indiserver", marks=[pytest.mark.libindi, simulators]),
]


# -- how it ends ------------------------------------------------------------------------------------------------


def test_what_is_fatal_says_good_bye(tmp_path: Path) -> None:
    with program(tmp_path, make_driver(tmp_path, "one")) as server:
        cases: Sequence[tuple[tuple[int, list[str]], str]] = (
            (run_to_end("no-such-indi-driver"), "no-such-indi-driver"),
            (run_to_end("cat", port=server.port), "ddress already in use"),
            (run_to_end("cat", unix_name=server.unix_name), "ddress already in use"),
            (run_to_end("foo@"), "bad remote device syntax"),
            (run_to_end("-f", tmp_path / "nothing"), "nothing"),
            (run_to_end("-f", server.log), "not a named pipe"),
        )
    for (status, lines), words in cases:
        assert status == 1, lines
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: ", line) for line in lines), lines
        assert ": startup: indianyio.indiserver -p" in lines[0]
        assert lines[-1].endswith(": good bye")
        assert any(words in line for line in lines), lines


def test_clients_hear_that_the_last_driver_has_gone(tmp_path: Path) -> None:
    with program(tmp_path, "-r", "1", make_driver(tmp_path, "mortal", DIES)) as server:
        with tcp_client(server, SECONDS) as client:
            for _ in range(2):
                client.ask()
                client.expect(DefTextVector)
                client.ask("mortal")
                assert client.expect(DelProperty).device == "mortal"
                wait_until(lambda: bool(server.drivers()) or server.process.poll() is not None, SECONDS)
        assert server.process.wait(SECONDS) == 1
        assert text(server).splitlines()[-1].endswith("good bye")


@pytest.mark.parametrize("restarts", [0, 1])
@pytest.mark.parametrize("launcher", SERVERS)
def test_restarts_are_counted_as_indiserver_counts(
    tmp_path: Path, restarts: int, launcher: tuple[str, ...]
) -> None:
    driver = make_driver(tmp_path, "dead", f"echo born >> {tmp_path}/lives; exit 3")
    status, lines = run_to_end("-r", str(restarts), driver, launcher=launcher)
    assert status == 1
    assert (tmp_path / "lives").read_text(encoding="utf-8").count("born") == 1 + restarts
    (last,) = [line for line in lines if "Terminated" in line]
    assert last.endswith(f"Driver {driver}: Terminated after #{restarts} restarts.")
    assert lines[-1].endswith(": good bye")


@pytest.mark.parametrize("launcher", SERVERS)
def test_a_driver_that_does_not_exist(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    status, lines = run_to_end("-r", "0", "no-such-indi-driver", launcher=launcher)
    assert status == 1
    assert any(line.endswith("Driver no-such-indi-driver: Terminated after #0 restarts.") for line in lines), lines
    # indiserver does not always hear the last words of what dies.
    assert launcher == ("indiserver",) or any("No such file or directory" in line for line in lines), lines
    # The others go on.
    with program(
        tmp_path, "-r", "0", "no-such-indi-driver", make_driver(tmp_path, "one"), launcher=launcher
    ) as server:
        assert says(server, "Terminated after #0")
        defines(server, "one")


# -- who can reach it -------------------------------------------------------------------------------------------


def reaches(server: IndiServer, address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, server.port)) == 0


def test_it_listens_everywhere_and_warns_of_that_once(tmp_path: Path) -> None:
    with program(tmp_path, make_driver(tmp_path, "one")) as server:
        defines(server, "one")
        assert reaches(server, "127.0.0.2")
        (warning,) = [line for line in text(server).splitlines() if "no authentication" in line]
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: INDI has", warning)
        assert f"0.0.0.0:{server.port}" in warning
        assert "--host localhost" in warning


def test_it_can_be_kept_to_this_machine(tmp_path: Path) -> None:
    with program(tmp_path, "--host", "localhost", make_driver(tmp_path, "one")) as server:
        defines(server, "one")
        assert not reaches(server, "127.0.0.2")
        assert "no authentication" not in text(server)


# -- what it writes ---------------------------------------------------------------------------------------------


def test_messages_of_drivers_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with program(tmp_path, "-l", folder, make_driver(tmp_path, "one")) as server:
        defines(server, "one")
        (file,) = folder.iterdir()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d\.islog", file.name)
        assert file.read_text(encoding="utf-8").splitlines()[0].endswith(": one: hello from one")


def test_every_message_is_kept_and_shown_although_many_come_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    said = "".join(f"<message device='one' message='word {number}'/>" for number in range(5))
    set_to = "<setTextVector device='one' name='V' state='Ok'><oneText name='a'>{}</oneText></setTextVector>"
    updates = "".join(set_to.format(number) for number in range(5))
    life = f'answer; answer; printf "%s" "{said}{updates}"\nwhile true; do answer; done'
    with program(tmp_path, "-vv", "-l", folder, make_driver(tmp_path, "one", life)) as server:
        with tcp_client(server, SECONDS) as client:
            client.ask()
            client.expect(DefTextVector)
            assert wait_until(lambda: text(server).count("read setTextVector one V") == 5, SECONDS), text(server)
        assert text(server).count("read message one") >= 5
        (file,) = folder.iterdir()
        kept = file.read_text(encoding="utf-8")
        assert [line.rsplit(": ")[-1] for line in kept.splitlines() if "word" in line] == [
            f"word {number}" for number in range(5)
        ]


@pytest.mark.parametrize(
    ("option", "seen", "unseen"),
    [
        ("-v", "connected", "read "),
        ("-vv", "read defTextVector one V", "<defText"),
        ("-vvv", "<defText name", "read defTextVector one V"),
    ],
)
def test_verbosity(tmp_path: Path, option: str, seen: str, unseen: str) -> None:
    with program(tmp_path, option, make_driver(tmp_path, "one")) as server:
        defines(server, "one")
        assert says(server, seen)
        assert unseen not in text(server)


# -- with libindi's own programs --------------------------------------------------------------------------------


@pytest.mark.libindi
@simulators
def test_libindis_clients_and_drivers(tmp_path: Path) -> None:
    with program(tmp_path, "-v", "indi_simulator_telescope", "indi_simulator_ccd") as server:
        for device in ("Telescope Simulator", "CCD Simulator"):
            assert wait_until(lambda d=device: server.value(f"{d}.CONNECTION.CONNECT") == "Off", SECONDS)  # type: ignore[misc]
            assert server.setprop(f"{device}.CONNECTION.CONNECT=On").returncode == 0
            assert wait_until(lambda d=device: server.value(f"{d}.CONNECTION.CONNECT") == "On", SECONDS)  # type: ignore[misc]
        with unix_client(server, SECONDS) as client:
            client.send(GetProperties(device="CCD Simulator"))
            client.send(EnableBLOB(device="CCD Simulator", value="Also"))
            client.expect(DefTextVector)
