"""Planted faults in the units for FPGAs."""

from speq_sim.proofs.mutant import Mutant

__all__ = ["DSP_MUTANTS"]

DSP_MUTANTS = tuple(
    Mutant(name, f"dsp/{file}.py", old, new, "dsp")
    for name, file, old, new in (
        (
            "borrow_of_the_low_term_lost",
            "multiply",
            "block.negate ^ block.borrow",
            "block.negate",
        ),
        (
            "borrow_where_nothing_is_below",
            "multiply",
            "minus & factor.low_any & weight.any()",
            "minus",
        ),
        (
            "term_above_not_taken_off",
            "multiply",
            "(middle[PACKED_PLACE:] - block.above)",
            "middle[PACKED_PLACE:]",
        ),
        (
            "second_bit_of_the_term_above_lost",
            "multiply",
            "cross ^ (upper[1] & top[0])",
            "cross",
        ),
        (
            "sign_of_a_product_that_is_zero",
            "multiply",
            "Mux(factor.top_zero, other, sign)",
            "sign",
        ),
        (
            "relative_sign_of_a_lone_product",
            "multiply",
            " & ~factor.top_zero",
            "",
        ),
        (
            "pair_multiplies_two_weights",
            "multiply",
            "upper = self.magnitudes[number + 2] & self.kind.block.replicate(LOW_BITS)",
            "upper = self.magnitudes[number + 2]",
        ),
        (
            "special_values_a_stage_early",
            "pe",
            "product.specials.eq(specials)",
            "product.specials.eq(found.specials)",
        ),
        (
            "top_of_the_last_shift_cut",
            "reduce",
            "min(len(value) + 3 * step, FIELD_BITS)",
            "min(len(value) + 3 * step, FIELD_BITS - 1)",
        ),
        (
            "lane_without_a_neighbour_lost",
            "reduce",
            "([rows[-1]] if len(rows) % 2 else [])",
            "([Const(0, 1)] if len(rows) % 2 else [])",
        ),
        (
            "activations_of_a_block_added_only",
            "multiply",
            "_packed(factor, minus)",
            "_packed(factor, Const(0, 1))",
        ),
        (
            "negated_without_its_carry",
            "multiply",
            "bit ^ (minus & low[:place].any())",
            "bit ^ minus",
        ),
        (
            "borrow_from_the_top_lost",
            "multiply",
            "bit ^ (borrow & ~factor.top[:place].any())",
            "bit",
        ),
        (
            "result_before_there_is_room",
            "streams",
            "self.room.eq(after != 0)",
            "self.room.eq(1)",
        ),
        (
            "room_that_never_comes_back",
            "streams",
            "left + leaves - self.enters",
            "left - self.enters",
        ),
        (
            "second_place_never_read",
            "streams",
            "Mux(out_of, places[1], places[0])",
            "places[0]",
        ),
        (
            "taken_while_full",
            "streams",
            "m.d.sync += [full.eq(1), ready.eq(0)]",
            "m.d.sync += full.eq(1)",
        ),
        (
            "spare_transfer_lost",
            "streams",
            "front.eq(Mux(full, spare, self.i.payload))",
            "front.eq(self.i.payload)",
        ),
    )
)
