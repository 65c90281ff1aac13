"""The host library against a unit in software: what it sends, what it gives back, what it says."""

import json
from collections import deque
from itertools import pairwise

import numpy as np
import pytest

from speq.accelerator.register_text import as_json
from speq.accelerator.registers import Fault, Rejection, register_map
from speq.formats import family, pack
from speq.formats.container import PackedModel, write_packed
from speq.formats.image import PLANES, memory_image
from speq.formats.int4 import Int4Tensor, quantise_int4
from speq.formats.packing import PackedTensor
from speq.parameters import MODES, PRESETS, ParameterError
from speq_sim.golden import quantise_activations
from speq_sim.golden.rounding import RESULT_TYPES
from speq_sim.host import Device, DeviceError, Packet
from speq_sim.host.matrix import split_groups
from speq_sim.host.reference import job_of
from speq_sim.jobs import Job, expected

TINY = PRESETS["tiny"]
ALL_MODES = TINY.replace(modes=MODES)
GENERATOR = np.random.default_rng(5)


def side_car_of(design):
    description = {
        "schema": "speq-accelerator/1",
        "parameters": design.as_dict(),
        "registers": as_json(register_map(design)),
    }
    return json.loads(json.dumps(description))


def a_tensor(outputs, inputs):
    weights = (GENERATOR.standard_normal((outputs, inputs)) * 0.1).astype(np.float16)
    return pack(weights, family(TINY.family))


def an_int4_tensor(outputs, inputs, group=0):
    weights = GENERATOR.standard_normal((outputs, inputs)) * 0.1
    return quantise_int4(weights.astype(np.float32), group)


def a_plain_tensor(outputs, inputs):
    bits = GENERATOR.standard_normal((outputs, inputs)).astype(np.float16).view(np.uint16)
    return PackedTensor(TINY.family, bits.shape, plain=bits, reason="test")


def some_tokens(count, inputs):
    return GENERATOR.standard_normal((count, inputs)).astype(np.float16)


def parts_of(tensor):
    """What one job computes with."""
    return split_groups(tensor) if isinstance(tensor, Int4Tensor) else [tensor]


class SoftwareUnit:
    """Registers, memory and packets of an accelerator that computes with the golden model."""

    def __init__(self, design, tensors=()):
        self.design = design
        self.map = register_map(design)
        self.values = {register.name: register.value for register in self.map}
        self.values["STATUS"] = 1 << self.map["STATUS"].field("room").offset
        self.tensors = tensors
        self.memory = {}
        self.sent, self.results = deque(), deque()
        self.void = self.stopped = False
        self.reject = None
        self.kept = None

    def field(self, register, name):
        place = self.map[register].field(name)
        return (self.values[register] & place.mask) >> place.offset

    def read(self, offset):
        return self.values[next(r.name for r in self.map if r.offset == offset)]

    def write(self, offset, value):
        name = next(r.name for r in self.map if r.offset == offset)
        self.values[name] = value
        if name == "PUSH":
            self.push()
        if name == "CONTROL" and self.field("CONTROL", "resume"):
            self.values["STATUS"] = 1 << self.map["STATUS"].field("room").offset

    def write_memory(self, address, data):
        self.memory[address] = data

    def send(self, packet):
        self.sent.append(packet)
        self.work()

    def flush(self):
        self.sent.clear()

    def receive(self):
        return self.results.popleft() if self.results else None

    def stop(self, fault):
        self.values["STATUS"] = 1 << self.map["STATUS"].field("stopped").offset
        self.values["FAULT"] = fault
        self.stopped = True

    def push(self):
        if self.reject is not None:
            self.values["REJECTIONS"] += 1
            self.values["REJECTION"] = self.reject
        elif self.field("COMMAND", "keep"):
            self.answer(self.kept)

    def matrix(self):
        """The tensor whose image lies at the base addresses."""
        bases = [
            self.values[f"{plane.upper()}_BASE_HIGH"] << 32 | self.values[f"{plane.upper()}_BASE"]
            for plane in PLANES
        ]
        parts = [part for tensor in self.tensors for part in parts_of(tensor)]
        for tensor in parts:
            regions = [region.tobytes() for region in memory_image(tensor, self.design).regions]
            if [self.memory.get(base) for base in bases[: len(regions)]] == regions:
                return tensor
        raise AssertionError("the base addresses are those of no tensor")

    def work(self):
        """Take a packet of activations for the command that was pushed."""
        inputs = self.field("INPUTS", "count")
        values = np.frombuffer(self.sent.popleft(), "<f2")
        values = values.reshape(self.field("COMMAND", "tokens"), -1)
        assert values.shape[1] == -(-inputs // self.design.port_words) * self.design.port_words
        self.kept = values[:, :inputs]
        self.answer(self.kept)

    def answer(self, activations):
        mode = MODES[self.field("COMMAND", "mode")]
        tensor = self.matrix()
        if isinstance(tensor, Int4Tensor):
            assert not self.field("COMMAND", "plain")
            job = Job.integer(tensor.nibbles, activations, verify=mode == "qverify")
        else:
            assert self.field("COMMAND", "plain") == tensor.is_plain
            job = job_of(tensor, mode, activations)
        tiles = self.field("OUTPUT_TILES", "count")
        filled = expected(job.with_rows(tiles * self.design.rows), self.design)
        ordered = filled.reshape(len(filled), tiles, -1).swapaxes(0, 1)
        self.results.append(Packet(ordered.tobytes(), self.void))


def a_device(design=TINY, tensors=()):
    unit = SoftwareUnit(design, tensors)
    return unit, Device(unit, side_car_of(design))


@pytest.mark.parametrize("result_format", ["fp32", "fp16"])
@pytest.mark.parametrize("mode", ["draft", "middle", "verify"])
def test_any_number_of_tokens_is_cut_into_jobs(mode, result_format):
    design = ALL_MODES.replace(result_format=result_format)
    tensor = a_tensor(10, 37)
    _, device = a_device(design, [tensor])
    tokens = some_tokens(9, 37)
    found = device.run(device.load(tensor), mode, tokens)
    wanted = expected(job_of(tensor, mode, tokens), design).astype(np.float32)
    assert wanted.dtype == np.float32
    if mode == "draft":
        wanted = wanted * tensor.alpha
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.float32


def scaled_loop(tensor, mode, tokens, design):
    """The result of an INT4 tensor, number by number: docs/epilogue.md."""
    group = tensor.group or tensor.shape[1]
    given, scales = quantise_activations(tokens) if mode == "qdraft" else (tokens, None)
    row_scales = tensor.scale.reshape(len(tensor.scale), -1).astype(np.float32)
    found = np.empty((len(tokens), tensor.shape[0]), np.float32)
    raws = []
    for start in range(0, tensor.shape[1], group):
        k = slice(start, start + group)
        job = Job.integer(
            np.ascontiguousarray(tensor.nibbles[:, k]),
            np.ascontiguousarray(given[:, k]),
            verify=mode == "qverify",
        )
        raws.append(expected(job, design))
    for token, row in np.ndindex(found.shape):
        total = None
        for raw, scale in zip(raws, row_scales[row], strict=True):
            product = np.float32(raw[token, row]) * scale
            total = product if total is None else total + product
        if scales is not None:
            total = total * np.float32(scales[token])
        found[token, row] = total
    return found


@pytest.mark.parametrize("group", [0, 8, 12, 64])
@pytest.mark.parametrize("mode", ["qdraft", "qverify"])
@pytest.mark.parametrize("result_format", ["fp32", "fp16"])
def test_int4_results_are_scaled_in_the_order_of_the_definition(mode, group, result_format):
    design = ALL_MODES.replace(result_format=result_format)
    tensor = an_int4_tensor(10, 43, group)
    unit, device = a_device(design, [tensor])
    tokens = some_tokens(9, 43)
    matrix = device.load(tensor)
    assert len(matrix.parts) == len(unit.memory) == (-(-43 // group) if group else 1)
    found = device.run(matrix, mode, tokens)
    assert found.dtype == np.float32
    wanted = scaled_loop(tensor, mode, tokens, design)
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))
    halves = device.run(matrix, mode, tokens, "fp16")
    assert halves.dtype == np.float16
    np.testing.assert_array_equal(halves, wanted.astype(np.float16))


def test_int4_results_are_close_to_the_weights_that_they_stand_for():
    tensor = an_int4_tensor(10, 96, 16)
    _, device = a_device(ALL_MODES, [tensor])
    tokens = some_tokens(3, 96)
    exact = tokens.astype(float) @ tensor.dequantise().astype(float).T
    for mode, most in (("qverify", 1e-3), ("qdraft", 0.2)):
        found = device.run(device.load(tensor), mode, tokens)
        assert np.linalg.norm(found - exact) < most * np.linalg.norm(exact)


def test_integers_are_kept_by_qdraft_alone():
    """A job that keeps activations has the token scales of the job before."""
    tensors = [an_int4_tensor(6, 20), an_int4_tensor(5, 20)]
    _, device = a_device(ALL_MODES, tensors)
    first, second = [device.load(tensor) for tensor in tensors]
    tokens = some_tokens(2, 20)
    device.submit(first, "qdraft", tokens)
    device.submit(second, "qdraft", tokens=2)
    for tensor in tensors:
        wanted = scaled_loop(tensor, "qdraft", tokens, ALL_MODES)
        np.testing.assert_array_equal(device.collect().values, wanted)
    with pytest.raises(ValueError, match="are those of qdraft, and only QDRAFT takes INT4"):
        device.submit(first, "qverify", tokens=2)
    device.submit(first, "qverify", tokens)
    device.submit(second, "qverify", tokens=2)
    for tensor in tensors:
        wanted = scaled_loop(tensor, "qverify", tokens, ALL_MODES)
        np.testing.assert_array_equal(device.collect().values, wanted)
    with pytest.raises(ValueError, match="are those of qverify, and only QDRAFT takes INT4"):
        device.submit(first, "qdraft", tokens=2)


def test_both_passes_of_qspec_read_the_same_bytes():
    tensor = an_int4_tensor(6, 20)
    unit, device = a_device(ALL_MODES, [tensor])
    matrix = device.load(tensor)
    bases = []
    for mode in ("qdraft", "qverify"):
        device.run(matrix, mode, some_tokens(1, 20))
        bases.append((unit.values["DRAFT_BASE"], unit.values["DRAFT_BASE_HIGH"]))
    assert bases[0] == bases[1]
    assert list(unit.memory) == [matrix.bases[0]]


@pytest.mark.parametrize("mode", MODES)
def test_a_plain_matrix_is_verified_in_every_mode(mode):
    tensor = a_plain_tensor(6, 20)
    _, device = a_device(ALL_MODES, [tensor])
    tokens = some_tokens(2, 20)
    found = device.run(device.load(tensor), mode, tokens)
    np.testing.assert_array_equal(found, expected(job_of(tensor, "verify", tokens), ALL_MODES))


def test_modes_that_design_or_matrix_lack_are_named():
    packed, integers = a_tensor(6, 20), an_int4_tensor(6, 20, 8)
    _, device = a_device(TINY, [packed])
    matrix = device.load(packed)
    tokens = some_tokens(1, 20)
    for call in (device.submit, device.run):
        with pytest.raises(DeviceError, match="'tiny' has no mode 'middle': use one of verify, d"):
            call(matrix, "middle", tokens)
    with pytest.raises(ParameterError, match="has no mode of INT4 weights: add"):
        device.load(integers)
    _, device = a_device(ALL_MODES, [packed, integers])
    matrix, quantised = device.load(packed), device.load(integers)
    with pytest.raises(DeviceError, match="no weights for mode 'qdraft': it is stored for verify "):
        device.run(matrix, "qdraft", tokens)
    for mode in ("verify", "draft", "middle"):
        with pytest.raises(DeviceError, match=f"no weights for mode '{mode}': it is stored for qd"):
            device.run(quantised, mode, tokens)
    device.submit(matrix, "verify", tokens)
    with pytest.raises(DeviceError, match="1 jobs are pending: collect them first"):
        device.run(matrix, "verify", tokens)


def test_jobs_queue_and_may_keep_their_activations():
    first, second = a_tensor(6, 20), a_tensor(4, 20)
    _, device = a_device(TINY, [first, second])
    one, two = device.load(first), device.load(second)
    tokens = some_tokens(2, 20)
    device.submit(one, "verify", tokens)
    device.submit(two, "draft", tokens=2)
    for tensor, mode in ((first, "verify"), (second, "draft")):
        raw = device.collect().raw
        assert raw.dtype == RESULT_TYPES[TINY.result_format]
        np.testing.assert_array_equal(raw, expected(job_of(tensor, mode, tokens), TINY))
    with pytest.raises(DeviceError, match="no job is pending"):
        device.collect()


def test_a_packed_file_is_loaded_by_name(tmp_path):
    tensors = {"a": a_tensor(6, 20), "b": a_tensor(4, 8), "i": an_int4_tensor(6, 20, 8)}
    bias = pack(np.ones(5, np.float16), family(TINY.family))
    path = tmp_path / "model.safetensors"
    write_packed(path, PackedModel(family(TINY.family), tensors | {"bias": bias}))
    unit, device = a_device(ALL_MODES, list(tensors.values()))
    loaded = device.load_file(path)
    assert sorted(loaded) == ["a", "b", "i"]
    assert len(loaded["i"].parts) == 3
    tokens = some_tokens(2, 20)
    wanted = scaled_loop(tensors["i"], "qdraft", tokens, ALL_MODES)
    np.testing.assert_array_equal(device.run(loaded["i"], "qdraft", tokens), wanted)
    tokens = some_tokens(1, 8)
    found = device.run(loaded["b"], "verify", tokens)
    np.testing.assert_array_equal(found, expected(job_of(tensors["b"], "verify", tokens), TINY))
    assert sorted(device.load_file(path, ["a"])) == ["a"]
    used = sorted((base, base + len(data)) for base, data in unit.memory.items())
    step = TINY.longest_burst * TINY.bus_bytes
    assert all(base % step == 0 for base, _ in used)
    assert all(end <= base for (_, end), (base, _) in pairwise(used))


def test_another_unit_is_noticed():
    with pytest.raises(DeviceError, match="schema is None"):
        Device(SoftwareUnit(TINY), {})
    small = PRESETS["small"]
    with pytest.raises(DeviceError, match=r"SHAPE\.rows is 4, not 8"):
        Device(SoftwareUnit(TINY), side_car_of(small))
    other = TINY.replace(family="bsfp")
    with pytest.raises(DeviceError, match=r"LIMITS\.tables is 4, not 1"):
        Device(SoftwareUnit(TINY), side_car_of(other))
    unit = SoftwareUnit(TINY)
    unit.values["ID"] = 0
    with pytest.raises(DeviceError, match="no accelerator answers"):
        Device(unit, side_car_of(TINY))


@pytest.mark.parametrize("code", [code for code in Rejection if code])
def test_a_rejection_is_named(code):
    tensor = a_tensor(4, 16)
    unit, device = a_device(TINY, [tensor])
    matrix = device.load(tensor)
    unit.reject = code
    with pytest.raises(DeviceError, match=rf"rejected the command \({code.name}\): verify of 2"):
        device.submit(matrix, "verify", some_tokens(2, 16))
    assert not unit.sent


@pytest.mark.parametrize("void", [False, True])
def test_a_fault_is_named_and_forgotten_after_resume(void):
    tensor = a_tensor(4, 16)
    unit, device = a_device(TINY, [tensor])
    matrix = device.load(tensor)
    unit.void = True
    device.submit(matrix, "verify", some_tokens(1, 16))
    if not void:
        unit.results.clear()
    unit.stop(Fault.READ_DECERR)
    with pytest.raises(DeviceError, match=r"the unit stopped \(READ_DECERR\): resume it"):
        device.collect()
    device.resume()
    unit.void = False
    tokens = some_tokens(1, 16)
    found = device.run(matrix, "verify", tokens)
    np.testing.assert_array_equal(found, expected(job_of(tensor, "verify", tokens), TINY))
    with pytest.raises(DeviceError, match="the unit runs: stop it first"):
        device.resume()


def test_what_does_not_fit_is_refused():
    tensor = a_tensor(4, 16)
    unit, device = a_device(TINY.replace(address_bits=16), [tensor])
    matrix = device.load(tensor)
    with pytest.raises(ValueError, match=r"but the matrix takes float16 \[M, 16\]"):
        device.submit(matrix, "verify", some_tokens(1, 15))
    with pytest.raises(ValueError, match="but the matrix takes float16"):
        device.submit(matrix, "verify", some_tokens(1, 16).astype(np.float32))
    with pytest.raises(ValueError, match="neither activations nor a number of tokens"):
        device.submit(matrix, "verify")
    with pytest.raises(ValueError, match="300 does not fit field tokens of COMMAND"):
        device.submit(matrix, "verify", some_tokens(300, 16))
    with pytest.raises(DeviceError, match="more bytes do not fit 16 address bits"):
        device.load(a_tensor(256, 256))
    device.submit(matrix, "verify", some_tokens(1, 16))
    unit.results[0] = Packet(unit.results[0].data[:-4])
    with pytest.raises(DeviceError, match="the unit and the side-car do not fit"):
        device.collect()
