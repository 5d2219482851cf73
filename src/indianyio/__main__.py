"""The process of ``python -m indianyio`` and of the script ``indianyio``."""

from indianyio.commands import run_process

if __name__ == "__main__":
    run_process()
