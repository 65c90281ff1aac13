from pathlib import Path

import pytest
from timed_library import write_timed_library

from speq.synthesis import Job, Switches, measure, open_liberty
from speq.synthesis.flow import SCRIPTS, liberty_commands

ADDER = """
module adder(input clk, input [7:0] a, b, output reg [7:0] q);
  reg [7:0] x, y;
  always @(posedge clk) begin x <= a; y <= b; q <= x + y; end
endmodule
"""

PAIR = """
module pair(input clk, input [7:0] a, b, output [7:0] q, r);
  adder one(.clk(clk), .a(a), .b(b), .q(q));
  slow two(.clk(clk), .a(a), .b(b), .q(r));
endmodule
module slow(input clk, input [7:0] a, b, output reg [7:0] q);
  reg [7:0] x, y;
  always @(posedge clk) begin x <= a; y <= b; q <= x + y + 3 * x; end
endmodule
"""


@pytest.fixture
def mapped(tmp_path):
    library, constraint = write_timed_library(tmp_path)

    def run(text, top, clock=None, **switches):
        (tmp_path / "design.v").write_text(text)
        return measure(
            Job(
                tmp_path / "design.v",
                top,
                Switches(**switches),
                [(open_liberty([library]), constraint)],
                parts=False,
                clocks={} if clock is None else {"timed": clock},
            )
        ).libraries[0]

    return run


def test_the_speed_script_makes_a_ripple_carry_short(mapped):
    slow, fast = (mapped(ADDER, "adder", script=script) for script in SCRIPTS)
    assert fast.delay_ps < 0.7 * slow.delay_ps
    assert fast.area > slow.area


def test_a_clock_gives_a_slack(mapped):
    library = mapped(ADDER, "adder", clock=2000.0)
    assert library.clock_ps == 2000
    assert library.slack_ps == 2000 - library.delay_ps
    assert library.as_dict()["slack_ps"] == library.slack_ps
    assert mapped(ADDER, "adder").slack_ps is None


def test_the_longest_path_runs_between_registers(mapped):
    path = mapped(ADDER, "adder").path
    assert path.start[0] in "xy"
    assert path.end.startswith("q[")
    # A tenth of a nanosecond per gate, and per driving cell in front.
    assert path.gates == pytest.approx(mapped(ADDER, "adder").delay_ps / 100, abs=2)


def test_a_kept_hierarchy_has_a_path_per_module(mapped):
    kept = mapped(ADDER + PAIR, "pair", flatten=False)
    assert set(kept.module_delays) == {"adder", "slow"}
    assert kept.delay_ps == kept.module_delays["slow"] > kept.module_delays["adder"]
    assert mapped(ADDER + PAIR, "pair").module_delays == {}


def test_an_unknown_script_names_the_known_ones():
    with pytest.raises(ValueError, match=r"script is 'fast', but must be one of default, speed"):
        Switches(script="fast")


def test_sizing_needs_a_constraint_file():
    with pytest.raises(ValueError, match="needs a driving cell and a load: give a constraint file"):
        liberty_commands([Path("a.lib")], None, Path("r.json"), script="speed")


def test_switches_are_said_in_words():
    assert str(Switches()) == "flattened, default multipliers"
    assert str(Switches(script="speed")).endswith("ABC script 'speed'")
