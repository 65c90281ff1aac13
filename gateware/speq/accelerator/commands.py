"""Command check: turns a legal command into a job, and says what is wrong with any other."""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from speq.accelerator import layouts
from speq.accelerator.registers import Rejection
from speq.layouts import Mode
from speq.parameters import MAX_PRODUCTS, Parameters

__all__ = ["CommandCheck", "command_layout"]

_WRITTEN_ADDRESS_BITS = 64

_LAST_BIT = 4
"""Steps left when the last bit is multiplied; then planes are added up, compared, and judged in two
steps.
"""


def command_layout(parameters: Parameters) -> data.StructLayout:
    """A command as software writes it: any value in any field."""
    fields: dict[str, object] = {"mode": 4, "keep": 1, "tokens": 8}
    if parameters.packs:
        fields["plain"] = 1
    bases = data.ArrayLayout(_WRITTEN_ADDRESS_BITS, layouts.planes(parameters))
    return data.StructLayout(fields | {"inputs": 32, "output_tiles": 32, "bases": bases})


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """Constants of a design that the check computes with.

    Attributes
    ----------
    tile_beats : int
        G: AXI beats of 4 bits of each weight of a group (of a tile's words, if FP16-only).
    record_beats : int
        H: AXI beats of the row records of an output tile.
    shift_beats : int
        AXI beats of a group's column shifts.
    group_rows : int
        Rows of the activation buffer that a group of one token takes.
    beat_bits : int
        Address bits within an AXI beat.
    group_bits, plane_bits, buffer_bits : int
        Widths of KG, of KG * G * NT, and of the rows that a command needs; large enough for every
        command whose own fields are legal, and no sum or multiple of them is cut either.
    """

    tile_beats: int
    record_beats: int
    shift_beats: int
    group_rows: int
    beat_bits: int
    group_bits: int
    plane_bits: int
    buffer_bits: int

    @classmethod
    def of(cls, p: Parameters) -> "_Sizes":
        groups = -(-MAX_PRODUCTS // p.group_inputs)
        group_rows = p.group_inputs // p.activations_per_beat
        return cls(
            tile_beats=p.load_cycles,
            record_beats=-(-p.rows // p.port_words),
            shift_beats=p.columns // p.port_words,
            group_rows=group_rows,
            beat_bits=bits_for(p.bus_bytes - 1),
            group_bits=bits_for(groups),
            plane_bits=layouts.OUTPUT_TILE_BITS + bits_for(groups * p.load_cycles),
            buffer_bits=8 + bits_for(groups * group_rows),
        )


class CommandCheck(wiring.Component):
    """Checks a command within some thirty cycles, with two serial multiplications side by side.

    Members
    -------
    command : struct, in
        :func:`command_layout`; must not change while `busy`.
    push : 1 bit, in
        Check the command; ignored while `busy`.
    busy : 1 bit, out
        From the cycle after `push` to the one of the verdict.
    running : 1 bit, in
        The unit takes commands. While low, no command is legal and none counts as the one before.
    room : 1 bit, in
        The queue can take a job. Once high it stays high until a job is given.
    rejected : 1 bit, out
        Verdict, for one cycle: dropped, for the reason in `rejection`.
    rejection : 4 bits, out
        :class:`speq.accelerator.registers.Rejection`.
    jobs : stream, out
        Verdict: a job (:func:`speq.accelerator.layouts.job`), offered only when there is room.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "command": In(command_layout(parameters)),
                "push": In(1),
                "busy": Out(1),
                "running": In(1),
                "room": In(1),
                "rejected": Out(1),
                "rejection": Out(bits_for(max(Rejection))),
                "jobs": Out(stream.Signature(layouts.job(parameters))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes = _Sizes.of(self.parameters)
        groups = Signal(sizes.group_bits)
        plane = Signal(sizes.plane_bits)
        rows = Signal(sizes.buffer_bits)
        step = Signal(range(_LAST_BIT + layouts.OUTPUT_TILE_BITS))
        last_token = Signal(bits_for(self.parameters.tokens - 1))
        beats = self._beats(m, groups, plane, sizes)
        faults = self._faults_now() | self._held(m, self._faults(m, beats, rows, sizes))

        m.d.sync += last_token.eq(self.command.tokens - 1)
        with m.If(~self.busy):
            m.d.sync += [
                groups.eq(_groups(self.command.inputs, self.parameters)),
                plane.eq(0),
                rows.eq(0),
                step.eq(_LAST_BIT + layouts.OUTPUT_TILE_BITS - 1),
                self.busy.eq(self.push),
            ]
        with m.Elif(step != 0):
            m.d.sync += step.eq(step - 1)
        tiles, tokens = (self._next_bit(m, name) for name in ("output_tiles", "tokens"))
        with m.If(self.busy & (step >= _LAST_BIT)):
            m.d.sync += [
                plane.eq((plane << 1) + Mux(tiles, groups * sizes.tile_beats, 0)),
                rows.eq((rows << 1) + Mux(tokens, groups * sizes.group_rows, 0)),
            ]
        with m.If(self.busy & (step == 0) & ~self.jobs.valid):
            for code in sorted(faults, reverse=True):
                with m.If(faults[code]):
                    m.d.comb += self.rejection.eq(code)
            m.d.comb += self.rejected.eq(self.rejection != Rejection.NONE)
            m.d.sync += [self.jobs.valid.eq(~self.rejected), self.busy.eq(~self.rejected)]
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [self.jobs.valid.eq(0), self.busy.eq(0)]
        m.d.comb += _fill(self.jobs.payload, self._job(groups, last_token, beats))
        return m

    def _next_bit(self, m: Module, name: str) -> Value:
        """Bits of a factor, one for each step, the highest first."""
        bits = Signal(layouts.OUTPUT_TILE_BITS, name=f"{name}_left")
        with m.If(self.busy):
            m.d.sync += bits.eq(bits << 1)
        with m.Else():
            m.d.sync += bits.eq(self.command[name])
        return bits[-1]

    def _beats(self, m: Module, groups: Value, plane: Value, sizes: _Sizes) -> list[Value]:
        """AXI beats of each plane, 0 for one that is not read, two cycles after `plane`."""
        p, command = self.parameters, self.command
        if not p.packs:
            return [plane]
        tiles = command.output_tiles[: layouts.OUTPUT_TILE_BITS]
        shifts, records = groups * sizes.shift_beats, tiles * sizes.record_beats
        # Neither of the two is more than the plane's weights, so two more bits hold all three.
        draft = Signal(sizes.plane_bits + 2)
        m.d.sync += draft.eq(Mux(command.plain, plane * p.group_tiles, plane + records + shifts))
        middle = Mux(self._reads(layouts.Plane.MIDDLE), plane, 0)
        return [draft, middle, Mux(self._reads(layouts.Plane.LOW), plane << 1, 0)]

    def _reads(self, plane: layouts.Plane) -> Value:
        """Whether the command reads this plane."""
        if plane is layouts.Plane.DRAFT:
            return Const(1, 1)
        exact = (self.command.mode == Mode.VERIFY) & ~self.command.plain
        if plane is layouts.Plane.LOW or not self.parameters.middles:
            return exact
        return exact | (self.command.mode == Mode.MIDDLE)

    def _faults(
        self, m: Module, beats: list[Value], rows: Value, sizes: _Sizes
    ) -> dict[Rejection, Value]:
        """What may be wrong with the command itself."""
        p, command = self.parameters, self.command
        built_in = Cat(command.mode == Mode[mode.upper()] for mode in p.modes).any()
        verify = command.mode == Mode.VERIFY
        misaligned, beyond = [], []
        for number, count in enumerate(beats):
            base, reads = command.bases[number], self._reads(layouts.Plane(number))
            misaligned.append(reads & base[: sizes.beat_bits].any())
            end = Signal(
                1 + max(p.address_bits - sizes.beat_bits, len(count)), name=f"end_{number}"
            )
            m.d.sync += end.eq(base[sizes.beat_bits : p.address_bits] + count)
            outside = end > 1 << (p.address_bits - sizes.beat_bits)
            if p.address_bits < _WRITTEN_ADDRESS_BITS:
                outside |= base[p.address_bits :].any()
            beyond.append(reads & outside)
        return {
            Rejection.MODE: ~built_in,
            Rejection.PLAIN: ~verify & command.plain if p.packs else Const(0, 1),
            Rejection.TOKENS: (command.tokens == 0) | (command.tokens > p.tokens),
            Rejection.INPUTS: (command.inputs == 0) | (command.inputs > MAX_PRODUCTS),
            Rejection.OUTPUT_TILES: (command.output_tiles == 0)
            | command.output_tiles[layouts.OUTPUT_TILE_BITS :].any(),
            Rejection.BUFFER: rows > p.activation_rows,
            Rejection.KEEP: command.keep & ~self._same_as_before(m),
            Rejection.MISALIGNED: _any(misaligned),
            Rejection.ADDRESS: _any(beyond),
        }

    def _faults_now(self) -> dict[Rejection, Value]:
        """What may be wrong with the unit in the cycle of the verdict."""
        return {Rejection.STOPPED: ~self.running, Rejection.QUEUE_FULL: ~self.room}

    def _held(self, m: Module, faults: dict[Rejection, Value]) -> dict[Rejection, Value]:
        """The same in registers."""
        held = {code: Signal(name=f"fault_{code.name.lower()}") for code in faults}
        m.d.sync += [held[code].eq(fault) for code, fault in faults.items()]
        return held

    def _same_as_before(self, m: Module) -> Value:
        """Whether there was a job before, with the same tokens and inputs."""
        known = Signal()
        tokens = Signal.like(self.command.tokens)
        inputs = Signal(layouts.INPUT_BITS)
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [
                known.eq(1),
                tokens.eq(self.command.tokens),
                inputs.eq(self.command.inputs),
            ]
        with m.If(~self.running):
            m.d.sync += known.eq(0)
        return known & (tokens == self.command.tokens) & (inputs == self.command.inputs)

    def _job(self, groups: Value, last_token: Value, beats: list[Value]) -> dict[str, object]:
        """Values of every field of the job."""
        command = self.command
        common = {
            "keep": command.keep,
            "last_token": last_token,
            "inputs": command.inputs,
            "groups": groups,
            "output_tiles": command.output_tiles,
        }
        if self.parameters.packs:
            common |= {"mode": command.mode, "plain": command.plain}
            common["join"] = self._reads(layouts.Plane.LOW)
            common["pair"] = command.mode == Mode.MIDDLE
        return {
            "fetch": {"bases": list(command.bases), "beats": beats},
            **dict.fromkeys(("load", "play", "tiles", "results"), common),
        }


def _groups(inputs: Value, parameters: Parameters) -> Value:
    """ceil(inputs / group_inputs), for 1 to 65,536 inputs.

    The power of two in the divisor is a shift. For the odd rest d, floor(n / d) is
    floor(n * ceil(2**t / d) / 2**t) for all n of b bits if t is b plus the bits of d.
    """
    divisor = parameters.group_inputs
    shift = (divisor & -divisor).bit_length() - 1
    odd = divisor >> shift
    raised = (inputs[: layouts.INPUT_BITS] + (divisor - 1)) >> shift
    if odd == 1:
        return raised
    scale = len(raised) + odd.bit_length()
    return (raised * -(-(1 << scale) // odd)) >> scale


def _any(values: list[Value]) -> Value:
    found = values[0]
    for value in values[1:]:
        found = found | value
    return found


def _fill(target: data.View, values: dict[str, object]) -> list[object]:
    """Assignments to the fields of a struct from values of their names; others are left over."""
    statements = []
    for name, _ in target.shape():
        field, value = target[name], values[name]
        if isinstance(value, dict):
            statements += _fill(field, value)
        elif isinstance(value, list):
            statements += [element.eq(each) for element, each in zip(field, value, strict=True)]
        else:
            statements.append(Value.cast(field).eq(value))
    return statements
