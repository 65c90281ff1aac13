"""Cycles of single jobs, and of jobs in a row, on the compiled accelerator.

Cycles are those of the unit's own register CYCLES, which counts while a job is pending: from the
cycle after a command has become a job to the one in which its last result leaves, both included.
Packets are handed over before their commands, so that activations never wait for the host. Nothing
that the host does is in this figure. Each measurement begins with a reset, since the turns that the
planes take in fetching (docs/accelerator.md, Bursts) go on where the job before has left them: that
moves the start of a lone VERIFY job by up to two bursts. The clock of the simulation from the write
of PUSH to the last result has the command check as well, some thirty cycles that overlap with a job
at work, and every register access of the host in between; it is kept beside it for comparison.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.accelerator.emission import emit
from speq.formats import family, pack
from speq.formats.int4 import Int4Tensor, quantise_int4
from speq.formats.packing import PackedTensor
from speq.modes import INTEGER_MODES
from speq.parameters import Parameters
from speq_sim.benches.accelerator.compiled_unit import CompiledUnit, build_unit
from speq_sim.benches.accelerator.plan import IDEAL, Memory
from speq_sim.golden import quantise_activations
from speq_sim.host import Device, Matrix
from speq_sim.host.unit_jobs import unit_job
from speq_sim.jobs import expected

__all__ = ["CycleBench", "CyclePoint", "MeasuredCycles"]


@dataclasses.dataclass(frozen=True)
class CyclePoint:
    """One job.

    Parameters
    ----------
    outputs, inputs : int
        N and K of the matrix.
    mode : str
        One of :data:`speq.modes.MODES`.
    tokens : int
        M.
    plain : bool
        The words are FP16 patterns (VERIFY only; in an FP16-only design always).
    keep : bool
        Works on the activations of the job before, which has the same K and M; not the first.
    """

    outputs: int
    inputs: int
    mode: str
    tokens: int
    plain: bool = False
    keep: bool = False


@dataclasses.dataclass(frozen=True)
class MeasuredCycles:
    """What jobs in a row took.

    Attributes
    ----------
    cycles : int
        By the unit's register CYCLES.
    beats, words : int
        Transfers of the memory port and of the array's weight port.
    host_cycles : int
        Of the simulation's clock, from the write of the first command to the last result.
    wrong : int or None
        Results that are not the golden model's, bit for bit; None if they were not compared.
    """

    cycles: int
    beats: int
    words: int
    host_cycles: int
    wrong: int | None


class CycleBench:
    """A compiled accelerator to measure jobs on, with random weights and activations.

    Parameters
    ----------
    parameters : Parameters
        The design, an accelerator.
    folder : Path
        Where it is emitted to.
    build : Path
        Where its library is kept; an unchanged design is not compiled again.
    optimisation : str
        For the C++ compiler (:func:`speq_sim.benches.accelerator.compiled_unit.build_unit`).
    memory : Memory
        How the memory answers; ideal by default.
    seed : int
        Of weights, activations and latencies.

    Raises
    ------
    speq.parameters.ParameterError
        If the design is no accelerator.
    speq_sim.benches.finding.SimulatorError, speq_sim.cplusplus.CompilerError
        If it cannot be compiled.
    """

    def __init__(
        self,
        parameters: Parameters,
        folder: Path,
        build: Path,
        optimisation: str = "-O2",
        memory: Memory = IDEAL,
        seed: int = 1,
    ) -> None:
        files = emit(parameters, folder)
        side_car = json.loads(files.side_car.read_text(encoding="utf-8"))
        library = build_unit(files.verilog, side_car, build, optimisation)
        self._parameters = parameters
        # A packet comes when a job is done; the longest that are measured take some 100,000 cycles.
        self._unit = CompiledUnit(library, side_car, memory, seed=seed, patience=1_000_000)
        self._device = Device(self._unit, side_car)
        self._rng = np.random.default_rng(seed)
        self._loaded: dict[tuple[int, int, str], tuple[PackedTensor | Int4Tensor, Matrix]] = {}

    def measure(self, points: Sequence[CyclePoint], *, check: bool = False) -> MeasuredCycles:
        """Run jobs one behind the other, each queued while the one before is at work.

        Parameters
        ----------
        points : sequence of CyclePoint
            Jobs, at most ``queue_depth``. The first must take longer than the host needs for the
            next command, about a hundred cycles, or the unit idles in between and does not count.
        check : bool
            Whether to compare the results with the golden model.

        Raises
        ------
        speq_sim.host.DeviceError
            If the unit refuses a command or stops.
        """
        jobs = [(*self._matrix(point), point) for point in points]
        values = self._activations(points)
        device = self._device
        self._unit.reset()
        for point, packet in zip(points, values, strict=True):
            if not point.keep:
                device.send(_sent(packet, point.mode))
        begun = self._unit.counts().cycles
        for _, matrix, point in jobs:
            device.command(matrix, point.mode, point.tokens, keep=point.keep)
        found = [device.receive(matrix, point.tokens) for _, matrix, point in jobs]
        host_cycles = self._unit.counts().cycles - begun
        counted = device.counters()
        wrong = None
        if check:
            wrong = sum(
                _differing(results, tensor, point.mode, packet, self._parameters)
                for results, (tensor, _, point), packet in zip(found, jobs, values, strict=True)
            )
        return MeasuredCycles(
            counted["cycles"], counted["beats"], counted["words"], host_cycles, wrong
        )

    def _activations(self, points: Sequence[CyclePoint]) -> list[NDArray[np.float16]]:
        """Random values [M, K] of each job, or those of the one before."""
        values: list[NDArray[np.float16]] = []
        for point in points:
            if point.keep:
                values.append(values[-1])
            else:
                shape = (point.tokens, point.inputs)
                values.append(self._rng.normal(size=shape).astype(np.float16))
        return values

    def _matrix(self, point: CyclePoint) -> tuple[PackedTensor | Int4Tensor, Matrix]:
        """A random matrix of the kind that a job reads, in the unit's memory."""
        plain = point.plain or not self._parameters.packs
        kind = "plain" if plain else "int4" if point.mode in INTEGER_MODES else "packed"
        key = (point.outputs, point.inputs, kind)
        if key not in self._loaded:
            weights = self._rng.normal(scale=0.05, size=key[:2]).astype(np.float16)
            tensor: PackedTensor | Int4Tensor
            if kind == "plain":
                bits = weights.view(np.uint16)
                tensor = PackedTensor(
                    self._parameters.family, bits.shape, plain=bits, reason="measured plain"
                )
            elif kind == "int4":
                tensor = quantise_int4(weights)
            else:
                tensor = pack(weights, family(self._parameters.family))
            matrix = self._device.load(tensor)
            assert isinstance(matrix, Matrix)
            self._loaded[key] = tensor, matrix
        return self._loaded[key]


def _sent(values: NDArray[np.float16], mode: str) -> NDArray[np.float16]:
    """What the host hands over: QDRAFT takes integers."""
    return quantise_activations(values)[0] if mode == "qdraft" else values


def _differing(
    found: NDArray[np.floating],
    tensor: PackedTensor | Int4Tensor,
    mode: str,
    values: NDArray[np.float16],
    parameters: Parameters,
) -> int:
    """Results whose bits are not those of the golden model."""
    wanted = expected(unit_job(tensor, mode, values), parameters)
    bits = f"u{wanted.itemsize}"
    return int(np.count_nonzero(found.view(bits) != wanted.view(bits)))
