"""The register map as text: the committed manual, and headers that compilers take."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from speq.accelerator.register_text import as_json, c_header, markdown, verilog_header
from speq.accelerator.registers import Fault, Rejection, register_map
from speq.parameters import PRESETS

MANUAL = Path(__file__).parents[3] / "docs" / "registers.md"
DESIGNS = {
    "edge": PRESETS["edge"],
    "server": PRESETS["server"].replace(address_bits=64),
    "tiny_verify_only": PRESETS["tiny"].verify_only(),
}


def test_the_manual_is_that_of_the_map():
    text = markdown(register_map(PRESETS["edge"]), "edge")
    assert MANUAL.read_text(encoding="utf-8") == text, (
        "docs/registers.md is not what the map gives: write "
        "markdown(register_map(PRESETS['edge']), 'edge') to it"
    )


def constants_of(registers, name):
    """What every header must define, from the map itself."""
    prefix = f"{name.upper()}_"
    wanted = {}
    for register in registers:
        wanted[f"{prefix}{register.name}_OFFSET"] = register.offset
        for field in register.fields:
            key = f"{prefix}{register.name}_{field.name.upper()}"
            wanted[f"{key}_SHIFT"] = field.offset
            wanted[f"{key}_MASK"] = ((1 << field.bits) - 1) << field.offset
            if field.value is not None:
                wanted[f"{key}_VALUE"] = field.value
    wanted |= {f"{prefix}FAULT_{code.name}": int(code) for code in Fault}
    wanted |= {f"{prefix}REJECTION_{code.name}": int(code) for code in Rejection}
    modes = {"VERIFY": 0, "DRAFT": 1, "MIDDLE": 2, "QDRAFT": 3, "QVERIFY": 4}
    wanted |= {f"{prefix}MODE_CODE_{mode}": code for mode, code in modes.items()}
    return wanted


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("name", DESIGNS)
def test_a_c_program_sees_every_constant(name, tmp_path):
    registers = register_map(DESIGNS[name])
    wanted = constants_of(registers, name)
    header = c_header(registers, name)
    assert re.findall(r"^#define (\w+) ", header, flags=re.MULTILINE) == list(wanted)
    (tmp_path / "registers.h").write_text(header, encoding="utf-8")
    checks = "\n".join(
        f"_Static_assert({key} == {value}u, {json.dumps(key)});\n"
        f"_Static_assert(sizeof({key}) == 4 && -1 < 0 && {key} - {key} - 1 > 0, {json.dumps(key)});"
        for key, value in wanted.items()
    )
    # Included twice: the guard must hold.
    program = '#include "registers.h"\n#include "registers.h"\n'
    (tmp_path / "main.c").write_text(f"{program}{checks}\nint main(void) {{ return 0; }}\n")
    options = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run(["gcc", *options, "-c", "main.c"], cwd=tmp_path, check=True)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus is not installed")
@pytest.mark.parametrize("name", DESIGNS)
def test_a_verilog_module_sees_every_constant(name, tmp_path):
    registers = register_map(DESIGNS[name])
    wanted = constants_of(registers, name)
    (tmp_path / "registers.vh").write_text(verilog_header(registers, name), encoding="utf-8")
    checks = "\n".join(
        f'    if ({key} !== {value}) $display("{key}");' for key, value in wanted.items()
    )
    (tmp_path / "top.v").write_text(
        f'module top;\n`include "registers.vh"\n  initial begin\n{checks}\n'
        '    $display("checked");\n  end\nendmodule\n'
    )
    build = ["iverilog", "-g2001", "-Wall", "-Wno-timescale", "-o", "top.vvp", "top.v"]
    built = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert built.stdout + built.stderr == ""
    played = subprocess.run(
        ["vvp", "top.vvp"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert played.stdout == "checked\n"


@pytest.mark.parametrize("name", DESIGNS)
def test_json_restates_the_map(name):
    registers = register_map(DESIGNS[name])
    values = json.loads(json.dumps(as_json(registers)))
    assert list(values["registers"]) == [register.name for register in registers]
    for register in registers:
        found = values["registers"][register.name]
        assert found["offset"] == register.offset
        assert list(found["fields"]) == [field.name for field in register.fields]
        for field in register.fields:
            restated = found["fields"][field.name]
            assert restated["offset"] == field.offset
            assert restated["bits"] == field.bits
            assert restated["access"] == field.access.value
            assert restated["value"] == field.value
            if field.codes:
                assert values["codes"][restated["codes"]] == {
                    member.name: member.value for member in field.codes
                }


@pytest.mark.parametrize("write", [c_header, verilog_header, markdown])
def test_texts_are_plain_and_end_with_a_line(write):
    text = write(register_map(PRESETS["edge"]), "edge")
    assert text.isascii()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
