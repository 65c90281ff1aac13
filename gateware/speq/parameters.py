"""The one parameter object that shapes the whole generator.

Pure Python: nothing here imports Amaranth or NumPy, so software that only reads figures can stand
on it. Every circuit, model, bench and script takes a :class:`Parameters`; none reads globals.

Vocabulary (R rows, C columns, W port words, M tokens, L draft lanes):

* a *word* is 16 bits: one exact weight (VERIFY) or four 4-bit draft weights (DRAFT);
* a *tile* is R x C words, held still in the PEs while M tokens stream past;
* a *beat* is one slice of one token's activations, broadcast down the columns in one cycle.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from speq.modes import (
    ACTIVATION_FORMATS,
    DEFAULT_MODES,
    MODES,
    WEIGHTS_PER_WORD,
    lanes_of,
    ordered_modes,
    resolve_format,
)
from speq.parameter_checks import (
    ParameterError,
    check_choice,
    check_dsp,
    check_int,
    check_name,
    check_port,
    check_quarters,
    is_number,
    powers_of_two,
)

__all__ = [
    "MODES",
    "PRESETS",
    "TABLE_NAMES",
    "ParameterError",
    "Parameters",
    "check_accelerator",
]

TABLE_NAMES: tuple[str, ...] = (
    "truncate",
    "speq",
    "bsfp",
    "fitted-1",
    "fitted-4",
    "fitted-8",
    "spare-1",
)
"""Named code tables and families (docs/format.md)."""

RESULT_FORMATS: tuple[str, ...] = ("fp32", "fp16")

WORD_BITS = 16
DRAFTS_PER_WORD = 4
MAX_DIMENSION = 256
MAX_TOKENS = 64
MAX_PIPELINE = 4
SPLIT_PIPELINE = 3
"""Least pipeline in which columns and PEs, too, are cut in two stages."""
KNEE = 3
"""Pipeline of the presets: up to it the clock grows in proportion to the depth (docs/area.md)."""
FPGA = "fpga"
"""Target whose products are made in DSP blocks and whose sums run on carry chains."""
ICE40 = "ice40"
"""Target whose products are made in DSP blocks, and all else as for standard cells."""
BOUNDARY_BYTES = 4096
"""No AXI4 burst crosses a multiple of this (AMBA AXI, A3.4.1)."""
MAX_BURST_BEATS = 256
MAX_PRODUCTS = 1 << 16
"""Longest dot product (k extent) whose exact sum is certain to fit the accumulator."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """One design point.

    Parameters
    ----------
    name : str
        Name of the design; becomes the prefix of the emitted modules (``speq_<name>``).
    rows : int
        R, output channels computed side by side (1..256).
    columns : int
        C, lanes of each row's dot product (1..256).
    modes : tuple of str
        Subset of :data:`speq.modes.MODES`; ``"verify"`` is always there. ``("verify",)`` is the
        FP16-only design that every area claim is measured against.
    draft_lanes : int
        L, draft weights multiplied by one PE in one cycle: 1, 2 or 4. A word holds four draft
        weights, so a token takes ``4 / L`` beats. Has no effect without a mode of 4-bit weights.
    draft_activations : str
        Format of activations in DRAFT and QDRAFT: ``"fp16"`` (L = 1), ``"bfp12"`` (L = 2 or 4),
        ``"bfp8"`` or ``"bfp6"`` (L = 4): block floating point with magnitudes of so many bits and
        blocks of L. ``"auto"`` is the first of these for each L, and ``"bfp6"`` for L = 4.
    port_words : int
        W, words that the memory port loads per cycle. Divides C or is a multiple of C, and
        divides R*C.
    tokens : int
        Largest number of tokens M a tile can serve: one accumulator per row and token (1..64).
    family : str
        Family of code tables wired into the decoders of the memory port (:data:`TABLE_NAMES`).
    result_format : str
        ``"fp32"`` or ``"fp16"``: format of an output element.
    pipeline : int
        Most register stages that a unit of a row is cut into (1..4). 1 adds and accumulates whole
        numbers; from 2 on a row's sum stays in carry-save form, its accumulators are cut into as
        many segments, each a stage later than the one below, and rounding takes as many stages.
        From 3 on columns and PEs take two each, and carries run in short blocks. More stages allow
        a faster clock; results are the same.
    target : str
        What the design is meant for. ``"fpga"`` makes products in DSP blocks and sums on carry
        chains (:mod:`speq.dsp`), with the stages that these want; it takes ``pipeline = 4`` and,
        with four lanes, ``draft_activations = "bfp6"``. Any other text is a label carried into
        reports.
    clock_mhz : float
        Clock the design is meant for; carried into constraints and reports.
    address_bits : int
        Width of the memory addresses of the accelerator (16..64).
    burst_beats : int
        Longest burst that it reads, a power of two (1..256); shorter where 4 KB are less.
    outstanding : int
        Most bursts that it has asked for and not received (1..64).
    activation_values : int
        FP16 values that each of its two activation buffers holds.
    queue_depth : int
        Commands it takes ahead of the one at work (2..64).

    Raises
    ------
    ParameterError
        If a value or a combination is illegal.
    """

    name: str = "custom"
    rows: int
    columns: int
    modes: tuple[str, ...] = DEFAULT_MODES
    draft_lanes: int = 4
    draft_activations: str = "auto"
    port_words: int
    tokens: int = 8
    family: str = "fitted-4"
    result_format: str = "fp32"
    pipeline: int = 1
    target: str = "generic"
    clock_mhz: float = 500.0
    address_bits: int = 40
    burst_beats: int = 64
    outstanding: int = 4
    activation_values: int = 16384
    queue_depth: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", ordered_modes(self.modes))
        check_name(self.name)
        check_int("rows", self.rows, 1, MAX_DIMENSION)
        check_int("columns", self.columns, 1, MAX_DIMENSION)
        check_choice("draft_lanes", self.draft_lanes, (1, 2, 4))
        resolve_format(self.draft_activations, self.draft_lanes)
        check_int("port_words", self.port_words, 1, self.rows * self.columns)
        check_port(self.port_words, self.rows, self.columns)
        if self.has_low_bits:
            check_quarters(self.load_cycles)
        check_int("tokens", self.tokens, 1, MAX_TOKENS)
        check_choice("family", self.family, TABLE_NAMES)
        check_choice("result_format", self.result_format, RESULT_FORMATS)
        check_int("pipeline", self.pipeline, 1, MAX_PIPELINE)
        if not isinstance(self.target, str) or not self.target:
            raise ParameterError(
                f"target is {self.target!r}, but must be a non-empty text: write what the design "
                f'is meant for, such as "generic"'
            )
        if self.in_dsp:
            check_dsp(self.pipeline, MAX_PIPELINE, self.lanes, self.activation_format)
        if not is_number(self.clock_mhz) or not 0 < self.clock_mhz < 100_000:
            raise ParameterError(
                f"clock_mhz is {self.clock_mhz!r}, but must be a number of megahertz above 0 and "
                f"below 100000"
            )
        check_int("address_bits", self.address_bits, 16, 64)
        check_choice("burst_beats", self.burst_beats, powers_of_two(MAX_BURST_BEATS))
        check_int("outstanding", self.outstanding, 1, 64)
        check_int("activation_values", self.activation_values, self.columns * 4, 1 << 24)
        check_int("queue_depth", self.queue_depth, 2, 64)

    # Derived: what the design contains ------------------------------------------------------

    @property
    def drafts(self) -> bool:
        """Whether the design can run DRAFT tiles."""
        return "draft" in self.modes

    @property
    def middles(self) -> bool:
        """Whether the design can run MIDDLE tiles."""
        return "middle" in self.modes

    @property
    def integers(self) -> bool:
        """Whether the design can run the INT4 tiles of QSpec, QDRAFT and QVERIFY."""
        return "qdraft" in self.modes

    @property
    def packs(self) -> bool:
        """Whether it takes packed words: code tables, column shifts and row exponents."""
        return self.drafts or self.middles

    @property
    def has_low_bits(self) -> bool:
        """Whether a word can hold more than one weight: any mode but VERIFY."""
        return len(self.modes) > 1

    @property
    def has_nibbles(self) -> bool:
        """Whether a word can hold four weights of 4 bits."""
        return self.drafts or self.integers

    @property
    def lanes(self) -> int:
        """Activations a PE takes per beat at most: L with weights of 4 bits, else 1."""
        return self.draft_lanes if self.has_nibbles else 1

    @property
    def activation_format(self) -> str:
        """Format of draft activations, with "auto" resolved."""
        return resolve_format(self.draft_activations, self.draft_lanes)

    @property
    def draft_bits(self) -> int:
        """Magnitude bits of a draft activation; its block is L activations."""
        return ACTIVATION_FORMATS[self.draft_lanes][self.activation_format]

    @property
    def in_dsp(self) -> bool:
        """Whether products are made in DSP blocks and sums on carry chains."""
        return self.target == FPGA

    @property
    def in_ice40(self) -> bool:
        """Whether bricks are plain multiplications, which become DSP blocks of an iCE40."""
        return self.target == ICE40

    @property
    def carry_saves(self) -> bool:
        """Whether a row's sum stays in carry-save form, for accumulators in segments."""
        return self.pipeline > 1 and not self.in_dsp

    @property
    def word_beats(self) -> int:
        """Most beats that one token takes of a word in any mode."""
        return max(self.beats_per_token(mode) for mode in self.modes)

    @property
    def tables(self) -> int:
        """Number of code tables in the family, 0 for a design without packed words."""
        if not self.packs:
            return 0
        return int(self.family.removeprefix("fitted-")) if self.family.startswith("fitted-") else 1

    @property
    def multipliers(self) -> int:
        """Significand multipliers: one in each of the R*C PEs."""
        return self.rows * self.columns

    # Derived: widths in bits -----------------------------------------------------------------

    @property
    def port_bits(self) -> int:
        """Width of the weight port."""
        return self.port_words * WORD_BITS

    @property
    def activations_per_beat(self) -> int:
        """Activations that the activation port carries per transfer: C*L."""
        return self.columns * self.lanes

    @property
    def result_bits(self) -> int:
        """Width of one output element."""
        return 32 if self.result_format == "fp32" else 16

    # Derived: the accelerator ------------------------------------------------------------------

    @property
    def bus_bytes(self) -> int:
        """Width of the accelerator's memory port and data streams: 2*W bytes."""
        return self.port_bits // 8

    @property
    def longest_burst(self) -> int:
        """Beats of the longest burst: ``burst_beats``, or fewer where 4 KB hold no more."""
        return min(self.burst_beats, BOUNDARY_BYTES // self.bus_bytes)

    @property
    def group_tiles(self) -> int:
        """VERIFY tiles over the same inputs as a DRAFT tile: 4, or 1 in FP16-only designs."""
        return DRAFTS_PER_WORD if self.has_low_bits else 1

    @property
    def group_inputs(self) -> int:
        """Inputs k of a group of tiles; the accelerator pads K to a multiple of them."""
        return self.columns * self.group_tiles

    @property
    def activation_rows(self) -> int:
        """Beats of activations that each of the two buffers holds."""
        return self.activation_values // self.activations_per_beat

    @property
    def stages(self) -> dict[str, int]:
        """Register stages from an accepted beat to its result, by unit, in the order they are."""
        depth = self.pipeline
        if self.in_dsp:
            levels = (self.columns - 1).bit_length()
            return {
                "columns": 6,
                "multiply": 3,
                "reduce": 1 + levels,
                "accumulate": 1,
                "round": 5,
            }
        return {
            "columns": 2 if depth >= SPLIT_PIPELINE else 1,
            "multiply": 2 if depth >= SPLIT_PIPELINE else 1,
            "reduce": 1,
            "accumulate": depth,
            "round": depth,
        }

    # Derived: cycles ---------------------------------------------------------------------------

    @property
    def load_cycles(self) -> int:
        """Transfers of the weight port per tile: R*C/W."""
        return self.rows * self.columns // self.port_words

    def weights_per_word(self, mode: str) -> int:
        """Weights in a word: 1 in VERIFY, 2 in MIDDLE, else 4; 16 bits over it are read of each."""
        self._require(mode)
        return WEIGHTS_PER_WORD[mode]

    def mode_lanes(self, mode: str) -> int:
        """Multiply-accumulates of one PE in one cycle."""
        self._require(mode)
        return lanes_of(mode, self.draft_lanes)

    def beats_per_token(self, mode: str) -> int:
        """Beats one token takes of a tile: weights per word over lanes."""
        return self.weights_per_word(mode) // self.mode_lanes(mode)

    def tile_depth(self, mode: str) -> int:
        """Inputs k that one tile covers: C times the weights per word."""
        return self.columns * self.weights_per_word(mode)

    def compute_cycles(self, mode: str, tokens: int) -> int:
        """Beats a tile takes for `tokens` tokens."""
        return tokens * self.beats_per_token(mode)

    def tile_cycles(self, mode: str, tokens: int) -> int:
        """Cycles per tile in steady state: the longer of loading and computing."""
        return max(self.load_cycles, self.compute_cycles(mode, tokens))

    def balance_tokens(self, mode: str) -> float:
        """Tokens per tile at which loading and computing take equally long: R*C/W / beats."""
        return self.load_cycles / self.beats_per_token(mode)

    def peak_macs_per_cycle(self, mode: str) -> int:
        """Multiply-accumulates of the whole array per cycle when computing is the bound."""
        return self.multipliers * self.mode_lanes(mode)

    def macs_per_cycle(self, mode: str, tokens: int) -> float:
        """Multiply-accumulates per cycle in steady state with `tokens` tokens per tile."""
        macs = self.rows * self.tile_depth(mode) * tokens
        return macs / self.tile_cycles(mode, tokens)

    # Changing and reading -----------------------------------------------------------------------

    def replace(self, **changes: Any) -> "Parameters":
        """A copy with some fields changed, validated anew."""
        unknown = sorted(set(changes) - _field_names())
        if unknown:
            raise ParameterError(_unknown_field(unknown[0]))
        return dataclasses.replace(self, **changes)

    def verify_only(self) -> "Parameters":
        """The same array built FP16-only: the baseline of area figures."""
        return self.replace(name=f"{self.name}_verify_only", modes=("verify",))

    def as_dict(self) -> dict[str, Any]:
        """Fields as plain JSON/TOML values."""
        return dataclasses.asdict(self) | {"modes": list(self.modes)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Parameters":
        """Build from the keys of a design file. A key ``preset`` names the point to start from."""
        values = dict(values)
        base = values.pop("preset", None)
        if base is not None:
            return _preset(base).replace(**values)
        for field in ("rows", "columns", "port_words"):
            if field not in values:
                raise ParameterError(
                    f"{field} is missing: give it, or start from a preset with "
                    f'preset = "small" ({", ".join(PRESETS)})'
                )
        unknown = sorted(set(values) - _field_names())
        if unknown:
            raise ParameterError(_unknown_field(unknown[0]))
        return cls(**values)

    def _require(self, mode: str) -> None:
        if mode not in self.modes:
            raise ParameterError(
                f"mode {mode!r} is not built into design {self.name!r}, which has "
                f"{', '.join(self.modes)}: add it to modes, or use another mode"
            )


def _field_names() -> set[str]:
    return {field.name for field in dataclasses.fields(Parameters)}


def _unknown_field(name: str) -> str:
    return f"{name!r} is not a parameter: use one of {', '.join(sorted(_field_names()))}"


def _preset(name: Any) -> Parameters:
    if name not in PRESETS:
        raise ParameterError(f"preset {name!r} does not exist: use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def check_accelerator(parameters: Parameters) -> None:
    """Refuse a design point that is an array, but cannot stand behind an AXI bus.

    Raises
    ------
    ParameterError
        If the memory port is no AXI width, or does not fill rows evenly, or INT4 modes stand alone.
    """
    words = parameters.port_words
    if words not in (2, 4, 8, 16, 32, 64):
        raise ParameterError(
            f"port_words is {words}, but the accelerator's AXI bus needs 2, 4, 8, 16, 32 or 64 "
            f"(32 to 1024 bits)"
        )
    if parameters.columns % words:
        raise ParameterError(
            f"port_words is {words}, but must divide columns = {parameters.columns} in an "
            f"accelerator: lower it, or use the array without a bus"
        )
    if parameters.integers and not parameters.packs:
        raise ParameterError(
            f"modes is {list(parameters.modes)!r}, but an accelerator reads INT4 weights laid out "
            f'like packed ones: add "draft" or "middle", or use the array without a bus'
        )


PRESETS: dict[str, Parameters] = {
    preset.name: preset
    for preset in (
        Parameters(name="tiny", rows=4, columns=4, port_words=4, tokens=4, pipeline=KNEE),
        Parameters(name="small", rows=8, columns=8, port_words=8, tokens=8, pipeline=KNEE),
        Parameters(name="edge", rows=16, columns=16, port_words=16, tokens=8, pipeline=KNEE),
        Parameters(
            name="server",
            rows=64,
            columns=64,
            port_words=64,
            tokens=16,
            pipeline=KNEE,
            outstanding=8,
            activation_values=131072,
        ),
    )
}
"""Named design points, smallest first, as deep as pays; ``hw/<name>.toml`` spells out each."""
