"""The command service: the unit that it prints, as systemd reads it, and the rules of udev."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from indianyio.commands import main
from indianyio.commands._unit import UdevRule, Unit, argument, setting
from indianyio.run._arguments import parse_arguments
from indianyio.run._executable import make_executable
from tests.commands.packages import install

HEATER = "indianyio.examples.thermostat:Thermostat"
USER = ("--user", getpass.getuser())
SYSTEMD = Path("/lib/systemd/systemd")
NOBODY = 65534
ODD = ["a b", "100%", "%h", "$HOME", "${HOME}", "$", 'q"uo\\te', "it's", "line\nend\t", ";", "", "#", "é", "--x=-1"]

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (Debian: systemd)")
reader = pytest.mark.skipif(
    not (SYSTEMD.exists() and shutil.which("setpriv")),
    reason="needs systemd itself, which reads units in a test mode",
)


class Printed:
    """What the command prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        assert main(["service", *arguments]) == status
        shown = self._capsys.readouterr()
        return shown.err if status else shown.out

    def unit(self, *arguments: str) -> dict[str, str]:
        """Return the settings of a unit; none of them is there twice."""
        text = self(*arguments, *USER)
        pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")]
        settings = dict(pair for pair in pairs if len(pair) == 2)
        assert len(settings) == len(pairs)
        return {str(key): str(value) for key, value in settings.items()}


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    return Printed(capsys)


def words(unit: dict[str, str]) -> list[str]:
    """Return the command line of a unit in which nothing is quoted."""
    assert not set(unit["ExecStart"]) & set("\"'\\")
    return unit["ExecStart"].split()


# -- what is run -----------------------------------------------------------------------------------------------


def test_the_service_says_when_it_is_ready_and_is_ended_in_order(printed: Printed) -> None:
    unit = printed.unit(HEATER, "--port", "7624")
    assert words(unit) == [sys.executable, "-P", "-m", "indianyio.run", HEATER, "--port", "7624"]
    assert unit["Type"] == "notify"
    assert unit["KillMode"] == "mixed"
    assert unit["Restart"] == "on-failure"
    assert unit["Description"] == "INDI server of Thermostat"
    assert "WatchdogSec" not in unit
    assert "After" not in unit


def test_every_option_of_run_is_one_of_the_service_and_means_the_same(
    printed: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "box"
    make_executable(program, [HEATER])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    given = ["--backend", "trio", "--grace", "7.5", "--log-level", "debug", "--debug", "--folder", "."]
    given += ["--port", "7625", "--host", "::", "--unix", "indi", "--exec", "box", "--exec-grace", "40"]
    given += ["--remote", "dome.local", "--remote", "[fd00::1]:7000", "--max-clients", "3", "--statistics"]
    given += ["--read-only", "10.0.0.0/8", "--read-only", "fd00::/8", "--announce"]
    command = words(printed.unit(HEATER, *given))
    assert command[:4] == [sys.executable, "-P", "-m", "indianyio.run"]
    read, wanted = parse_arguments(command[4:]), parse_arguments([HEATER, *given])
    # Found from anywhere, by a process that has another PATH.
    wanted.folder, wanted.unix, wanted.exec = str(tmp_path), str(tmp_path / "indi"), [str(program)]
    assert vars(read) == vars(wanted)
    # And no option of run was forgotten above.
    unsaid = vars(parse_arguments([HEATER]))
    assert {name for name, value in vars(read).items() if value == unsaid[name]} == {"driver", "make_executable"}


def test_a_module_is_imported_from_the_current_folder_only_if_it_is_there(
    printed: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("servedfocuser", "herefocuser"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    install(tmp_path / "site", monkeypatch, "servedfocuser", indi_served="servedfocuser:Focuser")
    monkeypatch.chdir(tmp_path)
    assert "--folder" not in printed.unit("indi_served", "--port", "0")["ExecStart"]
    assert "--folder" not in printed.unit("servedfocuser:Focuser", "--port", "0")["ExecStart"]
    (tmp_path / "herefocuser.py").write_text((tmp_path / "site" / "servedfocuser.py").read_text(), encoding="utf-8")
    assert f"--folder {tmp_path}" in printed.unit("herefocuser:Focuser", "--port", "0")["ExecStart"]


# -- how long its end may take ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        # Three graces and one for the clients, and a spare of 2 s; that twice; the alarm, and the interpreter.
        ((), 2 * (4 * 5 + 2) + 3),
        (("--grace", "30"), 2 * (4 * 30 + 2) + 3),
        (("--grace", "0.1"), 2 * (3 * 0.1 + 1 + 2) + 3),
        # A program gets its grace twice.
        (("--exec", "box", "--exec-grace", "60"), 2 * (2 * 60 + 2.5 + 5 + 2) + 3),
        # What its file records counts where it is longer.
        (("--exec", "slowbox"), 2 * (2 * 100 + 2.5 + 5 + 2) + 3),
    ],
)
def test_it_is_not_killed_before_the_end_that_it_may_take(
    printed: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], seconds: float
) -> None:
    make_executable(tmp_path / "box", [HEATER], 5.0)
    make_executable(tmp_path / "slowbox", [HEATER], 100.0)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    stop = float(printed.unit(HEATER, "--port", "0", *options)["TimeoutStopSec"])
    assert seconds <= stop < seconds + 1


def test_a_watchdog_asks_for_an_end_in_order(printed: Printed) -> None:
    unit = printed.unit(HEATER, "--port", "0", "--watchdog", "30")
    assert unit["WatchdogSec"] == "30"
    assert unit["WatchdogSignal"] == "SIGTERM"


# -- what it may do --------------------------------------------------------------------------------------------


def test_instruments_stay_within_reach(printed: Printed) -> None:
    unit = printed.unit(HEATER, "--port", "0")
    # Each of these would take devices away, some of them only when an adapter is plugged in later.
    for setting_name in ("PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "ProtectKernelTunables"):
        assert setting_name not in unit
    assert "AF_NETLINK" in unit["RestrictAddressFamilies"].split()


def test_it_may_write_its_settings_and_what_is_named(printed: Printed, tmp_path: Path) -> None:
    unit = printed.unit(HEATER, "--port", "0", "--writable", "/srv/my 100% images")
    home = Path(os.path.expanduser(f"~{USER[1]}"))
    assert unit["ProtectSystem"] == "strict"
    assert unit["ReadWritePaths"] == f'{home}/.indi "/srv/my 100%% images"'
    assert unit["User"] == USER[1]


def test_the_folder_of_its_unix_socket_is_made_or_writable(printed: Printed) -> None:
    assert printed.unit(HEATER, "--unix", "/run/indi/socket")["RuntimeDirectory"] == "indi"
    unit = printed.unit(HEATER, "--unix", "/srv/indi/socket")
    assert unit["ReadWritePaths"].split()[1:] == ["/srv/indi"]
    assert "RuntimeDirectory" not in unit
    unit = printed.unit(HEATER, "--unix", "@indi")
    assert len(unit["ReadWritePaths"].split()) == 1
    # Clients would look for it in another /tmp.
    assert "PrivateTmp" not in printed.unit(HEATER, "--unix", "/tmp/indi")


def a_unit(**changes: object) -> Unit:
    given: dict[str, object] = {
        "name": "x",
        "description": "x",
        "command": ["/bin/true"],
        "user": "obs",
        "group": "obs",
        "device_groups": [],
        "settings_folder": Path("/home/obs/.indi"),
        "paths": [],
        "writable": [],
        "unix": None,
        "port": 7624,
        "needs_network": False,
        "stop_seconds": 1.0,
        "watchdog_seconds": None,
    }
    return Unit(**{**given, **changes})  # type: ignore[arg-type]


def test_a_folder_in_tmp_is_seen_by_the_service() -> None:
    assert "PrivateTmp=yes\n" in a_unit().text()
    assert "PrivateTmp" not in a_unit(paths=[Path("/var/tmp/drivers")]).text()


def test_only_a_port_below_1024_takes_a_privilege() -> None:
    assert "CapabilityBoundingSet=\n" in a_unit().text()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in a_unit(port=624).text()


def test_an_address_of_the_network_waits_for_the_network(printed: Printed) -> None:
    assert printed.unit(HEATER, "--port", "0", "--host", "192.0.2.7")["After"] == "network-online.target"


def test_a_folder_that_is_not_there_is_told(
    printed: Printed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", HEATER, "--port", "0", "--writable", str(tmp_path / "images"), *USER]) == 0
    assert f"{tmp_path / 'images'} is not there yet, and the service will not start" in capsys.readouterr().err
    assert main(["service", HEATER, "--port", "0", "--writable", str(tmp_path), *USER]) == 0
    assert f"{tmp_path} is not there" not in capsys.readouterr().err


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((HEATER,), "add --port or --unix"),
        (("--port", "0"), "nothing to serve"),
        (("nowhere:Driver", "--port", "0"), "No module named 'nowhere'"),
        ((HEATER, HEATER, "--port", "0"), "same name"),
        ((HEATER, "--port", "0", "--exec", "no-such-program"), "no-such-program"),
        ((HEATER, "--port", "0", "--user", "no such user"), "there is no user no such user"),
        ((HEATER, "--port", "0", "--name", "a/b"), "cannot be the name of a unit"),
        ((HEATER, "--port", "0", "--watchdog", "0"), "--watchdog"),
        (("--udev", "0403"), "is not VENDOR:PRODUCT"),
        (("--udev", '0403:6001:A"'), "is not VENDOR:PRODUCT"),
        (("--udev", "0403:6001:A", "--udev", "0403:6001:B"), "the same link"),
        (("--udev", "0403:6001:A=null"), "/dev/null is a device's own name"),
        (("--udev", "0403:6001:A=ttyUSB7"), "/dev/ttyUSB7 is a device's own name"),
    ],
)
def test_what_cannot_be_is_status_2_and_a_line(
    arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    user = () if "--user" in arguments else USER
    try:
        status = main(["service", *arguments, *user])
    except SystemExit as ended:
        status = int(ended.code or 0)
    shown = capsys.readouterr()
    assert status == 2
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert problem in shown.err


def test_root_says_whom_it_runs_as(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert "--user" in printed(HEATER, "--port", "0", status=2)
    monkeypatch.setenv("SUDO_USER", USER[1])
    assert f"\nUser={USER[1]}\n" in printed(HEATER, "--port", "0")


@pytest.mark.parametrize("text", ["a\udc80", "a\0b"])
def test_a_text_that_no_unit_can_carry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a unit cannot contain it"):
        setting(text)


# -- as systemd reads it ---------------------------------------------------------------------------------------


@analyze
def test_systemd_finds_nothing_wrong_with_it(printed: Printed, tmp_path: Path) -> None:
    given = ["--port", "624", "--host", "::", "--unix", "/run/indi/socket", "--watchdog", "2.5", "--name", "indi"]
    text = printed(HEATER, *given, "--writable", "/srv/my 100% images", "--read-only", "10.0.0.0/8", *USER)
    (tmp_path / "indi.service").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "indi.service")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "indi.service" not in done.stderr
    assert done.returncode == 0, done.stderr


@reader
def test_systemd_reads_every_argument_as_it_was_meant(public_folder: Path) -> None:
    program = public_folder / "my 100% $program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    (public_folder / "odd.service").write_text(a_unit(command=[str(program), *ODD]).text(), encoding="utf-8")
    runtime = public_folder / "runtime"
    runtime.mkdir()
    environment = {
        "SYSTEMD_LOG_TARGET": "console",
        "SYSTEMD_LOG_LEVEL": "debug",
        "SYSTEMD_UNIT_PATH": f"{public_folder}:",
        "XDG_RUNTIME_DIR": str(runtime),
        "HOME": str(runtime),
        "PATH": os.environ["PATH"],
    }
    command = [str(SYSTEMD), "--test", "--user", "--unit=odd.service"]
    if os.geteuid() == 0:
        # It has no user's mode for root.
        os.chown(runtime, NOBODY, NOBODY)
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    [line] = re.findall(r"Command Line: (.*100% .*)\n", done.stdout)
    # It quotes what it has read by rules of its own, and replaces $$ only when the program is started.
    assert shell_words(line) == [str(program), *(word.replace("$", "$$") for word in ODD)]


def shell_words(line: str) -> list[str]:
    """Read a line as systemd writes command lines: words, in quotes with escapes of C where that is needed."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    return [re.sub(r"\\(.)", lambda each: {"n": "\n", "t": "\t"}.get(each[1], each[1]), a) or b for a, b in found]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain/path-1.2:3,4@x+y=z_", "plain/path-1.2:3,4@x+y=z_"),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ("a b", '"a b"'),
        ('"\\', '"\\"\\\\"'),
        ("a\nb", '"a\\x0ab"'),
        ("", '""'),
        (";", '";"'),
    ],
)
def test_quoting(text: str, written: str) -> None:
    assert argument(text) == written


# -- rules of udev ---------------------------------------------------------------------------------------------


def test_a_serial_port_gets_a_name_and_a_group_and_no_modem_manager(printed: Printed) -> None:
    text = printed("--udev", "0403:6001:A50285BI=mount", "--udev", "067B:2303", "--name", "focuser")
    first, second = (line for line in text.splitlines() if not line.startswith("#"))
    assert re.fullmatch(
        r'SUBSYSTEM=="tty", ATTRS\{idVendor\}=="0403", ATTRS\{idProduct\}=="6001", ATTRS\{serial\}=="A50285BI", '
        r'SYMLINK\+="mount", GROUP="(dialout|uucp)", MODE="0660", ENV\{ID_MM_PORT_IGNORE\}="1"',
        first,
    )
    # As sysfs writes it, and without a serial number.
    assert 'ATTRS{idVendor}=="067b", ATTRS{idProduct}=="2303", SYMLINK+="focuser"' in second


def test_a_serial_number_may_have_what_they_have() -> None:
    rule = UdevRule.parse("1a86:7523:AB/12 #3:4=dome-1")
    assert (rule.serial, rule.link) == ("AB/12 #3:4", "dome-1")
