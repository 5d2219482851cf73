"""How Sphinx makes the site: ``python -m sphinx -W -n docs build/site``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from indianyio import __version__

project = "indianyio"
author = "the indianyio authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "_reference"]
exclude_patterns = ["comparison/*/**"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

nitpick_ignore = [
    # What the library hands to itself; nobody else makes or needs one.
    ("py:class", "indianyio.driver._owners.DeviceOwner"),
    ("py:class", "indianyio.streams._descriptors.Account"),
    ("py:class", "indianyio.wires._fake.FakeTransport"),
    ("py:class", "_Listener"),
    ("py:class", "TaskStarter"),
    # An alias that the annotation spells out: bool, int, float or str.
    ("py:class", "CardValue"),
]

html_theme = "furo"
html_title = f"indianyio {release}"
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
