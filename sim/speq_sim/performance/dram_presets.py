"""Memories by name.

No data sheet of JEDEC is public without registration, so timings come from the configurations of
public simulators, which cite them:

- **gem5**: ``LPDDR5_6400_1x16_BG_BL16`` and ``DDR5_4400_4x8``, ``DDR5_6400_4x8`` (repository
  gem5/gem5, ``gem5.components.memory.dram_interfaces``), from JEDEC's first LPDDR5 standard and
  Micron's DDR5 data sheets;
- **Ramulator 2** (CMU-SAFARI/ramulator2, ``LPDDR5.cpp``, ``DDR5.cpp``): refresh by density, rows,
  banks;
- **DRAMsim3** (umd-memsys/DRAMsim3, ``HBM2_8Gb_x128.ini``);
- **AttAcc** (scale-snu/attacc_simulator): refresh of HBM by density and the organisation of HBM3
  (JESD238A); its authors found no published timings of HBM3 and took the nanoseconds of HBM2.

Energy: of HBM the items of O'Connor et al., "Fine-Grained DRAM" (MICRO 2017), as AttAcc's
``config.py`` has them; of DDR5 Micron's currents, as gem5 has them. No primary source of LPDDR5 was
found: public models assume 4 to 8 pJ/bit, and ours is 5; of LPDDR5X it is a fifth less, which is
what Samsung's and Micron's announcements say. Sweep it before you conclude from it.

What was read in no source is named in each memory's ``assumed``.
"""

import dataclasses
import re

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram import Dram

__all__ = ["DRAMS", "find_dram"]

_GIGA = 1e9

_HBM_PJ = 0.11 + 0.44 + 1.01 + 1.23 + 0.50 + 0.30
"""Of a bit: opening a row of 1 KB, cells, column path, global wires, TSVs, interposer."""


def _stream_pj(milliamperes: float, volts: float, bits: int, mega_transfers: float) -> float:
    """pJ/bit of a device that streams at a current."""
    return milliamperes * volts / (bits * mega_transfers) * 1e3


_LPDDR5 = Dram(
    name="lpddr5",
    channels=4,
    channel_bits=16,
    mega_transfers=6400.0,
    burst_beats=16,
    row_bytes=2048,
    banks=16,
    refresh_interval_ns=3906.0,
    refresh_ns=280.0,
    refresh_exposed=1.0,
    activate_ns=18.0,
    precharge_ns=18.0,
    row_cycle_ns=60.0,
    four_activates_ns=20.0,
    read_to_write_ns=1.25,
    write_to_read_ns=12.0 + 21.25,
    read_latency_ns=21.25,
    read_pj_per_bit=5.0,
    write_pj_per_bit=5.0,
    source=(
        "LPDDR5-6400, four channels of 16 bits, 16 Gb dies, BL16 with bank groups. Timings: gem5 "
        "LPDDR5_6400_1x16_BG_BL16; refresh and rows: Ramulator 2 LPDDR5.cpp"
    ),
    assumed=("refresh_exposed", "read_pj_per_bit", "write_pj_per_bit"),
)

_LPDDR5X = dataclasses.replace(
    _LPDDR5,
    name="lpddr5x",
    mega_transfers=8533.0,
    read_pj_per_bit=4.0,
    write_pj_per_bit=4.0,
    source=(
        "LPDDR5X-8533, four channels of 16 bits. No timings found: the nanoseconds are those of "
        "LPDDR5-6400"
    ),
    assumed=(
        "refresh_interval_ns",
        "refresh_ns",
        "refresh_exposed",
        "activate_ns",
        "precharge_ns",
        "row_cycle_ns",
        "four_activates_ns",
        "read_to_write_ns",
        "write_to_read_ns",
        "read_latency_ns",
        "read_pj_per_bit",
        "write_pj_per_bit",
    ),
)

_DDR5 = Dram(
    name="ddr5",
    channels=4,
    channel_bits=32,
    mega_transfers=4800.0,
    burst_beats=16,
    row_bytes=4096,
    banks=32,
    refresh_interval_ns=3900.0,
    refresh_ns=295.0,
    refresh_exposed=1.0,
    activate_ns=14.5,
    precharge_ns=14.5,
    row_cycle_ns=32.0 + 14.5,
    four_activates_ns=32 / 2.4,
    read_to_write_ns=5.5 / 2.4,
    write_to_read_ns=10.0 + 14.5,
    read_latency_ns=14.5,
    read_pj_per_bit=_stream_pj(530.0, 1.1, 8, 4800.0),
    write_pj_per_bit=_stream_pj(479.0, 1.1, 8, 4800.0),
    source=(
        "DDR5-4800, two modules, each of two channels of 32 bits with four x8 devices of 16 Gb. "
        "Timings: gem5 DDR5_4400_4x8 and DDR5_6400_4x8, which differ by 0.2 ns or are a number of "
        "clocks; rows and refresh: Ramulator 2 DDR5.cpp. Energy: IDD4R and IDD4W of Micron's "
        "DDR5-4800 in gem5, at 1.1 V, background included, without bus termination and opening rows"
    ),
    assumed=("refresh_exposed", "activate_ns", "precharge_ns", "row_cycle_ns", "read_latency_ns"),
)

_HBM2E = Dram(
    name="hbm2e",
    channels=16,
    channel_bits=64,
    mega_transfers=3600.0,
    burst_beats=4,
    row_bytes=1024,
    banks=16,
    refresh_interval_ns=3900.0,
    refresh_ns=350.0,
    refresh_exposed=1.0,
    activate_ns=14.0,
    precharge_ns=14.0,
    row_cycle_ns=34.0 + 14.0,
    four_activates_ns=30.0,
    read_to_write_ns=2 / 1.8,
    write_to_read_ns=8.0 + 14.0,
    read_latency_ns=14.0,
    read_pj_per_bit=_HBM_PJ,
    write_pj_per_bit=_HBM_PJ,
    source=(
        "One stack of HBM2E at 3.6 Gb/s, sixteen pseudo-channels of 64 bits, 8 Gb a channel and "
        "rank. Timings: DRAMsim3 HBM2_8Gb_x128.ini in nanoseconds; refresh: AttAcc's table; read "
        "to write: two clocks, as in Ramulator 2. Energy: O'Connor et al., MICRO 2017, of HBM2"
    ),
    assumed=("refresh_exposed", "write_pj_per_bit"),
)

_HBM3 = dataclasses.replace(
    _HBM2E,
    name="hbm3",
    channels=32,
    channel_bits=32,
    mega_transfers=6400.0,
    burst_beats=8,
    read_to_write_ns=2 / 1.6,
    source=(
        "One stack of HBM3 at 6.4 Gb/s, thirty-two pseudo-channels of 32 bits, 8 Gb a channel and "
        "rank. Organisation and timings: AttAcc's HBM3 (timings of HBM2 in nanoseconds). Energy: "
        "that of HBM2 (O'Connor et al., MICRO 2017)"
    ),
    assumed=("refresh_exposed", "read_pj_per_bit", "write_pj_per_bit"),
)

DRAMS: dict[str, Dram] = {each.name: each for each in (_LPDDR5, _LPDDR5X, _DDR5, _HBM2E, _HBM3)}
"""LPDDR5 51.2, LPDDR5X 68.3, DDR5 76.8, HBM2E 460.8 and HBM3 819.2 GB/s at the peak."""


def find_dram(text: str) -> Dram:
    """The memory that a user means.

    Parameters
    ----------
    text : str
        A key of :data:`DRAMS`; several of them, as in ``4xhbm2e``; or ``ideal:GB``, a memory of so
        many GB/s (10**9 bytes) without losses.

    Raises
    ------
    ModelError
        If there is none such.
    """
    kind, _, rate = text.partition(":")
    if kind == "ideal":
        try:
            gigabytes = float(rate)
        except ValueError:
            raise ModelError(
                f"memory {text!r} has no rate: use ideal: and GB/s, as in ideal:460"
            ) from None
        return Dram.ideal(gigabytes * _GIGA)
    count, name = re.fullmatch(r"(?:(\d+)x)?(.*)", text, re.DOTALL).groups()
    if name not in DRAMS:
        raise ModelError(
            f"memory {text!r} is unknown: use one of {', '.join(DRAMS)}, several, as in 4xhbm2e, "
            f"or ideal:GB/s"
        )
    return DRAMS[name].scaled(int(count or 1))
