"""Cocotb test of the whole unit: random jobs, stalls, faults and stops, one after the other."""

import os
import random
import re

import cocotb
from unit_workload import DESIGN, activations, int4, packed, plain

from speq_sim.benches.accelerator.faults import FaultBench, Stored, blocking
from speq_sim.benches.axi import Response, Uniform
from speq_sim.host import DeviceError

SEEDS = [int(seed) for seed in os.environ.get("SPEQ_SOAK_SEEDS", "1").split(",")]

EPISODES = 8
"""Times that jobs are queued, each disturbed or not, from one reset to the next."""

MATRICES = 5

LIMIT = 60_000
"""Cycles that jobs take at most; most of all with bursts of one beat and slow buses."""

READS = {"READ_SLVERR": Response.SLVERR, "READ_DECERR": Response.DECERR}
DISTURBANCES = ("none", "none", "none", "stop", *READS, "ACTIVATION_SHORT", "ACTIVATION_LONG")


def any_matrix(bench, generator) -> Stored:
    """Of any small shape, from a single weight, and of any kind that the design can read."""
    inputs = generator.choice((1, generator.randint(1, 40), generator.randint(1, 64)))
    outputs = generator.randint(1, 11)
    kind = plain if generator.random() < 0.3 else packed
    if DESIGN.integers and generator.random() < 0.4:
        kind = int4
    return bench.store(kind(outputs, inputs, seed=generator.randrange(1 << 20)))


def stall(bench, generator):
    """Other shares of pauses on every bus, and other latencies."""
    for valve in (bench.memory_gap, bench.address_gap, bench.source_pauses, bench.sink_pauses):
        valve.share = generator.choice((0, 0, 0.2, 0.7))
    memory = bench.transport.memory
    memory.latency = Uniform(1, generator.choice((1, 10, 60)), generator.random())
    memory.outstanding = generator.choice((1, 2, 16))


class Episode:
    """Some jobs, and at most one thing that goes wrong meanwhile.

    Attributes
    ----------
    faults : set of str
        Codes with which the unit may stop.
    """

    def __init__(self, bench: FaultBench, matrices: list[Stored], generator: random.Random):
        self.bench, self.matrices, self.random = bench, matrices, generator
        self.faults: set[str] = set()
        self.before, self.integers = None, False

    def run(self):
        kind = self.random.choice(DISTURBANCES)
        count = self.random.randint(1, 4)
        at = self.random.randrange(count)
        stall(self.bench, self.random)
        try:
            for number in range(count):
                self._job(kind if number == at else "none")
                self._wrong_command()
                self.bench.wait(self.random.choice((0, 0, 30, 200)))
        except DeviceError as error:
            if not self.faults or "(STOPPED)" not in str(error):
                raise
        if self.faults:
            self.bench.stopped(*self.faults, limit=LIMIT)
            self.bench.transport.memory.faults.clear()
            self.bench.resume()
        else:
            self.bench.finish(limit=LIMIT)

    def _job(self, kind: str):
        stored = self.random.choice(self.matrices)
        extent = stored.matrix.extent
        mode = self.random.choice([mode for mode in stored.matrix.modes if mode in DESIGN.modes])
        integers = mode == "qdraft"
        values = activations(self.random.randint(1, DESIGN.tokens), extent.inputs)
        values = values * self.random.choice((1, -2))
        keep = self.before is not None and self.random.random() < 0.7
        if keep and self.before.shape[1] == extent.inputs and self.integers == integers:
            values = self.before
        else:
            keep = False
        if kind in READS:
            plane = self.random.randrange(extent.planes_read(mode))
            address = stored.beat_address(plane, self.random.randrange(extent.beats[plane]))
            self.bench.transport.memory.faults[address, address + 1] = READS[kind]
            self.faults.add(kind)
        packet = kind.startswith("ACTIVATION") and not keep
        self.bench.submit(stored, mode, values, keep=keep, send=not packet)
        self.before, self.integers = values, integers
        if packet:
            self._wrong_packet(kind, values)
        if kind == "stop":
            self.bench.wait(self.random.randrange(300))
            self.bench.device.stop()
            self.faults.add("STOPPED")

    def _wrong_packet(self, kind: str, values):
        beats = values.shape[0] * -(-values.shape[1] // DESIGN.port_words)
        if kind == "ACTIVATION_SHORT" and beats == 1:
            kind = "ACTIVATION_LONG"  # there is no shorter packet
        if kind == "ACTIVATION_SHORT":
            beats = self.random.randrange(1, beats)
        else:
            beats += self.random.randint(1, 5)
        self.faults.add(kind)
        limit = 1 << DESIGN.port_bits
        self.bench.transport.source.send([self.random.randrange(limit) for _ in range(beats)])

    def _wrong_command(self):
        """Sometimes a command that must be dropped, whatever the unit does."""
        if self.random.random() < 0.7:
            return
        first = self.matrices[0].matrix
        values = activations(self.random.choice((0, DESIGN.tokens + 1, 200)), first.inputs)
        try:
            self.bench.device.submit(first, "verify", values)
        except DeviceError as error:
            if not re.search(r"\((TOKENS|STOPPED)\)", str(error)):
                raise
        else:
            raise AssertionError("a command of too many tokens, or of none, is a job")


@cocotb.test()
@cocotb.parametrize(seed=SEEDS)
@blocking
def soak(bench: FaultBench, seed: int):
    """Each job is bit-exact or reported; no packet that claims to be right is wrong."""
    generator = random.Random(seed)
    # The first can be verified, the last works on activations of the first.
    inputs = generator.randint(1, 64)
    matrices = [bench.store(packed(generator.randint(1, 11), inputs, seed=seed))]
    matrices += [any_matrix(bench, generator) for _ in range(MATRICES - 1)]
    if generator.random() < 0.5:
        matrices.append(bench.store((int4 if DESIGN.integers else packed)(4, inputs, seed=seed)))
    for _ in range(EPISODES):
        Episode(bench, matrices, generator).run()
        if generator.random() < 0.1:
            bench.wait(generator.randrange(200))
            bench.reset()
    stall(bench, random.Random(0))
    values = activations(DESIGN.tokens, matrices[0].matrix.extent.inputs)
    bench.submit(matrices[0], "verify", values)
    bench.finish(LIMIT)
    bench.collect()
