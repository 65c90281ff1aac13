"""What scripts that make mapped netlists share: which library is meant, and how to use it."""

from pathlib import Path

from speq.emission import Emission
from speq.synthesis.liberty import (
    HOW_TO_GET,
    KNOWN,
    Liberty,
    LibertyError,
    constraint_for,
    find_known,
    open_liberty,
)
from speq.synthesis.netlist import map_netlist

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"

LIBRARY_HELP = f"{' or '.join(known.name for known in KNOWN)} where installed, or FILE[,FILE...]"
"""What the argument of an option that names a library may be."""


def library_of(text: str | None) -> Liberty:
    """The library that a user means: a known name, or its files with commas between.

    Parameters
    ----------
    text : str, optional
        None for the first known library that is installed.

    Raises
    ------
    LibertyError
        If it is not there.
    """
    named = text is None or text in {known.name for known in KNOWN}
    found = find_known(text) if named else open_liberty(text.split(","))
    if found is None:
        raise LibertyError(f"Liberty library {text or 'none'} is not installed: {HOW_TO_GET}")
    return found


def gate_level(emission: Emission, library: Liberty, folder: Path) -> Path:
    """Map a design to a library; a Verilog file with its netlist and the cells' functions.

    Parameters
    ----------
    emission : Emission
        The design.
    library : Liberty
        The library; its constraint file is the fitting one of ``constraints/``, if there is any.
    folder : Path
        Where everything of it is written.
    """
    constraint = constraint_for(library, CONSTRAINTS)
    netlist = map_netlist(emission.verilog, emission.top, library, folder, constraint=constraint)
    return netlist.write_model(folder / f"{emission.top}.gates.v")
