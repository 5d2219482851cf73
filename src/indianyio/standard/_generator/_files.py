"""Which files are made of catalogue.toml."""

from __future__ import annotations

from pathlib import Path

from indianyio.standard._generator._data import read
from indianyio.standard._generator._modules import module_of, settle_rows_of
from indianyio.standard._generator._page import page_of

__all__ = ["DATA", "PAGE", "files"]

DATA = "catalogue.toml"
PAGE = "docs/standard-properties.md"


def files(folder: Path) -> dict[str, str]:
    """Return the content of each file that is made of the data, by its name in the folder; the page by ``PAGE``.

    :param folder: that of the catalogue, in which the data are.
    :raises ValueError: the data are not as they should be.
    """
    catalogue = read(folder / DATA)
    modules = {f"{kind.module}.py": module_of(kind, catalogue.version) for kind in catalogue.kinds}
    return {**modules, "_settle_rows.py": settle_rows_of(catalogue), PAGE: page_of(catalogue)}
