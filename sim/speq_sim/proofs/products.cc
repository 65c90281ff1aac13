// Compares every product of the multiply stage with the CPU's own. Appended to the netlist of
// speq.product_stage.ProductStage (speq_sim.proofs.bit_parallel): 256 activations go through it at once.
//
// The reference knows nothing of significands: a product of two FP16 numbers is exact in double
// precision, and the CPU follows IEEE 754 in what becomes of NaNs and infinities.

#include <cmath>
#include <limits>

namespace {

constexpr int LANES = 256, BLOCKS = 65536 / LANES;

double decoded(uint32_t pattern) {
    const int exponent = pattern >> 10 & 31, fraction = pattern & 1023;
    const double sign = pattern >> 15 ? -1.0 : 1.0;
    if (exponent == 31)
        return fraction ? std::numeric_limits<double>::quiet_NaN()
                        : sign * std::numeric_limits<double>::infinity();
    return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25)
                            : std::ldexp(fraction, -24));
}

void put(V *in, int width, uint32_t value) {
    for (int bit = 0; bit < width; bit++)
        in[bit] = V{} - (value >> bit & 1);
}

// 32 rows of 32 bits, eight such squares side by side: bit j of row i changes place with bit i of row j.
void transpose(V *rows) {
    uint32_t mask = 0x0000FFFF;
    for (int step = 16; step; step >>= 1, mask ^= mask << step)
        for (int i = 0; i < 32; i = (i + step + 1) & ~step) {
            const V swap = ((rows[i] >> step) ^ rows[i + step]) & mask;
            rows[i] ^= swap << step;
            rows[i + step] ^= swap;
        }
}

// Activations in the order in which transposed products come: lane 32 * square + row.
struct Activations {
    double values[BLOCKS][LANES];
    Activations() {
        for (int block = 0; block < BLOCKS; block++)
            for (int lane = 0; lane < LANES; lane++)
                values[block][lane % 32 * 8 + lane / 32] = decoded(block * LANES + lane);
    }
};

// Product words (value 0..22, shift 23..28, NaN 29, +infinity 30, -infinity 31) that are wrong.
int64_t wrong(const uint32_t *products, const double *activations, double weight) {
    int64_t count = 0;
    for (int i = 0; i < LANES; i++) {
        const double expected = activations[i] * weight;
        const uint32_t product = products[i];
        const int32_t value = static_cast<int32_t>(product << 9) >> 9;
        const uint64_t power = (static_cast<uint64_t>(product >> 23 & 63) - 48 + 1023) << 52;
        double unit;
        std::memcpy(&unit, &power, sizeof unit);
        const bool is_nan = expected != expected;
        const bool is_infinite = std::fabs(expected) > std::numeric_limits<double>::max();
        const uint32_t infinity = static_cast<uint32_t>(is_infinite & (expected > 0)) << 1
                                  | static_cast<uint32_t>(is_infinite & (expected < 0)) << 2;
        // Beside a NaN nothing else counts, and beside an infinity not the value.
        const bool nan_right = is_nan & (product >> 29 & 1);
        const bool infinity_right = is_infinite & (product >> 29 == infinity);
        const bool finite_right = (product >> 29 == 0) & (value * unit == expected);
        count += !(nan_right | infinity_right | finite_right);
    }
    return count;
}

}  // namespace

// Weights first..last-1, each times all 65,536 activations. Writes the wrong products of each weight
// to wrong_of[weight - first]; returns their sum. With `middle`, the value of the port `kind` that
// says so, weights are the high bytes of FP16 patterns, and their low bytes count as 0x80.
extern "C" int64_t speq_products(int32_t first, int32_t last, int32_t middle, int64_t *wrong_of) {
    static const Activations activations;
    alignas(64) V in[INPUTS] = {}, out[OUTPUTS], state[STATES + 1] = {};
    V lane_bits[8];
    for (int bit = 0; bit < 8; bit++)
        for (int square = 0; square < 8; square++) {
            uint32_t word = 0;
            for (int i = 0; i < 32; i++)
                word |= ((square * 32 + i) >> bit & 1u) << i;
            lane_bits[bit][square] = word;
        }
    // The state is undefined before the first load, as in hardware: all ones here.
    for (auto &bits : state)
        bits = ~V{};

    int64_t total = 0;
    uint32_t noise = 1;
    for (int32_t weight = first; weight < last; weight++) {
        const auto clock = [&] { evaluate(in, out, state); };
        const double number = decoded(middle ? weight << 8 | 0x80 : weight);
#ifdef IN_kind
        put(in + IN_kind, IN_kind_BITS, middle);
#endif
        // The other byte of a word of MIDDLE belongs to the next beat.
        put(in + IN_word, 16, middle ? weight | (weight * 37 + 91) << 8 : weight);
        put(in + IN_load, 1, 1);
        clock();
        put(in + IN_word, 16, ~weight);
        put(in + IN_load, 1, 0);
        put(in + IN_swap, 1, 1);
        clock();
        put(in + IN_swap, 1, 0);

        int64_t count = 0;
        for (int step = 0; step < BLOCKS + 2; step++) {
            V *const values = in + IN_values;
            for (int bit = 0; bit < 8; bit++) {
                values[bit] = lane_bits[bit];
                values[8 + bit] = V{} - (step >> bit & 1u);
            }
            // All lanes but the first are ignored: they get other patterns, other shifts.
            for (int bit = 16; bit < IN_values_BITS; bit++) {
                noise = noise * 1664525u + 1013904223u;
                values[bit] = values[(bit * 7 + step) % 16] ^ (V{} - (noise >> 31));
            }
#ifdef IN_shifts
            for (int bit = 4; bit < IN_shifts_BITS; bit++)
                in[IN_shifts + bit] = values[16 + bit];
#endif
            evaluate(in, out, state);
            if (step >= 2) {
                alignas(64) V rows[32];
                for (int bit = 0; bit < 23; bit++)
                    rows[bit] = out[OUT_value + bit];
                for (int bit = 0; bit < 6; bit++)
                    rows[23 + bit] = out[OUT_shift + bit];
                for (int bit = 0; bit < 3; bit++)
                    rows[29 + bit] = out[OUT_specials + bit];
                transpose(rows);
                uint32_t products[LANES];
                std::memcpy(products, rows, sizeof products);
                count += wrong(products, activations.values[step - 2], number);
            }
        }
        wrong_of[weight - first] = count;
        total += count;
    }
    return total;
}
