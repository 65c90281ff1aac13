import time
from importlib import metadata

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Array, Cat, Const, Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from speq.yosys import YosysError, run_yosys, verilog_from_rtlil, yosys_version


class Everything(wiring.Component):
    """A table, a memory with an asynchronous read, a state machine, signed sums, an instance."""

    address: In(2)
    value: In(signed(4))
    write: In(1)
    result: Out(signed(6))
    state: Out(2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=4, depth=4, init=[1, 2])
        read, write = store.read_port(domain="comb"), store.write_port()
        table = Array(Const(7 * index % 16, 4) for index in range(16))
        m.submodules.inner = inner = Inner()
        m.d.comb += [
            read.addr.eq(self.address),
            write.addr.eq(self.address),
            write.data.eq(table[self.value.as_unsigned()] ^ self.address),
            write.en.eq(self.write),
            inner.value.eq(self.value),
            self.result.eq(inner.result + read.data.as_signed()),
        ]
        with m.FSM() as fsm:
            with m.State("A"), m.If(self.write):
                m.next = "B"
            with m.State("B"), m.If(self.value < 0):
                m.next = "C"
            with m.State("C"):
                m.next = "A"
        m.d.comb += self.state.eq(fsm.ongoing("B") | (fsm.ongoing("C") << 1))
        return m


class Inner(wiring.Component):
    value: In(signed(4))
    result: Out(signed(5))

    def elaborate(self, platform):
        m = Module()
        held = Signal(signed(4), init=-3)
        m.d.sync += held.eq(self.value)
        m.d.comb += self.result.eq(held - self.value)
        return m


@pytest.fixture(scope="module")
def text():
    return rtlil.convert(Everything(), name="speq_everything", emit_src=True)


@pytest.fixture(scope="module")
def verilog(text):
    return verilog_from_rtlil(text)


def compare(text, verilog, folder):
    """Prove that both agree in the first cycles from power-up, whatever the inputs."""
    (folder / "gold.il").write_text(text)
    (folder / "gate.v").write_text(verilog)
    prepare = ["proc", "memory", "flatten", "opt_clean"]
    commands = ["read_rtlil gold.il", *prepare, "rename speq_everything gold"]
    commands += ["design -stash gold", "read_verilog gate.v", "hierarchy -top speq_everything"]
    commands += [*prepare, "rename speq_everything gate", "design -stash gate"]
    commands += ["design -copy-from gold gold", "design -copy-from gate gate"]
    commands += ["miter -equiv -flatten -make_assert gold gate miter", "hierarchy -top miter"]
    prove = "sat -verify -prove-asserts -tempinduct-baseonly -maxsteps 6 miter"
    run_yosys([*commands, prove], directory=folder, timeout=60)


def test_the_verilog_does_what_the_rtlil_does(text, verilog, tmp_path):
    compare(text, verilog, tmp_path)


@pytest.mark.parametrize(
    ("found", "planted"), [("4'hd", "4'hc"), ("$signed(held) -", "$signed(held) +")]
)
def test_the_proof_can_fail(text, verilog, tmp_path, found, planted):
    assert found in verilog
    with pytest.raises(YosysError):
        compare(text, verilog.replace(found, planted), tmp_path)


def test_the_verilog_depends_on_the_design_alone(text, verilog):
    assert verilog_from_rtlil(text) == verilog
    assert verilog.startswith("module ")
    for trace in ("Yosys", "(*", "$auto", ".cc", ".py"):
        assert trace not in verilog


def test_memories_and_tables_stay_arrays(verilog):
    assert "reg [3:0] store [3:0];" in verilog
    assert verilog.count("initial begin") == 2


@pytest.mark.parametrize(
    ("written", "init", "kept"),
    [(True, [], False), (True, [0, 0], False), (True, [0, 1], True), (False, [0, 0], True)],
)
def test_written_memories_have_no_initial_zeros(written, init, kept):
    m = Module()
    m.submodules.store = store = memory.Memory(shape=4, depth=2, init=init)
    read = store.read_port()
    ports = [read.addr, read.data]
    if written:
        write = store.write_port()
        ports += [write.addr, write.data, write.en]
    text = rtlil.convert(m, ports=ports, name="speq_store")
    assert ("initial begin" in verilog_from_rtlil(text)) == kept


def test_nothing_is_left_that_nobody_reads():
    m = Module()
    used, unused, result = Signal(), Signal(), Signal()
    m.d.comb += [unused.eq(~used), result.eq(used)]
    text = rtlil.convert(m, ports=[used, result], name="speq_lean")
    assert "unused" not in verilog_from_rtlil(text)


def test_an_expression_is_computed_once_however_often_it_is_used():
    m = Module()
    a, b, result = Signal(8), Signal(8), Signal(8)
    total = a * b
    m.d.comb += result.eq(Cat(total[bit] for bit in range(8)))
    text = rtlil.convert(m, ports=[a, b, result], name="speq_shared")
    assert text.count("cell $mul") == 8
    assert verilog_from_rtlil(text).count(" * ") == 1


def test_the_log_comes_back(tmp_path):
    assert "speaking" in run_yosys(["log speaking"], directory=tmp_path)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("read_verilog missing.v", "missing.v"),
        ("no_such_command", "No such command: no_such_command"),
        ("read_rtlil broken.il", "ERROR|rror"),
    ],
)
def test_an_error_is_one_decisive_line(command, message, tmp_path):
    (tmp_path / "broken.il").write_text("module \\broken\n")
    with pytest.raises(YosysError, match=message) as caught:
        run_yosys(["log before", command], directory=tmp_path)
    assert str(caught.value).startswith("Yosys failed: ")
    assert "\n" not in str(caught.value)
    assert "before" in caught.value.log_tail


def test_a_run_can_be_limited_in_time(tmp_path):
    (tmp_path / "wide.v").write_text(
        "module wide(input [63:0] a, b, output [127:0] y); assign y = a * b; endmodule"
    )
    begun = time.monotonic()
    with pytest.raises(YosysError, match=r"did not finish within 1 s; it was at: "):
        run_yosys(
            ["read_verilog wide.v", "synth -top wide", *["abc -g cmos2"] * 20],
            directory=tmp_path,
            timeout=1,
        )
    assert time.monotonic() - begun < 5


def test_a_dead_process_is_reported(monkeypatch):
    monkeypatch.setattr("speq.yosys._CHILD", "import os; os._exit(3)")
    with pytest.raises(YosysError, match="ended without a word"):
        run_yosys(["log"])


def test_the_version_is_that_of_pyosys(monkeypatch):
    assert yosys_version().count(".") >= 1

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("speq.yosys.importlib.metadata.version", missing)
    with pytest.raises(YosysError, match="pyosys is not installed: install it"):
        yosys_version()
