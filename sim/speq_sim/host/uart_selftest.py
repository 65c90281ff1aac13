"""Self-test of an accelerator on a board: jobs in every mode, compared bit for bit."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats import family, pack
from speq.formats.int4 import Int4Tensor, quantise_int4
from speq.formats.packing import PackedTensor
from speq.modes import INTEGER_MODES
from speq.parameters import Parameters
from speq_sim.host.device import Device
from speq_sim.host.matrix import Matrix
from speq_sim.host.uart_link import UartLink
from speq_sim.host.unit_jobs import unit_job
from speq_sim.jobs import expected

__all__ = ["Check", "SelfTest", "case_shape"]

_MEMORY_BYTES = 512
"""Bytes that are written to each end of the memory, and read back."""

_LEAST_INPUTS = 64


@dataclasses.dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name : str
        What was checked.
    compared, wrong : int
        Values compared, and how many of them differ.
    first : str
        The first that differs, and what it should be; empty if none does.
    seconds : float
        Wall-clock time, loading of weights included.
    """

    name: str
    compared: int
    wrong: int
    first: str
    seconds: float


def case_shape(parameters: Parameters, largest: tuple[int, int]) -> tuple[int, int]:
    """N and K of the matrix of a test: more than one output tile and group, the last not full.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    largest : (int, int)
        N and K of the weights that are there.
    """
    outputs = max(2 * parameters.rows - 1, 2)
    group = parameters.group_inputs
    room = parameters.activation_values // parameters.tokens // group
    groups = max(min(room, max(4, _LEAST_INPUTS // group)), 1)
    inputs = groups * group - (1 if groups > 1 else 0)
    return min(outputs, largest[0]), min(inputs, largest[1])


class SelfTest:
    """Checks of a board, one after the other.

    Parameters
    ----------
    link : UartLink
        The way to the board, which is reset.
    side_car : mapping
        Description of its accelerator.
    weights : array of float16 [N, K]
        Real ones, which can be drafted.
    activations : array of float16 [M, K]
        As many tokens as the design serves, or fewer.
    seed : int
        Of the bytes that test the memory.

    Raises
    ------
    LinkError
        If the board cannot be reached.
    DeviceError
        If its accelerator is not the one described. Both may be raised by every check, too.
    ValueError
        If the weights cannot be drafted.
    """

    def __init__(
        self,
        link: UartLink,
        side_car: Mapping[str, Any],
        weights: NDArray[np.float16],
        activations: NDArray[np.float16],
        seed: int = 1,
    ) -> None:
        link.reset()
        self._link = link
        self._device = Device(link, side_car)
        self._parameters = self._device.parameters
        self._weights = weights
        self._activations = activations[: self._parameters.tokens]
        self._rng = np.random.default_rng(seed)

    @property
    def names(self) -> Sequence[str]:
        """Names of the checks, in order."""
        modes = [mode for mode in self._parameters.modes if mode not in INTEGER_MODES]
        integers = [mode for mode in self._parameters.modes if mode in INTEGER_MODES]
        plain = ["verify, plain"] if self._parameters.packs else []
        return ["memory", *modes, *plain, *integers, "jobs in a row", "stop and resume"]

    def run(self) -> Iterator[Check]:
        """Carry all checks out; whoever wants fewer stops asking."""
        yield self._timed("memory", self._memory)
        loaded: dict[str, tuple[PackedTensor | Int4Tensor, Matrix]] = {}

        def matrix(name: str) -> tuple[PackedTensor | Int4Tensor, Matrix]:
            kind = (
                "int4" if name in INTEGER_MODES else "plain" if name.endswith("plain") else "packed"
            )
            if kind not in loaded:
                tensor = _tensor(self._parameters, self._weights, kind)
                loaded[kind] = tensor, self._device.load(tensor)
            return loaded[kind]

        jobs = self.names[1:-2]
        for name in jobs:
            yield self._timed(name, lambda name=name: self._jobs([(name, *matrix(name))]))
        several = [(name, *matrix(name)) for name in (*jobs, jobs[0])]
        several = several[: self._parameters.queue_depth]
        yield self._timed("jobs in a row", lambda: self._jobs(several))
        yield self._timed("stop and resume", lambda: self._stop(several[0]))

    def _memory(self) -> tuple[NDArray[Any], NDArray[Any]]:
        size = self._link.identity.memory_bytes
        wanted = self._rng.integers(256, size=(2, _MEMORY_BYTES)).astype(np.uint8)
        places = (0, size - _MEMORY_BYTES)
        for place, data in zip(places, wanted, strict=True):
            self._link.write_memory(place, data.tobytes())
        found = [self._link.read_memory(place, _MEMORY_BYTES) for place in places]
        return np.frombuffer(b"".join(found), dtype=np.uint8), wanted.ravel()

    def _jobs(
        self, jobs: Sequence[tuple[str, PackedTensor | Int4Tensor, Matrix]]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Queue all jobs, then collect them."""
        wanted = []
        for name, tensor, matrix in jobs:
            mode = name.partition(",")[0]
            self._device.submit(matrix, mode, self._activations)
            job = unit_job(tensor, mode, self._activations)
            wanted.append(expected(job, self._parameters).ravel())
        found = [self._device.collect().raw.ravel() for _ in jobs]
        return np.concatenate(found), np.concatenate(wanted)

    def _stop(
        self, job: tuple[str, PackedTensor | Int4Tensor, Matrix]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """A stopped unit works again once it is resumed."""
        self._device.submit(job[2], job[0], self._activations)
        self._device.stop()
        self._device.resume()
        return self._jobs([job])

    def _timed(self, name: str, check: Any) -> Check:
        begun = time.perf_counter()
        found, wanted = check()
        bits = f"u{wanted.itemsize}"
        differing = np.flatnonzero(found.view(bits) != wanted.view(bits))
        first = ""
        if len(differing):
            place = differing[0]
            first = f"value {place} is {found[place]!r}, not {wanted[place]!r}"
        return Check(name, wanted.size, len(differing), first, time.perf_counter() - begun)


def _tensor(
    parameters: Parameters, weights: NDArray[np.float16], kind: str
) -> PackedTensor | Int4Tensor:
    """The weights as a job reads them."""
    if kind == "int4":
        return quantise_int4(weights)
    if kind == "plain" or not parameters.packs:
        bits = np.ascontiguousarray(weights).view(np.uint16)
        return PackedTensor(parameters.family, bits.shape, plain=bits, reason="tested plain")
    tensor = pack(weights, family(parameters.family))
    if tensor.is_plain:
        raise ValueError(f"the weights cannot be drafted ({tensor.reason}): take others")
    return tensor
