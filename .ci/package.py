"""Build the wheel and the sdist, look at what is in them, and install each from its file.

The wheel is installed for each Python there is. What is installed must say its version outside of the source tree.
Needs the package index, for the tools and for what the package depends on.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from pythons import VERSIONS, find_python

ROOT = Path(__file__).parent.parent

IN_WHEEL = {
    "indianyio/py.typed",
    "indianyio/standard/catalogue.toml",
    "indianyio/commands/_new/package.toml",
    "indianyio/commands/_new/kinds/focuser.toml",
}
IN_SDIST = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".ci/run",
    "src/indianyio/py.typed",
    "tests/conftest.py",
    "docs/index.md",
    "benchmarks/__main__.py",
}


def main() -> None:
    """Build, look and install; the first thing that is wrong ends the process."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel, sdist = build(folder)
        look_at_wheel(wheel)
        look_at_sdist(sdist)
        interpreters = [path for version in VERSIONS if (path := find_python(version))]
        for number, python in enumerate(interpreters):
            install_and_run(wheel, python, folder / f"wheel-{number}")
        install_and_run(sdist, sys.executable, folder / "sdist")


def run(*command: str | Path, folder: Path) -> str:
    """Run a program, and return what it says."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from that; return both."""
    pip, python = environment(sys.executable, folder / "tools")
    run(*pip, "build", "twine", folder=folder)
    run(python, "-m", "build", "--outdir", folder / "dist", ROOT, folder=folder)
    files = sorted((folder / "dist").iterdir())
    print(run(python, "-m", "twine", "check", "--strict", *files, folder=folder), end="")
    sdist, wheel = sorted(files, key=lambda path: path.suffix)  # .gz, .whl
    return wheel, sdist


def environment(python: str | Path, folder: Path) -> tuple[list[str | Path], Path]:
    """Make a virtual environment; return how to install into it, and its interpreter."""
    run(python, "-m", "venv", folder, folder=folder.parent)
    own = folder / "bin" / "python"
    return [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"], own


def look_at_wheel(wheel: Path) -> None:
    """See that the wheel holds all of the package and nothing else."""
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if is_source(path)}
    require(wheel, IN_WHEEL | sources, names)
    others = {name for name in names - sources if not re.match(r"indianyio-[^/]+\.dist-info/", name)}
    if others:
        sys.exit(f"{wheel.name} has what does not belong there: {', '.join(sorted(others))}")
    print(f"{wheel.name}: {len(names)} files")


def is_source(path: Path) -> bool:
    """Return whether a file is one of the package's own, and not made by running it."""
    return path.is_file() and "__pycache__" not in path.parts


def look_at_sdist(sdist: Path) -> None:
    """See that the sdist has all that is needed to build and to test."""
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    require(sdist, IN_SDIST, names)
    print(f"{sdist.name}: {len(names)} files")


def require(file: Path, wanted: Iterable[str], names: set[str]) -> None:
    """End the process unless all of these are there."""
    if missing := sorted(set(wanted) - names):
        sys.exit(f"{file.name} lacks {', '.join(missing)}")


def install_and_run(file: Path, python: str, folder: Path) -> None:
    """Install a file into an environment of its own, and have the command say its version there."""
    version = re.match(r"indianyio-(\d[^-]*?)(-py3|\.tar)", file.name)
    if version is None:
        sys.exit(f"{file.name} is not named as such a file is")
    pip, own = environment(python, folder)
    run(*pip, file, folder=folder)
    for command in ([folder / "bin" / "indianyio"], [own, "-m", "indianyio"]):
        said = run(*command, "--version", folder=folder).strip()
        if said != f"indianyio {version[1]}":
            sys.exit(f"{file.name}, installed, says {said!r}")
    kept = run(own, "-c", "import indianyio; print(indianyio.__file__)", folder=folder)
    if str(folder) not in kept:
        sys.exit(f"the package was imported from {kept}")
    run(folder / "bin" / "indianyio", "new", "a-camera", "--kind", "camera", folder=folder)
    print(f"{file.name}: installed and run with {run(own, '--version', folder=folder).strip()}")


if __name__ == "__main__":
    main()
