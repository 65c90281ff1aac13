"""Energy of a run: multiply-accumulates, on-chip memory, external memory, leakage.

Energy per operation is a property of a circuit in a technology. Until our own is measured from
switching activity (:meth:`Energy.from_json` reads such a record), :data:`PUBLIC` has public
figures, with their sources, and says which of its numbers are assumptions.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_number
from speq_sim.performance.dram import Dram, Regions

__all__ = ["ENERGY_MODES", "PUBLIC", "Energy", "EnergySplit", "energy_of"]

ENERGY_MODES: tuple[str, ...] = (
    "verify", "middle", "draft", "qdraft", "qverify", "int8", "int4",
)  # fmt: skip
"""Kinds of multiply-accumulate: the modes of our array, and integers of 8 and 4 bits of engines
that have nothing else. ``verify`` is FP16 x FP16."""

_PICO, _MILLI = 1e-12, 1e-3
_FIELDS = ("name", "mac_pj", "sram_pj_per_bit", "static_mw", "source")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of what happens on the chip.

    Parameters
    ----------
    name : str
        Short name.
    mac_pj : mapping of str to float
        pJ of one multiply-accumulate, by mode: all of :data:`ENERGY_MODES`.
    sram_pj_per_bit : float
        pJ of a bit read from or written to on-chip memory.
    static_mw : float
        Leakage and clock of an idle chip, mW, as long as a run takes.
    source : str
        Where the numbers come from.
    assumed : tuple of str
        Modes and fields that were read or measured nowhere, but are an assumption.

    Raises
    ------
    ModelError
        If a mode is missing or unknown, or a value is negative.
    """

    name: str
    mac_pj: Mapping[str, float]
    sram_pj_per_bit: float
    static_mw: float = 0.0
    source: str
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for mode in {*ENERGY_MODES, *self.mac_pj}:
            _check_mode(mode)
            if mode not in self.mac_pj:
                raise ModelError(f"mac_pj of {self.name} lacks {mode!r}: give pJ of each mode")
            check_number(f"mac_pj of {mode} in {self.name}", self.mac_pj[mode], 0)
        for name in ("sram_pj_per_bit", "static_mw"):
            check_number(f"{name} of {self.name}", getattr(self, name), 0)

    @classmethod
    def from_json(cls, path: Path) -> "Energy":
        """Measured energies.

        Parameters
        ----------
        path : Path
            A JSON object with ``name``, ``source``, and any of ``mac_pj`` (an object: pJ by mode),
            ``sram_pj_per_bit`` and ``static_mw``; it may be the ``energy`` of a larger record. What
            it does not have is that of :data:`PUBLIC`, and listed in ``assumed``.

        Raises
        ------
        ModelError
            If the file is missing or no such object, or a value is illegal.
        """
        values = _read(path)
        for name in ("name", "source"):
            if not isinstance(values.get(name), str):
                raise ModelError(f"{path.name} has no {name!r}: say what was measured, and how")
        measured = values.get("mac_pj", {})
        if not isinstance(measured, Mapping):
            raise ModelError(f"mac_pj of {path.name} is {measured!r}: use an object, mode: pJ")
        missing = [mode for mode in ENERGY_MODES if mode not in measured]
        missing += [name for name in ("sram_pj_per_bit", "static_mw") if name not in values]
        return cls(
            name=values["name"],
            mac_pj=dict(PUBLIC.mac_pj) | dict(measured),
            sram_pj_per_bit=values.get("sram_pj_per_bit", PUBLIC.sram_pj_per_bit),
            static_mw=values.get("static_mw", PUBLIC.static_mw),
            source=values["source"],
            assumed=tuple(missing),
        )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON record; :meth:`from_json` reads it."""
        return {name: getattr(self, name) for name in _FIELDS} | {"mac_pj": dict(self.mac_pj)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergySplit:
    """Joules by part; they add up.

    Parameters
    ----------
    dram_read, dram_write : float
        External memory.
    compute : float
        Multiply-accumulates.
    sram : float
        On-chip memory.
    static : float
        Leakage and idle clock.
    """

    dram_read: float = 0.0
    dram_write: float = 0.0
    compute: float = 0.0
    sram: float = 0.0
    static: float = 0.0

    @property
    def joules(self) -> float:
        """All of them."""
        return sum(dataclasses.astuple(self))

    def __add__(self, other: "EnergySplit") -> "EnergySplit":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return EnergySplit(**dict(zip(self.as_dict(), map(sum, pairs), strict=True)))

    def scaled(self, factor: float) -> "EnergySplit":
        """`factor` times as much: several passes, or the share of a token."""
        check_number("factor", factor, 0)
        return EnergySplit(**{name: factor * value for name, value in self.as_dict().items()})

    def as_dict(self) -> dict[str, float]:
        """Joules by part."""
        return dataclasses.asdict(self)


def energy_of(
    bytes_read: Regions,
    bytes_written: Regions,
    macs_by_mode: Mapping[str, float],
    sram_bits: float,
    dram: Dram,
    energy: Energy,
    *,
    seconds: float = 0.0,
) -> EnergySplit:
    """Energy of a pass or a run.

    Parameters
    ----------
    bytes_read, bytes_written : Regions
        What moves between chip and external memory, as in :meth:`Dram.time`.
    macs_by_mode : mapping of str to float
        Multiply-accumulates, by keys of :data:`ENERGY_MODES`. Count those that toggle: padding too,
        if it is computed.
    sram_bits : float
        Bits read from and written to on-chip memory.
    dram : Dram
        External memory.
    energy : Energy
        The chip.
    seconds : float
        How long it takes; matters for `static` alone.

    Raises
    ------
    ModelError
        If a mode is unknown or a number negative.
    """
    for mode, macs in macs_by_mode.items():
        _check_mode(mode)
        check_number(f"multiply-accumulates of {mode}", macs, 0)
    check_number("sram_bits", sram_bits, 0)
    check_number("seconds", seconds, 0)
    read, written = dram.joules(bytes_read, bytes_written)
    compute = sum(macs * energy.mac_pj[mode] for mode, macs in macs_by_mode.items())
    return EnergySplit(
        dram_read=read,
        dram_write=written,
        compute=compute * _PICO,
        sram=sram_bits * energy.sram_pj_per_bit * _PICO,
        static=seconds * energy.static_mw * _MILLI,
    )


def _check_mode(mode: str) -> None:
    if mode not in ENERGY_MODES:
        raise ModelError(f"energy of mode {mode!r} is unknown: use {', '.join(ENERGY_MODES)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except OSError:
        raise ModelError(f"{path.name} cannot be read: give a JSON file of energies") from None
    except ValueError:
        raise ModelError(f"{path.name} is no JSON: write it anew") from None
    if isinstance(values, dict) and isinstance(values.get("energy"), dict):
        values = values["energy"]
    if not isinstance(values, dict):
        raise ModelError(f"{path.name} holds no JSON object: use one with name, source and mac_pj")
    unknown = sorted(values.keys() - set(_FIELDS))
    if unknown:
        raise ModelError(f"{path.name} has the unknown {unknown[0]!r}: use {', '.join(_FIELDS)}")
    return values


_FP16_PJ = 0.77 * 1.5
"""FP16 multiply-accumulate, 28 nm, after place and route: BitMoD (HPCA 2025), whose simulator has
0.77 pJ per cycle of its FP16 PE and a factor of 1.5 for place and route."""

_HOROWITZ_FP16 = 1.1 + 0.4
_HOROWITZ_INT8 = 0.2 + 0.1
_HOROWITZ_INT4 = 0.2 / 4 + 0.05
"""pJ at 45 nm, product and sum (Horowitz, ISSCC 2014): FP16 and FP16; 8 bits and 32 bits. Of 4 bits
the product is taken to be a quarter of that of 8 bits, and the sum to have 16 bits."""

_SRAM_PJ_PER_BIT = (0.0347 + 0.0486) / 2

PUBLIC = Energy(
    name="public",
    mac_pj={
        "verify": _FP16_PJ,
        "middle": _FP16_PJ,
        "draft": _FP16_PJ / 4,
        "qdraft": _FP16_PJ / 4,
        "qverify": _FP16_PJ / 2,
        "int8": _FP16_PJ * _HOROWITZ_INT8 / _HOROWITZ_FP16,
        "int4": _FP16_PJ * _HOROWITZ_INT4 / _HOROWITZ_FP16,
    },
    sram_pj_per_bit=_SRAM_PJ_PER_BIT,
    source=(
        "28 nm. FP16: BitMoD (HPCA 2025), 0.77 pJ x 1.5. Integers: the same times the ratio of "
        "Horowitz (ISSCC 2014, 45 nm). On-chip memory: CACTI, 28 nm, banks of 8 KB, 512 bits wide, "
        "mean of read and write, as collected in the public repository Dongyunkam/DRAM_info"
    ),
    assumed=("verify", "middle", "draft", "qdraft", "qverify", "int4", "static_mw"),
)
"""Public figures. Assumed of our array: a PE takes the energy of BitMoD's FP16 PE every cycle, in
whatever mode, and does four multiply-accumulates a cycle in the modes of 4-bit weights (four draft
lanes). Leakage is 0."""
