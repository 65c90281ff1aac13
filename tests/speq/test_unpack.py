"""The unpacker, compiled, on every byte and nibble of a transfer.

That each weight goes to the right PE is proved with the loader (``formal/test_formal_loader.py``);
here the codec itself says what the weights are.
"""

from pathlib import Path

import numpy as np
import pytest

from speq.block import module_name
from speq.emission import design_rtlil
from speq.formats import decode, family
from speq.parameters import MODES, TABLE_NAMES, Parameters
from speq.unpack import Unpacker
from speq.yosys import verilog_from_rtlil
from speq_sim.proofs.bit_parallel import Circuit

WORDS = np.arange(1 << 16)


def _circuit(name: str, folder: Path) -> tuple[Parameters, Circuit]:
    """One word per transfer, one PE per row: every group has a table of its own."""
    parameters = Parameters(rows=8, columns=1, port_words=1, modes=MODES, family=name)
    block = Unpacker(parameters)
    return parameters, Circuit(verilog_from_rtlil(design_rtlil(block)), module_name(block), folder)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("bsfp", "fitted-4") else pytest.param(name, marks=pytest.mark.slow)
        for name in TABLE_NAMES
    ],
)
def test_every_transfer_under_every_table(name: str, tmp_path: Path) -> None:
    """All 65,536 words: as one weight, plain or packed, as two of 8 bits, as four of 4 bits."""
    parameters, circuit = _circuit(name, tmp_path)
    tables = family(name)
    legal = np.array(
        [[cell is not None for of_code in t.inverse for cell in of_code] for t in tables.tables]
    )
    rows = np.random.default_rng(6).integers(0, parameters.tables, parameters.rows)
    bits = (parameters.tables - 1).bit_length()
    numbers = {"row_table": (rows << bits * np.arange(len(rows))).sum()} if bits else {}

    def words(group: int, **contents: int) -> np.ndarray:
        values = {"verify": 0, "middle": 0, "nibbles": 0, "plain": 0, "group": group}
        values |= numbers | contents
        ports = {key: np.full(len(WORDS), value) for key, value in values.items()}
        found = circuit.evaluate(transfer=WORDS, **ports)["words"]
        return found[:, None] >> np.uint64(16) * np.arange(4, dtype=np.uint64) & np.uint64(0xFFFF)

    def high_bytes(weights: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Decoded bytes, and whether there is a cell for them."""
        patterns = np.zeros(256, np.int64)
        known = legal[rows[group]][np.arange(256) & 127]
        codes = np.flatnonzero(known).astype(np.uint16)[None] << 8
        patterns[known] = decode(codes, tables, np.array([rows[group]]))[0] >> 8
        return patterns[weights], known[weights]

    for group in range(parameters.load_cycles):
        assert (words(group, verify=1, plain=1) == WORDS[:, None]).all()
        decoded, known = high_bytes(WORDS >> 8, group)
        due = decoded << 8 | WORDS & 0xFF
        assert (words(group, verify=1)[known] == due[known, None]).all()
    for group in range(0, parameters.load_cycles, 2):
        found = words(group, middle=1)
        for bus in range(4):
            weights = WORDS >> 8 if bus % 2 else WORDS & 0xFF
            decoded, known = high_bytes(weights, group + bus % 2)
            assert (found[known, bus] == 0x101 * decoded[known]).all()
    nibbles = WORDS[:, None] >> 4 * np.arange(4) & 15
    assert (words(3, nibbles=1) == 0x1111 * nibbles).all()
    assert (words(3, nibbles=1, plain=1) == 0x1111 * nibbles).all()
