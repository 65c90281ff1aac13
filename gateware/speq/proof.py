"""Proofs by Yosys' own SAT solver, on circuits with assertions."""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal, Value, ValueLike
from amaranth.lib import wiring

from speq.block import Block, module_name, modules
from speq.yosys import run_yosys, verilog_from_rtlil

__all__ = ["Harness", "Verdict", "held", "prove"]

_STARTED = "started"

_TIMEOUT = 600.0
"""Seconds after which a proof is given up."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Outcome of a proof.

    Attributes
    ----------
    proved : bool
        The assertions hold: always (by induction), or for the given number of cycles.
    refuted : bool
        A run from reset was found that breaks one. Neither means undecided.
    """

    proved: bool
    refuted: bool


class Harness(wiring.Component):
    """Surroundings of a circuit under proof: what is assumed and what is asserted.

    Its input ports are free in every cycle, and so is its reset, but for the first cycle, which is
    one of reset. Before that, every register holds anything.
    """

    def begin(self, m: Module) -> Value:
        """Assume the first reset; returns whether assertions count in this cycle."""
        started = Signal(name=_STARTED, reset_less=True)
        m.d.sync += started.eq(1)
        m.d.comb += Assume(started | ResetSignal())
        return started & ~ResetSignal()

    def check(self, m: Module, live: Value, *claims: ValueLike) -> None:
        """Assert every claim wherever assertions count."""
        for claim in claims:
            m.d.comb += Assert(~live | Value.cast(claim).bool())


def held(m: Module, valid: Value, ready: Value, payload: ValueLike) -> Value:
    """Whether a stream keeps its rule: once valid, valid and payload stay until the transfer."""
    payload = Value.cast(payload)
    waiting = Signal(name="waiting")
    before = Signal(len(payload), name="payload_before")
    m.d.sync += [waiting.eq(valid & ~ready), before.eq(payload)]
    return ~waiting | valid & (payload == before)


def prove(
    harness: Harness,
    folder: Path,
    blocks: Iterable[Block] = (),
    *,
    bound: int | None = None,
    max_steps: int = 8,
    equal: Iterable[tuple[str, str]] = (),
) -> Verdict:
    """Prove the assertions of a harness.

    Parameters
    ----------
    harness : Harness
        What to prove.
    folder : Path
        Where the circuit is written.
    blocks : iterable of Block
        The blocks that it places, each with those below it; what is proved is their emitted
        Verilog. Of two of one name the first counts.
    bound : int, optional
        Look only at runs of so many cycles, the first of reset. Otherwise the proof is by
        induction, for runs of any length.
    max_steps : int
        Longest induction to try.
    equal : iterable of (str, str)
        Pairs of wires that must be equal in every cycle, too. They tie registers below the harness
        (``instance.wire``) to its own, where an induction needs it.

    Raises
    ------
    speq.yosys.YosysError
        If Yosys fails, or takes ten minutes.
    RuntimeError
        If nothing is asserted, or the solver does not end as expected.
    """
    found: dict[str, Block] = {}
    for block in blocks:
        for part in modules(block):
            found.setdefault(module_name(part), part)
    texts = [rtlil.convert(block, name=name, emit_src=False) for name, block in found.items()]
    emitted = verilog_from_rtlil("\n".join(texts)) if texts else ""
    (folder / "blocks.v").write_text(emitted, encoding="utf-8")
    surroundings = rtlil.convert(harness, name="harness", emit_src=False)
    (folder / "harness.il").write_text(surroundings, encoding="utf-8")
    how = f"-maxsteps {max_steps if bound is None else bound}"
    if bound is not None:
        how += " -tempinduct-baseonly"
    ties = " ".join(f"-prove {left} {right}" for left, right in equal)
    log = run_yosys(
        [
            "read_rtlil harness.il",
            "read_verilog blocks.v",
            "hierarchy -top harness",
            "proc",
            "flatten",
            "memory -nomap",
            "memory_map",
            "chformal -lower",
            # No merging of cells: two registers that are undefined at the start are not the same.
            "opt_expr",
            "opt_clean",
            f"setattr -unset init w:* w:{_STARTED} %d",
            f"sat -seq 1 -tempinduct {how} -set-assumes -prove-asserts {ties} harness",
        ],
        directory=folder,
        timeout=_TIMEOUT,
    )
    if "Import proof for assert" not in log:
        raise RuntimeError("the harness asserts nothing")
    refuted = re.search(r"base case.*FAIL!", log) is not None
    exhausted = "Reached maximum number of time steps" in log
    if bound is None:
        proved = "Induction step proven: SUCCESS!" in log
    else:
        proved = exhausted and not refuted
    if not (proved or refuted or exhausted):
        raise RuntimeError(f"the solver did not come to an end: {log[-500:]}")
    return Verdict(proved, refuted)
