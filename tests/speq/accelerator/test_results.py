"""Results become packets: every value in its place, every packet ended, the array not held up."""

import numpy as np
import pytest
from stream_bench import Packer, Sink, Source, StreamBench

from speq.accelerator.layouts import packet_stream, result_beats, result_job
from speq.accelerator.results import Results
from speq.layouts import payload_shape, result_stream
from speq.parameters import Parameters

BASE = Parameters(name="results", rows=4, columns=4, port_words=4, tokens=3)
DESIGNS = {
    "two_beats": BASE,
    "one_token": BASE.replace(tokens=1),
    "two_tokens": BASE.replace(tokens=2),
    "one_beat": BASE.replace(result_format="fp16"),
    "less_than_a_beat": BASE.replace(rows=1, result_format="fp16", modes=("verify",)),
    "padded": BASE.replace(rows=3, modes=("verify",), tokens=4),
    "many_beats": BASE.replace(rows=10, port_words=2, tokens=5, columns=2, modes=("verify",)),
    "padded_halves": BASE.replace(rows=5, modes=("verify",), result_format="fp16"),
}


class Sender(StreamBench):
    """Results of jobs of (tokens, output tiles)."""

    def __init__(
        self,
        parameters: Parameters,
        jobs: list[tuple[int, int]],
        stalls: dict[str, float],
        seed: int = 0,
    ) -> None:
        self.parameters, self.jobs = parameters, jobs
        self.values = np.random.default_rng(seed).integers(
            0,
            1 << parameters.result_bits,
            (sum(tokens * tiles for tokens, tiles in jobs), parameters.rows),
        )
        dut, packer = Results(parameters), Packer(result_job(parameters))
        queues = {
            "jobs": [
                packer.pack(last_token=tokens - 1, output_tiles=tiles) for tokens, tiles in jobs
            ],
            "results": self._results(),
        }
        ends = {
            name: Source(getattr(dut, name), queue, stalls.get(name, 0))
            for name, queue in queues.items()
        }
        ends["packets"] = self.sink = Sink(dut.packets, stalls.get("packets", 0))
        super().__init__(dut, ends, seed)

    def _results(self) -> list[int]:
        packer = Packer(payload_shape(result_stream(self.parameters)))
        order = [
            (token, token == tokens - 1)
            for tokens, tiles in self.jobs
            for _ in range(tiles)
            for token in range(tokens)
        ]
        return [
            packer.pack(values=values, token=token, last=last)
            for values, (token, last) in zip(self.values.tolist(), order, strict=True)
        ]

    def wanted(self) -> list[int]:
        """Transfers of all packets."""
        packer = Packer(payload_shape(packet_stream(self.parameters)))
        bits, width = self.parameters.result_bits, self.parameters.port_bits
        beats = -(-self.parameters.rows * bits // width)
        ends = np.cumsum([tokens * tiles for tokens, tiles in self.jobs]) * beats - 1
        transfers = []
        for values in self.values.tolist():
            number = sum(value << bits * row for row, value in enumerate(values))
            for beat in range(beats):
                data = number >> width * beat & (1 << width) - 1
                transfers.append(packer.pack(data=data, last=len(transfers) in ends))
        return transfers

    def check(self, cycles: int = 20_000) -> None:
        wanted = self.wanted()
        self.run(cycles, lambda: len(self.sink.payloads) == len(wanted))
        assert self.sink.payloads == wanted
        assert not self.ends["jobs"].queue
        assert not self.ends["results"].queue


def random_shapes(parameters: Parameters, count: int, seed: int) -> list[tuple[int, int]]:
    random = np.random.default_rng(seed)
    tokens = random.integers(1, parameters.tokens + 1, count)
    return list(zip(tokens.tolist(), random.integers(1, 5, count).tolist(), strict=True))


@pytest.mark.parametrize(
    "slow", [(), ("jobs",), ("results",), ("packets",), ("results", "packets")]
)
@pytest.mark.parametrize("name", DESIGNS)
def test_packets_of_random_jobs(name, slow):
    seed = len(name) + sum(map(len, slow))
    jobs = random_shapes(DESIGNS[name], 12, seed)
    Sender(DESIGNS[name], jobs, dict.fromkeys(slow, 0.6), seed).check()


@pytest.mark.parametrize("name", DESIGNS)
def test_a_beat_per_cycle_from_job_to_job(name):
    jobs = random_shapes(DESIGNS[name], 8, 1)
    sender = Sender(DESIGNS[name], jobs, {})
    sender.check()
    cycles = sender.sink.cycles
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))


@pytest.mark.parametrize("name", DESIGNS)
def test_the_results_of_a_tile_are_taken_at_once(name):
    """However slowly they are sent, as the array gives them in consecutive cycles."""
    parameters = DESIGNS[name]
    sender = Sender(parameters, [(parameters.tokens, 4)], {"packets": 1})
    sender.run(20)
    # As many as the memory holds, and one at its output.
    assert sender.ends["results"].cycles == list(range(max(parameters.tokens, 2) + 1))


def test_beats_of_a_result():
    assert {name: result_beats(design) for name, design in DESIGNS.items()} == {
        "two_beats": 2,
        "one_token": 2,
        "two_tokens": 2,
        "one_beat": 1,
        "less_than_a_beat": 1,
        "padded": 2,
        "many_beats": 10,
        "padded_halves": 2,
    }
