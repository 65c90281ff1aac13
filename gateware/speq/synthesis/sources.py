"""Source files of a design that is not ours: anyone's Verilog or SystemVerilog."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["SYNCHRONOUS_RESETS", "Sources"]

_SUFFIXES = (".v", ".vh", ".sv", ".svh")

SYNCHRONOUS_RESETS = r"""
(* techmap_celltype = "$adff" *)
module synchronous_reset #(parameter WIDTH = 0, CLK_POLARITY = 1, ARST_POLARITY = 1,
    ARST_VALUE = 0) (input CLK, ARST, input [WIDTH-1:0] D, output [WIDTH-1:0] Q);
  \$sdff #(.WIDTH(WIDTH), .CLK_POLARITY(CLK_POLARITY), .SRST_POLARITY(ARST_POLARITY),
    .SRST_VALUE(ARST_VALUE)) _TECHMAP_REPLACE_ (.CLK(CLK), .SRST(ARST), .D(D), .Q(Q));
endmodule
(* techmap_celltype = "$adffe" *)
module synchronous_reset_enable #(parameter WIDTH = 0, CLK_POLARITY = 1, ARST_POLARITY = 1,
    ARST_VALUE = 0, EN_POLARITY = 1)
    (input CLK, ARST, EN, input [WIDTH-1:0] D, output [WIDTH-1:0] Q);
  \$sdffe #(.WIDTH(WIDTH), .CLK_POLARITY(CLK_POLARITY), .SRST_POLARITY(ARST_POLARITY),
    .SRST_VALUE(ARST_VALUE), .EN_POLARITY(EN_POLARITY))
    _TECHMAP_REPLACE_ (.CLK(CLK), .SRST(ARST), .EN(EN), .D(D), .Q(Q));
endmodule
(* techmap_celltype = "$aldff" *)
module synchronous_load #(parameter WIDTH = 0, CLK_POLARITY = 1, ALOAD_POLARITY = 1)
    (input CLK, ALOAD, input [WIDTH-1:0] AD, D, output [WIDTH-1:0] Q);
  \$dff #(.WIDTH(WIDTH), .CLK_POLARITY(CLK_POLARITY)) _TECHMAP_REPLACE_
    (.CLK(CLK), .D(ALOAD == ALOAD_POLARITY ? AD : D), .Q(Q));
endmodule
(* techmap_celltype = "$aldffe" *)
module synchronous_load_enable #(parameter WIDTH = 0, CLK_POLARITY = 1, ALOAD_POLARITY = 1,
    EN_POLARITY = 1)
    (input CLK, ALOAD, EN, input [WIDTH-1:0] AD, D, output [WIDTH-1:0] Q);
  wire load = ALOAD == ALOAD_POLARITY;
  \$dffe #(.WIDTH(WIDTH), .CLK_POLARITY(CLK_POLARITY), .EN_POLARITY(1)) _TECHMAP_REPLACE_
    (.CLK(CLK), .EN(load | (EN == EN_POLARITY)), .D(load ? AD : D), .Q(Q));
endmodule
"""
"""Techmap rules that make asynchronous resets synchronous (slang makes them asynchronous loads)."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Files to read, and how.

    Parameters
    ----------
    files : tuple of Path
        Verilog (``.v``) or SystemVerilog (``.sv``), packages before what uses them.
    include : tuple of Path
        Folders of included files.
    parameters : mapping of str to str
        Parameters of the top module to set, with values as the language writes them.
    slang : bool
        Read with the slang front end, which knows all of SystemVerilog, instead of Yosys's own.
    synchronous_resets : bool
        Make asynchronous resets synchronous; without it they are refused. Ours are synchronous, and
        paid for as gates.

    Raises
    ------
    ValueError
        If there is no file, a file or folder does not exist or is of another kind, or a parameter
        is not of the form of a name and a value.
    """

    files: tuple[Path, ...]
    include: tuple[Path, ...] = ()
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    slang: bool = False
    synchronous_resets: bool = False

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("no source file was named: name at least one .v or .sv")
        for file in self.files:
            if file.suffix not in _SUFFIXES:
                raise ValueError(f"{file.name} is neither Verilog (.v) nor SystemVerilog (.sv)")
            if not file.is_file():
                raise ValueError(f"source file {file} does not exist: check the path")
        for folder in self.include:
            if not folder.is_dir():
                raise ValueError(f"include folder {folder} does not exist: check the path")
        for path in (*self.files, *self.include):
            if re.search(r"[\s\"';]", str(path.resolve())):
                raise ValueError(
                    f"path {str(path.resolve())!r} has a blank, quotation mark or semicolon, which "
                    f"Yosys cannot read: move the file"
                )
        for name, value in self.parameters.items():
            if not re.fullmatch(r"[A-Za-z_]\w*", name) or not re.fullmatch(r"[\w'.\-]+", value):
                raise ValueError(
                    f"parameter {name!r} = {value!r} is not a name and a number, such as REGS=3"
                )

    def commands(self, top: str) -> list[str]:
        """Yosys commands that read the files, set the parameters and make `top` the top module."""
        # Without quotation marks, which slang takes as part of a name.
        files = " ".join(str(file.resolve()) for file in self.files)
        folders = " ".join(f"-I {folder.resolve()}" for folder in self.include)
        if self.slang:
            settings = " ".join(f"-G {name}={value}" for name, value in self.parameters.items())
            return [f"read_slang --top {top} {folders} {settings} {files}"]
        system = "-sv " if any(file.suffix in (".sv", ".svh") for file in self.files) else ""
        settings = " ".join(f"-chparam {name} {value}" for name, value in self.parameters.items())
        return [f"read_verilog {system}{folders} {files}", f"hierarchy -top {top} {settings}"]
