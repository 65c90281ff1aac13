"""The planted faults: what a bench of the array must notice."""

from speq_sim.proofs.dsp_mutants import DSP_MUTANTS
from speq_sim.proofs.mutant import Mutant

__all__ = ["MUTANTS", "Mutant"]


_MULTIPLY = (
    Mutant("high_brick_off_by_one", "multiply.py", "2 * LOW_BITS)\n", "2 * LOW_BITS - 1)\n"),
    Mutant(
        "fourth_lane_off_by_one", "multiply.py", "(base,) * BRICKS", "(base,) * 3 + (base - 1,)"
    ),
    Mutant(
        "lane_halves_swapped",
        "multiply.py",
        "PAIR_PLACES = (0, LOW_BITS, 0, LOW_BITS)",
        "PAIR_PLACES = (0, LOW_BITS, LOW_BITS, 0)",
        "two",
    ),
    Mutant(
        "pairs_at_the_places_of_blocks",
        "multiply.py",
        "            block,\n            pairs,\n",
        "            block,\n            block,\n",
        "all_four",
    ),
    Mutant(
        "blocks_at_the_places_of_pairs",
        "multiply.py",
        "            block,\n            pairs,\n",
        "            pairs,\n            pairs,\n",
        "all_four",
    ),
    Mutant(
        "products_of_12_bits_too_high",
        "multiply.py",
        "parameters.draft_bits < 2 * LOW_BITS",
        "parameters.draft_bits <= 2 * LOW_BITS",
        "twelve",
    ),
    Mutant(
        "negative_product_lacks_its_one",
        "multiply.py",
        "(term,) if self.clocked else (term, negative)",
        "(term,)",
    ),
    Mutant(
        "brick_sign_weight", "multiply.py", "replicate(bits), ~negative)", "replicate(bits), 1)"
    ),
    Mutant(
        "single_brick_lacks_its_one",
        "multiply.py",
        "terms.append(Cat(Const(0, 1), negative))",
        "terms.append(negative)",
        "one",
    ),
    Mutant(
        "ones_ahead_at_the_places_of_verify",
        "multiply.py",
        "choose(selects, [each[:PRODUCT_BITS] for each in sums])",
        "sums[0]",
        "piped",
    ),
    Mutant(
        "mode_of_the_bricks_for_their_sum",
        "multiply.py",
        'self._held(m, "kind", self.kind.as_value())',
        "self.kind.as_value()",
        "piped",
    ),
    Mutant(
        "carry_between_blocks_lost",
        "arithmetic.py",
        "sums[0][-1] | (sums[1][-1] & carry)",
        "sums[0][-1]",
        "piped",
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
        "self.shifts if self.parameters.packs else [0] * len(lanes)",
        "[0] * len(lanes)",
    ),
    Mutant(
        "block_does_not_saturate",
        "column.py",
        "(kept[0] & ~kept[1:].all())",
        "kept[0]",
    ),
    Mutant(
        "block_does_not_round",
        "column.py",
        "kept[1:] + (kept[0] & ~kept[1:].all())",
        "kept[1:]",
    ),
    Mutant("block_takes_the_least", "column.py", "Mux(b > a, b, a)", "Mux(b < a, b, a)"),
    Mutant("verify_heeds_all_lanes", "column.py", "Cat(first, *rest)", "Cat(*flags)"),
    Mutant("zero_activation_missed", "column.py", "zero.eq(~one.any())", "zero.eq(0)"),
    Mutant(
        "triple_without_carry",
        "column.py",
        "factor.one + (factor.one << 1)",
        "factor.one | (factor.one << 1)",
    ),
    Mutant(
        "twelve_bits_do_not_round",
        "column.py",
        "(kept[0] & ~kept[1:].all())",
        "(kept[0] & ~kept[1:].all() & (bits < PAIR_BITS))",
        "two",
    ),
    Mutant(
        "pair_takes_the_first_exponent",
        "column.py",
        "Mux(self._pairs, pairs[0], block)",
        "Mux(self._pairs, exponents[0], block)",
        "all_four",
    ),
    Mutant(
        "pair_of_fewer_bits",
        "column.py",
        "rounded(m, places, PAIR_BITS)",
        "Cat(Const(0, PAIR_BITS - 6), rounded(m, places, 6))",
        "all_four",
    ),
    Mutant(
        "pair_takes_the_blocks_of_four",
        "column.py",
        "Mux(self._pairs, *both)",
        "Mux(0, *both)",
        "all_four",
    ),
    Mutant(
        "flags_of_a_pair_not_shared",
        "column.py",
        "Cat(*flags[:2], *flags[:2])",
        "Cat(*flags)",
        "all_four",
    ),
    Mutant(
        "flags_of_a_pair_side_by_side",
        "column.py",
        "Cat(*flags[:2], *flags[:2])",
        "Cat(flags[0], flags[0], flags[1], flags[1])",
        "all_four",
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
    Mutant(
        "specials_a_beat_early",
        "pe.py",
        "specials_held.eq(specials)",
        "specials_held.eq(0)",
        "piped",
    ),
    Mutant("draft_exponent", "pe.py", "Const(1, 1), exponent)", "Const(0, 1), exponent)"),
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
        "Mux(nibbles, draft_zero, weight_zero)",
        "weight_zero",
        "two",
    ),
    Mutant(
        "nibbles_reversed", "pe.py", "nibbles[first + lane]", "nibbles[first + lanes - 1 - lane]"
    ),
    Mutant("beat_ignored", "pe.py", "select(offered, self._part())", "offered[0]", "two"),
    Mutant(
        "draft_sign",
        "pe.py",
        "Mux(of_nibbles(self._kind_here), draft.sign, exact.sign)",
        "exact.sign",
    ),
    Mutant("nibbles_seen_as_nan", "pe.py", "special & ~nibbles", "special & 1"),
    Mutant(
        "draft_sign_of_one_lane",
        "pe.py",
        "Const(0, spare), draft.sign)",
        "Const(0, spare + 1))",
        "one",
    ),
    Mutant(
        "middle_takes_the_other_byte",
        "pe.py",
        "self._kind_here.middle & ~self._part_here[0]",
        "self._kind_here.middle & self._part_here[0]",
        "all_four",
    ),
    Mutant("middle_of_the_lowest", "pe.py", "MIDPOINT = 0x80", "MIDPOINT = 0x00", "all_four"),
    Mutant(
        "middle_reads_the_low_byte",
        "pe.py",
        "Mux(self._kind_here.middle, MIDPOINT, low)",
        "Mux(0, MIDPOINT, low)",
        "all_four",
    ),
    Mutant(
        "least_integer_is_zero",
        "pe.py",
        "draft.sign & ~draft.code.any()",
        "Const(0, 1)",
        "all_four",
    ),
    Mutant(
        "integers_are_drafts",
        "pe.py",
        "Mux(self._kind_here.integer, integer, magnitude)",
        "magnitude",
        "all_four",
    ),
    Mutant(
        "drafts_are_integers",
        "pe.py",
        "Mux(self._kind_here.integer, integer, magnitude)",
        "integer",
        "all_four",
    ),
    Mutant(
        "pair_without_its_beat",
        "pe.py",
        "pair & (self._part_here[0] ^ (lane >> 1))",
        "pair & (lane >> 1)",
        "all_four",
    ),
    Mutant("pair_of_neighbours", "pe.py", "nibbles[lane ^ 2]", "nibbles[lane ^ 1]", "all_four"),
    Mutant(
        "pairs_in_blocks",
        "pe.py",
        "pair = self._kind_here.integer & ~self._kind_here.block",
        "pair = self._kind_here.integer",
        "all_four",
    ),
    Mutant(
        "bricks_of_a_lane_apart",
        "layouts.py",
        "BRICK_LANES = (0, 2, 1, 3)",
        "BRICK_LANES = (0, 1, 2, 3)",
        "all_four",
    ),
)

_SUM = (
    Mutant("aligner_off_by_one", "reduce.py", "<< lane.shift)", "<< (lane.shift | 1))"),
    Mutant("aligner_top_bit_cut", "reduce.py", "<< lane.shift)", "<< lane.shift[:-1])"),
    Mutant(
        "sign_not_extended",
        "reduce.py",
        "lane.value <<",
        "lane.value.as_unsigned() <<",
    ),
    Mutant(
        "second_sign_not_counted",
        "reduce.py",
        "BITS - 1] for row in rows)",
        "BITS - 1] for row in rows[:1])",
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
    Mutant(
        "carry_of_two_lost",
        "accumulate_segments.py",
        "Cat(total[bits:].any(), total[bits + 1])",
        "Cat(total[bits:].any(), Const(0, 1))",
        "piped",
    ),
    Mutant(
        "segment_of_the_wrong_token",
        "accumulate_segments.py",
        "self.token.word_select(number, bits_for(tokens - 1))",
        "self.token.word_select(0, bits_for(tokens - 1))",
        "piped",
    ),
    Mutant(
        "segment_not_cleared",
        "accumulate_segments.py",
        "old & (~self.first[number])",
        "old & (~self.first[0])",
        "piped",
    ),
    Mutant(
        "old_sum_read_too_soon",
        "accumulate_segments.py",
        "Mux(self.enable[number] & (token == coming), after, read.data)",
        "read.data",
        "piped",
    ),
    Mutant(
        "old_sum_of_any_token",
        "accumulate_segments.py",
        "self.enable[number] & (token == coming)",
        "self.enable[number]",
        "piped",
    ),
    Mutant(
        "old_sum_read_in_stalls",
        "accumulate_segments.py",
        "with m.If(comes):",
        "with m.If(1):",
        "piped",
    ),
    Mutant(
        "signs_of_rows_not_taken_off",
        "reduce.py",
        "signs.eq(-self._negatives(m, rows))",
        "signs.eq(0)",
        "piped",
    ),
    Mutant(
        "sticky_of_the_first_stage_lost",
        "round.py",
        'register("below", found.below)',
        "Const(0, 1)",
        "piped",
    ),
    Mutant(
        "smallest_exponent_for_the_largest",
        "column.py",
        "exponents[a] >= exponents[b]",
        "exponents[a] <= exponents[b]",
        "piped",
    ),
    Mutant(
        "distances_do_not_saturate",
        "column.py",
        "far.replicate(SHIFT_BITS - 2)",
        "0",
        "piped",
    ),
    Mutant(
        "pair_takes_the_first_exponent_ahead",
        "column.py",
        'self._distances(m, "pair", exponents[:2])',
        'self._distances(m, "pair", exponents[:1] * 2)',
        "piped",
    ),
    Mutant(
        "exponent_of_no_leading_digit",
        "round.py",
        "dropped & leads",
        "dropped",
        "piped",
    ),
)

_ROUND = (
    Mutant(
        "sticky_dropped",
        "round.py",
        "found.below | shifted[:excess].any()",
        "found.below",
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
    Mutant(
        "subnormal_exponent",
        "round.py",
        "Mux(magnitude[-1], self._biased(found), 0)",
        "self._biased(found)",
    ),
    Mutant("subnormal_stop", "round.py", "(exponent > step)", "(exponent >= step)", "two"),
    Mutant(
        "opposite_infinities",
        "round.py",
        "specials.nan | (specials.positive_infinity & specials.negative_infinity)",
        "specials.nan",
    ),
    Mutant("infinity_sign", "round.py", "sign = specials.negative_infinity", "sign = negative"),
    Mutant("nan_loses_to_infinity", "round.py", "with m.If(nan):", "with m.If(nan & ~infinite):"),
    Mutant("row_exponent_sign", "round.py", "eq(of_mode - (", "eq(of_mode + ("),
    Mutant("block_unit", "round.py", "return -13 - bits", "return -12 - bits"),
    Mutant("draft_unit", "round.py", "DRAFT_FRACTION_BITS = 5", "DRAFT_FRACTION_BITS = 4", "two"),
    Mutant("integer_unit_as_of_drafts", "round.py", 'if mode == "draft" else 0', "", "all_four"),
    Mutant(
        "pair_unit_as_of_blocks", "round.py", "= PAIR_BITS", "= parameters.draft_bits", "all_four"
    ),
    Mutant(
        "pair_unit_in_one_lane",
        "round.py",
        'case "qverify" if parameters.lanes > 1:',
        'case "qverify":',
        "all_one",
    ),
    Mutant(
        "pairs_have_the_unit_of_blocks",
        "round.py",
        "self.kind.integer & self.kind.block)",
        "self.kind.integer)",
        "all_four",
    ),
    Mutant(
        "integers_have_the_unit_of_drafts",
        "round.py",
        '("qdraft", self.kind.integer & self.kind.block)',
        '("draft", self.kind.integer & self.kind.block)',
        "all_four",
    ),
)

_DECODING = (
    Mutant(
        "decoder_table_ignored",
        "decode.py",
        "Cat(slot, code, table)",
        "Cat(slot, code, Const(0, len(table)))",
    ),
    Mutant("plain_words_decoded", "decode.py", "self.word & self.plain", "pattern & self.plain"),
    Mutant(
        "middle_sign",
        "decode.py",
        "Const(0, 1), self.weight.sign)",
        "Const(0, 2))",
        "all_four",
    ),
    Mutant(
        "middle_code_and_slot",
        "decode.py",
        "self.weight.slot, self.weight.code",
        "self.weight.slot ^ 1, self.weight.code",
        "all_four",
    ),
    Mutant(
        "plain_flag_ignored",
        "unpack.py",
        "self.verify & ~self.plain | middle",
        "self.verify | middle",
    ),
    Mutant(
        "draft_words_decoded",
        "unpack.py",
        "self.verify & ~self.plain | middle",
        "~self.plain | middle",
    ),
    Mutant(
        "middle_words_not_decoded",
        "unpack.py",
        "self.verify & ~self.plain | middle",
        "self.verify & ~self.plain",
        "all_four",
    ),
    Mutant("tables_of_the_first_row", "unpack.py", "g * words // columns +", "0 * g +"),
    Mutant(
        "tables_of_the_first_group", "unpack.py", "self.group | middle", "self.group", "all_one"
    ),
    Mutant(
        "tables_of_the_second_group",
        "unpack.py",
        '"half", self.group)',
        '"half", self.group | 1)',
        "all_one",
    ),
    Mutant(
        "middle_groups_swapped", "unpack.py", "if bus % 2 else", "if not bus % 2 else", "all_four"
    ),
    Mutant(
        "middle_half_of_the_second_group",
        "unpack.py",
        "weight.eq(word[:BYTE_BITS])",
        "weight.eq(word[BYTE_BITS:])",
        "all_four",
    ),
    Mutant(
        "middle_in_the_low_byte_only",
        "unpack.py",
        "Cat(byte, byte)",
        "Cat(byte, Const(0, 8))",
        "all_four",
    ),
    Mutant(
        "draft_weights_of_the_next_word",
        "unpack.py",
        "word_select(index,",
        "word_select((index + 1) % len(self.words),",
    ),
    Mutant(
        "draft_weight_in_the_low_nibble_only",
        "unpack.py",
        "nibble.replicate(DRAFTS_PER_WORD)",
        "nibble",
    ),
    Mutant(
        "draft_weights_in_verify",
        "unpack.py",
        "self.transfer.as_value() & mask",
        "self.transfer.as_value()",
    ),
    Mutant(
        "words_as_they_are_in_nibbles",
        "unpack.py",
        "word & self.verify.replicate(WORD_BITS)",
        "word",
        "qspec",
    ),
)

_LOADING = (
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
        "nibbles & is_part[nibble]",
        "nibbles & is_part[3 - nibble]",
    ),
    Mutant("all_nibbles_enabled", "loader.py", "nibbles & is_part[nibble]", "nibbles"),
    Mutant(
        "enables_of_the_next_group",
        "loader.py",
        "verify & is_part[group]",
        "verify & is_part[(group + 1) % 4]",
    ),
    Mutant(
        "idle_while_a_tile_is_at_work",
        "sequencer.py",
        "self.beat.ready & ~running",
        "self.beat.ready",
        "dsp",
    ),
    Mutant(
        "enables_before_their_words",
        "loader.py",
        'self._late(m, "load", loads)',
        "loads",
        "dsp",
    ),
    Mutant("enables_of_every_block", "loader.py", "take & (block == number)", "take", "two"),
    Mutant("draft_counts_as_verify", "loader.py", "nibbles | part[1] & (", "part[1] & (", "two"),
    Mutant(
        "quarters_end_with_their_first_block",
        "loader.py",
        "last_block & (nibbles | part[1])",
        "(nibbles | part[1])",
        "two",
    ),
    Mutant(
        "tile_ends_with_a_block",
        "loader.py",
        "take & last_block & part.all()",
        "take & part.all()",
        "two",
    ),
    Mutant(
        "middle_pairs_not_counted",
        "loader.py",
        "middle | part[0] & (verify | last_block)",
        "part[0] & (verify | last_block)",
        "all_four",
    ),
    Mutant(
        "middle_blocks_not_counted",
        "loader.py",
        "part[1] & (middle | part[0])",
        "part[1] & part[0]",
        "all_four",
    ),
    Mutant(
        "middle_bytes_and_pairs_swapped",
        "loader.py",
        "is_part[group & 2 | nibble >> 1]",
        "is_part[nibble & 2 | group >> 1]",
        "all_four",
    ),
    Mutant(
        "middle_loads_one_nibble",
        "loader.py",
        "is_part[group & 2 | nibble >> 1]",
        "is_part[group & 2 | nibble & 1]",
        "all_four",
    ),
    Mutant(
        "middle_byte_is_a_group", "loader.py", "Cat(part[0] & ~middle,", "Cat(part[0],", "all_one"
    ),
    Mutant(
        "one_bus_for_all_groups",
        "array.py",
        "place % len(self.loader.words)",
        "place % self.parameters.port_words",
    ),
    Mutant(
        "bus_of_the_next_group",
        "array.py",
        "place % len(self.loader.words)",
        "(place + self.parameters.port_words) % len(self.loader.words)",
    ),
    Mutant(
        "enables_of_the_first_row",
        "array.py",
        "load[enable : enable + len(row.load)]",
        "load[: len(row.load)]",
    ),
    Mutant(
        "nibbles_of_a_word_swapped",
        "pe.py",
        "self.word.word_select(number, bits)",
        "self.word.word_select(len(self.load) - 1 - number, bits)",
        "two",
    ),
    Mutant("loads_over_a_waiting_tile", "loader.py", "(~self.loaded.valid | taken)", "1"),
    Mutant(
        "loads_without_a_transfer",
        "loader.py",
        "take & (block == number)",
        "self.tiles.valid & (block == number)",
    ),
    Mutant(
        "first_word_for_all_columns",
        "row.py",
        'broadcast["words"][column % len(self.words)]',
        'broadcast["words"][0]',
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
        "beats_of_any_mode",
        "sequencer.py",
        "(header.mode == Mode[mode.upper()]) & (part == end)",
        "part == end",
        "two",
    ),
    Mutant(
        "drafts_of_integers_are_pairs",
        "sequencer.py",
        '"block": ("draft", "qdraft")',
        '"block": ("draft",)',
        "all_four",
    ),
    Mutant(
        "pairs_are_exact",
        "sequencer.py",
        '"integer": ("qdraft", "qverify")',
        '"integer": ("qdraft",)',
        "all_four",
    ),
    Mutant(
        "middle_is_verify",
        "sequencer.py",
        '"middle": ("middle",)',
        '"middle": ("qverify",)',
        "all_four",
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
        "Cat(stage.take for stage in stages[name])",
        'Cat(s.take for s in stages["multiply" if name == "reduce" else name])',
    ),
    Mutant(
        "result_moves_in_stalls",
        "array.py",
        "Cat(stage.take for stage in stages[name])",
        'Cat(s.i.valid if name == "round" else s.take for s in stages[name])',
    ),
    Mutant(
        "mode_of_the_wrong_stage",
        "array.py",
        "row.kind.eq(beat.kind)",
        'row.kind.eq(stages["multiply"][0].o.payload.kind)',
    ),
    Mutant(
        "column_mode_a_beat_late",
        "array.py",
        "column.kind.eq(kind)",
        "column.kind.eq(stages[-1].o.payload.kind)",
    ),
    Mutant(
        "unit_of_the_wrong_stage",
        "array.py",
        "row.result_kind.eq(total.kind)",
        'row.result_kind.eq(stages["reduce"][0].o.payload.kind)',
    ),
    Mutant(
        "row_exponent_off_by_one_stage",
        "array.py",
        "total.row_exponent[number]",
        'stages["reduce"][0].o.payload.row_exponent[number]',
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
        "sums.valid & sums.payload.emit",
        "sums.valid",
    ),
    Mutant(
        "clear_of_the_wrong_stage",
        "array.py",
        "Cat(beat.clear for beat in looked_up)",
        'stages["multiply"][0].o.payload.clear',
    ),
    Mutant(
        "token_of_the_wrong_stage",
        "array.py",
        "Cat(beat.token for beat in sums)",
        'stages["accumulate"][0].o.payload.token',
    ),
    Mutant(
        "next_token_of_the_wrong_stage",
        "array.py",
        "Cat(beat.token for beat in looked_up)",
        "Cat(beat.token for beat in sums)",
        "piped",
    ),
    Mutant(
        "activations_taken_as_they_enter",
        "array.py",
        "entered.o.valid, entered.o.ready",
        "entered.i.valid, entered.o.ready",
        "piped",
    ),
    Mutant(
        "part_of_the_wrong_stage",
        "array.py",
        "row.part.eq(beat.part)",
        'row.part.eq(stages["multiply"][0].o.payload.part)',
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
    for mutant in (
        *(*_MULTIPLY, *_COLUMN, *_PE, *_SUM, *_ROUND, *_DECODING, *_LOADING, *_CONTROL),
        *DSP_MUTANTS,
    )
}
"""All faults by name, in the order of the data path."""
