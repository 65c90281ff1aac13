"""Random jobs that go where floating point hurts, and their payloads.

Each kind of operand aims at one corner of ``docs/numerics.md``; :func:`random_jobs` draws kinds,
modes, shapes, shifts, row exponents and tables together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq.formats import Family, family
from speq.modes import INTEGER_MODES
from speq.parameters import Parameters
from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.payload import Design
from speq_sim.jobs import Job
from speq_sim.tiling import Schedule

__all__ = ["KINDS", "case_of", "job_payloads", "operands", "random_job", "random_jobs"]

SPECIALS = np.array([0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF, 0x7BFF, 0xFBFF, 0x0001, 0x8000])
"""Infinities, quiet and signalling NaN, largest finite, least subnormal, negative zero."""

KINDS = ("normal", "any", "subnormal", "huge", "cancelling", "special", "zero")
"""Kinds of operands, see :func:`operands`."""


def operands(
    random: np.random.Generator, kind: str, shape: tuple[int, int], *, below_two: bool = False
) -> NDArray[np.float16]:
    """A matrix of FP16 operands.

    Parameters
    ----------
    random : Generator
        Source of everything random.
    kind : str
        ``normal`` (Gaussian), ``any`` (every finite pattern alike), ``subnormal`` (biased exponents
        0 and 1), ``huge`` (the highest three finite exponents), ``cancelling`` (each value followed
        by its negative, with a few of them changed in the last place), ``special`` (Gaussian with
        some of :data:`SPECIALS`) or ``zero`` (signed zeros with a few values).
    shape : tuple of int
        Rows and columns.
    below_two : bool
        Clear bit 14 of every pattern, as a packed weight demands: then nothing is infinite or NaN.
    """
    gauss = random.standard_normal(shape).astype(np.float16).view(np.uint16)
    finite = random.integers(0, 0x7C00, shape, np.uint16)
    sign = random.integers(0, 2, shape, np.uint16) << 15
    if kind == "normal":
        bits = gauss
    elif kind == "any":
        bits = finite | sign
    elif kind == "subnormal":
        bits = random.integers(0, 0x0800, shape, np.uint16) | sign
    elif kind == "huge":
        bits = (finite & 0x03FF) | (random.integers(28, 31, shape, np.uint16) << 10) | sign
    elif kind == "cancelling":
        bits = finite | sign
        bits[:, 1::2] = bits[:, : bits.shape[1] // 2 * 2 : 2] ^ 0x8000
        bits ^= (random.random(shape) < 0.1).astype(np.uint16)
    elif kind == "special":
        bits = np.where(random.random(shape) < 0.08, random.choice(SPECIALS, shape), gauss)
    elif kind == "zero":
        bits = np.where(random.random(shape) < 0.1, gauss, sign)
    else:
        raise ValueError(f"kind is {kind!r}, but must be one of {', '.join(KINDS)}")
    bits = bits.astype(np.uint16)
    return (bits & 0xBFFF if below_two else bits).view(np.float16)


def random_job(
    random: np.random.Generator,
    parameters: Parameters,
    mode: str,
    *,
    tokens: int,
    outputs: int,
    depth: int,
    kind: str | None = None,
    plain: bool | None = None,
) -> Job:
    """One job of the given shape; what is not given is drawn.

    A VERIFY job is of plain or packed weights; shifts and row exponents of packed ones are often at
    the ends of their ranges. A QDRAFT job of no given kind has INT4 activations half of the time.
    """
    kinds = [kind or str(random.choice(KINDS)) for _ in range(2)]
    activations = operands(random, kinds[0], (tokens, depth))
    if mode in INTEGER_MODES:
        if mode == "qdraft" and kind is None and random.random() < 0.5:
            activations = random.integers(-8, 8, (tokens, depth)).astype(np.float16)
        nibbles = _nibbles(random, (outputs, depth))
        return Job.integer(nibbles, activations, verify=mode == "qverify")
    if plain is None:
        plain = mode == "verify" and (not parameters.packs or random.random() < 0.3)
    if plain:
        return Job.plain(_facing(random, kinds, outputs, depth, below_two=False), activations)
    code = _family(parameters)
    tables = random.integers(0, len(code.tables), outputs)
    shifts = _with_ends(random, 0, 15, depth)
    exponents = _with_ends(random, -64, 63, outputs)
    near = random.random(outputs) < 0.5
    exponents = np.where(near, random.integers(-8, 9, outputs), exponents)
    if mode == "draft":
        return Job.draft(
            _nibbles(random, (outputs, depth)), activations, code, tables, shifts, exponents
        )
    values = _facing(random, kinds, outputs, depth, below_two=True)
    make = Job.middle if mode == "middle" else Job.packed
    return make(values, activations, code, tables, shifts, exponents)


def random_jobs(
    random: np.random.Generator,
    parameters: Parameters,
    count: int,
    *,
    largest: tuple[int, int, int] | None = None,
) -> list[Job]:
    """`count` jobs of random shapes, up to `largest` (tokens, outputs, depth).

    The modes alternate. By default a job has up to twice the tokens of the design, three rows of
    tiles and three tiles of depth, and seldom fills them.
    """
    modes = parameters.modes
    if largest is None:
        deepest = 3 * max(parameters.tile_depth(mode) for mode in modes)
        largest = (2 * parameters.tokens + 1, 3 * parameters.rows, deepest)
    return [
        random_job(
            random,
            parameters,
            modes[index % len(modes)],
            tokens=int(random.integers(1, largest[0] + 1)),
            outputs=int(random.integers(1, largest[1] + 1)),
            depth=int(random.integers(1, largest[2] + 1)),
        )
        for index in range(count)
    ]


def job_payloads(
    design: Design, parameters: Parameters, jobs: Sequence[Job]
) -> dict[str, NDArray[np.uint8]]:
    """What is sent and what must come out, in payloads of an emitted design.

    Raises
    ------
    ValueError
        If a field that the design lacks would have to carry something.
    """
    schedule = Schedule(parameters, jobs)
    payloads = {}
    for name in STREAMS:
        stream = design.streams[name]
        columns = getattr(schedule, name)()
        for field in sorted(set(columns) - set(stream.fields)):
            # A design without a decoder takes every word as plain.
            if field != "plain" and np.any(columns[field]):
                raise ValueError(f"{design.top} has no field {field} in {name}, but a job needs it")
        payloads[name] = stream.pack({field: columns[field] for field in stream.fields})
    return payloads


def case_of(
    name: str, design: Design, parameters: Parameters, jobs: Sequence[Job], **options: object
) -> Case:
    """A bench case that runs `jobs` one after the other; `options` are those of the case."""
    return Case(name=name, payloads=job_payloads(design, parameters, jobs), **options)


def _facing(
    random: np.random.Generator, kinds: list[str], outputs: int, depth: int, *, below_two: bool
) -> NDArray[np.float16]:
    """Weights for activations of the first kind; cancelling ones face equal neighbours."""
    weights = operands(random, kinds[1], (outputs, depth), below_two=below_two)
    if kinds[0] == "cancelling" and depth > 1:
        weights[:, 1::2] = weights[:, : depth // 2 * 2 : 2]
    return weights


def _nibbles(random: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
    return random.integers(0, 16, shape, np.uint8)


def _with_ends(random: np.random.Generator, low: int, high: int, count: int) -> NDArray[np.integer]:
    values = random.integers(low, high + 1, count)
    ends = random.choice([low, high], count)
    return np.where(random.random(count) < 0.3, ends, values)


def _family(parameters: Parameters) -> Family:
    return family(parameters.family)
