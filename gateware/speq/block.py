"""Blocks: components that are emitted as one Verilog module, however often they are placed.

Amaranth elaborates every submodule anew, so an array of R*C processing elements would become R*C
copies of the same module. A :class:`Block` is elaborated once, under a name of its own;
:func:`place` puts an ``Instance`` of that module into a parent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar

from amaranth.hdl import (
    ClockSignal,
    Instance,
    Module,
    ResetInserter,
    ResetSignal,
    Value,
    ValueLike,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Signature

from speq.parameters import Parameters

__all__ = ["Block", "inlined", "module_name", "modules", "place"]

_INLINED: ContextVar[set[int] | None] = ContextVar("inlined", default=None)
"""Identities of the prototypes that were placed themselves, while blocks are inlined."""


class Block(wiring.Component):
    """A component with a module of its own.

    Parameters
    ----------
    parameters : Parameters
        The design point that shapes the block.
    signature : dict or Signature
        Its ports.
    parts : tuple of Block
        One prototype of each distinct block that this block places.

    Attributes
    ----------
    stem : str
        What the block is called: the last part of its module's name. A class attribute.
    clocked : bool
        Whether the block has registers of its own or below: it then has ports clk and rst. An
        attribute of the class, or of the instance where the design point decides.
    """

    stem: ClassVar[str]
    clocked: bool = True

    def __init__(
        self, parameters: Parameters, signature: dict | Signature, *parts: "Block"
    ) -> None:
        self.parameters = parameters
        self.parts = parts
        super().__init__(signature)


@contextmanager
def inlined() -> Iterator[None]:
    """Elaborate blocks as submodules, one for each place, for Amaranth's own simulator.

    It cannot look into an ``Instance``. Such a design is as large as all its instances together.
    """
    token = _INLINED.set(set())
    try:
        yield
    finally:
        _INLINED.reset(token)


def module_name(block: Block) -> str:
    """Name of the block's Verilog module: ``speq_<design>[_<stem>]``."""
    design = f"speq_{block.parameters.name}"
    return f"{design}_{block.stem}" if block.stem else design


def modules(top: Block) -> Iterator[Block]:
    """Every distinct block below `top`, parts before the blocks that place them."""
    seen: set[str] = set()

    def visit(block: Block) -> Iterator[Block]:
        if module_name(block) in seen:
            return
        seen.add(module_name(block))
        for part in block.parts:
            yield from visit(part)
        yield block

    yield from visit(top)


def place(
    m: Module, name: str, block: Block, *, reset: ValueLike | None = None
) -> wiring.PureInterface:
    """Place one instance of `block` in `m`.

    Parameters
    ----------
    m : Module
        Where it goes.
    name : str
        Its name there.
    block : Block
        A prototype of the block.
    reset : 1 bit, optional
        What resets it, instead of the reset of `m`.

    Returns
    -------
    PureInterface
        Signals with the names of the block's ports, as if it were a submodule.
    """
    placed = _INLINED.get()
    if placed is not None:
        fresh = type(block)(block.parameters) if id(block) in placed else block
        placed.add(id(block))
        m.submodules[name] = fresh if reset is None else ResetInserter(reset)(fresh)
        return fresh
    interface = block.signature.create(path=(name,))
    ports = {
        f"{'i' if member.flow is In else 'o'}_{'__'.join(map(str, path))}": Value.cast(value)
        for path, member, value in block.signature.flatten(interface)
    }
    if block.clocked:
        ports |= {"i_clk": ClockSignal(), "i_rst": ResetSignal() if reset is None else reset}
    m.submodules[name] = Instance(module_name(block), **ports)
    return interface
