"""A baseline array: R x C output-stationary PEs between four streams.

::

    tiles --> sequencer --> one step per cycle ---.
    activations --> R borders: decode, register --+--> R x C PEs --> results
    weights ------> C borders: decode, register --'    sums leave upwards, row by row

Two register stages: operands at the borders, accumulators in the PEs. Operands are broadcast along
rows and columns, and not passed from PE to PE as in the papers' systolic arrays: that leaves out
the operand registers of every PE, in the baselines' favour.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from speq.baselines.border import Border
from speq.baselines.layouts import (
    Step,
    activation_stream,
    header_stream,
    result_stream,
    step_layout,
    weight_stream,
)
from speq.baselines.parameters import BaselineParameters
from speq.baselines.pe import ProcessingElement
from speq.baselines.sequencer import Sequencer
from speq.block import Block, place
from speq.streams import StreamRegister

__all__ = ["BaselineArray"]


class BaselineArray(Block):
    """The whole design. Streams have the names of the product's, so that its benches play it.

    Members
    -------
    tiles, activations, weights : streams, in
        :func:`~speq.baselines.layouts.header_stream`,
        :func:`~speq.baselines.layouts.activation_stream`,
        :func:`~speq.baselines.layouts.weight_stream`.
    results : stream, out
        :func:`~speq.baselines.layouts.result_stream`.
    """

    stem = ""

    def __init__(self, parameters: BaselineParameters) -> None:
        self.sequencer = Sequencer(parameters)
        self.border = Border(parameters)
        self.pe = ProcessingElement(parameters)
        ports = {
            "tiles": In(header_stream(parameters)),
            "weights": In(weight_stream(parameters)),
            "activations": In(activation_stream(parameters)),
            "results": Out(result_stream(parameters)),
        }
        super().__init__(parameters, ports, self.sequencer, self.border, self.pe)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sequencer = place(m, "sequencer", self.sequencer)
        m.submodules.stage = stage = StreamRegister(step_layout(self.parameters))
        wiring.connect(m, wiring.flipped(self.tiles), sequencer.headers)
        wiring.connect(m, sequencer.steps, stage.i)
        m.d.comb += [
            sequencer.beat_valid.eq(self.activations.valid & self.weights.valid),
            self.activations.ready.eq(sequencer.beat_take),
            self.weights.ready.eq(sequencer.beat_take),
        ]
        enable = Signal()
        m.d.comb += enable.eq(stage.take & (stage.i.payload.step == Step.MULTIPLY))
        rows = self._borders(m, "activation", self.parameters.rows, sequencer, enable)
        columns = self._borders(m, "weight", self.parameters.columns, sequencer, enable)
        top = self._elements(m, rows, columns, stage)

        draining = stage.o.payload.step == Step.DRAIN
        m.d.comb += [
            self.results.valid.eq(stage.o.valid & draining),
            stage.o.ready.eq(self.results.ready | ~draining),
            self.results.payload.last.eq(stage.o.payload.last),
            *(self.results.payload.values[c].eq(pe.total) for c, pe in enumerate(top)),
        ]
        return m

    def _borders(
        self,
        m: Module,
        side: str,
        count: int,
        sequencer: wiring.PureInterface,
        enable: Signal,
    ) -> list[wiring.PureInterface]:
        """Borders of one side, fed with their slots of the beat."""
        payload = (self.activations if side == "activation" else self.weights).payload
        each = self.parameters.inputs_per_beat
        borders = []
        for number in range(count):
            border = place(m, f"{side}_{number}", self.border)
            m.d.comb += border.enable.eq(enable)
            for slot in range(each):
                m.d.comb += border.slots[slot].eq(payload.slots[number * each + slot])
            if self.parameters.pairs:
                m.d.comb += border.odd.eq(sequencer.odd)
            borders.append(border)
        return borders

    def _elements(
        self,
        m: Module,
        rows: list[wiring.PureInterface],
        columns: list[wiring.PureInterface],
        stage: StreamRegister,
    ) -> list[wiring.PureInterface]:
        """All PEs; each row's sums move up to the row before it. Returns row 0."""
        moves = {}
        for step in Step:
            moves[step] = Signal(name=f"move_{step.name.lower()}")
            happens = stage.o.valid & stage.o.ready
            m.d.comb += moves[step].eq(happens & (stage.o.payload.step == step))
        below: list[wiring.PureInterface] = []
        for r in reversed(range(self.parameters.rows)):
            here = [place(m, f"pe_{r}_{c}", self.pe) for c in range(self.parameters.columns)]
            for c, pe in enumerate(here):
                m.d.comb += [
                    pe.activation.eq(rows[r].operand),
                    pe.weight.eq(columns[c].operand),
                    pe.clear.eq(moves[Step.CLEAR]),
                    pe.multiply.eq(moves[Step.MULTIPLY]),
                    pe.drain.eq(moves[Step.DRAIN]),
                    pe.below.eq(below[c].total if below else 0),
                ]
                if self.parameters.kind == "tender":
                    m.d.comb += pe.double.eq(moves[Step.NEXT_GROUP])
            below = here
        return below
