"""Area of a design from open tools: library-free in transistors, or in a Liberty cell library."""

from speq.synthesis.area import Area, Job, LibraryArea, measure, measure_all, runs_of
from speq.synthesis.flow import Switches
from speq.synthesis.liberty import (
    HOW_TO_GET,
    Liberty,
    LibertyError,
    constraint_for,
    find_known,
    open_liberty,
)
from speq.synthesis.parts import Part
from speq.synthesis.peers import PEERS, Peer
from speq.synthesis.transistors import FLIP_FLOP_TRANSISTORS, Count

__all__ = [
    "FLIP_FLOP_TRANSISTORS",
    "HOW_TO_GET",
    "PEERS",
    "Area",
    "Count",
    "Job",
    "Liberty",
    "LibertyError",
    "LibraryArea",
    "Part",
    "Peer",
    "Switches",
    "constraint_for",
    "find_known",
    "measure",
    "measure_all",
    "open_liberty",
    "runs_of",
]
