"""Scaled array: the array and the epilogue as one unit, words and activations to scaled results."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from speq.array import Array
from speq.block import Block, place
from speq.epilogue.epilogue import Epilogue
from speq.epilogue.layouts import output_stream, result_stream, scale_stream, token_stream
from speq.epilogue.serialise import Serialiser
from speq.layouts import activation_stream, tile_stream, weight_stream
from speq.parameters import Parameters

__all__ = ["ScaledArray"]


class ScaledArray(Block):
    """The array, whose results are FP32 here, and behind it the epilogue.

    All modes pass through it alike: INT4 with the scales of rows (and groups) and tokens, DRAFT
    with alpha as row scales, and with scales of 1 whatever needs none.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    lanes : int
        E, results scaled per cycle: a divisor of R.
    groups : bool
        Whether scales may differ between groups of inputs.
    result_format : {"fp32", "fp16"}, optional
        Of the scaled results; by default ``parameters.result_format``.
    queue : int, optional
        Tokens whose results may wait between array and epilogue
        (:class:`speq.epilogue.serialise.Serialiser`); by default M, 3 at least, and none if E = R.

    Members
    -------
    tiles, weights, activations : streams, in
        As the array's. A *group* is a row of tiles, from `first` to `last`.
    outputs : stream, in
        One transfer for each output tile and group (:func:`speq.epilogue.layouts.output_stream`).
    scales, tokens : streams, in
        As the epilogue's: a set of row scales for each output tile and group, a set of token scales
        for each job.
    results : stream, out
        As the epilogue's.

    Raises
    ------
    ParameterError
        If E does not divide R, or the queue or the result format does not exist.
    """

    stem = "scaled"

    def __init__(
        self,
        parameters: Parameters,
        lanes: int = 1,
        groups: bool = False,
        result_format: str | None = None,
        queue: int | None = None,
    ) -> None:
        self.epilogue = Epilogue(parameters, lanes, groups, result_format)
        parameters = self.epilogue.parameters
        self.array = Array(parameters.replace(result_format="fp32"))
        self.serialiser = Serialiser(self.array.parameters, lanes, groups, queue)
        ports = {
            "tiles": In(tile_stream(parameters)),
            "weights": In(weight_stream(parameters)),
            "activations": In(activation_stream(parameters)),
            "outputs": In(output_stream(groups)),
            "scales": In(scale_stream(lanes)),
            "tokens": In(token_stream(parameters)),
            "results": Out(result_stream(parameters, lanes)),
        }
        super().__init__(parameters, ports, self.array, self.serialiser, self.epilogue)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        array = place(m, "array", self.array)
        serialiser = place(m, "serialiser", self.serialiser)
        epilogue = place(m, "epilogue", self.epilogue)
        for name in ("tiles", "weights", "activations"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(array, name))
        for name in ("scales", "tokens"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(epilogue, name))
        wiring.connect(m, wiring.flipped(self.outputs), serialiser.outputs)
        wiring.connect(m, array.results, serialiser.results)
        wiring.connect(m, serialiser.values, epilogue.values)
        wiring.connect(m, epilogue.results, wiring.flipped(self.results))
        return m
