"""Memories: rates from pins, losses by cause and from timings, limits, refusals."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram import Dram
from speq_sim.performance.dram_presets import DRAMS, find_dram

PLAIN = Dram(
    name="plain",
    channels=2,
    channel_bits=32,
    mega_transfers=1000.0,
    burst_beats=16,
    row_bytes=1024,
    banks=8,
    refresh_interval_ns=1000.0,
    refresh_ns=80.0,
    refresh_exposed=1.0,
    activate_ns=10.0,
    precharge_ns=10.0,
    row_cycle_ns=50.0,
    four_activates_ns=40.0,
    read_to_write_ns=3.0,
    write_to_read_ns=17.0,
    read_latency_ns=12.0,
    read_pj_per_bit=2.0,
    write_pj_per_bit=3.0,
    source="this test",
)
"""4 GB/s a channel, bursts of 64 bytes, a row of 256 ns."""

SIZES = st.integers(0, 1 << 34)
MEMORIES = st.sampled_from([PLAIN, *DRAMS.values(), Dram.ideal(1e11), DRAMS["hbm3"].scaled(4)])


@pytest.mark.parametrize(
    ("name", "pins", "gigabits", "burst"),
    [
        ("lpddr5", 64, 6.4, 32),
        ("lpddr5x", 64, 8.533, 32),
        ("ddr5", 128, 4.8, 64),
        ("hbm2e", 1024, 3.6, 32),
        ("hbm3", 1024, 6.4, 32),
    ],
)
def test_the_rate_of_a_preset_is_its_pins_times_their_rate(name, pins, gigabits, burst):
    dram = DRAMS[name]
    assert dram.peak_bytes_per_second == pytest.approx(pins * gigabits / 8 * 1e9)
    assert dram.burst_bytes == burst


def test_the_advertised_rates():
    peaks = {name: round(dram.peak_bytes_per_second / 1e9, 1) for name, dram in DRAMS.items()}
    assert peaks == {"lpddr5": 51.2, "lpddr5x": 68.3, "ddr5": 76.8, "hbm2e": 460.8, "hbm3": 819.2}


@pytest.mark.parametrize("dram", DRAMS.values(), ids=DRAMS)
def test_a_long_read_loses_its_refresh_and_nothing_else(dram):
    assert 0.7 < dram.efficiency < 1
    closed = dram.refresh_ns + dram.activate_ns + dram.precharge_ns
    assert dram.efficiency == pytest.approx(1 - closed / dram.refresh_interval_ns)
    assert dram.bytes_per_second == pytest.approx(dram.efficiency * dram.peak_bytes_per_second)
    awake = dataclasses.replace(dram, refresh_exposed=0.0)
    assert awake.efficiency == pytest.approx(1)
    assert dram.source
    assert set(dram.assumed) <= {field.name for field in dataclasses.fields(dram)}


def test_every_cause_by_hand():
    # 10 regions of 65 bytes are 20 bursts of 16 ns on two channels; one write of 64 bytes.
    time = PLAIN.time([(65, 10)], 64, streams=3, switches=2)
    assert time.data == pytest.approx(714 / 8e9)
    assert time.rounding == pytest.approx((21 * 64 - 714) / 8e9)
    # A row per channel of each region, and 1 of the write: tFAW/4 = 10 ns hides in 16 ns.
    assert time.rows == 0
    assert time.conflicts == pytest.approx(21 / 2 * (2 / 8) * 20e-9)
    assert time.turnaround == pytest.approx(2 * 20e-9)
    busy = 21 * 64 / 8e9 + time.conflicts + time.turnaround
    assert time.refresh == pytest.approx(busy * 0.1 / 0.9)
    assert time.seconds == pytest.approx(busy / 0.9)
    assert PLAIN.seconds([(65, 10)], 64, streams=3, switches=2) == time.seconds


def test_rows_are_hidden_until_they_are_opened_too_often():
    assert PLAIN.time(1 << 20).rows == 0
    # 100 ns for four rows: 25 ns a row, of which a burst of 64 bytes hides 16.
    slow = dataclasses.replace(PLAIN, four_activates_ns=100.0)
    assert slow.time([(64, 100)]).rows == pytest.approx(100 * 9e-9 / 2)
    assert slow.time(1 << 20).rows == 0
    # One bank: each row of 256 ns waits for tRP and tRCD.
    single = dataclasses.replace(PLAIN, banks=1)
    assert single.time(1 << 20).rows == pytest.approx((1 << 10) * 20e-9 / 2)
    assert single.efficiency == pytest.approx(256 / 276 * 0.9)


def test_the_bus_turns_only_between_reads_and_writes():
    assert PLAIN.time(64, switches=5).turnaround == 0
    assert PLAIN.time(0, 64, switches=5).turnaround == 0
    assert PLAIN.time(64, 64, switches=5).turnaround == pytest.approx(100e-9)


def test_energy_of_whole_bursts():
    assert PLAIN.joules(65, [(1, 2)]) == pytest.approx((128 * 8 * 2e-12, 128 * 8 * 3e-12))


def test_latency_is_that_of_a_closed_row():
    assert PLAIN.latency_seconds == pytest.approx((10 + 12 + 16) * 1e-9)
    assert PLAIN.time(0).seconds == 0


@given(nbytes=SIZES, written=SIZES, rate=st.floats(1e9, 1e13))
def test_the_ideal_memory_is_bytes_over_rate(nbytes, written, rate):
    ideal = Dram.ideal(rate)
    assert ideal.peak_bytes_per_second == pytest.approx(rate)
    time = ideal.time(nbytes, [(written, 1)], streams=7, switches=3)
    assert time.seconds == pytest.approx((nbytes + written) / rate)
    assert time.data == pytest.approx(time.seconds)


@given(dram=MEMORIES, less=SIZES, more=SIZES, streams=st.integers(1, 4), count=st.integers(1, 9))
def test_more_bytes_take_no_less_time(dram, less, more, streams, count):
    less, more = sorted((less, more))
    one, other = (dram.seconds([(n, count)], streams=streams) for n in (less, more))
    assert one <= other * (1 + 1e-12)
    assert one >= count * less / dram.peak_bytes_per_second * (1 - 1e-12)


@given(dram=MEMORIES, nbytes=st.integers(1, 1 << 20), regions=st.integers(1, 1000))
def test_regions_are_moved_in_whole_bursts(dram, nbytes, regions):
    moved = dram.rounded([(nbytes, regions)])
    assert moved % (regions * dram.burst_bytes) == 0
    assert 0 <= moved - nbytes * regions < regions * dram.burst_bytes
    # One region of all the bytes is never slower than many.
    assert dram.seconds(nbytes * regions) <= dram.seconds([(nbytes, regions)]) * (1 + 1e-12)


@given(dram=MEMORIES, count=st.integers(2, 16))
def test_memories_side_by_side_share_a_long_read(dram, count):
    many = dram.scaled(count)
    assert many.peak_bytes_per_second == pytest.approx(count * dram.peak_bytes_per_second)
    assert many.efficiency == pytest.approx(dram.efficiency)
    assert many.name == f"{count}x{dram.name}"


def test_memories_by_text():
    assert find_dram("lpddr5x") is DRAMS["lpddr5x"]
    assert find_dram("1xhbm2e") == DRAMS["hbm2e"]
    assert find_dram("4xlpddr5x").channels == 16
    assert find_dram("ideal:460").peak_bytes_per_second == pytest.approx(460e9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hbm9", r"memory 'hbm9' is unknown: use one of lpddr5, .*4xhbm2e, or ideal:GB/s"),
        ("xhbm3", r"memory 'xhbm3' is unknown"),
        ("0xhbm3", r"count of memories is 0"),
        ("ideal", r"memory 'ideal' has no rate: use ideal: and GB/s, as in ideal:460"),
        ("ideal:-1", r"bytes_per_second is -1000000000.0"),
        ("ideal:nan", r"bytes_per_second is nan"),
    ],
)
def test_texts_that_mean_no_memory(text, message):
    with pytest.raises(ModelError, match=message):
        find_dram(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "channels of plain is 0"),
        ({"banks": 1.5}, "banks of plain is 1.5"),
        ({"refresh_ns": -1.0}, "refresh_ns of plain is -1.0"),
        ({"mega_transfers": 0.0}, "mega_transfers of plain is 0.0"),
        ({"refresh_exposed": 1.1}, "refresh_exposed of plain is 1.1"),
        ({"channel_bits": 1, "burst_beats": 4}, "must be whole bytes: change burst_beats"),
        ({"row_bytes": 32}, "row_bytes of plain is 32, but a burst has 64 bytes"),
        ({"refresh_ns": 990.0}, "refresh of plain takes 101% of the time: use a refresh_ns"),
        ({"assumed": ("colour",)}, "plain has no field 'colour' that could be assumed"),
    ],
)
def test_impossible_memories_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        dataclasses.replace(PLAIN, **changes)


def test_impossible_transfers_are_refused():
    with pytest.raises(ModelError, match="bytes of a region is -1"):
        PLAIN.time(-1)
    with pytest.raises(ModelError, match="number of regions is -2"):
        PLAIN.rounded([(64, -2)])
    with pytest.raises(ModelError, match="streams is 0"):
        PLAIN.time(64, streams=0)
