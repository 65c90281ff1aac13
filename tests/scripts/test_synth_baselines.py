import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import synth_baselines
from speq.baselines.parameters import PRESETS

TOY = Path(__file__).parents[1] / "data" / "toy.lib"

DESIGN = ("tiny", "--set", "rows=1", "--set", "columns=4", "--set", "port_words=1")

PRODUCT = """
module {top}(input clk, input [7:0] a, b, output reg [7:0] y);
  always @(posedge clk) y <= a {operator} b;
endmodule
"""


def emit(parameters, directory):
    """A small stand-in for the product's array, whose own figures have other tests."""
    top = f"speq_{parameters.name}"
    directory.mkdir(parents=True)
    verilog = directory / f"{top}.v"
    operator = "+" if parameters.drafts else "&"
    verilog.write_text(PRODUCT.format(top=top, operator=operator))
    return SimpleNamespace(verilog=verilog, top=top)


@pytest.fixture
def measure(monkeypatch, tmp_path, capsys):
    """Run the script; return its JSON record and what it printed."""
    monkeypatch.setattr(synth_baselines.emission, "emit", emit)
    monkeypatch.setattr(
        synth_baselines.synth_area._cli, "console", synth_baselines._cli.Console(width=160)
    )

    def call(*words):
        path = tmp_path / "figures.json"
        monkeypatch.setattr(sys, "argv", ["synth_baselines.py", *words, "--json", str(path)])
        synth_baselines.run()
        return json.loads(path.read_text()), capsys.readouterr().out

    return call


def test_baselines_stand_beside_the_design_and_its_twin(measure):
    record, printed = measure(*DESIGN, "--flatten", "no", "--liberty", str(TOY))
    designs = {entry["design"]["name"]: entry for entry in record["designs"]}
    assert list(designs) == ["tiny_verify_only", "tiny", *PRESETS]
    assert designs["tiny_verify_only"]["macs_per_cycle"] == {"verify": 4}
    assert designs["tiny"]["macs_per_cycle"] == {"verify": 4, "draft": 16}
    for name, entry in designs.items():
        assert name in printed
        assert entry["area"] > 0
        assert entry["delay_ps"] is None, "without a constraint file ABC gives no delay"
        for mode, macs in entry["macs_per_cycle"].items():
            per_mac = entry["transistors_per_mac_per_cycle"][mode]
            assert per_mac == pytest.approx(entry["transistors"] / macs, abs=0.06)

    for name, preset in PRESETS.items():
        entry = designs[name]
        assert entry["design"]["rows"] == 1
        assert entry["macs_per_cycle"] == {f"int{preset.bits}": 4}
        one = entry["per_pe"]
        assert one["pe_with_share"] == pytest.approx(one["pe"] + 5 / 4 * one["border"], abs=0.06)
        assert (one["decoder"] > 0) == (preset.kind == "olive")
        parts = {part["module"]: part["instances"] for part in entry["parts"]}
        assert parts[f"speq_{name}_pe"] == 4
        assert parts[f"speq_{name}_border"] == 5
    pe = {name: designs[name]["per_pe"]["pe"] for name in PRESETS}
    assert pe["tender4"] < pe["olive4"] < pe["olive8_shared"] < pe["olive8"]
    assert pe["tender4"] < pe["tender8"] < pe["olive8_shared"]


def test_an_fp16_only_design_has_no_twin():
    design = synth_baselines._cli.load("tiny", {"modes": '["verify"]'})
    assert [entry.design.name for entry in synth_baselines.entries(design)] == ["tiny", *PRESETS]


def test_a_missing_constraint_file_is_named(measure):
    with pytest.raises(ValueError, match=r"nowhere\.constr does not exist"):
        measure(*DESIGN, "--liberty", str(TOY), "--constr", "nowhere.constr")
