"""Both gates in a row, through stops at any time: each packet passes whole, or is void, or gone."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from stream_bench import Packer, Sink, Source, StreamBench

from speq.accelerator.gates import ActivationGate, ResultGate
from speq.accelerator.layouts import packet_stream
from speq.parameters import Parameters

DESIGN = Parameters(name="gates", rows=4, columns=4, port_words=2, modes=("verify",))
SENT = data.StructLayout({"data": DESIGN.port_bits, "last": 1, "user": 1})


class Chain(wiring.Component):
    """The gates, one behind the other, and a stop that lasts until the packet is closed."""

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(packet_stream(DESIGN)),
                "o": Out(stream.Signature(SENT)),
                "request": In(stream.Signature(1)),
                "stop": Out(1),
                "done": Out(1),
                "closed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.taker = taker = ActivationGate(DESIGN)
        m.submodules.giver = giver = ResultGate(DESIGN)
        wiring.connect(m, taker.packets, giver.packets)
        stopping = Signal()
        m.d.sync += stopping.eq(self.stop & ~giver.closed)
        m.d.comb += [
            taker.bus.tvalid.eq(self.i.valid),
            taker.bus.tdata.eq(self.i.payload.data),
            taker.bus.tlast.eq(self.i.payload.last),
            self.i.ready.eq(taker.bus.tready),
            self.o.valid.eq(giver.bus.tvalid),
            self.o.payload.data.eq(giver.bus.tdata),
            self.o.payload.last.eq(giver.bus.tlast),
            self.o.payload.user.eq(giver.bus.tuser),
            giver.bus.tready.eq(self.o.ready),
            self.request.ready.eq(1),
            self.stop.eq(self.request.valid | stopping),
            taker.stop.eq(self.stop),
            giver.stop.eq(self.stop),
            self.done.eq(giver.done),
            self.closed.eq(giver.closed),
        ]
        return m


class Run:
    """A run of the chain: what was sent, when, and what came."""

    def __init__(self, lengths: list[int], stops: float, stalls: tuple[float, float], seed: int):
        chain, packer = Chain(), Packer(packet_stream(DESIGN).members["payload"].shape)
        self.packets = [
            [number << 8 | beat for beat in range(length)] for number, length in enumerate(lengths)
        ]
        queue = [
            packer.pack(data=beat, last=beat == packet[-1])
            for packet in self.packets
            for beat in packet
        ]
        self.source = Source(chain.i, queue, stalls[0])
        sink = Sink(chain.o, stalls[1])
        requests = Source(chain.request, [0] * len(queue) if stops else [], 1 - stops)
        ends = {"i": self.source, "o": sink, "request": requests}
        bench = StreamBench(chain, ends, seed, [chain.stop, chain.done, chain.closed])
        # On, until what was taken last is sent, and any stop is over.
        enough = 60
        bench.run(
            20 * len(queue) + 200,
            lambda: not self.source.queue and len(bench.samples) > self.source.cycles[-1] + enough,
        )
        assert not self.source.queue
        self.stops, self.dones, self.closes = (
            [bool(sample[place]) for sample in bench.samples] for place in range(3)
        )
        fields = [
            {n: b >> o & (1 << w) - 1 for n, (o, w, _) in Packer(SENT).fields.items()}
            for b in sink.payloads
        ]
        self.sent = [(beat["data"], beat["last"], beat["user"]) for beat in fields]
        self.cycles = sink.cycles

    def wanted(self) -> list[tuple[int, int, int]]:
        """Beats of the packets that no stop has met, and of the others what came before it."""
        cycles = iter(self.source.cycles)
        beats = []
        for packet in self.packets:
            taken = [next(cycles) for _ in packet]
            met = next((c for c in range(taken[0], taken[-1] + 1) if self.stops[c]), None)
            passed = [b for b, c in zip(packet, taken, strict=True) if met is None or c < met]
            beats += [(beat, int(beat == packet[-1]), 0) for beat in passed]
            if passed and len(passed) < len(packet):
                beats.append((0, 1, 1))
        return beats


@pytest.mark.parametrize("stalls", [(0, 0), (0.6, 0), (0, 0.6), (0.4, 0.4)])
def test_without_a_stop_all_packets_pass(stalls):
    run = Run([1, 5, 1, 2, 8, 3], 0, stalls, 1)
    assert run.sent == run.wanted()
    assert len(run.sent) == 20
    assert sum(run.dones) == 6
    assert not any(run.closes)
    if stalls == (0, 0):
        assert run.cycles == list(range(1, 21))


@pytest.mark.parametrize("stops", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("stalls", [(0, 0), (0.6, 0), (0, 0.6), (0.4, 0.4)])
def test_packets_that_a_stop_meets_are_void_or_gone(stalls, stops):
    seed = int(100 * (stops + sum(stalls)))
    lengths = [random.Random(seed + n).choice((1, 2, 3, 7)) for n in range(50)]
    run = Run(lengths, stops, stalls, seed)
    wanted = run.wanted()
    assert run.sent == wanted
    assert [c for c, done in enumerate(run.dones) if done] == [
        cycle for cycle, (_, last, user) in zip(run.cycles, wanted, strict=True) if last > user
    ]
    assert any(run.closes)
    assert any(user for _, _, user in wanted)
    assert not any(closed and not stop for closed, stop in zip(run.closes, run.stops, strict=True))
