"""The toy library of tests/data with a tenth of a nanosecond per gate, whatever it drives."""

import re
from pathlib import Path

_TABLES = " ".join(
    f'{table} (scalar) {{ values ("0.1"); }}'
    for table in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
)


def write_timed_library(folder: Path) -> tuple[Path, Path]:
    """Write a Liberty file called ``timed`` and its constraints; returns both paths."""
    text = (Path(__file__).parents[2] / "data" / "toy.lib").read_text()
    text = text.replace("library (toy)", "library (timed)")
    text = text.replace("direction : input;", "direction : input; capacitance : 0.01;")
    cells = [_timed(cell) for cell in re.split(r"(?=  cell \()", text)]
    library, constraint = folder / "timed.lib", folder / "timed.constr"
    library.write_text("".join(cells))
    constraint.write_text("set_driving_cell BUF\nset_load 1\n")
    return library, constraint


def _timed(cell: str) -> str:
    if "ff (" in cell:
        return cell
    arcs = " ".join(
        f'timing () {{ related_pin : "{pin}"; timing_sense : non_unate; {_TABLES} }}'
        for pin in re.findall(r"pin \((\w)\) \{ direction : input", cell)
    )
    return re.sub(r'(function : "[^"]*";) \}', lambda match: f"{match[1]} {arcs} }}", cell)
