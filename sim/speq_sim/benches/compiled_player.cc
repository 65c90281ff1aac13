// Plays four ready/valid streams on a design compiled by CXXRTL. Compiled together with the design:
// DESIGN_SOURCE is its C++ file, DESIGN_TOP the class of its top module.

#include <cstdint>
#include <cstring>
#include DESIGN_SOURCE

namespace {

using Top = cxxrtl_design::DESIGN_TOP;

template <size_t Bits>
cxxrtl::value<Bits> &current(cxxrtl::value<Bits> &port) { return port; }
template <size_t Bits>
cxxrtl::value<Bits> &current(cxxrtl::wire<Bits> &port) { return port.curr; }

template <typename Port>
void put(Port &port, const uint32_t *words) {
    std::memcpy(port.data, words, sizeof(port.data));
}

// xorshift64*: pauses need no more than an even spread.
struct Pauses {
    uint64_t state;
    bool operator()(uint64_t chance) {
        if (chance == 0)
            return false;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return ((state * 0x2545F4914F6CDD1DULL) >> 32) < chance;
    }
};

struct Counts {
    int64_t transfers, stalls, first, last;
    bool observe(bool valid, bool ready, int64_t cycle) {
        if (valid && ready) {
            if (transfers++ == 0)
                first = cycle;
            last = cycle;
            return true;
        }
        stalls += valid;
        return false;
    }
};

}  // namespace

// Returns the cycles from reset to the last result, or -1 if nothing moved for `patience` cycles.
extern "C" int64_t speq_play(const uint32_t *const *sent, const int64_t *lengths, uint32_t *results,
                             int64_t wanted, const uint64_t *chances, uint64_t seed,
                             int64_t patience, Counts *counts) {
    Top top;
    Pauses pause{seed ? seed : 1};
    bool offered[3] = {false, false, false};

    auto tick = [&] {
        top.p_clk.set<uint32_t>(1);
        top.step();
        top.p_clk.set<uint32_t>(0);
    };
    top.p_clk.set<uint32_t>(0);
    top.p_rst.set<uint32_t>(1);
    top.step();
    tick();
    top.p_rst.set<uint32_t>(0);

    int64_t moved = 0;
    for (int64_t cycle = 0; counts[3].transfers < wanted; cycle++) {
        if (cycle - moved > patience)
            return -1;

        auto offer = [&](int index, auto &payload, auto &valid) {
            Counts &count = counts[index];
            if (!offered[index] && count.transfers < lengths[index] && !pause(chances[index])) {
                const size_t words = sizeof(payload.data) / sizeof(uint32_t);
                put(payload, sent[index] + count.transfers * words);
                offered[index] = true;
            }
            valid.template set<uint32_t>(offered[index]);
        };
        offer(0, top.p_tiles____payload, top.p_tiles____valid);
        offer(1, top.p_weights____payload, top.p_weights____valid);
        offer(2, top.p_activations____payload, top.p_activations____valid);
        top.p_results____ready.set<uint32_t>(!pause(chances[3]));
        top.step();

        auto taken = [&](int index, auto &ready) {
            if (counts[index].observe(offered[index], current(ready).template get<bool>(), cycle)) {
                offered[index] = false;
                moved = cycle;
            }
        };
        taken(0, top.p_tiles____ready);
        taken(1, top.p_weights____ready);
        taken(2, top.p_activations____ready);
        if (counts[3].observe(current(top.p_results____valid).get<bool>(),
                              top.p_results____ready.get<bool>(), cycle)) {
            auto &payload = current(top.p_results____payload);
            const size_t words = sizeof(payload.data) / sizeof(uint32_t);
            std::memcpy(results + (counts[3].transfers - 1) * words, payload.data,
                        sizeof(payload.data));
            moved = cycle;
        }
        tick();
    }
    return counts[3].last + 1;
}
