"""Plan: what a simulated accelerator is asked to do, on its way into the simulator's process."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from speq.formats.container import PackedModel, read_packed, write_packed
from speq.formats.int4 import Int4Tensor
from speq.formats.packing import PackedTensor
from speq.formats.tables import family

__all__ = ["IDEAL", "RANDOM", "Memory", "Plan", "Round", "Step"]


@dataclasses.dataclass(frozen=True)
class Memory:
    """How the memory model answers.

    Parameters
    ----------
    low, high : int
        Cycles from a burst's request to its first beat, drawn evenly from `low` to `high`.
    outstanding : int
        Bursts that it accepts before the first has ended.
    """

    low: int
    high: int
    outstanding: int


IDEAL = Memory(1, 1, 64)
"""One beat per cycle, without waiting."""

RANDOM = Memory(20, 200, 4)
"""Latencies of a loaded DRAM, and no more than four bursts under way."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One job: the name of a matrix, a mode, and the name of its activations.

    Without activations it keeps those of the step before; QDRAFT, which sends integers, can keep
    only those of a QDRAFT, and no other mode can.
    """

    matrix: str
    mode: str
    activations: str | None


@dataclasses.dataclass(frozen=True)
class Round:
    """Jobs that are queued together and measured as one.

    Parameters
    ----------
    name : str
        Unique in its plan.
    memory : Memory
        The model of the memory.
    steps : sequence of Step
        In order.
    stalls : float
        Share of cycles, at random, in which activations or results wait.
    """

    name: str
    memory: Memory
    steps: Sequence[Step]
    stalls: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """Matrices, activations, and rounds of jobs on them.

    Parameters
    ----------
    matrices : mapping of str to PackedTensor or Int4Tensor
        Packed with one family, plain, or INT4 without groups.
    activations : mapping of str to array of float16 [M, K]
        M at most what the design serves at once.
    rounds : sequence of Round
        Run one after the other, without a reset between them.
    """

    matrices: Mapping[str, PackedTensor | Int4Tensor]
    activations: Mapping[str, NDArray[np.float16]]
    rounds: Sequence[Round]

    def tokens(self, steps: Sequence[Step]) -> list[NDArray[np.float16]]:
        """Activations of each step, kept ones included."""
        found: list[NDArray[np.float16]] = []
        for step in steps:
            found.append(self.activations[step.activations] if step.activations else found[-1])
        return found

    def save(self, folder: Path) -> None:
        """Write the plan into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        packed = (each for each in self.matrices.values() if isinstance(each, PackedTensor))
        name = next(packed).family
        model = PackedModel(family(name), dict(self.matrices))
        write_packed(folder / "matrices.safetensors", model)
        # The library copies memory as it lies, so views must be laid out first.
        laid = {name: np.ascontiguousarray(values) for name, values in self.activations.items()}
        save_file(laid, folder / "activations.safetensors")
        rounds = [dataclasses.asdict(round_) for round_ in self.rounds]
        (folder / "rounds.json").write_text(json.dumps(rounds), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """Read the plan from a folder."""
        rounds = json.loads((folder / "rounds.json").read_text(encoding="utf-8"))
        return cls(
            read_packed(folder / "matrices.safetensors").tensors,
            load_file(folder / "activations.safetensors"),
            [
                Round(
                    entry["name"],
                    Memory(**entry["memory"]),
                    [Step(**step) for step in entry["steps"]],
                    entry["stalls"],
                )
                for entry in rounds
            ],
        )
