"""The baselines' parameter object: derived numbers, and one message per refusal."""

import subprocess
import sys

import pytest

from speq.baselines.parameters import BITS, KINDS, PRESETS, BaselineParameters
from speq.parameters import PRESETS as PRODUCT
from speq.parameters import ParameterError

BASE = PRESETS["olive4"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "ant"}, "kind is 'ant', but must be one of olive, tender"),
        ({"bits": 6}, "bits is 6, but must be one of 4, 8"),
        ({"bits": True}, "bits is True"),
        ({"rows": 0}, r"rows is 0, but must be a whole number 1\.\.256"),
        ({"columns": 257}, r"columns is 257, but must be a whole number 1\.\.256"),
        ({"accumulator_bits": 15}, r"accumulator_bits is 15, but must be a whole number 16\.\.48"),
        ({"name": "4olive"}, "name is '4olive', but becomes part of a Verilog module name"),
        ({"shared_shifter": True}, "shared_shifter is for OliVe with 8 bits.*bits is 4: leave"),
        ({"shared_shifter": 1.5}, "shared_shifter is 1.5, but must be true or false"),
        ({"lanes": 4}, "'lanes' is not a parameter of a baseline: use one of accumulator_bits"),
    ],
)
def test_refusals(changes: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        BASE.replace(**changes)


def test_presets_have_as_many_multipliers_as_small() -> None:
    assert {(p.kind, p.bits) for p in PRESETS.values()} == {(k, b) for k in KINDS for b in BITS}
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.multipliers == preset.peak_macs_per_cycle == PRODUCT["small"].multipliers
        assert preset.bricks == preset.multipliers * (4 if preset.bits == 8 else 1)
        assert preset.accumulator_bits == 32


def test_cycles_of_a_tile() -> None:
    """Begin 1, stream K (OliVe: whole pairs), drain R."""
    assert BASE.tile_cycles(64) == 1 + 64 + 8
    assert BASE.tile_cycles(63) == 1 + 64 + 8
    assert PRESETS["tender8"].tile_cycles(63, groups=4) == 4 + 63 + 8


def test_as_dict_builds_the_same() -> None:
    assert BaselineParameters(**BASE.as_dict()) == BASE


def test_reading_parameters_needs_no_amaranth() -> None:
    code = "import sys, speq.baselines.parameters; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
