"""Write everything that is generated from catalogue.toml: ``python -m indianyio.standard._generator``."""

from __future__ import annotations

from pathlib import Path

from indianyio.standard._generator._files import PAGE, files

__all__ = ["main"]

_STANDARD = Path(__file__).parents[1]


def main(standard: Path = _STANDARD) -> None:
    """Write the modules beside the data, and the page into docs.

    :param standard: the folder of the catalogue, in ``src/indianyio`` of a checkout.
    :raises SystemExit: the folder is not in a checkout.
    """
    page = standard.parents[2] / PAGE
    if not page.parent.is_dir():
        raise SystemExit(
            f"{page.parent} does not exist; write the catalogue in a checkout, installed by pip install -e ."
        )
    for name, text in files(standard).items():
        (page if name == PAGE else standard / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
