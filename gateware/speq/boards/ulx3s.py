"""ULX3S with a Lattice ECP5 LFE5U-85F: the top of an accelerator on this board.

Serial line: the board's own USB connector (FT231X). Reset: button FIRE 1. LEDs, from 0: the clock
runs, a request came (changes with each), a broken request came, interrupt.
"""

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from speq.boards.pll import Ecp5Pll, ecp5_pll
from speq.boards.settings import BOARDS, BoardSettings
from speq.boards.system import System, place_system
from speq.parameters import Parameters

__all__ = ["DEFAULTS", "Platform", "Ulx3sTop"]

Platform = ULX3S_85F_Platform

DEFAULTS = BOARDS["ulx3s"]

_PIN_MHZ = 25.0


class Ulx3sTop(Elaboratable):
    """A system with its clock, its reset and its pins.

    Parameters
    ----------
    parameters : Parameters
        The design point, an accelerator.
    settings : BoardSettings

    Raises
    ------
    ParameterError
        If the design is not for a board, or the PLL cannot make the clock.
    """

    def __init__(self, parameters: Parameters, settings: BoardSettings = DEFAULTS) -> None:
        self.pll = ecp5_pll(_PIN_MHZ, settings.clock_mhz)
        self.system = System(parameters, settings)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain("sync")
        locked = _place_pll(m, platform, self.pll)
        button = platform.request("button_fire", 0)
        reset = Signal()
        m.d.comb += reset.eq(~locked | button.i)
        m.submodules.reset = ResetSynchronizer(reset)

        system = place_system(m, platform, self.system)
        uart = platform.request("uart", 0)
        leds = [platform.request("led", number) for number in range(4)]
        m.d.comb += [
            system.rx.eq(uart.rx.i),
            uart.tx.o.eq(system.tx),
            leds[0].o.eq(locked),
            leds[1].o.eq(system.asked),
            leds[2].o.eq(system.dropped),
            leds[3].o.eq(system.irq),
        ]
        return m


def _place_pll(m: Module, platform: object, pll: Ecp5Pll) -> Signal:
    """Make the clock from the board's; returns whether it is stable.

    nextpnr derives what the clock must reach from that of the pin.
    """
    pin = platform.request(platform.default_clk, 0).i
    feedback, clock, locked = Signal(), ClockSignal(), Signal()
    m.submodules.pll = Instance(
        "EHXPLLL",
        # Loop filter, as Lattice's tools and ecppll set it.
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_OUTDIVIDER_MUXB="DIVB",
        p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=1,
        p_CLKFB_DIV=1,
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=pll.feedback,
        p_CLKOP_CPHASE=pll.feedback - 1,
        p_CLKOP_FPHASE=0,
        p_CLKOS_ENABLE="ENABLED",
        p_CLKOS_DIV=pll.output,
        p_CLKOS_CPHASE=pll.output - 1,
        p_CLKOS_FPHASE=0,
        i_CLKI=pin,
        i_CLKFB=feedback,
        i_RST=0,
        i_STDBY=0,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=1,
        i_PHASESTEP=1,
        i_PHASELOADREG=1,
        i_PLLWAKESYNC=0,
        i_ENCLKOP=0,
        i_ENCLKOS=0,
        o_CLKOP=feedback,
        o_CLKOS=clock,
        o_LOCK=locked,
    )
    return locked
