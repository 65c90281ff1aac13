import pytest

from speq.synthesis.paths import CriticalPath, critical_path, module_delays, unit_of

REGISTERS = r"""
  cell \DFFPOSX1 $auto$ff.cc:337:slice$1
    connect \CLK \clk
    connect \D $auto$rtlil.cc:3492:MuxGate$9
    connect \Q \row_1.accumulate$94.sums [5]
  end
  cell \DFFHQN $auto$ff.cc:337:slice$2
    connect \CLK \clk
    connect \D \row_1.pe_2.next [0]
    connect \QN \row_1.pe_2.done
  end
"""


def printed(delay, start, end, gates):
    lines = [f'ABC: WireLoad = "none"  Gates = 9  Area = 1.00  Delay = {delay} ps ( 1.0 %)']
    lines += [f"ABC: Path {index:2} -- 7 : 0 3 INVX1" for index in range(gates + 1)]
    lines += [f"ABC: Start-point = pi7 ({start}).  End-point = po3 ({end})."]
    return "\n".join(lines) + "\n"


def test_ends_are_registers_of_the_design():
    log = printed(785.3, r"\row_1.pe_2.product [26]", "$auto$rtlil.cc:3492:MuxGate$9", 24)
    assert critical_path(log, REGISTERS) == CriticalPath(
        "row_1.pe_2.product[26]", "row_1.accumulate.sums[5]", "multiply", "accumulate", 24
    )


def test_a_pin_called_qn_is_an_output_too():
    log = printed(5.0, r"\a", r"\row_1.pe_2.next [0]", 1)
    path = critical_path(log, REGISTERS)
    assert str(path) == "a -> row_1.pe_2.done (1 gates)"
    assert (path.start_unit, path.end_unit) == ("ports", "multiply")


def test_the_longest_of_several_paths_counts():
    log = printed(9.5, r"\a", r"\long", 3) + printed(8.0, r"\a", r"\short", 2)
    assert critical_path(log, "").end == "long"
    assert critical_path(log, "").gates == 3


def test_without_a_report_there_is_no_path():
    assert critical_path("ABC: + strash\n", REGISTERS) is None


@pytest.mark.parametrize(
    ("register", "unit"),
    [
        ("row_3.pe_4.product[10]", "multiply"),
        ("column_7.value[1]", "columns"),
        ("loader.count[0]", "loader"),
        ("round.result", "round"),
        ("accumulate$94.sums_3[5]", "accumulate"),
        ("in_data[3]", "ports"),
    ],
)
def test_a_register_names_its_unit(register, unit):
    assert unit_of(register) == unit


def test_modules_have_delays_of_their_own():
    log = "".join(
        f"2.1. Extracting gate netlist of module `\\{module}' to `x.blif'..\n"
        for module in ("a", "empty", "b")
    )
    for delay in (3.0, None, 5.5):
        log += "2.2.1. Executed ABC.\n"
        log += "" if delay is None else printed(delay, "x", "y", 1)
    assert module_delays(log) == {"a": 3.0, "b": 5.5}
