"""Time and energy of external memory, from the timings of its data sheet.

A transfer is taken to be well scheduled: addresses go round the channels burst by burst and
round the bank groups within a channel (so that the shorter distance of two bursts, tCCD_S, counts),
the next row is opened while this one is read, and requests are queued ahead, so that
the latency of an access is not paid for each. What is lost then, and counted:

- **rounding**: every region is moved in whole bursts;
- **rows**: a row is opened every tFAW/4 at the fastest, and the same bank again after a row cycle.
  Rows that are read from end to end hide this; many small regions do not;
- **conflicts**: several streams at once (the planes of a tensor, say) meet in a bank by
  chance. Of S streams, each row that is opened finds the bank taken with probability (S-1)/banks,
  and waits for tRP and tRCD. That is our assumption, and it is high: queues hide some of it, and
  planes can be placed so that they do not meet (``streams=1`` is that case);
- **turnaround**: the bus idles between reading and writing;
- **refresh**: tRP, tRFC and tRCD of every tREFI, since all banks are closed, refreshed and opened.

The controller, its queues and the wires to it are not in here.
"""

import dataclasses
from collections.abc import Sequence

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_count, check_number

__all__ = ["Dram", "DramTime", "Regions"]

Regions = int | Sequence[tuple[int, int]]
"""What is moved: bytes of one region, or pairs of the bytes of a region and how many such."""

_MOST = 1 << 60
_NANO, _PICO, _MEGA = 1e-9, 1e-12, 1e6

_POSITIVE = ("mega_transfers", "refresh_interval_ns")
_TIMES = (
    "refresh_ns",
    "read_to_write_ns",
    "write_to_read_ns",
    "activate_ns",
    "precharge_ns",
    "row_cycle_ns",
    "four_activates_ns",
    "read_latency_ns",
    "read_pj_per_bit",
    "write_pj_per_bit",
)
_COUNTS = ("channels", "channel_bits", "burst_beats", "row_bytes", "banks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DramTime:
    """Seconds of a transfer by cause; they add up.

    Parameters
    ----------
    data : float
        The bytes that were asked for, at the peak rate.
    rounding : float
        Bytes that fill up bursts.
    rows : float
        Waiting for rows that a stream cannot hide.
    conflicts : float
        Waiting for banks in which several streams meet.
    turnaround : float
        Idle bus between reads and writes.
    refresh : float
        Banks closed for refresh.
    """

    data: float
    rounding: float
    rows: float
    conflicts: float
    turnaround: float
    refresh: float

    @property
    def seconds(self) -> float:
        """All of them."""
        waiting = self.rows + self.conflicts + self.turnaround + self.refresh
        return self.data + self.rounding + waiting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dram:
    """A memory: its buses, timings and energy.

    Parameters
    ----------
    name : str
        Short name.
    channels : int
        Independent data buses (of HBM: pseudo-channels).
    channel_bits : int
        Width of one of them.
    mega_transfers : float
        Transfers per second and pin, in millions.
    burst_beats : int
        Transfers of one access.
    row_bytes : int
        Bytes of a row, over all devices of a channel.
    banks : int
        Banks of a channel.
    refresh_interval_ns, refresh_ns : float
        tREFI, and tRFC of all banks together.
    refresh_exposed : float
        Share of the refresh time in which the bus is idle, 0 to 1: 1 if all banks are refreshed
        together, less if one by one behind transfers of the others.
    activate_ns, precharge_ns : float
        tRCD and tRP.
    row_cycle_ns : float
        tRC = tRAS + tRP, between two rows of the same bank.
    four_activates_ns : float
        tFAW, in which at most four rows are opened.
    read_to_write_ns, write_to_read_ns : float
        Idle time of the bus between the last beat of the one and the first of the other. With
        commands as close as is legal the latter is tWTR + CL.
    read_latency_ns : float
        CL, from the read command to the first beat.
    read_pj_per_bit, write_pj_per_bit : float
        Energy of a bit moved, with the share of it in opening rows that are moved from end to end.
    source : str
        Where the numbers come from.
    assumed : tuple of str
        The fields that were read in no source, but are our own assumption.

    Raises
    ------
    ModelError
        If a value is out of range.
    """

    name: str
    channels: int
    channel_bits: int
    mega_transfers: float
    burst_beats: int
    row_bytes: int
    banks: int
    refresh_interval_ns: float
    refresh_ns: float
    refresh_exposed: float
    activate_ns: float
    precharge_ns: float
    row_cycle_ns: float
    four_activates_ns: float
    read_to_write_ns: float
    write_to_read_ns: float
    read_latency_ns: float
    read_pj_per_bit: float
    write_pj_per_bit: float
    source: str
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _COUNTS:
            check_count(f"{name} of {self.name}", getattr(self, name), 1, _MOST)
        for name in _TIMES:
            check_number(f"{name} of {self.name}", getattr(self, name), 0)
        for name in _POSITIVE:
            check_number(f"{name} of {self.name}", getattr(self, name), 1e-6)
        check_number(f"refresh_exposed of {self.name}", self.refresh_exposed, 0, 1)
        if self.channel_bits * self.burst_beats % 8:
            raise ModelError(
                f"a burst of {self.name} has {self.burst_beats} beats of {self.channel_bits} bits, "
                f"but must be whole bytes: change burst_beats"
            )
        if self.row_bytes < self.burst_bytes:
            raise ModelError(
                f"row_bytes of {self.name} is {self.row_bytes}, but a burst has "
                f"{self.burst_bytes} bytes and lies in one row: use a longer row"
            )
        if self.refresh_share >= 1:
            raise ModelError(
                f"refresh of {self.name} takes {self.refresh_share:.0%} of the time: "
                f"use a refresh_ns well below refresh_interval_ns"
            )
        for name in self.assumed:
            if name not in {field.name for field in dataclasses.fields(self)}:
                raise ModelError(f"{self.name} has no field {name!r} that could be assumed")

    @classmethod
    def ideal(cls, bytes_per_second: float, pj_per_bit: float = 0.0) -> "Dram":
        """A memory that loses nothing: time is bytes over rate.

        Raises
        ------
        ModelError
            If the rate is below 1 byte per second, or the energy negative.
        """
        check_number("bytes_per_second", bytes_per_second, 1)
        times = dict.fromkeys(_TIMES, 0.0) | dict.fromkeys(
            ("read_pj_per_bit", "write_pj_per_bit"), pj_per_bit
        )
        return cls(
            name="ideal",
            channels=1,
            channel_bits=8,
            mega_transfers=bytes_per_second / _MEGA,
            burst_beats=1,
            row_bytes=1,
            banks=1,
            refresh_interval_ns=1.0,
            refresh_exposed=0.0,
            source="no memory: the limit without losses",
            **times,
        )

    def scaled(self, count: int) -> "Dram":
        """`count` of these side by side: stacks, modules.

        Raises
        ------
        ModelError
            If `count` is no positive integer.
        """
        check_count("count of memories", count, 1, 1 << 20)
        if count == 1:
            return self
        return dataclasses.replace(
            self, name=f"{count}x{self.name}", channels=count * self.channels
        )

    @property
    def channel_bytes_per_second(self) -> float:
        """Peak rate of one channel."""
        return self.channel_bits / 8 * self.mega_transfers * _MEGA

    @property
    def peak_bytes_per_second(self) -> float:
        """Rate of all pins, the figure that is advertised."""
        return self.channels * self.channel_bytes_per_second

    @property
    def burst_bytes(self) -> int:
        """Least that is moved."""
        return self.channel_bits * self.burst_beats // 8

    @property
    def latency_seconds(self) -> float:
        """From a request to a closed row until its burst is here: tRCD + CL + burst.

        Charge it once for each access that waits for another; :meth:`time` does not have it.
        """
        burst = self.burst_bytes / self.channel_bytes_per_second
        return (self.activate_ns + self.read_latency_ns) * _NANO + burst

    @property
    def refresh_share(self) -> float:
        """Share of all time that refresh takes from the bus."""
        closed = self.precharge_ns + self.refresh_ns + self.activate_ns
        return self.refresh_exposed * closed / self.refresh_interval_ns

    @property
    def efficiency(self) -> float:
        """Share of the peak that one endless sequential read gets, from the timings."""
        nbytes = self.channels * self.banks * self.row_bytes
        return nbytes / self.peak_bytes_per_second / self.time(nbytes).seconds

    @property
    def bytes_per_second(self) -> float:
        """Rate of one endless sequential read."""
        return self.efficiency * self.peak_bytes_per_second

    def rounded(self, regions: Regions) -> int:
        """Bytes that are moved for `regions`, in whole bursts; each begins with a burst.

        Raises
        ------
        ModelError
            If a number is negative or no integer.
        """
        return sum(
            count * self._bursts(nbytes) * self.burst_bytes for nbytes, count in _of(regions)
        )

    def time(
        self, reads: Regions, writes: Regions = 0, *, streams: int = 1, switches: int = 1
    ) -> DramTime:
        """How long reads and writes take, and why.

        Parameters
        ----------
        reads, writes : Regions
            Bytes of one region, or pairs (bytes of a region, number of regions). A region is
            contiguous and begins with a burst.
        streams : int
            Regions that are moved in turns at any time.
        switches : int
            Times that the bus turns from reading to writing and back; of no effect if nothing is
            read or nothing written.

        Raises
        ------
        ModelError
            If a number is negative or no integer, or `streams` is 0.
        """
        check_count("streams", streams, 1, _MOST)
        check_count("switches", switches, 0, _MOST)
        read, written = _of(reads), _of(writes)
        regions = [*read, *written]
        asked = sum(nbytes * count for nbytes, count in regions) / self.peak_bytes_per_second
        moved = self.rounded(regions) / self.peak_bytes_per_second
        rows = sum(count * self._rows(nbytes) for nbytes, count in regions)
        wait = (self.precharge_ns + self.activate_ns) * _NANO
        both = self.rounded(read) > 0 < self.rounded(written)
        turn = (self.read_to_write_ns + self.write_to_read_ns) * _NANO
        busy = {
            "rounding": moved - asked,
            "rows": sum(count * self._row_wait(nbytes) for nbytes, count in regions),
            "conflicts": rows / self.channels * min((streams - 1) / self.banks, 1) * wait,
            "turnaround": switches * turn if both else 0.0,
        }
        share = self.refresh_share
        refresh = (asked + sum(busy.values())) * share / (1 - share)
        return DramTime(data=asked, refresh=refresh, **busy)

    def seconds(
        self, reads: Regions, writes: Regions = 0, *, streams: int = 1, switches: int = 1
    ) -> float:
        """The sum of :meth:`time`."""
        return self.time(reads, writes, streams=streams, switches=switches).seconds

    def joules(self, reads: Regions, writes: Regions = 0) -> tuple[float, float]:
        """Energy of reading and of writing, whole bursts counted."""
        read = self.rounded(reads) * 8 * self.read_pj_per_bit * _PICO
        return read, self.rounded(writes) * 8 * self.write_pj_per_bit * _PICO

    def _bursts(self, nbytes: int) -> int:
        return -(-nbytes // self.burst_bytes)

    def _rows(self, nbytes: int) -> int:
        """Rows that a region opens: in each channel that it reaches at least one."""
        bursts = self._bursts(nbytes)
        return max(min(bursts, self.channels), -(-bursts * self.burst_bytes // self.row_bytes))

    def _row_wait(self, nbytes: int) -> float:
        """What opening the rows of a region takes beyond moving its bytes."""
        rows = self._rows(nbytes)
        moving = self._bursts(nbytes) * self.burst_bytes / self.channel_bytes_per_second
        cycles = max(
            rows * self.row_cycle_ns * _NANO,
            rows * (self.activate_ns + self.precharge_ns) * _NANO + moving,
        )
        opening = max(rows * self.four_activates_ns * _NANO / 4, cycles / self.banks)
        return max(opening - moving, 0.0) / self.channels


def _of(regions: Regions) -> list[tuple[int, int]]:
    pairs = [(regions, 1)] if isinstance(regions, int) else list(regions)
    for nbytes, count in pairs:
        check_count("bytes of a region", nbytes, 0, _MOST)
        check_count("number of regions", count, 0, _MOST)
    return pairs
