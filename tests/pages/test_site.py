"""The site is built without a warning, every link within it leads somewhere, and every public name is on it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.pages.test_reference import DOCS, MODULES, is_method, public

pytestmark = [
    pytest.mark.long,
    pytest.mark.site,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        importlib.util.find_spec("myst_parser") is None, reason="what makes the site is not installed ('.[docs]')"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as CI does, and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-j", "auto"]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 60
    broken = []
    checked = 0
    for path, page in pages.items():
        for target in page.targets:
            if urlsplit(target).scheme or target.startswith("//"):
                continue
            file, anchor = urldefrag(unquote(target))
            meant = (path.parent / urlsplit(file).path).resolve() if file else path
            found = meant.is_file() and (not anchor or meant not in pages or anchor in pages[meant].anchors)
            checked += 1
            if not found:
                broken.append(f"{path.relative_to(site)}: {target}")
    assert broken == []
    assert checked > 1000


def test_every_public_name_is_on_the_site(site: Path) -> None:
    documented = _documented(site / "objects.inv")
    missing = []
    for module in MODULES:
        for name in public.names(module):
            value = getattr(importlib.import_module(module), name)
            if public.homes()[id(value)] not in documented:
                missing.append(f"{module}.{name}")
    assert missing == []


def test_every_method_of_a_public_class_is_on_the_site(site: Path) -> None:
    documented = _documented(site / "objects.inv")
    missing = []
    shown = 0
    for module in MODULES:
        for name in public.names(module):
            value = getattr(importlib.import_module(module), name)
            if public.is_class(value) and value.__name__ == name:
                home = public.homes()[id(value)]
                methods = [f"{home}.{each}" for each in public.members(value) if is_method(value, each)]
                shown += len(methods)
                missing += [each for each in methods if each not in documented]
    assert missing == []
    assert shown > 300


def _documented(inventory: Path) -> set[str]:
    """Return the names of an inventory of Sphinx's: four lines of text, and the rest is packed."""
    packed = inventory.read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}


def test_the_first_page_says_where_to_begin(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert text.index('href="start.html"') < text.index('href="reference/index.html"')
