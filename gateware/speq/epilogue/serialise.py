"""Serialiser: a token's R results of the array as R/E transfers for the epilogue."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.epilogue.checks import queue_size
from speq.epilogue.layouts import output_stream, value_stream
from speq.layouts import payload_shape, result_stream
from speq.parameters import Parameters

__all__ = ["QUEUE_LATENCY", "Serialiser"]

QUEUE_LATENCY = 2
"""Cycles from a result in an empty queue's port to its first part."""


class Serialiser(Block):
    """Cuts each token's results into P = R/E parts, one per cycle, without a gap between tokens.

    The array completes the tokens of an output tile in as many cycles as one tile takes, and then
    none until the next output tile is computed. With a queue for a tile's tokens it goes on
    computing while they leave part by part; without, it stops until a token's last part is taken.

    Parameters
    ----------
    parameters : Parameters
        Rows R and tokens M, results in FP32.
    lanes : int
        E, a divisor of R.
    groups : bool
        Whether the epilogue adds over groups.
    queue : int, optional
        Tokens whose results may wait (:func:`speq.epilogue.checks.queue_size`).

    Members
    -------
    outputs : stream, in
        :func:`speq.epilogue.layouts.output_stream`: one transfer for each output tile and group;
        it leaves with the last part of its last token.
    results : stream, in
        :func:`speq.layouts.result_stream` of the array.
    values : stream, out
        :func:`speq.epilogue.layouts.value_stream`, the lowest rows of a token first.

    Raises
    ------
    ParameterError
        If the queue is of no legal size.
    """

    stem = "epilogue_serialiser"

    def __init__(
        self, parameters: Parameters, lanes: int, groups: bool, queue: int | None = None
    ) -> None:
        self.lanes, self.queue = lanes, queue_size(parameters, lanes, queue)
        self.row_parts = parameters.rows // lanes
        self.clocked = self.queue > 0 or self.row_parts > 1
        ports = {
            "outputs": In(output_stream(groups)),
            "results": In(result_stream(parameters)),
            "values": Out(value_stream(parameters, lanes, groups)),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        results, valid, taken = self._waiting(m)
        target, payload = self.values, self.values.payload
        transfer = target.valid & target.ready
        part, last_part = self._count(m, transfer)
        rows = results.values.as_value()
        m.d.comb += [
            target.valid.eq(valid & self.outputs.valid),
            taken.eq(transfer & last_part),
            self.outputs.ready.eq(taken & results.last),
            payload.values.eq(rows.word_select(part, 32 * self.lanes)),
            payload.last.eq(results.last),
            *(payload[name].eq(flag) for name, flag in _fields(self.outputs.payload)),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += payload.token.eq(results.token)
        return m

    def _waiting(self, m: Module) -> tuple[data.View, Value, Signal]:
        """Results of the token at work, whether they are there, and what takes them away."""
        taken = Signal()
        port = self.results
        if not self.queue:
            m.d.comb += port.ready.eq(taken)
            return port.payload, port.valid, taken
        shape = payload_shape(port.signature)
        m.submodules.queue = queue = SyncFIFOBuffered(width=shape.size, depth=self.queue)
        m.d.comb += [
            queue.w_data.eq(port.payload.as_value()),
            queue.w_en.eq(port.valid),
            port.ready.eq(queue.w_rdy),
            queue.r_en.eq(taken),
        ]
        return data.View(shape, queue.r_data), queue.r_rdy, taken

    def _count(self, m: Module, transfer: Value) -> tuple[Signal, Value]:
        """Which part of a token's rows, and whether it is the last."""
        part = Signal(range(self.row_parts), name="part")
        last = part == self.row_parts - 1
        if self.row_parts > 1:
            with m.If(transfer):
                m.d.sync += part.eq(Mux(last, 0, part + 1))
        return part, last


def _fields(payload: data.View) -> list[tuple[str, Value]]:
    return [(name, payload[name]) for name, _ in payload.shape()]
