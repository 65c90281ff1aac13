"""Pair the registers of a netlist with those of its source, and cut both there."""

from collections.abc import Sequence
from pathlib import Path

from speq.synthesis.aiger import Aig, write_binary

__all__ = ["EquivalenceError", "Pair"]

_LITERAL_MASK = ~1


class EquivalenceError(ValueError):
    """A netlist that cannot be compared with its source; the message says why."""


class Pair:
    """Source and netlist over the same inputs, with the same outputs.

    The inputs are the ports, the flip-flops of the netlist, and whatever one side alone has.

    Parameters
    ----------
    top : str
        The module, for messages.
    gold, gate : Aig
        Source and netlist; among the outputs of the netlist are the nets that have the names of
        the source's registers.
    aliases : sequence of sequence of str
        All names of each flip-flop before it was mapped.

    Attributes
    ----------
    compared : list of str
        What is compared: outputs, and registers by their next states.

    Raises
    ------
    EquivalenceError
        If the two cannot be compared.
    """

    def __init__(self, top: str, gold: Aig, gate: Aig, aliases: Sequence[Sequence[str]]) -> None:
        self._top, self._gold, self._gate = top, gold, gate
        missing = [name for name in gold.outputs if name not in gate.outputs]
        missing += sorted(gold.inputs.keys() ^ gate.inputs.keys())
        if missing:
            raise EquivalenceError(
                f"netlist of {top}: port {missing[0]} is not in both source and netlist: give the "
                f"source that the netlist was made of"
            )
        self._next = dict(gate.latches)
        self._flip_flops = self._named_after(aliases)
        self._state = [self._find(names) for names in gold.latch_names]
        stored = {literal & _LITERAL_MASK for literal in self._state if literal is not None}
        nameless = sum(literal not in stored for literal, _ in gate.latches)
        if nameless:
            raise EquivalenceError(
                f"netlist of {top}: {nameless} of {len(gate.latches)} flip-flops belong to no "
                f"register of the source: its registers must keep their names"
            )
        self.compared = list(gold.outputs)
        self.compared += [
            names[0]
            for names, literal in zip(gold.latch_names, self._state, strict=True)
            if literal is not None
        ]

    def counts(self) -> dict[str, int]:
        """What became of the registers."""
        found = [literal for literal in self._state if literal is not None]
        stored = [literal for literal in found if literal > 1]
        return {
            "merged": len(stored) - len({literal & _LITERAL_MASK for literal in stored}),
            "constant": len(found) - len(stored),
            "inverted": sum(literal & 1 for literal in stored),
            "removed": len(self._state) - len(found),
        }

    def write(self, directory: Path) -> None:
        """Write ``source.aig`` and ``netlist.aig``."""
        gold, gate = self._gold, self._gate
        count = 0

        def fresh() -> int:
            nonlocal count
            count += 1
            return 2 * count

        ports = {name: fresh() for name in gold.inputs}
        of_gate = {0: 0} | {gate.inputs[name] >> 1: literal for name, literal in ports.items()}
        of_gate |= {literal >> 1: fresh() for literal in gate.free}
        of_gate |= {literal >> 1: fresh() for literal, _ in gate.latches}
        of_gold = {gold.inputs[name] >> 1: literal for name, literal in ports.items()}
        of_gold |= {literal >> 1: fresh() for literal in gold.free}
        gold_outputs, gate_outputs = list(gold.outputs.values()), []
        gate_outputs += [gate.outputs[name] for name in gold.outputs]
        for (literal, after), state in zip(gold.latches, self._state, strict=True):
            if state is None:
                of_gold[literal >> 1] = fresh()
                continue
            of_gold[literal >> 1] = of_gate[state >> 1] ^ (state & 1)
            gold_outputs.append(after)
            inverted = state & 1
            gate_outputs.append(
                state if state < 2 else self._next[state & _LITERAL_MASK] ^ inverted
            )
        write_binary(directory / "source.aig", count, gold.gates, of_gold, gold_outputs)
        write_binary(directory / "netlist.aig", count, gate.gates, of_gate, gate_outputs)

    def _named_after(self, aliases: Sequence[Sequence[str]]) -> dict[str, int]:
        """Flip-flops of the netlist by all names of the registers that they are named after."""
        result = {}
        for (literal, _), names in zip(self._gate.latches, self._gate.latch_names, strict=True):
            for name in names:
                register, mark, _ = name.partition("$_")
                if mark:
                    result[register] = literal
        for names in aliases:
            found = [result[name] for name in names if name in result]
            result |= dict.fromkeys(names, *found[:1]) if found else {}
        return result

    def _find(self, names: Sequence[str]) -> int | None:
        """What the netlist has for a register of the source: a literal, None for nothing."""
        gate = self._gate
        literals = [gate.outputs[name] for name in names if name in gate.outputs]
        literals = [literal for literal in literals if literal not in gate.free]
        # A net may be gone where only its inverse is in use: then the flip-flop's own name tells.
        literals += [self._flip_flops[name] for name in names if name in self._flip_flops]
        if not literals:
            return None
        literal = literals[0]
        if literal > 1 and literal & _LITERAL_MASK not in self._next:
            raise EquivalenceError(
                f"netlist of {self._top}: register {names[0]} is neither a flip-flop nor a "
                f"constant there: synthesis must not move registers"
            )
        return literal
