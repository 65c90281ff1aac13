"""Emission: each module once, the same bytes every time, text that the tools accept."""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from array_designs import random_of

from speq import emission
from speq.emission import emit
from speq.parameters import MODES, PRESETS, Parameters
from speq.yosys import YosysError, run_yosys
from speq_sim.benches.compiled import Compiled
from speq_sim.benches.simulators import lint
from speq_sim.benches.stimuli import job_payloads, random_job

TINY = PRESETS["tiny"]
STAGES = ("columns", "multiply", "reduce", "accumulate", "round")

DESIGNS = {
    "tiny": TINY,
    "lanes_1": TINY.replace(draft_lanes=1, pipeline=1),
    "verify_only": TINY.verify_only(),
    "one_token": TINY.replace(tokens=1, family="speq", result_format="fp16"),
    "wide_port": TINY.replace(rows=8, columns=3, port_words=6, draft_lanes=2),
    "all_modes": TINY.replace(modes=MODES),
    "qspec": TINY.replace(modes=("verify", "qdraft", "qverify"), draft_lanes=1),
    "pipelined": TINY.replace(pipeline=4),
}
"""Every number of lanes, both formats, one token and one table, a port of more than one row, all
modes, a design without packed words, and the shortest and the longest pipeline."""


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    """Emit a design of the list, once: files, Verilog text and side-car."""
    known = {}

    def call(name):
        if name not in known:
            files = emit(DESIGNS[name], tmp_path_factory.mktemp(name))
            known[name] = SimpleNamespace(
                files=files,
                verilog=files.verilog.read_text(encoding="utf-8"),
                side_car=json.loads(files.side_car.read_text(encoding="utf-8")),
            )
        return known[name]

    return call


@pytest.fixture(params=DESIGNS)
def design(request, emitted):
    return emitted(request.param)


def modules_of(verilog):
    """Bodies of the modules by name; a name that comes twice fails."""
    found = re.findall(r"^module (\w+)\((.*?)^endmodule$", verilog, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found)) == len(re.findall(r"\bmodule\b", verilog))
    return dict(found)


def instances_below(verilog, top):
    """How often each module occurs in the hierarchy below `top`."""
    bodies = modules_of(verilog)
    placed = {
        name: Counter(
            found
            for found in re.findall(r"^  (\w+) \S+ +\($", body, flags=re.MULTILINE)
            if found in bodies
        )
        for name, body in bodies.items()
    }

    def below(name):
        total = Counter()
        for part, times in placed[name].items():
            total[part] += times
            for deeper, count in below(part).items():
                total[deeper] += times * count
        return total

    return below(top)


# Modules --------------------------------------------------------------------------------------


def test_each_module_is_emitted_once(design):
    top = design.files.top
    bodies = modules_of(design.verilog)
    counts = design.side_car["latency"]
    stages = {
        f"{stage}_{number}" if counts[stage] > 1 else stage
        for stage in STAGES
        for number in range(counts[stage])
    }
    assert set(bodies) == {
        *design.side_car["modules"],
        *(f"{top}_stage_{stage}" for stage in stages),
    }
    assert len(design.side_car["modules"]) == len(set(design.side_car["modules"]))
    assert set(instances_below(design.verilog, top)) | {top} == set(bodies)


def test_every_pe_has_the_one_multiplier(design):
    top, parameters = design.files.top, Parameters(**design.side_car["parameters"])
    count = instances_below(design.verilog, top)
    assert count[f"{top}_multiplier"] == count[f"{top}_pe"] == parameters.multipliers
    assert count[f"{top}_row"] == count[f"{top}_round"] == parameters.rows
    assert count[f"{top}_column"] == parameters.columns
    assert count[f"{top}_decoder"] == (parameters.port_words if parameters.packs else 0)
    assert count[f"{top}_middle_decoder"] == (parameters.port_words if parameters.middles else 0)
    assert count[f"{top}_unpacker"] == (1 if len(parameters.modes) > 1 else 0)
    pe = modules_of(design.verilog)[f"{top}_pe"]
    assert len(re.findall(rf"^  {top}_multiplier \S+ \($", pe, flags=re.MULTILINE)) == 1
    # A position in a word is an index times a constant; no other product is spelt "*".
    factors = re.findall(r"\* *([^;]+);", re.sub(r"always @\*|\(\* .*? \*\)", "", design.verilog))
    assert all(re.fullmatch(r"\d+'h[0-9a-f]+|\d+'d\d+", factor) for factor in factors)


def test_yosys_counts_as_many_multipliers_as_pes(emitted):
    design = emitted("tiny")
    top = design.files.top
    run_yosys(
        [
            f"read_verilog {design.files.verilog}",
            f"hierarchy -check -top {top}",
            "proc",
            f"setattr -mod -set keep_hierarchy 1 {top}_multiplier",
            "flatten",
            f"select -assert-count {TINY.multipliers} {top}/t:{top}_multiplier",
        ]
    )


def test_a_larger_array_has_more_instances_and_no_more_modules(emitted, tmp_path):
    small = emitted("tiny")
    larger = emit(TINY.replace(rows=8, columns=8, port_words=8), tmp_path)
    assert set(modules_of(larger.verilog.read_text())) == set(modules_of(small.verilog))
    assert larger.verilog.stat().st_size < 1.2 * small.files.verilog.stat().st_size


def test_modes_that_are_not_built_in_leave_nothing(emitted):
    qspec, drafts = emitted("qspec").verilog, emitted("tiny").verilog
    assert not re.search(r"shift[s_]|table|plain|row_exponent|middle|_decoder", _ports(qspec))
    assert not re.search("middle|integer", _ports(drafts))
    assert list(emitted("qspec").side_car["derived"]["modes"]) == ["verify", "qdraft", "qverify"]


def _ports(verilog):
    """Names of all modules and their ports."""
    return "\n".join(re.findall(r"^(?:  (?:input|output) .*?|module )(\w+)", verilog, re.MULTILINE))


def test_a_design_without_draft_leaves_it_out(emitted):
    design = emitted("verify_only")
    top = design.files.top
    assert f"{top}_decoder" not in design.verilog
    ports = {
        port
        for body in modules_of(design.verilog).values()
        for port in re.findall(r"^  (?:input|output) .*?(\S+);$", body, flags=re.MULTILINE)
    }
    words = "draft|mode|shift|table|plain|row_exponent|kind|part|middle|nibble"
    assert not {p for p in ports if re.search(words, p)}
    streams = design.side_car["streams"]
    assert list(streams["tiles"]["fields"]) == ["first", "last", "last_token"]
    assert list(streams["activations"]["fields"]) == ["values"]
    assert list(design.side_car["derived"]["modes"]) == ["verify"]


# Bytes ----------------------------------------------------------------------------------------

_EMIT = "import sys; from speq.emission import emit; from speq.parameters import PRESETS; "
_EMIT += "emit(PRESETS['tiny'], sys.argv[1])"


def test_bytes_depend_on_neither_hash_seed_nor_folder(tmp_path, emitted):
    for seed in ("1", "4242"):
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", _EMIT, "here"],
            cwd=tmp_path / seed,
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
        )
    names = sorted(path.name for path in (tmp_path / "1" / "here").iterdir())
    assert names == ["speq_tiny.core", "speq_tiny.json", "speq_tiny.v"]
    here = emitted("tiny").files.verilog.parent
    for name in names:
        wanted = (here / name).read_bytes()
        assert (tmp_path / "1" / "here" / name).read_bytes() == wanted
        assert (tmp_path / "4242" / "here" / name).read_bytes() == wanted


def test_output_names_no_time_path_source_line_or_tool(design):
    texts = [design.verilog, design.files.side_car.read_text(), design.files.core.read_text()]
    year = time.strftime("%Y")
    for text in texts:
        assert "(* src" not in text
        assert not re.search(r"\.py\b|\.cc\b|\.il\b", text)
        for folder in (Path(__file__).parents[2], tempfile.gettempdir(), sys.prefix):
            assert str(folder) not in text
        assert "Yosys" not in text
        assert "Amaranth" not in text
        assert not re.search(rf"\b{year}-\d\d", text)
        assert str(design.files.verilog.parent) not in text
        assert text.isascii()
        assert text.endswith("\n")


def test_the_verilog_says_what_it_was_made_from(emitted):
    first, second = emitted("tiny").verilog.splitlines()[:2]
    assert first == "// Generated by speq. Do not edit: change the design point and emit again."
    assert second.startswith("// name=tiny, rows=4, columns=4, modes=verify+draft, draft_lanes=4")


# Side-car and core file -----------------------------------------------------------------------


def test_fields_cover_each_payload_without_gap_or_overlap(design):
    for stream in design.side_car["streams"].values():
        bits = Counter(
            bit
            for field in stream["fields"].values()
            for bit in range(field["offset"], field["offset"] + field["width"] * field["count"])
        )
        assert bits == Counter(range(stream["bits"]))


def test_the_side_car_has_the_ports_of_the_top_module(design):
    body = modules_of(design.verilog)[design.files.top]
    found = {
        port: (direction, int(high or 0) + 1)
        for direction, high, port in re.findall(
            r"^  (input|output) (?:\[(\d+):0\] )?(\S+);$", body, flags=re.MULTILINE
        )
    }
    wanted = {"clk": ("input", 1), "rst": ("input", 1)}
    for name, stream in design.side_car["streams"].items():
        forth, back = ("input", "output") if stream["direction"] == "in" else ("output", "input")
        wanted[f"{name}__valid"] = (forth, 1)
        wanted[f"{name}__ready"] = (back, 1)
        wanted[f"{name}__payload"] = (forth, stream["bits"])
    assert found == wanted


def test_payloads_have_the_widths_of_the_manual(design):
    """docs/architecture.md, "Ports"."""
    p = Parameters(**design.side_car["parameters"])
    token = (p.tokens - 1).bit_length()
    tables = max(p.tables - 1, 0).bit_length()
    low, packs = len(p.modes) > 1, bool({"draft", "middle"} & set(p.modes))
    lanes = p.draft_lanes if {"draft", "qdraft"} & set(p.modes) else 1
    result = {"fp32": 32, "fp16": 16}[p.result_format]
    assert {name: stream["bits"] for name, stream in design.side_car["streams"].items()} == {
        "tiles": 3 * low + packs * (1 + p.rows * (tables + 7)) + 2 + token,
        "weights": 16 * p.port_words,
        "activations": p.columns * lanes * (16 + 4 * packs),
        "results": p.rows * result + token + 1,
    }


def test_the_side_car_restates_the_parameters(design):
    side_car = design.side_car
    parameters = Parameters(**side_car["parameters"])
    derived = side_car["derived"]
    assert side_car["schema"] == "speq-design/1"
    assert side_car["top"] == design.files.top == f"speq_{parameters.name}"
    assert derived["load_cycles"] == parameters.load_cycles
    assert derived["multipliers"] == parameters.multipliers
    for mode in parameters.modes:
        figures = derived["modes"][mode]
        assert figures["balance_tokens"] == parameters.balance_tokens(mode)
        assert figures["peak_macs_per_cycle"] == parameters.peak_macs_per_cycle(mode)
        values = side_car["parameters"] | derived | figures
        for key in ("load_cycles", "balance_tokens"):
            formula = derived["formulas"][key]
            assert eval(formula, {"__builtins__": {}}, values) == values[key]
    assert tuple(parameters.stages) == STAGES
    counts = {1: (1, 1, 1, 1, 1, 5), 3: (2, 2, 1, 3, 3, 11), 4: (2, 2, 1, 4, 4, 13)}
    latency = dict(zip((*STAGES, "total"), counts[parameters.pipeline], strict=True))
    assert side_car["latency"] == latency


@pytest.mark.parametrize("name", ["lanes_1", "all_modes", "pipelined"])
def test_latencies_are_those_of_a_simulation(name, emitted, tmp_path):
    design, parameters = emitted(name), DESIGNS[name]
    compiled = Compiled(design.files.verilog, design.files.side_car, tmp_path)
    random = random_of("latency")
    for mode in parameters.modes:
        shape = {"outputs": parameters.rows, "depth": parameters.tile_depth(mode)}
        job = random_job(random, parameters, mode, tokens=1, kind="normal", **shape)
        work = job_payloads(compiled.design, parameters, [job])
        counts = compiled.play(work, 1).counts
        beats, results = counts["activations"], counts["results"]
        assert beats["transfers"] == parameters.beats_per_token(mode)
        # A tile's first beat may follow its last words at once. With two stages of columns
        # activations enter the first before that.
        loaded, ahead = counts["weights"]["last_cycle"], parameters.stages["columns"] - 1
        assert ahead or beats["first_cycle"] - loaded == 1
        last = loaded + parameters.beats_per_token(mode)
        latency = design.side_car["latency"]["total"]
        assert results["first_cycle"] - last == latency - ahead


def test_the_core_file_names_the_verilog_and_its_top(design):
    lines = design.files.core.read_text().splitlines()
    assert lines[0] == "CAPI=2:"
    core = plain_yaml(lines)
    top = design.files.top
    assert core == {
        "CAPI=2": None,
        "name": f"speq:generated:{top}:0.1.0",
        "description": "Array for self-speculative decoding, generated by speq",
        "filesets": {"rtl": {"files": [f"{top}.v"], "file_type": "verilogSource"}},
        "targets": {"default": {"filesets": ["rtl"], "toplevel": top}},
    }


def plain_yaml(lines):
    """The subset of YAML that core files here keep to: nested mappings, lists, plain texts."""
    root = {}
    stack = [(-1, root, None)]
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        assert line.strip() == line[indent:]
        assert "\t" not in line
        while stack[-1][0] >= indent:
            stack.pop()
        _, parent, place = stack[-1]
        if parent is None:
            holder, key = place
            parent = holder[key] = [] if line[indent:].startswith("- ") else {}
            stack[-1] = (stack[-1][0], parent, place)
        if isinstance(parent, list):
            parent.append(line[indent:].removeprefix("- "))
            continue
        key, value = re.fullmatch(r"([\w=]+):(?: (\S.*))?", line[indent:]).groups()
        if value is not None and value.startswith("["):
            value = value.removeprefix("[").removesuffix("]").split(", ")
        parent[key] = value
        if value is None:
            stack.append((indent, None, (parent, key)))
    return root


# Tools ----------------------------------------------------------------------------------------


def test_verilator_finds_nothing(design):
    assert lint(design.files.verilog, design.files.top) == []


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus is not installed")
def test_icarus_reads_it_as_verilog_2001_without_a_word(design):
    options = ["-g2001", "-Wall", "-Wno-timescale", "-t", "null", "-s", design.files.top]
    done = subprocess.run(
        ["iverilog", *options, design.files.verilog], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_yosys_finds_no_latch_no_loop_and_one_driver_each(design):
    log = run_yosys(
        [
            f"read_verilog {design.files.verilog}",
            f"hierarchy -check -top {design.files.top}",
            "proc",
            "check -assert -initdrv",
            "flatten",
            "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr",
            "check -assert",
        ]
    )
    assert "Found and reported 0 problems" in log


# Failures -------------------------------------------------------------------------------------


def break_yosys(monkeypatch):
    """Let Yosys find an error at the end of the RTLIL."""
    rtlil = emission.design_rtlil
    monkeypatch.setattr(emission, "design_rtlil", lambda top: rtlil(top) + "\nmodule \\broken\n")


def test_garbage_collection_goes_on_whatever_happens(tmp_path, monkeypatch):
    seen = []
    convert = emission.rtlil.convert

    def watch(block, **options):
        seen.append(gc.isenabled())
        if len(seen) > 20:
            raise RuntimeError("stop here")
        return convert(block, **options)

    monkeypatch.setattr(emission.rtlil, "convert", watch)
    assert gc.isenabled()
    emit(TINY, tmp_path)
    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="stop here"):
        emit(TINY, tmp_path)
    assert gc.isenabled()
    assert not any(seen)


def test_nothing_is_written_when_yosys_fails(tmp_path, monkeypatch):
    break_yosys(monkeypatch)
    with pytest.raises(YosysError, match="Yosys failed: "):
        emit(TINY, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_earlier_run_are_left_when_yosys_fails(tmp_path, monkeypatch):
    emit(TINY, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 3
    break_yosys(monkeypatch)
    with pytest.raises(YosysError):
        emit(TINY.replace(rows=8), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_temporary_file_is_left_when_the_disk_fails(tmp_path, monkeypatch):
    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        emit(TINY, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Growth ---------------------------------------------------------------------------------------


EMIT_SERVER = """
import os, sys
from speq.emission import emit
from speq.parameters import PRESETS
files = emit(PRESETS["server"], sys.argv[1])
print(sum(os.times()[:4]), files.top, files.verilog)
"""


def test_server_is_emitted_within_its_time_and_size(tmp_path):
    # In a process of its own, since tracing the coverage of lines takes longer than emission.
    untraced = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", EMIT_SERVER, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env=untraced,
    )
    seconds, top, verilog = done.stdout.split(maxsplit=2)
    # Processor time, Yosys's included, so that a busy machine does not fail it.
    assert float(seconds) < 20
    text = Path(verilog.strip()).read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    count = instances_below(text, top)
    assert count[f"{top}_multiplier"] == 64 * 64
