"""Area of any design point, composed from synthesis of each distinct module.

Every module of the hierarchy was mapped once for each of its circuits and some sizes
(``scripts/measure_parts.py``, in the flow of docs/area.md); an array is the sum over its instances.
So a design point takes microseconds, and arrays that are too large to flatten have an area, too.
Against flattened runs: docs/results/area-composed.json.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from speq.baselines.parameters import BaselineParameters
from speq.parameters import WORD_BITS, Parameters
from speq.synthesis.transistors import ENABLE_TRANSISTORS, FLIP_FLOP_TRANSISTORS
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.area_fit import fit_part
from speq_sim.performance.area_parts import (
    BASELINE_PARTS,
    PARTS,
    Part,
    shape_of,
    variant_of,
)

__all__ = ["DATA", "AreaModel", "ArrayArea", "PartArea", "sram_bits"]

DATA = Path(__file__).parent / "data" / "area-parts.json"
"""What was measured."""

_SHIFT_BITS = 4
"""A column shift beside each stored activation of packed words."""


@dataclasses.dataclass(frozen=True)
class PartArea:
    """All instances of one part.

    Parameters
    ----------
    name : str
        The part (:data:`speq_sim.performance.area_parts.PARTS`).
    instances : int
        How many the array holds.
    combinational_transistors : float
        Transistors of all their NAND2, NOR2 and NOT gates.
    flip_flops, enabled_flip_flops : float
        Their D flip-flops, and those of them that have an enable.
    area, sequential_area : float
        Their area in the library, in square micrometres, and the flip-flops' part of it.
    """

    name: str
    instances: int
    combinational_transistors: float
    flip_flops: float
    enabled_flip_flops: float
    area: float
    sequential_area: float

    @property
    def flip_flop_transistors(self) -> float:
        """Transistors of flip-flops and enables, as :mod:`speq.synthesis.transistors` counts."""
        return (
            FLIP_FLOP_TRANSISTORS * self.flip_flops + ENABLE_TRANSISTORS * self.enabled_flip_flops
        )

    @property
    def transistors(self) -> float:
        """Transistors of gates and flip-flops."""
        return self.combinational_transistors + self.flip_flop_transistors


@dataclasses.dataclass(frozen=True)
class ArrayArea:
    """An array, composed.

    Parameters
    ----------
    name : str
        The design.
    parts : tuple of PartArea
        Its parts. They add up to the array.
    library : str
        Cell library of the areas.
    sram_bits : int
        Memories of the accelerator around the array (:func:`sram_bits`), which are in no other
        figure; 0 for a baseline.
    extrapolated : tuple of str
        Parts of a size beyond those measured, such as ``"reduce: C = 128"``.
    """

    name: str
    parts: tuple[PartArea, ...]
    library: str
    sram_bits: int = 0
    extrapolated: tuple[str, ...] = ()

    def _sum(self, figure: str) -> float:
        return sum(getattr(part, figure) for part in self.parts)

    @cached_property
    def combinational_transistors(self) -> int:
        """Transistors of gates."""
        return round(self._sum("combinational_transistors"))

    @cached_property
    def flip_flop_transistors(self) -> int:
        """Transistors of flip-flops and enables."""
        return round(self._sum("flip_flop_transistors"))

    @cached_property
    def transistors(self) -> int:
        """Transistors of gates and flip-flops."""
        return self.combinational_transistors + self.flip_flop_transistors

    @cached_property
    def flip_flops(self) -> int:
        """D flip-flops."""
        return round(self._sum("flip_flops"))

    @cached_property
    def area(self) -> float:
        """Area in the library, in square micrometres."""
        return self._sum("area")

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "name": self.name,
            "transistors": self.transistors,
            "combinational_transistors": self.combinational_transistors,
            "flip_flop_transistors": self.flip_flop_transistors,
            "flip_flops": self.flip_flops,
            "area": round(self.area),
            "area_library": self.library,
            "sram_bits": self.sram_bits,
            "extrapolated": list(self.extrapolated),
            "parts": {
                part.name: {
                    "instances": part.instances,
                    "transistors": round(part.transistors),
                    "flip_flops": round(part.flip_flops),
                    "area": round(part.area),
                }
                for part in self.parts
            },
        }


class AreaModel:
    """Areas by composition. Use :meth:`load`.

    Parameters
    ----------
    record : mapping
        A data file's content: ``library``; ``parts`` and ``baselines`` of lists of numbers (the
        sizes R, C, W, M, G, then
        :data:`speq_sim.performance.area_fit.FIGURES`) by part and key; ``rows`` of pairs (columns,
        area of a flattened row over the sum of its parts) by variant.

    Raises
    ------
    ModelError
        If it is no such record.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        try:
            self.library: str = record["library"]
            self._fits = {
                (group, part.name, key): fit_part(part, rows)
                for group, parts in (("parts", PARTS), ("baselines", BASELINE_PARTS))
                for part in parts
                for key, rows in record[group].get(part.name, {}).items()
            }
            self._rows = {variant: sorted(pairs) for variant, pairs in record["rows"].items()}
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ModelError(
                f"this is no record of parts ({type(error).__name__}: {error}): write one with "
                f"scripts/measure_parts.py"
            ) from None

    @classmethod
    def load(cls, path: Path | None = None) -> "AreaModel":
        """Read a data file, by default the one that comes with the package.

        Raises
        ------
        ModelError
            If it cannot be read, or is no such record.
        """
        path = DATA if path is None else path
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path.name} cannot be read ({error}): write it with scripts/measure_parts.py"
            ) from None

    def area(self, parameters: Parameters) -> ArrayArea:
        """The array of a design point, and the memories around it.

        Raises
        ------
        ModelError
            If a part of it was never measured: other modes, formats or code tables, a longer
            pipeline; or if its products are made for DSP blocks.
        """
        if parameters.in_dsp:
            raise ModelError(
                f"target of design {parameters.name!r} is {parameters.target!r}, whose products "
                f"are in DSP blocks, but parts are those of standard cells: use another target"
            )
        pairs = self._rows.get(variant_of(parameters))
        if not pairs:
            raise self._unmeasured("row", variant_of(parameters), parameters.name)
        factor = _between(pairs, parameters.columns)
        return self._compose("parts", PARTS, parameters, factor, sram_bits(parameters))

    def baseline_area(self, parameters: BaselineParameters) -> ArrayArea:
        """The array of a baseline.

        Raises
        ------
        ModelError
            If a part of it was never measured, such as another accumulator.
        """
        return self._compose("baselines", BASELINE_PARTS, parameters, 1.0, 0)

    def residuals(self) -> dict[str, float]:
        """Largest error of each part's fit in transistors, relative, at the sizes measured."""
        found: dict[str, float] = {}
        for (group, part, _), fit in self._fits.items():
            name = part if group == "parts" else f"baseline {part}"
            found[name] = max(found.get(name, 0.0), fit.residual)
        return found

    def _compose(
        self,
        group: str,
        kinds: tuple[Part, ...],
        design: Parameters | BaselineParameters,
        factor: float,
        memories: int,
    ) -> ArrayArea:
        shape = shape_of(design)
        parts, beyond = [], []
        for kind in kinds:
            count = kind.count(design)
            if not count:
                continue
            fit = self._fits.get((group, kind.name, kind.key(design)))
            if fit is None:
                raise self._unmeasured(kind.name, kind.key(design), design.name)
            *free, area, sequential = (count * figure for figure in fit.at(shape))
            parts.append(PartArea(kind.name, count, *free, factor * area, sequential))
            beyond += [f"{kind.name}: {size}" for size in fit.beyond(shape)]
        return ArrayArea(design.name, tuple(parts), self.library, memories, tuple(beyond))

    def _unmeasured(self, part: str, key: str, design: str) -> ModelError:
        return ModelError(
            f"design {design!r} has a {part} ({key}) that was never measured: run "
            f"scripts/measure_parts.py with it, or use other modes, formats or code tables"
        )


def _between(pairs: Sequence[Sequence[float]], columns: int) -> float:
    """What merging parts saves in the library, at a number of columns.

    A part alone is mapped for its own delay, where in a flattened row most have slack. Between the
    rows measured it is a line, beyond them that of the last. Parts outside of rows are taken to
    save as much.
    """
    if columns <= pairs[0][0]:
        return pairs[0][1]
    for (low, before), (high, after) in pairwise(pairs):
        if columns <= high:
            return before + (after - before) * (columns - low) / (high - low)
    return pairs[-1][1]


def sram_bits(parameters: Parameters) -> int:
    """Memories of the accelerator around the array, in bits (docs/accelerator.md, "Inside").

    A FIFO for each plane that the design reads, two activation buffers with the column shifts of
    packed words, and M results of R rows.
    """
    outstanding = parameters.outstanding
    bursts = [max(outstanding, 2)]
    activation = WORD_BITS
    if parameters.packs:
        bursts += [max(outstanding // 2 + parameters.middles, 2), max(outstanding, 4)]
        activation += _SHIFT_BITS
    fifos = parameters.longest_burst * sum(bursts) * parameters.port_bits
    results = parameters.tokens * parameters.rows * parameters.result_bits
    return fifos + 2 * parameters.activation_values * activation + results
