"""Epilogue: FP32 results of the array times row and token scales, summed over groups of inputs."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from speq.block import Block, place
from speq.epilogue.checks import check_lanes
from speq.epilogue.lane import GroupLane, Lane
from speq.epilogue.layouts import (
    control_layout,
    result_stream,
    scale_stream,
    token_stream,
    value_stream,
)
from speq.epilogue.sets import ScaleSets
from speq.parameter_checks import check_choice
from speq.parameters import RESULT_FORMATS, Parameters
from speq.streams import StreamRegister

__all__ = ["LATENCY", "Epilogue"]

LATENCY = {False: 5, True: 7}
"""Register stages from an accepted value to its result, in cycles, without and with groups."""


class Epilogue(Block):
    """Scales E results of the array per cycle, as docs/epilogue.md defines it.

    Order of transfers. The array gives, for one output tile and group after the other, R rows of
    each of the tile's tokens. That is P = R/E transfers of `values` per token, rows in order, with
    the same flags in all P of them; tokens may come in any order, each once. Groups of an output
    tile follow each other, and have the same tokens.

    *Row scales* are a set of R for each output tile and group, P transfers, and serve all of its
    tokens. *Token scales* are a set for each job, that is for all values until `end`. Sets are used
    in the order in which they come; two of each kind fit in, so that the next one loads while one
    is used. A value waits until its set is complete.

    Throughput. One transfer per cycle, from tile to tile and job to job. With groups, the same
    token and part of a tile's next group is held back until its sum is written: by up to two
    cycles, if less than two other transfers lie between them.

    Parameters
    ----------
    parameters : Parameters
        Rows R, tokens M and the design's name; the array that gives the values has results in FP32.
    lanes : int
        E, a divisor of R.
    groups : bool
        Whether to add over groups, in a memory of M * R FP32 numbers.
    result_format : {"fp32", "fp16"}, optional
        By default ``parameters.result_format``.

    Members
    -------
    values : stream, in
        :func:`speq.epilogue.layouts.value_stream`.
    scales : stream, in
        :func:`speq.epilogue.layouts.scale_stream`.
    tokens : stream, in
        :func:`speq.epilogue.layouts.token_stream`.
    results : stream, out
        :func:`speq.epilogue.layouts.result_stream`, in the order of the (last group's) values.

    Raises
    ------
    ParameterError
        If E does not divide R, or the result format does not exist.
    """

    stem = "epilogue"

    def __init__(
        self,
        parameters: Parameters,
        lanes: int = 1,
        groups: bool = False,
        result_format: str | None = None,
    ) -> None:
        result_format = parameters.result_format if result_format is None else result_format
        check_choice("result_format", result_format, RESULT_FORMATS)
        check_lanes(parameters, lanes)
        parameters = parameters.replace(result_format=result_format)
        self.lanes, self.groups = lanes, groups
        self.row_parts = parameters.rows // lanes
        self.lane = (GroupLane if groups else Lane)(parameters)
        ports = {
            "values": In(value_stream(parameters, lanes, groups)),
            "scales": In(scale_stream(lanes)),
            "tokens": In(token_stream(parameters)),
            "results": Out(result_stream(parameters, lanes)),
        }
        super().__init__(parameters, ports, self.lane)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stages = self._stages(m)
        scales, values = self._read(m, stages["read"])
        token_scale = self._token_scales(m, stages)
        lanes = [place(m, f"lane_{number}", self.lane) for number in range(self.lanes)]
        for number, lane in enumerate(lanes):
            m.d.comb += [
                lane.value.eq(values[number]),
                lane.scale.eq(scales[number]),
                lane.token_scale.eq(token_scale),
                self.results.payload.values[number].eq(lane.result),
                *(
                    getattr(lane, name).eq(stage.take)
                    for name, stage in stages.items()
                    if name != "read"
                ),
            ]
        if self.groups:
            self._sums(m, stages, lanes)
        self._results(m, stages["rounded"])
        return m

    def _stages(self, m: Module) -> dict[str, StreamRegister]:
        """Control of the register stages, chained but for where something is waited for."""
        sums = ("aligned", "total") if self.groups else ()
        names = ("read", "product", "scaled", *sums, "token_product", "rounded")
        shape = control_layout(self.parameters, self.row_parts, self.groups)
        stages = {name: StreamRegister(shape) for name in names}
        for name, stage in stages.items():
            m.submodules[f"stage_{name}"] = stage
        for before, name in pairwise(names):
            if name not in ("scaled", "total"):
                wiring.connect(m, stages[before].o, stages[name].i)
        return stages

    def _read(self, m: Module, stage: StreamRegister) -> tuple[data.View, data.View]:
        """Take values whose row scales are there; returns the scales and the values, registered."""
        width = data.ArrayLayout(32, self.lanes)
        m.submodules.scales = sets = ScaleSets(width.size, self.row_parts)
        loading, part = Signal(range(self.row_parts)), Signal(range(self.row_parts))
        last_part = self._count(m, part, stage.take)
        m.d.comb += [
            sets.i.valid.eq(self.scales.valid),
            self.scales.ready.eq(sets.i.ready),
            sets.i.payload.value.eq(self.scales.payload.values.as_value()),
            sets.i.payload.index.eq(loading),
            sets.i.payload.last.eq(self._count(m, loading, self.scales.valid & self.scales.ready)),
        ]

        payload = self.values.payload
        control = stage.i.payload
        m.d.comb += [
            stage.i.valid.eq(self.values.valid & sets.available),
            self.values.ready.eq(stage.i.ready & sets.available),
            sets.index.eq(part),
            sets.read.eq(stage.take),
            sets.done.eq(payload.last & last_part),
            control.last.eq(payload.last),
            control.closes.eq(payload.last & payload.end & last_part),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += control.token.eq(payload.token)
        if self.groups:
            m.d.comb += [
                control.part.eq(part),
                control.first_group.eq(payload.first_group),
                control.last_group.eq(payload.last_group),
            ]
        values = Signal(width, reset_less=True)
        with m.If(stage.take):
            m.d.sync += values.eq(payload.values)
        return data.View(width, sets.value), values

    def _count(self, m: Module, counter: Signal, advance: Value) -> Value:
        """Count the parts of R rows; returns whether this is the last."""
        last = counter == self.row_parts - 1
        with m.If(advance):
            m.d.sync += counter.eq(Mux(last, 0, counter + 1))
        return last

    def _token_scales(self, m: Module, stages: dict[str, StreamRegister]) -> Value:
        """Move what the row scales and groups are done with on, once its token's scale is there."""
        before, after = ("aligned", "total") if self.groups else ("product", "scaled")
        source, stage = stages[before].o, stages[after]
        m.submodules.token_scales = sets = ScaleSets(32, self.parameters.tokens)
        complete = source.payload.last_group if self.groups else 1
        m.d.comb += [
            sets.i.valid.eq(self.tokens.valid),
            self.tokens.ready.eq(sets.i.ready),
            sets.i.payload.value.eq(self.tokens.payload.value),
            sets.i.payload.last.eq(self.tokens.payload.last),
            sets.read.eq(stage.take),
            sets.done.eq(source.payload.closes),
            stage.i.payload.eq(source.payload),
            stage.i.valid.eq(source.valid & complete & sets.available),
            # A sum that is not complete ends at its memory.
            source.ready.eq((stage.i.ready & sets.available) | ~Value.cast(complete)),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += [
                sets.i.payload.index.eq(self.tokens.payload.token),
                sets.index.eq(source.payload.token),
            ]
        return sets.value

    def _sums(
        self,
        m: Module,
        stages: dict[str, StreamRegister],
        lanes: list[wiring.PureInterface],
    ) -> None:
        """Keep each token's and part's sum from group to group."""
        part_bits = ceil_log2(self.row_parts)
        depth = (self.parameters.tokens - 1 << part_bits) + self.row_parts
        m.submodules.sums = memory = Memory(shape=32 * self.lanes, depth=depth, init=[])
        writer, reader = memory.write_port(), memory.read_port()
        product, scaled, aligned = (stages[name] for name in ("product", "scaled", "aligned"))

        source, taken = product.o, scaled.i
        waits = ~source.payload.first_group & (
            self._unwritten(scaled, source.payload) | self._unwritten(aligned, source.payload)
        )
        m.d.comb += [
            taken.payload.eq(source.payload),
            taken.valid.eq(source.valid & ~waits),
            source.ready.eq(taken.ready & ~waits),
            reader.en.eq(scaled.take),
            reader.addr.eq(self._place(source.payload)),
            writer.en.eq(aligned.o.valid & aligned.o.ready),
            writer.addr.eq(self._place(aligned.o.payload)),
            writer.data.eq(Cat(lane.sum for lane in lanes)),
        ]
        for number, lane in enumerate(lanes):
            m.d.comb += [
                lane.first.eq(scaled.o.payload.first_group),
                lane.kept.eq(reader.data.word_select(number, 32)),
            ]

    def _place(self, control: data.View) -> Value:
        """Where the sum of a token's part is kept."""
        return Cat(control.part, control.token) if self.parameters.tokens > 1 else control.part

    def _unwritten(self, stage: StreamRegister, control: data.View) -> Value:
        """Whether a stage holds what will be the sum at the same place."""
        held = stage.o.payload
        same = self._place(held) == self._place(control)
        return stage.o.valid & ~held.last_group & same

    def _results(self, m: Module, stage: StreamRegister) -> None:
        m.d.comb += [
            self.results.valid.eq(stage.o.valid),
            stage.o.ready.eq(self.results.ready),
            self.results.payload.last.eq(stage.o.payload.last),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += self.results.payload.token.eq(stage.o.payload.token)
