"""The Dockerfile of the documentation: what it starts is the first process there, and no user but a normal one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.libindi.libindi_harness import wait_until
from tests.test_run_process import children, in_a_container

DOCKERFILE = Path(__file__).parents[1] / "docs" / "Dockerfile"
SECONDS = 30.0
NOBODY = 65534

DRIVER = """
import os
from pathlib import Path
from indianyio import Device, IPyDriver, TextMember, TextVector

class Mount(IPyDriver):
    def __init__(self):
        vector = TextVector("T", "T", "g", "ro", "Ok", [TextMember("a", membervalue="x")])
        super().__init__(Device("Mount", [vector]))

    async def leave(self):
        Path("left").write_text(str(os.getuid()))
"""


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the last stage, which makes the image."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    found = [(name, rest) for name, rest in lines]
    last = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def value(name: str) -> str:
    return [rest for each, rest in instructions() if each == name][-1]


def test_it_starts_the_server_itself_as_a_normal_user() -> None:
    assert value("USER") == "indi"
    # The form of JSON: a shell would be the first process otherwise, and keep SIGTERM to itself.
    assert json.loads(value("ENTRYPOINT"))[:3] == ["python", "-m", "indianyio.run"]
    assert json.loads(value("CMD")) == ["indianyio.simulators:camera"]
    assert value("STOPSIGNAL") == "SIGTERM"
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(number for number, name in enumerate(names) if name in ("RUN", "COPY"))


def test_the_folders_that_it_declares_belong_to_that_user() -> None:
    made = re.search(
        r"install -d -o indi -g indi (.*)", " ".join(rest for name, rest in instructions() if name == "RUN")
    )
    assert made is not None
    assert set(made[1].split()) == {value("VOLUME"), value("WORKDIR")}


@in_a_container
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, who becomes a normal user"
)
def test_what_it_starts_lets_the_driver_leave_as_the_first_process_of_a_normal_user(
    public_folder: Path, backend: str
) -> None:
    folder = public_folder
    (folder / "mymount.py").write_text(DRIVER, encoding="utf-8")
    os.chown(folder, NOBODY, NOBODY)
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    importing = [*user, sys.executable, "-c", "import indianyio.run._serving"]
    if subprocess.run(importing, env=environment, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("a normal user may not read the package here")
    # A network of its own, for it listens at every address.
    container = ["unshare", "--net", "--pid", "--fork", "--mount-proc", *user]
    _, *arguments = json.loads(value("ENTRYPOINT"))
    command = [*container, sys.executable, *arguments, "mymount:Mount", "--backend", backend]
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        assert wait_until(lambda: b"listening on 0.0.0.0:7624" in log.read_bytes(), SECONDS), log.read_text()
        [first] = children(process.pid)
        os.kill(first, signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()
        assert (folder / "left").read_text() == str(NOBODY)
    finally:
        process.kill()
        process.wait()
