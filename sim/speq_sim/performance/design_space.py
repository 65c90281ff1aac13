"""The space of designs: points, and the legal ones among all combinations of values.

A point is a design of our accelerator, how many of them share which memory, and the method that
they run. Buffers are fitted to the model: each holds the activations of all tokens of a tile, at
the model's longest input, rounded up to a power of two.
"""

import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from speq.modes import ordered_modes
from speq.parameters import PRESETS, ParameterError, Parameters, check_accelerator
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.area import AreaModel
from speq_sim.performance.checks import check_count
from speq_sim.performance.dram_presets import find_dram

__all__ = ["DRAFTING", "METHOD_MODES", "Point", "Space", "areas"]

_SPEQ = ("verify", "draft")
_QSPEC = ("verify", "draft", "qdraft", "qverify")

METHOD_MODES: dict[str, tuple[str, ...]] = {
    "fp16": ("verify",),
    "speq": _SPEQ,
    "hierarchical": (*_SPEQ, "middle"),
    "w4a16": _QSPEC,
    "qspec": _QSPEC,
    "eagle2": _QSPEC,
}
"""Methods that our accelerator runs, each with the fewest modes that it needs. (INT4 modes need
DRAFT or MIDDLE beside them: :func:`speq.parameters.check_accelerator`.)"""

DRAFTING = ("speq", "hierarchical", "qspec")
"""Methods with a draft length."""

_FOUR_BITS = ("draft", "qdraft")
_MOST_UNITS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A design, and what it is used for.

    Parameters
    ----------
    memory : str
        As :func:`speq_sim.performance.dram_presets.find_dram` names it.
    method : str
        One of :data:`METHOD_MODES`.
    rows, columns, port_words, tokens, draft_lanes, modes, clock_mhz
        As in :class:`speq.parameters.Parameters`.
    units : int
        Accelerators on the memory.
    draft_length : int or None
        Tokens of a draft; None for the best.
    """

    memory: str
    method: str
    rows: int
    columns: int
    port_words: int
    tokens: int
    draft_lanes: int
    modes: tuple[str, ...]
    units: int
    draft_length: int | None
    clock_mhz: float

    @property
    def key(self) -> str:
        """The point as a text, for ever the same."""
        length = "best" if self.draft_length is None else self.draft_length
        return (
            f"{self.memory}/{self.method}/r{self.rows}/c{self.columns}/w{self.port_words}"
            f"/m{self.tokens}/l{self.draft_lanes}/{'+'.join(self.modes)}/u{self.units}/d{length}"
            f"/{self.clock_mhz:g}MHz"
        )

    def design(self, config: LlamaConfig, name: str = "explored") -> Parameters:
        """The accelerator, with activation buffers that fit a model.

        Raises
        ------
        ParameterError
            If there is no such accelerator.
        """
        design = Parameters(
            name=name,
            rows=self.rows,
            columns=self.columns,
            port_words=self.port_words,
            tokens=self.tokens,
            draft_lanes=self.draft_lanes,
            modes=self.modes,
            clock_mhz=self.clock_mhz,
        )
        check_accelerator(design)
        return design.replace(activation_values=_buffer(design, config))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """Values of each dimension; points are all legal combinations.

    Parameters
    ----------
    methods, memories, rows, columns, port_words, tokens, draft_lanes, units, draft_lengths
        Values of each field of :class:`Point`.
    modes : tuple of tuple of str, optional
        Sets of modes. By default each method gets those that it needs.
    clock_mhz : float or mapping of int to float
        One clock, or that of each number of columns: long rows may be slower.

    Raises
    ------
    ModelError
        If a dimension is empty, a method unknown, or a number of columns without a clock.
    """

    methods: tuple[str, ...] = ("fp16", "speq", "hierarchical", "qspec")
    memories: tuple[str, ...] = ("lpddr5",)
    rows: tuple[int, ...] = (4, 8, 16, 32, 64, 128)
    columns: tuple[int, ...] = (4, 8, 16, 32, 64, 128)
    port_words: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    tokens: tuple[int, ...] = (8, 16)
    draft_lanes: tuple[int, ...] = (1, 2, 4)
    units: tuple[int, ...] = (1, 2, 4, 8, 16)
    draft_lengths: tuple[int | None, ...] = (None,)
    modes: tuple[tuple[str, ...], ...] | None = None
    clock_mhz: float | Mapping[int, float] = 500.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) == ():
                raise ModelError(f"the space has no {field.name}: give one or more")
        for method in self.methods:
            if method not in METHOD_MODES:
                raise ModelError(
                    f"method {method!r} is not explored: use {', '.join(METHOD_MODES)}, which our "
                    f"accelerator runs"
                )
        for memory in self.memories:
            find_dram(memory)
        for units in self.units:
            check_count("units", units, 1, _MOST_UNITS)
        if isinstance(self.clock_mhz, Mapping):
            for columns in self.columns:
                if columns not in self.clock_mhz:
                    raise ModelError(
                        f"the table of clocks has no {columns} columns: add them, or leave them out"
                    )

    def points(self, config: LlamaConfig) -> tuple[list[Point], Counter[str]]:
        """All legal points of known area once, and how many others there are of each reason.

        Fields that a method makes no use of take one value: draft lanes without 4-bit modes, the
        draft length without drafts.

        Parameters
        ----------
        config : LlamaConfig
            The model, whose inputs must fit the buffers.
        """
        found: dict[str, Point] = {}
        refused: Counter[str] = Counter()
        for point in self._combinations():
            if point.key in found:
                continue
            try:
                _legal(point, config)
            except ParameterError as error:
                refused[str(error).partition(" is ")[0]] += 1
            else:
                found[point.key] = point
        return list(found.values()), refused

    def _combinations(self) -> Iterator[Point]:
        for memory, method in itertools.product(self.memories, self.methods):
            for modes in self.modes or (METHOD_MODES[method],):
                modes = ordered_modes(modes)
                lanes = self.draft_lanes if set(modes) & set(_FOUR_BITS) else (1,)
                lengths = self.draft_lengths if method in DRAFTING else (None,)
                for rows, columns, words, tokens, lane, units, length in itertools.product(
                    self.rows,
                    self.columns,
                    self.port_words,
                    self.tokens,
                    lanes,
                    self.units,
                    lengths,
                ):
                    yield Point(
                        memory=memory,
                        method=method,
                        rows=rows,
                        columns=columns,
                        port_words=words,
                        tokens=tokens,
                        draft_lanes=lane,
                        modes=modes,
                        units=units,
                        draft_length=length,
                        clock_mhz=self._clock(columns),
                    )

    def _clock(self, columns: int) -> float:
        clock = self.clock_mhz
        return clock[columns] if isinstance(clock, Mapping) else clock


areas: Callable[[], AreaModel] = functools.cache(AreaModel.load)
"""The model of areas, which is read once in a process."""


def _legal(point: Point, config: LlamaConfig) -> None:
    lacking = [mode for mode in METHOD_MODES[point.method] if mode not in point.modes]
    if point.modes != METHOD_MODES[point.method] and lacking:
        raise ParameterError(f"modes is {list(point.modes)!r}, without {lacking[0]!r}")
    point.design(config)
    if not _is_measured(point.modes, point.draft_lanes):
        raise ParameterError(f"area is unknown of {point.modes} with {point.draft_lanes} lanes")


@functools.cache
def _is_measured(modes: tuple[str, ...], draft_lanes: int) -> bool:
    """Whether the area of arrays of any size is known: parts were measured in these modes."""
    try:
        areas().area(PRESETS["small"].replace(modes=modes, draft_lanes=draft_lanes, pipeline=1))
    except ModelError:
        return False
    return True


def _buffer(design: Parameters, config: LlamaConfig) -> int:
    """Values that hold all tokens of a tile at the longest input, a power of two."""
    longest = max(inputs for _, inputs in config.matrix_shapes().values())
    padded = math.ceil(longest / design.group_inputs) * design.group_inputs
    return 1 << (design.tokens * padded - 1).bit_length()
