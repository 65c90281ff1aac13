"""The planted faults: what a bench of the array must notice."""

import dataclasses

__all__ = ["MUTANTS", "Mutant"]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    name : str
        Unique; letters, digits and underscores.
    file : str
        File of the package ``speq`` that is changed.
    old, new : str
        Text that the file has exactly once, and what takes its place.
    design : str
        Design of the bench that plays it first (:data:`speq_sim.proofs.mutation_bench.DESIGNS`).
    """

    name: str
    file: str
    old: str
    new: str
    design: str = "four"


_MULTIPLY = (
    Mutant("high_brick_off_by_one", "multiply.py", "(0, 6, 6, 12)", "(0, 6, 6, 11)"),
    Mutant("fourth_lane_off_by_one", "multiply.py", "4: (6, 6, 6, 6)", "4: (6, 6, 6, 5)"),
    Mutant("lane_halves_swapped", "multiply.py", "2: (0, 6, 0, 6)", "2: (0, 6, 6, 0)", "two"),
    Mutant(
        "negative_product_lacks_its_one",
        "multiply.py",
        "for number in (term, negative):",
        "for number in (term, Const(0, 1)):",
    ),
    Mutant(
        "brick_sign_weight", "multiply.py", "replicate(bits), ~negative)", "replicate(bits), 1)"
    ),
    Mutant(
        "single_brick_lacks_its_one",
        "multiply.py",
        "+ Cat(Const(0, 1), negative)",
        "+ negative",
        "one",
    ),
    Mutant("radix_4_two_and_three", "arithmetic.py", "digit[1] & ~digit[0]", "digit[1]"),
    Mutant("multiplier_carry_cut", "arithmetic.py", "both | with_third", "both"),
    Mutant("row_carry_cut", "arithmetic.py", "(a & b) | (c & half)", "(a & b)", "verify"),
    Mutant(
        "lookup_last_entry",
        "arithmetic.py",
        "[Const(value, width) for value in values]",
        "[Const(value, width) for value in [*values[:-1], values[0]]]",
    ),
)

_COLUMN = (
    Mutant(
        "activation_subnormal_exponent",
        "column.py",
        "effective = Cat(value.exponent[0] | ~value.exponent.any(), value.exponent[1:])",
        "effective = value.exponent",
    ),
    Mutant(
        "column_shift_ignored",
        "column.py",
        "self.shifts[lane] if self.parameters.drafts else 0",
        "0",
    ),
    Mutant(
        "block_does_not_saturate",
        "column.py",
        "(aligned[0] & ~aligned[1:].all())",
        "aligned[0]",
    ),
    Mutant(
        "block_does_not_round",
        "column.py",
        "aligned[1:] + (aligned[0] & ~aligned[1:].all())",
        "aligned[1:]",
    ),
    Mutant("block_takes_the_least", "column.py", "Mux(other > largest,", "Mux(other < largest,"),
    Mutant("verify_heeds_all_lanes", "column.py", "Cat(flags[0], *rest)", "Cat(*flags)"),
    Mutant("zero_activation_missed", "column.py", "zero.eq(~significands[0].any())", "zero.eq(0)"),
    Mutant(
        "triple_without_carry",
        "column.py",
        "magnitude + (magnitude << 1)",
        "magnitude | (magnitude << 1)",
    ),
)

_PE = (
    Mutant(
        "works_with_the_word_that_loads", "pe.py", "working.eq(waiting)", "working.eq(self.word)"
    ),
    Mutant(
        "weight_subnormal_exponent",
        "pe.py",
        "exponent = Cat(exact.exponent[0] | ~exact.exponent.any(), exact.exponent[1:])",
        "exponent = exact.exponent",
    ),
    Mutant(
        "weight_subnormal_hidden_bit",
        "pe.py",
        "Cat(exact.fraction, exact.exponent.any())",
        "Cat(exact.fraction, Const(1, 1))",
    ),
    Mutant("draft_exponent", "pe.py", "Mux(self.draft, Const(1, 1), exp", "Mux(self.draft, 0, exp"),
    Mutant("activation_nan_dropped", "pe.py", "nan | self.operand.nans[lane] |", "nan |"),
    Mutant("infinity_times_zero", "pe.py", "nans[lane] | infinite & zero", "nans[lane]"),
    Mutant("weight_nan_dropped", "pe.py", "nan = special & exact.fraction.any() |", "nan ="),
    Mutant(
        "negative_infinity_sign",
        "pe.py",
        '"negative_infinity": Cat(*(is_inf & sign',
        '"negative_infinity": Cat(*(is_inf & ~sign',
    ),
    Mutant(
        "draft_zero_missed",
        "pe.py",
        "Mux(self.draft, draft_zero, weight_zero)",
        "weight_zero",
        "two",
    ),
    Mutant("nibbles_reversed", "pe.py", "drafts[lane]) for", "drafts[lanes - 1 - lane]) for"),
    Mutant("beat_ignored", "pe.py", "word_select(self.beat,", "word_select(0 & self.beat,", "two"),
    Mutant("draft_sign", "pe.py", "Mux(self.draft, draft.sign, exact.sign)", "exact.sign"),
)

_SUM = (
    Mutant("aligner_off_by_one", "reduce.py", "<< lane.shift)", "<< (lane.shift | 1))"),
    Mutant("aligner_top_bit_cut", "reduce.py", "<< lane.shift)", "<< lane.shift[:-1])"),
    Mutant("sign_not_extended", "reduce.py", "lane.value <<", "lane.value.as_unsigned() <<"),
    Mutant(
        "second_sign_not_counted",
        "reduce.py",
        "for row in rows), Const",
        "for row in rows[:1]), Const",
    ),
    Mutant("second_lane_specials", "reduce.py", "for lane in lanes))", "for lane in lanes[:1]))"),
    Mutant("accumulator_not_cleared", "accumulate.py", "m.If(~self.first)", "m.If(1)"),
    Mutant(
        "accumulator_one_bit_short",
        "accumulate.py",
        "after.value.eq(before.value + self.addend.value)",
        "after.value.eq((before.value + self.addend.value)[:96].as_signed())",
        "verify",
    ),
    Mutant(
        "specials_forgotten",
        "accumulate.py",
        "before.specials.as_value() | self.addend.specials.as_value()",
        "self.addend.specials.as_value()",
    ),
    Mutant(
        "one_accumulator_for_all", "accumulate.py", "write.addr.eq(self.token)", "write.addr.eq(0)"
    ),
    Mutant("accumulates_in_stalls", "accumulate.py", "write.en.eq(self.enable)", "write.en.eq(1)"),
)

_ROUND = (
    Mutant(
        "sticky_dropped",
        "round.py",
        "below.append(shifted[:excess].any())",
        "below.append(Const(0, 1))",
    ),
    Mutant("ties_away", "round.py", "magnitude[0] & (below | magnitude[1])", "magnitude[0]"),
    Mutant("ties_to_odd", "round.py", "(below | magnitude[1])", "(below | ~magnitude[1])"),
    Mutant("negative_round_up", "round.py", "magnitude[:2].any()", "magnitude[0]"),
    Mutant(
        "negative_ones_below", "round.py", "carried = negative & ~below", "carried = Const(0, 1)"
    ),
    Mutant(
        "sign_of_rounded_zero",
        "round.py",
        "Cat(packed[: len(value) - 1], negative)",
        "Cat(packed[: len(value) - 1], negative & packed.any())",
        "two",
    ),
    Mutant(
        "overflow_one_late",
        "round.py",
        ">= (1 << fmt.exponent) - 1",
        "> (1 << fmt.exponent) - 1",
        "two",
    ),
    Mutant("subnormal_exponent", "round.py", "Mux(magnitude[-1], exponent, 0)", "exponent"),
    Mutant("subnormal_stop", "round.py", "(exponent > step)", "(exponent >= step)", "two"),
    Mutant(
        "opposite_infinities",
        "round.py",
        "specials.nan | (specials.positive_infinity & specials.negative_infinity)",
        "specials.nan",
    ),
    Mutant("infinity_sign", "round.py", "sign = specials.negative_infinity", "sign = negative"),
    Mutant("nan_loses_to_infinity", "round.py", "with m.If(nan):", "with m.If(nan & ~infinite):"),
    Mutant("row_exponent_sign", "round.py", "unit - self.row_exponent", "unit + self.row_exponent"),
    Mutant("draft_unit_of_four_lanes", "round.py", "4: -30", "4: -29"),
    Mutant("draft_unit_of_two_lanes", "round.py", "2: -29", "2: -30", "two"),
)

_LOADING = (
    Mutant(
        "decoder_table_ignored",
        "decode.py",
        "Cat(index, self.table)",
        "Cat(index, Const(0, len(self.table)))",
    ),
    Mutant("plain_words_decoded", "decode.py", "self.word & self.plain", "pattern & self.plain"),
    Mutant(
        "plain_flag_ignored", "loader.py", "packed.eq(~draft & ~header.plain)", "packed.eq(~draft)"
    ),
    Mutant(
        "draft_words_decoded",
        "loader.py",
        "packed.eq(~draft & ~header.plain)",
        "packed.eq(~header.plain)",
    ),
    Mutant("tables_of_the_first_row", "loader.py", "g * words // columns +", "0 * g +"),
    Mutant(
        "load_group_off_by_one",
        "loader.py",
        "Cat(take & (group == number)",
        "Cat(take & (group == (number + 1) % groups)",
        "verify",
    ),
    Mutant(
        "nibble_enables_reversed",
        "loader.py",
        "for nibble in nibbles",
        "for nibble in nibbles[::-1]",
    ),
    Mutant("all_nibbles_enabled", "loader.py", "(group | nibble)", "(group | draft)"),
    Mutant("enables_of_the_next_group", "loader.py", "in groups\n", "in groups[1:] + groups[:1]\n"),
    Mutant("enables_of_every_block", "loader.py", "take & (block == number)", "take", "two"),
    Mutant("draft_counts_as_verify", "loader.py", "(last_part | draft)", "last_part", "two"),
    Mutant("quarters_end_with_their_first_block", "loader.py", "(last_block | ~draft)", "1", "two"),
    Mutant(
        "draft_weights_of_the_next_word",
        "loader.py",
        "drafts.word_select(index,",
        "drafts.word_select((index + 1) % len(self.words),",
    ),
    Mutant(
        "draft_weight_in_the_low_nibble_only",
        "loader.py",
        "nibble.replicate(DRAFTS_PER_WORD)",
        "nibble",
    ),
    Mutant(
        "draft_weights_in_verify",
        "loader.py",
        "& draft.replicate(self.parameters.port_bits)",
        "",
    ),
    Mutant(
        "one_bus_for_all_groups",
        "array.py",
        "place % len(loader.words)",
        "place % self.parameters.port_words",
    ),
    Mutant(
        "bus_of_the_next_group",
        "array.py",
        "place % len(loader.words)",
        "(place + self.parameters.port_words) % len(loader.words)",
    ),
    Mutant(
        "enables_of_the_first_row",
        "array.py",
        "loader.load[enable : enable + len(row.load)]",
        "loader.load[: len(row.load)]",
    ),
    Mutant(
        "nibbles_of_a_word_swapped",
        "pe.py",
        "self.word.word_select(number, bits)",
        "self.word.word_select(len(self.load) - 1 - number, bits)",
        "two",
    ),
    Mutant(
        "loads_over_a_waiting_tile", "loader.py", "(~self.loaded.valid | self.loaded.ready)", "1"
    ),
    Mutant(
        "loads_without_a_transfer",
        "loader.py",
        "take & (block == number)",
        "self.tiles.valid & (block == number)",
    ),
    Mutant(
        "first_word_for_all_columns",
        "row.py",
        "self.words[column % len(self.words)]",
        "self.words[0]",
    ),
    Mutant(
        "first_enables_for_all_columns",
        "row.py",
        "word_select(column // words, enables)",
        "word_select(0, enables)",
        "two",
    ),
)

_CONTROL = (
    Mutant(
        "header_of_the_next_tile",
        "sequencer.py",
        "Mux(running, active, self.loaded.payload)",
        "self.loaded.payload",
    ),
    Mutant(
        "clears_in_every_part", "sequencer.py", "header.first & (part == 0)", "header.first", "two"
    ),
    Mutant("emits_every_part", "sequencer.py", "header.last & last_part", "header.last", "two"),
    Mutant(
        "verify_has_parts", "sequencer.py", "(header.mode == Mode.VERIFY) | (part", "(part", "two"
    ),
    Mutant("swap_without_transfer", "sequencer.py", "swap.eq(take & ~running)", "swap.eq(take)"),
    Mutant("swap_one_cycle_late", "array.py", "m.d.comb += row.swap", "m.d.sync += row.swap"),
    Mutant("stage_overwritten", "streams.py", "(~self.o.valid | self.o.ready)", "(1)"),
    Mutant(
        "payload_overwritten", "streams.py", "with m.If(self.take):", "with m.If(self.i.valid):"
    ),
    Mutant(
        "sum_moves_with_the_product",
        "array.py",
        'row.reduce.eq(stages["reduce"].take)',
        'row.reduce.eq(stages["multiply"].take)',
    ),
    Mutant(
        "result_moves_in_stalls",
        "array.py",
        'row.round.eq(stages["round"].take)',
        'row.round.eq(stages["round"].i.valid)',
    ),
    Mutant(
        "mode_of_the_wrong_stage",
        "array.py",
        'row.draft.eq(stages["columns"].o.payload.draft)',
        'row.draft.eq(stages["multiply"].o.payload.draft)',
    ),
    Mutant(
        "column_mode_a_beat_late",
        "array.py",
        "column.draft.eq(draft)",
        "column.draft.eq(stage.o.payload.draft)",
    ),
    Mutant(
        "unit_of_the_wrong_stage",
        "array.py",
        "draft_result.eq(total.draft)",
        'draft_result.eq(stages["reduce"].o.payload.draft)',
    ),
    Mutant(
        "row_exponent_off_by_one_stage",
        "array.py",
        "total.row_exponent[number]",
        'stages["reduce"].o.payload.row_exponent[number]',
    ),
    Mutant(
        "row_exponent_of_the_first_row",
        "array.py",
        "total.row_exponent[number]",
        "total.row_exponent[0]",
    ),
    Mutant(
        "row_exponent_of_the_next_tile",
        "array.py",
        "sequencer.active.row_exponent",
        "sequencer.loaded.payload.row_exponent",
    ),
    Mutant(
        "partial_sums_emitted",
        "array.py",
        "accumulate.o.valid & accumulate.o.payload.emit",
        "accumulate.o.valid",
    ),
    Mutant(
        "clear_of_the_wrong_stage",
        "array.py",
        'stages["reduce"].o.payload.clear',
        'stages["multiply"].o.payload.clear',
    ),
    Mutant(
        "token_of_the_wrong_stage",
        "array.py",
        'stages["reduce"].o.payload.token',
        'stages["accumulate"].o.payload.token',
    ),
    Mutant(
        "part_of_the_wrong_stage",
        "array.py",
        'stages["columns"].o.payload.part',
        'stages["multiply"].o.payload.part',
        "two",
    ),
    Mutant(
        "verify_feeds_draft_lanes",
        "array.py",
        "elements[first], elements[number])",
        "elements[first], elements[first])",
    ),
)

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for mutant in (*_MULTIPLY, *_COLUMN, *_PE, *_SUM, *_ROUND, *_LOADING, *_CONTROL)
}
"""All faults by name, in the order of the data path."""
