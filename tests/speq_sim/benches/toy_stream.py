"""A toy with the four streams of an array, in Verilog: results are the XOR of the three inputs.

Faults can be planted in its results stream, to show that each rule of the contract is checked.
"""

import json
from pathlib import Path

import numpy as np

from speq_sim.benches.cases import INPUTS
from speq_sim.benches.payload import Design, integers

FAULTS = {
    "none": {},
    "comb": {"valid": "full & results__ready"},
    "waits": {"valid": "full & was_ready"},
    "withdraws": {"valid": "full & (count[5:0] != 0)"},
    "changes": {"payload": "data ^ (count[5:0] == 0)"},
    "undefined": {"payload": "{data[33:1], data[0] ? 1'bx : 1'b0}"},
    "drops": {"go_valid": "(count[5:0] != 0)"},
    "stops": {"ready": "& (count < 60)"},
    "repeats": {"clear": "& (count[3:0] != 9)"},
}
"""Expressions that replace the right ones, by name of the fault."""

_VERILOG = """
module speq_toy(input clk, input rst,
  input [7:0] tiles__payload, input tiles__valid, output tiles__ready,
  input [63:0] weights__payload, input weights__valid, output weights__ready,
  input [39:0] activations__payload, input activations__valid, output activations__ready,
  output [33:0] results__payload, output results__valid, input results__ready);
  reg full = 0, was_ready = 0; reg [33:0] data = 0; reg [15:0] count = 0;
  wire go = tiles__valid & weights__valid & activations__valid
            & (~full | (results__valid & results__ready)) {ready};
  assign tiles__ready = go, weights__ready = go, activations__ready = go;
  assign results__valid = {valid};
  assign results__payload = {payload};
  always @(posedge clk) begin
    count <= count + 1;
    was_ready <= results__ready;
    if (results__valid & results__ready {clear}) full <= 0;
    if (go) begin
      full <= {go_valid};
      data <= tiles__payload ^ weights__payload ^ activations__payload;
    end
    if (rst) begin full <= 0; count <= 0; was_ready <= 0; end
  end
endmodule
"""


def emit(folder: Path, fault: str = "none") -> tuple[Path, Path]:
    """Write the toy's Verilog and side-car; return their paths."""
    right = {"valid": "full", "payload": "data", "go_valid": "1'b1", "ready": "", "clear": ""}
    verilog, side_car = folder / "speq_toy.v", folder / "speq_toy.json"
    text = _VERILOG
    for name, expression in (right | FAULTS[fault]).items():
        text = text.replace(f"{{{name}}}", expression)
    verilog.write_text(text)
    streams = {
        "tiles": _stream(8, mode=(0, 1, 1, False), row_exponent=(1, 7, 1, True)),
        "weights": _stream(64, words=(0, 16, 4, False)),
        "activations": _stream(40, values=(0, 16, 2, False), shifts=(32, 4, 2, False)),
        "results": _stream(34, values=(0, 32, 1, False), token=(32, 1, 1, False))
        | {"direction": "out"},
    }
    streams["results"]["fields"]["last"] = {"offset": 33, "width": 1, "count": 1, "signed": False}
    side_car.write_text(
        json.dumps(
            {
                "schema": "speq-design/1",
                "top": "speq_toy",
                "parameters": {},
                "latency": {},
                "streams": streams,
            }
        )
    )
    return verilog, side_car


def payloads(design: Design, transfers: int, seed: int) -> dict[str, np.ndarray]:
    """Random payloads for the toy's inputs, and the results they give."""
    random = np.random.default_rng(seed)
    result = {
        name: design.streams[name].pack(
            {
                field: random.integers(entry.lowest, entry.highest + 1, (transfers, entry.count))
                for field, entry in design.streams[name].fields.items()
            }
        )
        for name in INPUTS
    }
    sums = [a ^ b ^ c for a, b, c in zip(*map(integers, result.values()), strict=True)]
    rows = [(total & (2**34 - 1)).to_bytes(5, "little") for total in sums]
    result["results"] = np.frombuffer(b"".join(rows), np.uint8).reshape(transfers, 5)
    return result


def _stream(bits: int, **fields: tuple[int, int, int, bool]) -> dict:
    keys = ("offset", "width", "count", "signed")
    return {
        "direction": "in",
        "bits": bits,
        "fields": {name: dict(zip(keys, values, strict=True)) for name, values in fields.items()},
    }
