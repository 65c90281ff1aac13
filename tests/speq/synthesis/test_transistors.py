import pytest

from speq.synthesis.transistors import ENABLE_TRANSISTORS, FLIP_FLOP_TRANSISTORS, Count, count_cells
from speq.yosys import YosysError


def test_a_netlist_is_counted_gate_by_gate():
    cells = {
        "$_NAND_": 3,
        "$_NOR_": 5,
        "$_NOT_": 7,
        "$_DFF_P_": 2,
        "$_DFFE_PP_": 4,
        "$scopeinfo": 9,
    }
    count = count_cells(cells)
    assert count == Count(
        combinational_transistors=3 * 4 + 5 * 4 + 7 * 2, flip_flops=6, enabled_flip_flops=4
    )
    assert count.transistors == 46 + 6 * FLIP_FLOP_TRANSISTORS + 4 * ENABLE_TRANSISTORS


@pytest.mark.parametrize("cell", ["$_SDFF_PP0_", "$_DLATCH_P_", "$_MUX_", "$_AND_", "unknown_cell"])
def test_a_cell_without_a_count_is_never_left_out(cell):
    with pytest.raises(YosysError, match=r"4 cells of type .* are left"):
        count_cells({"$_NAND_": 1, cell: 4})


def test_counts_add_and_repeat():
    assert Count(10, 1) + Count(5, 2) * 3 == Count(25, 7)


def test_the_record_adds_up():
    record = Count(100, 3).as_dict()
    assert record["transistors"] == (
        record["combinational_transistors"] + record["flip_flop_transistors"]
    )
    assert record["flip_flops"] == 3
