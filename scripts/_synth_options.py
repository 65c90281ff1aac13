"""Command line of scripts/synth_area.py: its arguments, and the libraries and clocks they name."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import _cli
from speq.synthesis import (
    HOW_TO_GET,
    SCRIPTS,
    Liberty,
    LibertyError,
    SdcError,
    Switches,
    constraint_for,
    find_known,
    open_known,
    open_liberty,
    read_sdc,
    refuse_mixing,
    sdc_for,
    time_unit_ps,
)
from speq.synthesis.liberty import KNOWN

__all__ = ["CONSTRAINTS", "add_flow", "arguments", "clocks", "find_libraries", "switches_of"]

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"


def arguments(description: str) -> argparse.Namespace:
    """Read the command line of scripts/synth_area.py."""
    parser = _cli.parser(description, default="none; without one, --verilog is needed")
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "--against",
        metavar="OTHER",
        help="also measure this and give ratios: verify-only (the same array built FP16-only), "
        "a design file or a preset; --set does not apply to the latter two",
    )
    what.add_argument(
        "--unit", metavar="MODULE", help="measure one module alone, such as row, pe or multiplier"
    )
    what.add_argument(
        "--per-lane",
        action="store_true",
        help="measure one row and divide it by its lanes, beside published units; means "
        "--unit row --set tokens=1 (the units compared with have no storage for more), and for a "
        "design with DRAFT --against verify-only",
    )
    what.add_argument(
        "--ablate",
        action="store_true",
        help="what each mode costs: measure the array with VERIFY alone, with DRAFT of 1 and of 4 "
        "lanes, with MIDDLE, with QSpec's two modes, and with all; not with --against, --per-lane "
        "or --unit",
    )
    what.add_argument(
        "--depths",
        action="store_true",
        help="area and longest path of a row (or --unit) at every pipeline depth; not with "
        "--against, --per-lane or --ablate",
    )
    what.add_argument("--plot", metavar="PATH", type=Path, help="with --depths: draw a PNG")
    add_foreign(parser)
    add_flow(parser)
    return parser.parse_args()


def add_foreign(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a design that is not ours."""
    group = parser.add_argument_group("a design that is not ours, instead of DESIGN")
    group.add_argument(
        "--verilog",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="Verilog or SystemVerilog; may be repeated (packages first)",
    )
    group.add_argument("--top", metavar="NAME", help="its top module")
    group.add_argument(
        "--include", metavar="DIR", action="append", type=Path, default=[], help="of included files"
    )
    group.add_argument(
        "--parameter",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="parameter of the top module; may be repeated",
    )
    group.add_argument(
        "--slang",
        action="store_true",
        help="read it with slang, which knows all of SystemVerilog; Yosys's own reader knows less",
    )
    group.add_argument(
        "--synchronous-resets",
        action="store_true",
        help="make its asynchronous resets synchronous, as ours are; else they are refused",
    )


def add_flow(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how to measure."""
    group = parser.add_argument_group("how to measure")
    group.add_argument(
        "--liberty",
        metavar="FILE[,FILE...]",
        action="append",
        default=[],
        help="Liberty library (.lib or .lib.gz), in one or more files; may be repeated for more "
        "libraries. Without it an installed OSU018 or Nangate45 is looked for",
    )
    group.add_argument(
        "--library",
        action="append",
        choices=[known.name for known in KNOWN],
        default=[],
        help="installed library, by name; may be repeated",
    )
    group.add_argument(
        "--constr",
        metavar="FILE",
        type=Path,
        help="driving cell and load for ABC; by default the fitting file of constraints/, if any",
    )
    group.add_argument(
        "--sdc",
        metavar="FILE",
        nargs="?",
        const="auto",
        help="size gates for the clock of this file, and state the slack; without FILE that of "
        "constraints/ which fits the library. Left out, paths become as short as ABC can make them",
    )
    group.add_argument(
        "--script",
        choices=tuple(SCRIPTS),
        default="default",
        help="what ABC does to map to a library: Yosys's own script, or one for a faster clock "
        "that takes more area",
    )
    group.add_argument(
        "--booth",
        nargs="?",
        choices=("yes", "no", "both"),
        const="yes",
        default="no",
        help="Booth-encoded multipliers; both: with and without, side by side",
    )
    group.add_argument(
        "--flatten",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether the headline dissolves the hierarchy (auto: up to 256 PEs)",
    )


def switches_of(options: argparse.Namespace, *, flatten: bool) -> Switches:
    """How to make the headline figures."""
    return Switches(flatten, options.booth == "yes", options.script)


def find_libraries(options: argparse.Namespace) -> list[tuple[Liberty, Path | None]]:
    """The cell libraries to use, each with its constraint file.

    Parameters
    ----------
    options : Namespace
        With ``liberty`` and ``constr``, and where a script takes it, ``library``.

    Raises
    ------
    LibertyError
        If a library or constraint file is missing, or libraries may not stand in one table.
    """
    libraries = [open_known(name) for name in getattr(options, "library", ())]
    libraries += [open_liberty(files.split(",")) for files in options.liberty]
    if not libraries:
        found = find_known()
        if found is None:
            _cli.error_console.print(
                f"No Liberty library is installed: library-free figures only. To get one: "
                f"{HOW_TO_GET}.",
                markup=False,
            )
        else:
            libraries.append(found)
    refuse_mixing(libraries)
    if options.constr is not None and not options.constr.is_file():
        raise LibertyError(f"constraint file {options.constr} does not exist: check the path")
    return [
        (library, options.constr or constraint_for(library, CONSTRAINTS)) for library in libraries
    ]


def clocks(
    options: argparse.Namespace, libraries: Sequence[tuple[Liberty, Path | None]]
) -> dict[str, float]:
    """Clock period in picoseconds by library, none without ``--sdc``.

    Raises
    ------
    SdcError
        If the file is wrong, or none in ``constraints/`` fits a library.
    """
    if options.sdc is None:
        return {}
    if options.sdc != "auto" and len(libraries) > 1:
        raise SdcError(
            f"--sdc {options.sdc} holds the units of one library, but {len(libraries)} are "
            f"measured: leave the file out, or measure one library"
        )
    periods = {}
    for library, _ in libraries:
        path = sdc_for(library.name, CONSTRAINTS) if options.sdc == "auto" else Path(options.sdc)
        if path is None:
            raise SdcError(
                f"no file of constraints/ fits library {library.name}: name one with --sdc FILE"
            )
        periods[library.name] = read_sdc(path).period * time_unit_ps(library)
    return periods
