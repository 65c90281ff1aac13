"""What a method comes to on a machine, beside plain FP16 on the same memory: one object."""

import dataclasses
from typing import Any

from speq_sim.performance.energy import PUBLIC, Energy, EnergySplit, energy_of
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting
from speq_sim.performance.registry import METHODS, method_named
from speq_sim.performance.rounds import RoundCost

__all__ = ["Prediction", "predict"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Figures of a method. A token is one sequence's; with a batch, all get theirs at once.

    Parameters
    ----------
    method : str
        Its name.
    setting : Setting
        What it was run on.
    machine : Machine
        The device, with the engine of the method.
    cost : RoundCost
        Its round.
    plain : RoundCost
        A pass of plain FP16 on the device as it was given.
    energy : EnergySplit
        Joules per token of one sequence, all devices together.
    plain_energy : EnergySplit
        The same of plain FP16.
    """

    method: str
    setting: Setting
    machine: Machine
    cost: RoundCost
    plain: RoundCost
    energy: EnergySplit
    plain_energy: EnergySplit

    @property
    def seconds_per_token(self) -> float:
        """Time between two tokens of a sequence."""
        return self.cost.seconds_per_token

    @property
    def tokens_per_second(self) -> float:
        """Of all sequences together."""
        return self.setting.batch / self.seconds_per_token

    @property
    def speedup_vs_fp16(self) -> float:
        """Time of a token in plain FP16 over that of the method."""
        return self.plain.seconds_per_token / self.seconds_per_token

    @property
    def byte_bound_speedup(self) -> float:
        """The same if time were bytes: bytes per token over bytes per token, nothing else."""
        ours, theirs = (sum(each.bytes_per_token.values()) for each in (self.cost, self.plain))
        return theirs / ours

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values: seconds, bytes and joules of a token."""
        cost = self.cost
        return {
            "method": self.method,
            "engine": self.machine.engine.name,
            "seconds_per_token": self.seconds_per_token,
            "tokens_per_second": self.tokens_per_second,
            "speedup_vs_fp16": self.speedup_vs_fp16,
            "byte_bound_speedup": self.byte_bound_speedup,
            "limited_by": cost.limited_by,
            "seconds_by_bound": cost.by_bound,
            "seconds_by_pass": cost.seconds_by_kind(),
            "bytes_per_token": cost.bytes_per_token,
            "macs_per_token": cost.macs_per_token,
            "tokens_per_round": cost.round.tokens,
            "drafted_per_round": cost.round.drafted,
            **cost.round.settings,
            "energy": {
                "joules_per_token": self.energy.joules,
                "by_part": self.energy.as_dict(),
                "vs_fp16": self.energy.joules / self.plain_energy.joules,
            },
            "passes": [
                {
                    "kind": planned.kind,
                    "form": planned.spec.form,
                    "tokens": planned.spec.tokens,
                    "count": planned.count,
                    "seconds": time.seconds,
                    "bytes": time.total_bytes,
                    "macs": sum(time.macs.values()),
                    "limited_by": time.limited_by,
                }
                for planned, time in zip(cost.round.passes, cost.times, strict=True)
            ],
        }


def predict(method: str, setting: Setting, machine: Machine, energy: Energy = PUBLIC) -> Prediction:
    """Predict a method.

    Parameters
    ----------
    method : str
        One of :data:`speq_sim.performance.registry.METHODS`.
    setting : Setting
        Model, context, batch, acceptance, draft policy.
    machine : Machine
        Our engine on a memory; methods of other hardware put their engine in its place.
    energy : Energy
        Of the chip's operations.

    Raises
    ------
    ModelError, speq.parameters.ParameterError
        If the method does not exist, or the design lacks a mode that it needs.
    """
    named = method_named(method)
    theirs = named.machine(machine)
    cost = named.method.cost(setting, theirs)
    plain = METHODS["fp16"].method.cost(setting, machine)
    return Prediction(
        method,
        setting,
        theirs,
        cost,
        plain,
        _energy(cost, theirs, energy),
        _energy(plain, machine, energy),
    )


def _energy(cost: RoundCost, machine: Machine, energy: Energy) -> EnergySplit:
    """Joules per token, over all devices."""
    moved = cost.bytes_per_token
    written = moved.pop("written")
    one = energy_of(
        round(sum(moved.values())),
        round(written),
        cost.macs_per_token,
        cost.sram_bits_per_token,
        machine.dram,
        energy,
        seconds=cost.seconds_per_token / cost.batch,
    )
    return one.scaled(machine.devices)
