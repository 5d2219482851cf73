"""Count the lines of the drivers beside this file that are neither blank nor comments."""

from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARIES = ("indianyio", "libindi", "indipydriver", "caproto")
KINDS = ("thermostat", "focuser", "camera", "mount")


def lines_of(path):
    """Return how many lines a driver has: all, and those that are more than a brace."""
    # A line of C++ that begins with # is an include, and counts.
    mark = "//" if path.suffix == ".cpp" else "#"
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    code = [line for line in lines if line and not line.startswith(mark)]
    return len(code), sum(bool(line.strip("{}();")) for line in code)


def table():
    """Return the lines of each driver, by its kind and its library."""
    return {
        kind: {library: lines_of(next((FOLDER / library).glob(f"{kind}.*"))) for library in LIBRARIES}
        for kind in KINDS
    }


if __name__ == "__main__":
    for kind, counts in table().items():
        cells = [f"{lines} ({more})" if name == "libindi" else f"{lines}" for name, (lines, more) in counts.items()]
        print(f"| {kind} |", " | ".join(cells), "|")
