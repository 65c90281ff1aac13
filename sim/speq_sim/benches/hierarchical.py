"""Verilator for designs of many equal modules: each is compiled once, not once per instance."""

from collections.abc import Sequence

from cocotb_tools.runner import Verilator

__all__ = ["HierarchicalVerilator"]

OPTIMISATION: tuple[str, ...] = ("OPT_FAST=-O1", "OPT_GLOBAL=-O1")
"""Worth its time here: so little is compiled, and so long it runs."""


class HierarchicalVerilator(Verilator):
    """cocotb's runner, with Verilator's hierarchical build.

    Without it Verilator writes code for every instance, which for an array of 16 x 16 processing
    elements takes minutes to compile, and cocotb a table of all their signals. Here only the ports
    of the top module can be seen.

    Parameters
    ----------
    repeated : sequence of str
        Modules to compile by themselves.
    """

    def __init__(self, repeated: Sequence[str]) -> None:
        super().__init__()
        self._repeated = tuple(repeated)

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        control = self.build_dir / "repeated.vlt"
        lines = (f'hier_block -module "{name}"\n' for name in self._repeated)
        control.write_text("`verilator_config\n" + "".join(lines), encoding="utf-8")
        options = ["--hierarchical", "--no-public-flat-rw", "--public-depth", "1", str(control)]
        make = [word.replace("Vtop.mk", "Vtop_hier.mk") for word in make]
        return [[*verilate, *options], [*make, *OPTIMISATION]]
