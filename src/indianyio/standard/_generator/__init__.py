"""Writes the modules of the catalogue, the table of what a client takes for done, and the page that lists it all.

``python -m indianyio.standard._generator`` does so, from ``catalogue.toml``. None of this is needed at run time.
"""
