"""iCEBreaker with a Lattice iCE40UP5K: the top of a small accelerator on this board.

Serial line: the board's own USB connector (channel B of the FT2232H). Reset: the user button.
LEDs: red while requests come (it changes with each), green while no broken one came.
"""

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.icebreaker import ICEBreakerPlatform

from speq.boards.pll import Ice40Clock, ice40_clock
from speq.boards.settings import BOARDS, BoardSettings
from speq.boards.system import System, place_system
from speq.parameters import Parameters

__all__ = ["DEFAULTS", "IceBreakerTop", "Platform"]

Platform = ICEBreakerPlatform

DEFAULTS = BOARDS["icebreaker"]

_PIN_MHZ = 12.0


class IceBreakerTop(Elaboratable):
    """A system with its clock, its reset and its pins.

    Parameters
    ----------
    parameters : Parameters
        The design point, an accelerator.
    settings : BoardSettings

    Raises
    ------
    ParameterError
        If the design is not for a board, or the clock cannot be made.
    """

    def __init__(self, parameters: Parameters, settings: BoardSettings = DEFAULTS) -> None:
        self.clock = ice40_clock(_PIN_MHZ, settings.clock_mhz)
        self.system = System(parameters, settings)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain("sync")
        locked = _place_clock(m, platform, self.clock, domain)
        button = platform.request("button", 0)
        reset = Signal()
        m.d.comb += reset.eq(~locked | button.i)
        m.submodules.reset = ResetSynchronizer(reset)

        system = place_system(m, platform, self.system)
        uart = platform.request("uart", 0)
        m.d.comb += [
            system.rx.eq(uart.rx.i),
            uart.tx.o.eq(system.tx),
            platform.request("led_r", 0).o.eq(system.asked),
            platform.request("led_g", 0).o.eq(~system.dropped),
        ]
        return m


def _place_clock(m: Module, platform: object, clock: Ice40Clock, domain: ClockDomain) -> Signal:
    """Make the clock from the board's; returns whether it is stable."""
    locked = Signal()
    if clock.feedback is not None:
        pin = platform.request(platform.default_clk, 0, dir="-")
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=0,
            p_DIVF=clock.feedback,
            p_DIVQ=clock.output,
            p_FILTER_RANGE=clock.filter_range,
            i_PACKAGEPIN=pin.io,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=ClockSignal(),
            o_LOCK=locked,
        )
    else:
        pin = platform.request(platform.default_clk, 0).i
        m.d.comb += locked.eq(1)
        if clock.divide:
            m.domains.pin = ClockDomain("pin", reset_less=True, local=True)
            count = Signal(clock.divide)
            m.d.comb += ClockSignal("pin").eq(pin)
            m.d.pin += count.eq(count + 1)
            m.submodules.buffer = Instance(
                "SB_GB",
                i_USER_SIGNAL_TO_GLOBAL_BUFFER=count[-1],
                o_GLOBAL_BUFFER_OUTPUT=ClockSignal(),
            )
        else:
            m.d.comb += ClockSignal().eq(pin)
    platform.add_clock_constraint(domain.clk, clock.output_mhz * 1e6)
    return locked
