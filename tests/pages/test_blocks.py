"""Every block of code in README and docs is run by a test, or read by what would run it, or says here why not."""

from __future__ import annotations

import argparse
import ast
import configparser
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

import pytest

from indianyio.commands._arguments import CommandParser
from indianyio.indiserver._options import parse_options
from indianyio.run._arguments import parse_arguments
from tests.pages.test_walks import WALKED
from tests.peers.__main__ import parse as parse_peers
from tests.test_readme import ROOT, python_blocks


class Block(NamedTuple):
    """What stands between two fences."""

    page: str
    language: str
    text: str


def _fenced() -> Iterator[Block]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for language, block in re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            yield Block(str(path.relative_to(ROOT)), language, block)


BLOCKS = list(_fenced())

# Which test runs the Python of a page. That test also says which blocks there are.
PYTHON = {
    "README.md": "tests/test_readme.py",
    "docs/cameras.md": "tests/instrument/test_camera_page.py",
    "docs/client-howto.md": "tests/client/test_howto_scripts.py",
    "docs/client.md": "tests/client/test_client_scripts.py",
    "docs/embedding.md": "tests/test_readme.py",
    "docs/howto.md": "tests/test_readme.py",
    "docs/instruments.md": "tests/instrument/test_instruments_page.py",
    "docs/plain-driver.md": "tests/test_readme.py",
    "docs/properties.md": "tests/properties/test_properties_page.py",
    "docs/simulation.md": "tests/simulation/test_simulation_page.py",
    "docs/standard-properties.md": "tests/standard/test_standard_catalogue.py",
    "docs/start.md": "tests/pages/test_walks.py",
    "docs/testing.md": "tests/testing/test_testing_page.py",
    "docs/tutorial.md": "tests/test_readme.py",
    "docs/wires.md": "tests/wires/test_wires_page.py",
}

# Why a command line is not run: how it begins, and the reason.
NOT_RUN = {
    ". .venv/bin/activate": "changes the shell in which it is typed",
    "python3 -m venv .venv": "loads packages from the network; .ci/run and the tests run what README has of it",
    ".venv/bin/pip install": "loads packages from the network; .ci/run does with the line of README",
    "mkdir ": "makes a folder in the home of whoever runs the tests",
    "cd ~/": "changes the shell in which it is typed",
    "ln -s": "changes the home of whoever runs the tests; tests/server/test_indiserver_managers.py has such a link",
    "PATH=": "needs INDI Web Manager; tests/server/test_indiserver_managers.py does what that does",
    "indiserver ": "needs libindi; the tests in tests/libindi and tests/client start it so",
    "indi_setprop ": "needs libindi; the tests in tests/libindi run it",
    "indi_getprop ": "needs libindi; the tests in tests/libindi run it",
    "python -m pytest test_focuser.py": "tests/test_readme.py runs pytest with fewer plugins",
    "docker ": "needs Docker",
    "lsusb": "needs the devices of whoever reads it",
    "udevadm ": "needs the devices of whoever reads it",
    "sudo ": "changes the system of whoever runs the tests",
}

# Blocks that no program runs.
NOT_CODE = {
    ("docs/architecture.md", ""): "a drawing of tasks",
    ("docs/protocol.md", ""): "what indiserver and its clients say to each other, as it was recorded",
    ("docs/simulation.md", ""): "what a failure looks like",
    ("docs/network.md", "text"): "what a command prints",
    ("docs/network.md", "xml"): "read by the Avahi daemon",
    ("docs/contributing.md", "{include}"): "read by Sphinx (tests/pages/test_site.py)",
    ("docs/security.md", "{include}"): "read by Sphinx (tests/pages/test_site.py)",
    ("docs/index.md", "{toctree}"): "read by Sphinx (tests/pages/test_site.py)",
    ("docs/decisions/index.md", "{toctree}"): "read by Sphinx (tests/pages/test_site.py)",
}


def test_every_page_with_python_has_a_test_that_runs_it() -> None:
    assert sorted({block.page for block in BLOCKS if block.language == "python"}) == sorted(PYTHON)
    for page, test in PYTHON.items():
        text = (ROOT / test).read_text(encoding="utf-8")
        # That of the catalogue has its name from what writes the page.
        assert page.rpartition("/")[2] in text or "import DATA, PAGE, files" in text, (page, test)


@pytest.mark.parametrize("page", PYTHON)
def test_python_is_python(page: str) -> None:
    for name, block in python_blocks(page).items():
        compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


def test_every_language_is_looked_at_here() -> None:
    looked_at = {"python", "sh", "toml", "ini"}
    others = {(block.page, block.language) for block in BLOCKS if block.language not in looked_at}
    assert others == set(NOT_CODE)


def test_no_block_is_hidden_by_being_indented() -> None:
    """A block without fences would be neither run nor missed."""
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        outside = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"\n\n(    .*)", outside) == [], path


def _lines() -> Iterator[tuple[str, str]]:
    for block in BLOCKS:
        if block.language == "sh":
            whole = block.text.replace("\\\n", " ")
            yield from ((block.page, line) for line in whole.splitlines() if line.strip())


LINES = sorted(set(_lines()))


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line[:60]}" for page, line in LINES])
def test_every_command_is_run_or_read_or_says_why_not(page: str, line: str) -> None:
    if (page, line) in WALKED or _read(line):
        return
    assert [reason for beginning, reason in NOT_RUN.items() if line.startswith(beginning)], line


def test_no_reason_is_left_over() -> None:
    lines = [line for page, line in LINES if (page, line) not in WALKED and not _read(line)]
    assert [each for each in NOT_RUN if not any(line.startswith(each) for line in lines)] == []


def _read(line: str) -> bool:
    """Have a command of ours read by its own parser, which raises if it is wrong; tell whether it is one."""
    words = shlex.split(line.rpartition(" && ")[2].partition(" > ")[0], comments=True)
    if words[:1] == ["sudo"]:
        del words[0]
    program, *rest = words
    name = program.rpartition("/")[2]
    if name == "python" and rest[:2] == ["-m", "indianyio.run"]:
        parse_arguments(rest[2:])
    elif name == "python" and rest[:2] == ["-m", "tests.peers"]:
        parse_peers(rest[2:])
    elif name == "indianyio-indiserver":
        parse_options(rest)
    elif name == "indianyio":
        _read_command(*rest)
    else:
        return False
    return True


def _read_command(name: str, *rest: str) -> None:
    if name == "run":
        parse_arguments(rest)
        return
    parser = CommandParser(prog=name)
    import_module(f"indianyio.commands._{name}").add_arguments(parser)
    parser.parse_intermixed_args(rest, argparse.Namespace(words=list(rest)))


def test_a_wrong_option_would_be_found() -> None:
    with pytest.raises(SystemExit):
        _read("python -m indianyio.run focuser:MyFocuser --porrt 7624")
    with pytest.raises(SystemExit):
        _read("indianyio get --jason")


def test_files_for_other_programs_can_be_read() -> None:
    for block in BLOCKS:
        if block.language == "toml":
            assert "indianyio.drivers" in tomllib.loads(block.text)["project"]["entry-points"]
        elif block.language == "ini":
            unit = configparser.ConfigParser(strict=False)
            unit.read_string(block.text)
            assert _read(unit["Service"]["ExecStart"])
