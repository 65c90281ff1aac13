from speq.synthesis.parts import parts_of
from speq.synthesis.transistors import Count

STATISTICS = {
    "modules": {
        "\\top": {"num_cells_by_type": {"$_NOT_": 1, "\\row": 3, "\\leaf": 1}},
        "\\row": {"num_cells_by_type": {"$_NAND_": 10, "$_DFF_P_": 2, "\\leaf": 4}},
        "\\leaf": {"num_cells_by_type": {"$_NOR_": 5}},
        "\\unused": {"num_cells_by_type": {"$_NOR_": 99}},
    }
}


def test_instances_multiply_down_the_hierarchy():
    parts = {part.module: part for part in parts_of(STATISTICS, "top")}
    assert {name: part.instances for name, part in parts.items()} == {
        "top": 1,
        "row": 3,
        "leaf": 13,
    }
    assert parts["row"].inclusive == Count(10 * 4 + 4 * 20, 2)
    assert parts["leaf"].total == Count(13 * 20, 0)


def test_parts_add_up_to_the_design():
    parts = parts_of(STATISTICS, "top")
    whole = next(part.inclusive for part in parts if part.module == "top")
    assert sum((part.total for part in parts), Count()) == whole


def test_the_largest_part_comes_first():
    totals = [part.total.transistors for part in parts_of(STATISTICS, "top")]
    assert totals == sorted(totals, reverse=True)
