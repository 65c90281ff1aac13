"""Planted faults: each still has its place in the sources, and the bench notices it."""

from pathlib import Path

import pytest

import speq
from speq_sim.proofs.mutants import MUTANTS, Mutant
from speq_sim.proofs.mutation import MutationError, mutated_module, replaced
from speq_sim.proofs.mutation_bench import DESIGNS, Bench

SUBSET = (
    "sticky_dropped",
    "nibbles_reversed",
    "decoder_table_ignored",
    "mode_of_the_wrong_stage",
    "stage_overwritten",
)
"""One each of rounding, operands, loading, modes and back-pressure; all on one design."""

HARMLESS = Mutant("equal_exponents", "column.py", "Mux(b > a, b, a)", "Mux(b >= a, b, a)")
"""Other logic, same function."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("mutants"))
    bench.prepare("four")
    return bench


@pytest.mark.parametrize("name", MUTANTS)
def test_every_fault_can_be_planted(name: str) -> None:
    mutant = MUTANTS[name]
    source = (Path(speq.__file__).parent / mutant.file).read_text(encoding="utf-8")
    changed = replaced(source, mutant.old, mutant.new, mutant.file)
    compile(changed, mutant.file, "exec")
    assert mutant.design in DESIGNS


@pytest.mark.parametrize("name", SUBSET)
def test_the_bench_notices(name: str, bench: Bench) -> None:
    outcome = bench.run(MUTANTS[name])
    assert outcome.caught
    assert outcome.how


def test_a_change_without_effect_survives(bench: Bench) -> None:
    outcome = bench.run(HARMLESS)
    assert (outcome.caught, outcome.design) == (False, "four")


@pytest.mark.slow
def test_the_bench_notices_all(tmp_path: Path) -> None:
    """``scripts/mutation_check.py`` does the same and writes a record."""
    bench = Bench(tmp_path)
    for name in DESIGNS:
        bench.prepare(name)
    survivors = [name for name, mutant in MUTANTS.items() if not bench.run(mutant).caught]
    assert not survivors


def test_a_fault_that_no_design_contains_is_an_error(bench: Bench) -> None:
    with pytest.raises(MutationError, match="changes none of the designs"):
        bench.run(Mutant("half", "multiply.py", "PAIR_PLACES = (0,", "PAIR_PLACES = (1,"))


def test_a_fault_that_cannot_be_emitted_is_an_error(bench: Bench) -> None:
    with pytest.raises(MutationError, match="broken cannot be emitted: NameError"):
        bench.run(Mutant("broken", "reduce.py", "a + b", "a + c"))


def test_a_text_that_is_not_there_once_is_an_error() -> None:
    with pytest.raises(MutationError, match="x has 2 times, not once"):
        replaced("a a", "a", "b", "x")
    with pytest.raises(MutationError, match="x has 0 times, not once"):
        replaced("", "a", "b", "x")
    with pytest.raises(MutationError, match="changes nothing"):
        replaced("a", "a", "a", "x")


def test_a_mutated_module_leaves_the_module_alone() -> None:
    from speq import reduce

    mutant = mutated_module("speq.reduce", "FIELD_BITS = 81", "FIELD_BITS = 80")
    assert (mutant.FIELD_BITS, reduce.FIELD_BITS) == (80, 81)
