"""Area of a design from open tools: library-free in transistors, or in a Liberty cell library."""

from speq.synthesis.area import Area, Job, measure, measure_all, runs_of
from speq.synthesis.flow import SCRIPTS, Switches
from speq.synthesis.liberty import (
    HOW_TO_GET,
    Liberty,
    LibertyError,
    constraint_for,
    find_known,
    open_known,
    open_liberty,
    refuse_mixing,
    time_unit_ps,
)
from speq.synthesis.library_area import LibraryArea
from speq.synthesis.parts import Part
from speq.synthesis.peers import PEERS, Peer
from speq.synthesis.sdc import Sdc, SdcError, read_sdc, sdc_for
from speq.synthesis.sources import Sources
from speq.synthesis.transistors import FLIP_FLOP_TRANSISTORS, Count

__all__ = [
    "FLIP_FLOP_TRANSISTORS",
    "HOW_TO_GET",
    "PEERS",
    "SCRIPTS",
    "Area",
    "Count",
    "Job",
    "Liberty",
    "LibertyError",
    "LibraryArea",
    "Part",
    "Peer",
    "Sdc",
    "SdcError",
    "Sources",
    "Switches",
    "constraint_for",
    "find_known",
    "measure",
    "measure_all",
    "open_known",
    "open_liberty",
    "read_sdc",
    "refuse_mixing",
    "runs_of",
    "sdc_for",
    "time_unit_ps",
]
