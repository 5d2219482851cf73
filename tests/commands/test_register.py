"""The commands register, registered and unregister, below a prefix in a temporary folder."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from indianyio import Device, IPyDriver, TextMember, TextVector
from indianyio.commands import _places, _register, _registered, main
from indianyio.commands._catalogue import GROUPS, HEAD, check_label, describe, version_number
from indianyio.commands._places import Places, UnsafeError, find_places, require_safe, unsafe_part
from indianyio.commands._registration import Registration
from indianyio.run._executable import make_executable
from tests.commands.packages import DRIVER, install

HEATER = "indianyio.examples.thermostat:Thermostat"
ROOT_MODULES = (_places, _register, _registered)


@pytest.fixture(autouse=True)
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    be_root(monkeypatch, is_root=False)
    monkeypatch.delenv("INDI_DATA_DIR", raising=False)


def be_root(monkeypatch: pytest.MonkeyPatch, *, is_root: bool) -> None:
    """Have the commands take this process for root's, or not."""
    for module in ROOT_MODULES:
        monkeypatch.setattr(module, "is_root", lambda: is_root)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "prefix"


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in the files of a folder, and where its links lead."""
    return {
        str(path.relative_to(folder)): os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def register(prefix: Path, *arguments: str) -> int:
    return main(["register", *(arguments or (HEATER,)), "--prefix", str(prefix)])


# -- what is written -------------------------------------------------------------------------------------------


def test_three_files_are_written_and_what_was_done_is_told(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register(prefix) == 0
    assert list(files(prefix)) == [
        "bin/indi_thermostat",
        "lib/indianyio/drivers/indi_thermostat",
        "share/indi/indi_indianyio-thermostat.xml",
    ]
    executable = prefix / "lib" / "indianyio" / "drivers" / "indi_thermostat"
    assert (prefix / "bin" / "indi_thermostat").readlink() == executable
    told = capsys.readouterr().out
    assert f"written: {executable}\n" in told
    assert f"indianyio unregister indi_thermostat --prefix {prefix}\n" in told


def test_the_entry_is_what_kstars_and_web_manager_read(prefix: Path) -> None:
    options = ["--label", "Roof Heater", "--group", "Domes", "--manufacturer", "Home & Co".replace("&", "and")]
    assert register(prefix, HEATER, "--name", "indi_sky_skew", *options, "--version", "1.25") == 0
    (path,) = (prefix / "share" / "indi").iterdir()
    # KStars reads indi_*.xml but not *_sk.xml, and no links; Web Manager nothing with _sk in it.
    assert path.name.startswith("indi_")
    assert "_sk" not in path.name
    assert not path.is_symlink()
    root = ElementTree.parse(path).getroot()
    group = root.find("devGroup")
    assert root.tag == "driversList"
    assert group is not None
    assert group.attrib == {"group": "Domes"}
    device = group.find("device")
    assert device is not None
    assert device.attrib == {"label": "Roof Heater", "manufacturer": "Home and Co"}
    assert device.findtext("driver") == "indi_sky_skew"
    assert device.findtext("version") == "1.25"
    driver = device.find("driver")
    assert driver is not None
    assert driver.attrib == {"name": "Thermostat"}


def test_the_program_has_the_options_of_run_and_starts_the_driver(prefix: Path) -> None:
    assert register(prefix, HEATER, "--backend", "trio", "--grace", "2.5", "--debug") == 0
    program = prefix / "bin" / "indi_thermostat"
    assert "--backend trio --grace 2.5 --log-level info --debug" in program.read_text(encoding="utf-8")
    asked = b'<getProperties version="1.7"/>\n'
    ran = subprocess.run([program], input=asked, capture_output=True, check=True, timeout=60)
    assert b'<defNumberVector device="Thermostat"' in ran.stdout


def test_twice_is_harmless_and_brings_it_up_to_date(prefix: Path) -> None:
    assert register(prefix) == 0
    first = files(prefix)
    assert register(prefix) == 0
    assert files(prefix) == first
    assert register(prefix, HEATER, "--group", "Focusers") == 0
    changed = [name for name, content in files(prefix).items() if content != first[name]]
    assert changed == ["share/indi/indi_indianyio-thermostat.xml"]


def test_a_dry_run_writes_nothing(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(prefix, HEATER, "--dry-run") == 0
    assert not prefix.exists()
    assert "would write: " in capsys.readouterr().out
    assert register(prefix) == 0
    before = files(prefix)
    assert main(["unregister", "indi_thermostat", "--dry-run", "--prefix", str(prefix)]) == 0
    assert capsys.readouterr().out.count("would remove: ") == 3
    assert files(prefix) == before


def test_unregister_leaves_nothing_and_says_if_there_is_nothing(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register(prefix) == 0
    assert main(["unregister", "indi_thermostat", "--prefix", str(prefix)]) == 0
    assert files(prefix) == {}
    assert capsys.readouterr().out.count("removed: ") == 3
    assert main(["unregister", "indi_thermostat", "--prefix", str(prefix)]) == 1
    assert "is not registered in" in capsys.readouterr().err


# -- what the driver says of itself ----------------------------------------------------------------------------


def driver_of(interface: str, version: str = "1.0", devices: int = 1) -> IPyDriver:
    members = {"DRIVER_INTERFACE": interface, "DRIVER_VERSION": version}
    made = []
    for number in range(devices):
        texts = [TextMember(name, name, text) for name, text in members.items()]
        made.append(Device(f"D{number}", [TextVector("DRIVER_INFO", "", "", "ro", "Idle", texts)]))
    return IPyDriver(*made)


@pytest.mark.parametrize(
    ("interface", "group"),
    [
        ("1", "Telescopes"),
        ("5", "Telescopes"),
        ("22", "CCDs"),
        ("8", "Focusers"),
        ("16", "Filter Wheels"),
        ("32", "Domes"),
        ("4096", "Rotators"),
        ("128", "Weather"),
        ("64", "Auxiliary"),
        ("0", "Auxiliary"),
        ("nonsense", "Auxiliary"),
        ("4294967295999", "Auxiliary"),
    ],
)
def test_the_group_is_taken_from_the_interface(interface: str, group: str) -> None:
    assert describe(driver_of(interface)).group == group
    assert group in GROUPS


def test_several_devices_are_told(prefix: Path) -> None:
    entry = describe(driver_of("8", devices=2))
    assert (entry.label, entry.device) == ("D0", "D0")
    assert ' mdpd="true">' in entry.text("indi_d")
    assert ' mdpd="true">' not in describe(driver_of("8")).text("indi_d")


@pytest.mark.parametrize(
    ("text", "number"), [("2.5.1", "2.5"), ("7", "7"), ("v2", "1.0"), ("", "1.0"), ("1.", "1")]
)
def test_a_version_is_a_number(text: str, number: str) -> None:
    assert version_number(text) == number


def test_devices_that_kstars_leaves_out_are_told(
    prefix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = "from indianyio import Device, IPyDriver\n\n\ndef driver():\n    return IPyDriver(*map({}, {}))\n"
    names = ["Dome", "dome light", "Roof"]
    (tmp_path / "fewdevices.py").write_text(module.format("lambda name: Device(name, [])", names), encoding="utf-8")
    assert register(prefix, "fewdevices:driver", "--folder", str(tmp_path)) == 0
    assert "begin with Dome, as the first one's does: Roof\n" in capsys.readouterr().err


def test_an_installed_driver_is_registered_by_its_name(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, "regfocuser", indi_reg="regfocuser:Focuser")
    assert register(prefix, "indi_reg") == 0
    catalogue = (prefix / "share" / "indi" / "indi_indianyio-reg.xml").read_text(encoding="utf-8")
    for part in ('group="Focusers"', 'label="Nice Focuser"', ">indi_reg<", "<version>2.5<"):
        assert part in catalogue


def test_all_installed_ones_and_one_that_fails_keeps_no_other_from_it(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path / "site", monkeypatch, "allfocuser", indi_a="allfocuser:Nothing", indi_b="allfocuser:Focuser")
    assert main(["register", "--all", "--prefix", str(prefix)]) == 1
    assert sorted(path.name for path in (prefix / "bin").iterdir()) == ["indi_b"]
    assert "has no 'Nothing'" in capsys.readouterr().err


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name one driver"),
        ([HEATER, "--all"], "name one driver"),
        (["--all", "--name", "indi_x"], "are for a single driver"),
        ([HEATER, "--name", "python3"], "cannot name a driver's program"),
        ([HEATER, "--name", "indi_../../etc/passwd"], "cannot name a driver's program"),
        ([HEATER, "--name", "indi_a b"], "cannot name a driver's program"),
        ([HEATER, "--label", "$(reboot)"], "might take for a command"),
        ([HEATER, "--label", "a\nb"], "might take for a command"),
        ([HEATER, "--label", "../config"], "might take for a command"),
        ([HEATER, "--label", " "], "is empty, or begins or ends with blanks"),
        ([HEATER, "--label", "x" * 64], "longer than 63 bytes"),
        ([HEATER, "--label", ""], "is empty, or begins or ends with blanks"),
        ([HEATER, "--label", os.fsdecode(b"\xff")], "might take for a command"),
        ([HEATER, "--name", ""], "cannot name a driver's program"),
        ([HEATER, "--manufacturer", '"'], "might take for a command"),
        ([HEATER, "--manufacturer", ""], "is empty, or begins or ends with blanks"),
        ([HEATER, "--version", ""], "is not a number such as 1.2"),
        ([HEATER, "--version", "1.2.3"], "is not a number such as 1.2"),
        (["indianyio.examples.thermostat:Nothing"], "has no 'Nothing'"),
        (["indi_unknown"], "MODULE:NAME"),
        (["thermostat"], "MODULE:NAME"),
        ([":Thermostat"], "MODULE:NAME"),
        (["indianyio.examples.thermostat:"], "MODULE:NAME"),
    ],
)
def test_wrong_arguments_write_nothing(
    prefix: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", *arguments, "--prefix", str(prefix)]) == 2
    assert told in capsys.readouterr().err
    assert not prefix.exists()


def test_labels_of_other_alphabets_are_taken() -> None:
    assert check_label("Fernrohr Süd №2 (望遠鏡)", "label") == "Fernrohr Süd №2 (望遠鏡)"


@pytest.mark.parametrize(
    "place",
    ["bin/indi_thermostat", "lib/indianyio/drivers/indi_thermostat", "share/indi/indi_indianyio-thermostat.xml"],
)
@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
def test_what_others_made_is_neither_replaced_nor_removed(
    prefix: Path, place: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = prefix / place
    path.parent.mkdir(parents=True)
    precious = prefix / "precious"
    precious.write_text("precious", encoding="ascii")
    makers: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text("precious", encoding="ascii"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(precious),
        "dangling": lambda: path.symlink_to(prefix / "nowhere"),
    }
    makers[kind]()
    before = files(prefix)
    assert register(prefix) == 1
    assert f"{path} exists and was not made by indianyio register" in capsys.readouterr().err
    assert main(["unregister", "indi_thermostat", "--prefix", str(prefix)]) == 1
    assert "it is left as it is" in capsys.readouterr().err
    assert files(prefix) == before
    assert path.is_dir() == (kind == "folder")


@pytest.mark.parametrize("place", ["lib", "bin", "share"])
def test_what_appears_while_it_is_written_is_left_as_it_is(
    prefix: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(prefix / "share", prefix / "bin", prefix / "lib")
    for folder in places:
        folder.mkdir(parents=True)
    registration = Registration("indi_x", places)
    theirs = {"lib": registration.executable, "bin": registration.link, "share": registration.catalogue}[place]

    def appear() -> str:
        theirs.write_text("precious", encoding="ascii")
        return "0123"

    # When the executable gets its temporary name it has been seen already that there is nothing.
    monkeypatch.setattr(secrets, "token_hex", lambda _: appear())
    with pytest.raises(FileExistsError):
        registration.write("text", lambda path: make_executable(path, ["x:X"]))
    assert files(prefix) == {str(theirs.relative_to(prefix)): b"precious"}


def test_a_place_that_is_no_folder_is_told(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix.mkdir()
    (prefix / "bin").write_text("precious", encoding="ascii")
    assert register(prefix) == 2
    assert f"{prefix / 'bin'}: it is not a folder; --prefix" in capsys.readouterr().err
    (prefix / "bin").unlink()
    monkeypatch.setenv("INDI_DATA_DIR", __file__)
    assert register(prefix) == 2
    assert f"{__file__}: it is not a folder; --prefix and the variable INDI_DATA_DIR" in capsys.readouterr().err
    assert files(prefix) == {}


def test_the_place_that_could_not_be_written_is_told(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(link: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(target), None, str(link))  # as os.symlink()

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert register(prefix) == 2
    assert capsys.readouterr().err == f"indianyio register: {prefix / 'bin/indi_thermostat'}: Permission denied\n"
    assert files(prefix) == {}


def test_a_catalogue_that_is_no_file_or_no_catalogue_says_nothing_and_holds_nobody_up(prefix: Path) -> None:
    catalogues = prefix / "share" / "indi"
    catalogues.mkdir(parents=True)
    os.mkfifo(catalogues / "pipe.xml")
    (catalogues / "endless.xml").symlink_to("/dev/zero")
    (catalogues / "nowhere.xml").symlink_to("nowhere")
    (catalogues / "folder.xml").mkdir()
    (catalogues / "damaged.xml").write_bytes(b"<driversList><device label='Thermostat'/>\xff")
    (catalogues / "strange.xml").write_bytes(b"<?xml version='1.0' encoding='rot13'?><a/>")
    with (catalogues / "huge.xml").open("wb") as file:
        file.truncate(1 << 40)
    assert register(prefix) == 0


def test_a_label_that_another_catalogue_has_is_refused(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogues = prefix / "share" / "indi"
    catalogues.mkdir(parents=True)
    (catalogues / "broken.xml").write_text("<driversList", encoding="ascii")
    text = '<driversList><devGroup group="A"><device label="Thermostat"/></devGroup></driversList>'
    (catalogues / "indi_x_sk.xml").write_text(text, encoding="ascii")
    assert register(prefix) == 0  # a skeleton is no catalogue
    (catalogues / "drivers.xml").write_text(text, encoding="ascii")
    assert register(prefix) == 1
    assert "drivers.xml has a driver with the label 'Thermostat' already" in capsys.readouterr().err
    assert register(prefix, HEATER, "--label", "Another") == 0


def test_a_name_that_another_program_has_is_refused(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "indi_thermostat"
    other.write_text("#!/bin/sh\n", encoding="ascii")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert register(prefix) == 1
    assert f"{other} is another program of this name" in capsys.readouterr().err


def test_its_own_program_is_known_by_another_path(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert register(prefix) == 0
    (tmp_path / "bin").symlink_to(prefix / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{prefix / 'bin'}")
    assert register(prefix) == 0


def test_what_was_begun_is_taken_back_if_a_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path / "missing", tmp_path, tmp_path / "lib")
    places.executables.mkdir()
    registration = Registration("indi_x", places)

    def make(path: Path) -> None:
        path.write_bytes(b"#!/bin/sh\n# Made by: python -m indianyio.run --make-executable\n")

    with pytest.raises(FileNotFoundError):
        registration.write("text", make)
    assert files(tmp_path) == {}


@pytest.mark.long
def test_several_at_once_leave_whole_files(prefix: Path) -> None:
    def one(group: str) -> None:
        command = [sys.executable, "-m", "indianyio", "register", HEATER, "--group", group, "--prefix", str(prefix)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, GROUPS[:3]))
    assert len(files(prefix)) == 3
    group = ElementTree.parse(prefix / "share/indi/indi_indianyio-thermostat.xml").getroot().find("devGroup")
    assert group is not None
    assert group.get("group") in GROUPS[:3]


# -- what is registered ----------------------------------------------------------------------------------------


def registered(prefix: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, list[str]]]:
    capsys.readouterr()
    status = main(["registered", "--json", "--prefix", str(prefix)])
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return status, {line["name"]: line["faults"] for line in lines}


def test_registered_tells_what_can_be_started(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert registered(prefix, capsys) == (0, {})
    assert register(prefix) == 0
    assert registered(prefix, capsys) == (0, {"indi_thermostat": []})
    assert main(["registered", "--prefix", str(prefix)]) == 0
    assert capsys.readouterr().out == f"indi_thermostat  {HEATER}  ok\n"


@pytest.mark.parametrize(
    "place",
    ["bin/indi_thermostat", "lib/indianyio/drivers/indi_thermostat", "share/indi/indi_indianyio-thermostat.xml"],
)
def test_a_missing_file_is_told_and_register_mends_it(
    prefix: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register(prefix) == 0
    (prefix / place).unlink()
    assert registered(prefix, capsys) == (1, {"indi_thermostat": [f"{prefix / place} is missing"]})
    assert register(prefix) == 0
    assert registered(prefix, capsys) == (0, {"indi_thermostat": []})


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"<driversList/>", b"<a><device><driver>indi_y</driver></device></a>"]
)
def test_a_damaged_catalogue_is_told_and_register_mends_it(
    prefix: Path, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register(prefix) == 0
    catalogue = prefix / "share/indi/indi_indianyio-thermostat.xml"
    catalogue.write_bytes(HEAD.encode() + text)
    damaged = f"{catalogue} was damaged, and names no driver indi_thermostat any more"
    assert registered(prefix, capsys) == (1, {"indi_thermostat": [damaged]})
    # Without the others it is found by its name.
    shutil.rmtree(prefix / "lib")
    (prefix / "bin/indi_thermostat").unlink()
    status, found = registered(prefix, capsys)
    assert (status, list(found), len(found["indi_thermostat"])) == (1, ["indi_thermostat"], 3)
    assert register(prefix) == 0
    assert registered(prefix, capsys) == (0, {"indi_thermostat": []})


@pytest.mark.parametrize("place", ["lib/indianyio/drivers/indi_x", "share/indi/indi_indianyio-x.xml"])
def test_a_file_that_cannot_be_read_keeps_no_other_from_being_listed(
    prefix: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert register(prefix) == 0
    (prefix / place).touch()
    opened = Path.open

    def refuse(path: Path, mode: str = "r", **options: str) -> object:
        # The tests may run as root, who may read everything.
        if path == prefix / place:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, mode, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    assert registered(prefix, capsys) == (0, {"indi_thermostat": []})
    assert main(["unregister", "indi_x", "--prefix", str(prefix)]) == 1
    assert (prefix / place).exists()


def test_a_folder_of_another_alphabet_is_found_in_any_locale(prefix: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Fernrohr Süd"
    folder.mkdir()
    (folder / "southern.py").write_text(DRIVER, encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    register = ["register", "southern:Focuser", "--folder", str(folder)]
    for command in (register, ["registered"]):
        whole = [sys.executable, "-m", "indianyio", *command, "--prefix", str(prefix)]
        ran = subprocess.run(whole, env=environment, capture_output=True, timeout=60)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_moved_environment_is_told(prefix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(prefix) == 0
    executable = prefix / "lib/indianyio/drivers/indi_thermostat"
    gone = tmp_path / "gone" / "python"
    executable.write_text(executable.read_text().replace(sys.executable, str(gone)), encoding="utf-8")
    status, (fault,) = (found := registered(prefix, capsys))[0], found[1]["indi_thermostat"]
    assert status == 1
    assert fault == f"{gone} no longer exists: the environment was moved or removed"


def test_an_uninstalled_package_and_a_lost_module_are_told(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    install(site, monkeypatch, "gonefocuser", indi_gone="gonefocuser:Focuser")
    monkeypatch.setenv("PYTHONPATH", str(site))
    folder = tmp_path / "a\nfolder's $HOME"
    folder.mkdir()
    (folder / "lostfocuser.py").write_text(DRIVER, encoding="utf-8")
    package = folder / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("print('imported')\n", encoding="utf-8")
    (package / "inner.py").write_text(DRIVER, encoding="utf-8")
    lost = ["lostfocuser:Focuser", "--name", "indi_lost", "--label", "Lost", "--folder", str(folder)]
    inner = ["pack.inner:Focuser", "--name", "indi_inner", "--label", "Inner", "--folder", str(folder)]
    assert register(prefix, "indi_gone") == register(prefix, *lost) == register(prefix, *inner) == 0
    assert registered(prefix, capsys) == (0, {"indi_gone": [], "indi_lost": [], "indi_inner": []})
    shutil.rmtree(site / "gonefocuser-3.1.dist-info")
    (folder / "lostfocuser.py").unlink()
    (package / "inner.py").unlink()
    status, faults = registered(prefix, capsys)
    assert status == 1
    assert faults["indi_gone"] == ["no installed package declares indi_gone"]
    assert faults["indi_lost"] == ["the module lostfocuser no longer exists"]
    assert faults["indi_inner"] == ["the module pack.inner no longer exists"]
    folder.rename(tmp_path / "elsewhere")
    assert registered(prefix, capsys)[1]["indi_lost"] == [f"the folder {folder} no longer exists"]


def test_a_module_that_cannot_be_read_or_compiled_is_told(
    prefix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    module = package / "inner.py"
    module.write_text(DRIVER, encoding="utf-8")
    assert (
        register(prefix, "pack.inner:Focuser", "--name", "indi_x", "--label", "X", "--folder", str(tmp_path)) == 0
    )
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    module.write_text("def f(:\n", encoding="utf-8")
    status, faults = registered(prefix, capsys)
    assert status == 1
    assert faults["indi_x"][0].startswith("the module pack.inner cannot be read: SyntaxError: ")
    module.unlink()
    module.symlink_to("/proc/self/mem")  # not even root can read that
    _, faults = registered(prefix, capsys)
    assert faults["indi_x"][0].startswith("the module pack.inner cannot be read: OSError: ")
    module.unlink()
    module.write_text(DRIVER, encoding="utf-8")
    (package / "__init__.py").write_text("(", encoding="utf-8")
    _, faults = registered(prefix, capsys)
    assert faults["indi_x"][0].startswith("the module pack.inner cannot be read: SyntaxError: ")
    assert not list(package.rglob("*.pyc"))


# -- where, and as root ----------------------------------------------------------------------------------------


def environment_with_server(folder: Path, **more: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    server = folder / "indiserver"
    server.write_text("#!/bin/sh\n", encoding="ascii")
    server.chmod(0o755)
    return {"PATH": str(folder), "HOME": "/home/anna", **more}


def test_the_places_of_root_are_those_of_indiserver(tmp_path: Path) -> None:
    system = Places(Path("/usr/share/indi"), Path("/usr/bin"), Path("/usr/local/lib/indianyio/drivers"))
    assert find_places(None, {"PATH": "/nowhere"}, is_root=True) == system
    assert find_places(Path("/usr"), {}, is_root=True) == system
    environment = environment_with_server(tmp_path / "opt" / "bin")
    opt = tmp_path / "opt"
    expected = Places(opt / "share" / "indi", opt / "bin", opt / "lib" / "indianyio" / "drivers")
    assert find_places(None, environment, is_root=True) == expected
    assert find_places(None, environment, is_root=False) == expected  # the user may write there


def test_the_places_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    local = Path("/home/anna/.local")
    expected = Places(local / "share" / "indi", local / "bin", local / "lib" / "indianyio" / "drivers")
    assert find_places(None, {"PATH": "/nowhere", "HOME": "/home/anna"}, is_root=False) == expected


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("HOME", raising=False)
    assert main(["registered"]) == 2
    told = capsys.readouterr().err
    assert told == "indianyio registered: this user has no home folder; set HOME, or name a place with --prefix\n"


def test_a_folder_that_was_removed_under_the_command_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    assert main(["registered", "--prefix", "relative"]) == 2
    assert "the current folder has been removed; change to another one" in capsys.readouterr().err


def test_indi_data_dir_is_the_folder_of_catalogues(tmp_path: Path) -> None:
    assert find_places(tmp_path, {"INDI_DATA_DIR": "/srv/indi"}, is_root=False).catalogues == Path("/srv/indi")


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> frozenset[int]:
    """Take this process for root's, and its user for root."""
    trusted = frozenset({os.getuid(), 0})
    be_root(monkeypatch, is_root=True)
    for module in ROOT_MODULES:
        monkeypatch.setattr(module, "trusted_users", lambda _: trusted)
    # Where the tests themselves are is not theirs to judge.
    monkeypatch.setattr(_register, "interpreter_paths", list)
    return trusted


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a driver in a folder; it leaves a mark when it is imported."""
    folder = tmp_path / "drivers"
    folder.mkdir(mode=0o755)
    path = folder / "rootfocuser.py"
    mark = f"open({str(tmp_path / 'imported')!r}, 'w').close()\n"
    path.write_text(mark + DRIVER, encoding="utf-8")
    path.chmod(0o644)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "rootfocuser", raising=False)
    return path


def test_root_registers_for_all_users(prefix: Path, root: frozenset[int], module: Path) -> None:
    mask = os.umask(0o077)
    try:
        assert register(prefix, "rootfocuser:Focuser", "--folder", str(module.parent)) == 0
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)
    assert (prefix / "lib/indianyio/drivers/indi_focuser").stat().st_mode & 0o777 == 0o755
    assert (prefix / "share/indi/indi_indianyio-focuser.xml").stat().st_mode & 0o777 == 0o644
    assert prefix.joinpath("bin").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("what", ["file", "folder", "prefix", "programs"])
def test_root_refuses_what_others_can_write_before_it_is_imported(
    what: str, prefix: Path, root: frozenset[int], module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = prefix / "bin"
    programs.mkdir(parents=True)
    open_to_all = {"file": module, "folder": module.parent, "prefix": prefix, "programs": programs}[what]
    open_to_all.chmod(open_to_all.stat().st_mode | 0o002)
    before = files(prefix)
    assert register(prefix, "rootfocuser:Focuser", "--folder", str(module.parent)) == 2
    assert f"users other than root can change {open_to_all}" in capsys.readouterr().err
    assert files(prefix) == before
    assert not (tmp_path / "imported").exists()


def test_a_file_of_another_user_is_not_safe(tmp_path: Path) -> None:
    with pytest.raises(UnsafeError, match="users other than root can change"):
        require_safe([tmp_path], frozenset({os.getuid() + 1}))


def test_a_link_is_as_safe_as_its_folder_and_what_it_leads_to(tmp_path: Path, root: frozenset[int]) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    link = tmp_path / "link"
    link.symlink_to(target)
    assert unsafe_part(link / "new", root) is None
    target.chmod(0o777)
    assert unsafe_part(link / "new", root) == target
    # In a folder with the sticky bit others cannot replace what is there, but they can make what is not.
    target.chmod(0o1777)
    inside = target / "inside"
    inside.mkdir(mode=0o755)
    assert unsafe_part(inside, root) is None
    assert unsafe_part(target, root) == target


def test_root_does_not_run_an_interpreter_that_others_can_replace(
    prefix: Path,
    root: frozenset[int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    be_root(monkeypatch, is_root=False)
    assert register(prefix) == 0
    be_root(monkeypatch, is_root=True)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    python = shared / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n", encoding="utf-8")
    python.chmod(0o755)
    executable = prefix / "lib/indianyio/drivers/indi_thermostat"
    executable.write_text(executable.read_text().replace(sys.executable, str(python)), encoding="utf-8")
    assert registered(prefix, capsys)[1]["indi_thermostat"] == [
        f"users other than root can change {shared}, so it is not inspected"
    ]
    assert not (tmp_path / "ran").exists()


def test_root_does_not_run_what_an_executable_that_others_can_write_names(
    prefix: Path, root: frozenset[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any program of the system could be named there, to be run by root with arguments of somebody else's."""
    assert register(prefix) == 0
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n", encoding="utf-8")
    program.chmod(0o755)
    executable = prefix / "lib/indianyio/drivers/indi_thermostat"
    executable.write_text(executable.read_text().replace(sys.executable, str(program)), encoding="utf-8")
    executable.chmod(0o777)
    assert registered(prefix, capsys)[1]["indi_thermostat"] == [
        f"users other than root can change {executable}, so it is not inspected"
    ]
    assert not (tmp_path / "ran").exists()
