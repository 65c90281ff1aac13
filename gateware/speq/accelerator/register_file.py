"""Register file: the circuit of a register map."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from speq.accelerator.axi_lite import register_access
from speq.accelerator.register_model import (
    ADDRESS_BITS,
    Access,
    Field,
    Register,
    RegisterMap,
)

__all__ = ["RegisterFile"]

_INPUTS = (Access.READ_ONLY, Access.CLEAR)
_OUTPUTS = (Access.READ_WRITE, Access.PULSE, Access.TRIGGER, Access.CLEAR)


class RegisterFile(wiring.Component):
    """Decodes accesses, holds what software writes, reads what the circuit shows.

    Parameters
    ----------
    registers : RegisterMap
        What is there.

    Members
    -------
    shown : struct of structs, in
        ``shown.<register>.<field>``, names in lower case: values to be read of read-only fields
        (but those that never change) and of those that software clears.
    asked : struct of structs, out
        Values of the fields that software reads and writes. Of pulses and of fields to be cleared:
        the ones just written, for one cycle. Of triggers: 1 bit, high for one cycle.
    captured : struct, out
        For each register that captures another: it is being read in this cycle.
    access : :func:`speq.accelerator.axi_lite.register_access`, in
    """

    def __init__(self, registers: RegisterMap) -> None:
        self.registers = registers
        super().__init__(
            {
                "shown": In(_layout(registers, _INPUTS)),
                "asked": Out(_layout(registers, _OUTPUTS)),
                "captured": Out(
                    data.StructLayout({_key(r): 1 for r in registers if r.captures is not None})
                ),
                "access": In(register_access(ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.access.write_error.eq(~self._is_there(self.access.write_address)),
            self.access.read_error.eq(~self._is_there(self.access.read_address)),
        ]
        with m.Switch(self.access.read_address):
            for register in self.registers:
                with m.Case(register.offset // 4):
                    m.d.comb += self.access.read_data.eq(self._word(register))
        for register in self.registers:
            if register.captures is not None:
                here = self.access.read_address == register.offset // 4
                m.d.comb += self.captured[_key(register)].eq(self.access.read & here)
            for field in register.fields:
                if field.access in _OUTPUTS:
                    self._ask(m, register, field)
        return m

    def _is_there(self, address: Value) -> Value:
        return Cat(address == register.offset // 4 for register in self.registers).any()

    def _word(self, register: Register) -> Value:
        """What a read of the register gives."""
        parts: list[Value] = []
        for field in register.fields:
            gap = field.offset - sum(map(len, parts))
            parts += [Const(0, gap)] if gap else []
            if field.value is not None:
                parts.append(Const(field.value, field.bits))
            elif field.access in (Access.PULSE, Access.TRIGGER):
                parts.append(Const(0, field.bits))
            else:
                side = self.asked if field.access is Access.READ_WRITE else self.shown
                parts.append(side[_key(register)][field.name])
        return Cat(parts)

    def _ask(self, m: Module, register: Register, field: Field) -> None:
        bits = slice(field.offset, field.offset + field.bits)
        target = self.asked[_key(register)][field.name]
        new, mask = self.access.write_data[bits], self.access.write_mask[bits]
        here = Signal(name=f"writes_{_key(register)}_{field.name}")
        m.d.comb += here.eq(self.access.write & (self.access.write_address == register.offset // 4))
        if field.access is Access.READ_WRITE:
            with m.If(here):
                m.d.sync += target.eq(new & mask | target & ~mask)
        elif field.access is Access.TRIGGER:
            m.d.comb += target.eq(here & mask.any())
        else:
            m.d.comb += target.eq(Mux(here, new & mask, 0))


def _key(register: Register) -> str:
    return register.name.lower()


def _layout(registers: RegisterMap, kinds: tuple[Access, ...]) -> data.StructLayout:
    """Fields of these kinds, by register."""
    members = {
        _key(register): {
            field.name: 1 if field.access is Access.TRIGGER else field.bits
            for field in register.fields
            if field.access in kinds and field.value is None
        }
        for register in registers
    }
    return data.StructLayout(
        {name: data.StructLayout(fields) for name, fields in members.items() if fields}
    )
