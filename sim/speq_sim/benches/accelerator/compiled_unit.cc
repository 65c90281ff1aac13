// An emitted accelerator compiled by Verilator, with a model on each of its buses: a memory behind
// AXI4, a master of AXI4-Lite, a source and a sink of AXI4-Stream. Compiled together with the
// design's C++, whose class is Vunit. Time passes only within calls; one cycle is one tick().
//
// Inputs change just after a rising edge and depend on what was seen before it alone, so a
// handshake is what both sides hold when the next edge comes.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "Vunit.h"
#include "verilated.h"

namespace {

constexpr uint64_t BOUNDARY = 4096;
constexpr unsigned OKAY = 0, DECERR = 3, INCR = 1;

using Beat = std::vector<uint8_t>;

// Of a port of any width; Verilator keeps ports in little-endian words.
template <typename Port>
void put(Port &port, const uint8_t *data, size_t size) { std::memcpy(&port, data, size); }
template <typename Port>
Beat bytes_of(const Port &port, size_t size) {
    Beat found(size);
    std::memcpy(found.data(), &port, size);
    return found;
}

// xorshift64*: pauses and latencies need no more than an even spread.
struct Random {
    uint64_t state;
    uint32_t next() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (state * 0x2545F4914F6CDD1DULL) >> 32;
    }
    bool chance(uint64_t of_2_to_32) { return of_2_to_32 && next() < of_2_to_32; }
    uint64_t between(uint64_t low, uint64_t high) { return low + next() % (high - low + 1); }
};

struct Burst {
    uint64_t first_cycle, address, beats;
};

struct Packet {
    Beat data;
    bool last_user;
};

}  // namespace

extern "C" {

struct Settings {
    uint64_t beat_bytes;           // of the memory port and of both streams
    uint64_t low, high;            // cycles from a burst's request to its first beat
    uint64_t outstanding;          // bursts accepted before the first has ended
    uint64_t stalls;               // chance of a held-back transfer, in units of 2**-32
    uint64_t seed;                 // not 0
    uint64_t deadlock;             // cycles without a transfer of data that are an error
};

struct Counts {
    int64_t cycles, bursts, beats, activation_beats, result_beats, most_outstanding;
};

}  // extern "C"

namespace {

class Unit {
  public:
    explicit Unit(const Settings &settings)
        : settings_(settings), random_{settings.seed}, top_(&context_) {
        reset();
    }
    ~Unit() { top_.final(); }

    Counts counts{};
    std::string error;
    std::map<uint64_t, Beat> memory;

    void reset() {
        top_.aresetn = 0;
        top_.s_axi_awvalid = top_.s_axi_wvalid = top_.s_axi_arvalid = 0;
        top_.s_axi_bready = top_.s_axi_rready = 0;
        top_.s_axis_tvalid = top_.m_axis_tready = 0;
        top_.m_axi_arready = top_.m_axi_rvalid = 0;
        for (int cycle = 0; cycle < 3; cycle++) {
            edge(0);
            edge(1);
        }
        top_.aresetn = 1;
        bursts_.clear();
        packets_.clear();
        results_.clear();
        partial_.clear();
        under_way_ = Burst{};
        beat_ = sent_ = idle_ = 0;
        asked_ = offered_result_ = false;
        counts = Counts{};
    }

    bool write(uint32_t offset, uint32_t value) {
        top_.s_axi_awaddr = offset;
        top_.s_axi_wdata = value;
        top_.s_axi_wstrb = 0xF;
        top_.s_axi_awvalid = top_.s_axi_wvalid = top_.s_axi_bready = 1;
        for (bool done = false; !done;) {
            sample();
            const bool address = top_.s_axi_awvalid && top_.s_axi_awready;
            const bool data = top_.s_axi_wvalid && top_.s_axi_wready;
            done = top_.s_axi_bvalid && top_.s_axi_bready;
            const unsigned response = top_.s_axi_bresp;
            if (!finish())
                return false;
            if (address)
                top_.s_axi_awvalid = 0;
            if (data)
                top_.s_axi_wvalid = 0;
            if (done && response != OKAY)
                return fail("the write of a register was answered with an error", offset);
        }
        top_.s_axi_bready = 0;
        return true;
    }

    bool read(uint32_t offset, uint32_t *value) {
        top_.s_axi_araddr = offset;
        top_.s_axi_arvalid = top_.s_axi_rready = 1;
        for (bool done = false; !done;) {
            sample();
            const bool address = top_.s_axi_arvalid && top_.s_axi_arready;
            done = top_.s_axi_rvalid && top_.s_axi_rready;
            const unsigned response = top_.s_axi_rresp;
            if (done)
                *value = top_.s_axi_rdata;
            if (!finish())
                return false;
            if (address)
                top_.s_axi_arvalid = 0;
            if (done && response != OKAY)
                return fail("the read of a register was answered with an error", offset);
        }
        top_.s_axi_rready = 0;
        return true;
    }

    void send(const uint8_t *data, uint64_t size) { packets_.emplace_back(data, data + size); }

    bool flush() {
        while (!packets_.empty())
            if (!tick())
                return false;
        return true;
    }

    // 1: there is a packet; 0: none came in `patience` cycles; -1: an error.
    int wait(uint64_t patience) {
        for (; results_.empty(); patience--) {
            if (patience == 0)
                return 0;
            if (!tick())
                return -1;
        }
        return 1;
    }

    const Packet &front() const { return results_.front(); }
    void pop() { results_.pop_front(); }

  private:
    bool tick() {
        sample();
        return finish();
    }

    void edge(int level) {
        top_.aclk = level;
        top_.eval();
        context_.timeInc(1);
    }

    // Before the rising edge: what every output shows, given this cycle's inputs.
    void sample() {
        drive();
        edge(0);
    }

    // The rising edge, and what it transferred.
    bool finish() {
        const uint64_t moved = counts.beats + counts.activation_beats + counts.result_beats;
        const bool legal = take_address() && take_result();
        const bool beat = top_.m_axi_rvalid && top_.m_axi_rready;
        const bool activations = top_.s_axis_tvalid && top_.s_axis_tready;
        edge(1);  // with the inputs of this cycle, which change only behind it
        if (beat)
            take_beat();
        if (activations)
            take_activations();
        counts.cycles++;
        const bool progress =
            moved != uint64_t(counts.beats + counts.activation_beats + counts.result_beats);
        idle_ = progress ? 0 : idle_ + 1;
        if (legal && idle_ > settings_.deadlock)
            return fail("the unit hangs: cycles without a transfer of data", idle_);
        return legal;
    }

    // Inputs of the streams and of the memory for this cycle.
    void drive() {
        const size_t size = settings_.beat_bytes;
        if (!top_.s_axis_tvalid && !packets_.empty() && !random_.chance(settings_.stalls)) {
            put(top_.s_axis_tdata, packets_.front().data() + sent_, size);
            top_.s_axis_tlast = sent_ + size == packets_.front().size();
            top_.s_axis_tvalid = 1;
        }
        top_.m_axis_tready = !random_.chance(settings_.stalls);
        if (beat_ == under_way_.beats && !bursts_.empty() &&
            bursts_.front().first_cycle <= uint64_t(counts.cycles)) {
            under_way_ = bursts_.front();
            bursts_.pop_front();
            beat_ = 0;
        }
        if (!top_.m_axi_rvalid && beat_ < under_way_.beats && !random_.chance(settings_.stalls)) {
            const uint8_t *found = find(under_way_.address + beat_ * size);
            if (found)
                put(top_.m_axi_rdata, found, size);
            top_.m_axi_rresp = found ? OKAY : DECERR;
            top_.m_axi_rlast = beat_ + 1 == under_way_.beats;
            top_.m_axi_rvalid = 1;
        }
        const uint64_t held = bursts_.size() + (beat_ < under_way_.beats);
        top_.m_axi_arready = held < settings_.outstanding && !random_.chance(settings_.stalls);
    }

    bool take_address() {
        const Burst now{0, uint64_t(top_.m_axi_araddr), uint64_t(top_.m_axi_arlen) + 1};
        const bool valid = top_.m_axi_arvalid;
        if (asked_ && !(valid && now.address == held_.address && now.beats == held_.beats))
            return fail("a read address was withdrawn or changed before it was taken", now.address);
        asked_ = valid && !top_.m_axi_arready;
        held_ = now;
        if (!valid || asked_)
            return true;
        const uint64_t size = settings_.beat_bytes, last = now.address + now.beats * size - 1;
        if (top_.m_axi_arburst != INCR || 1ULL << top_.m_axi_arsize != size ||
            now.address % size || now.address / BOUNDARY != last / BOUNDARY)
            return fail("a read burst breaks a rule of AXI4", now.address);
        const uint64_t wait = random_.between(settings_.low, settings_.high);
        bursts_.push_back({counts.cycles + wait, now.address, now.beats});
        counts.bursts++;
        const int64_t held = bursts_.size() + (beat_ < under_way_.beats);
        counts.most_outstanding = std::max(counts.most_outstanding, held);
        return true;
    }

    void take_beat() {
        counts.beats++;
        beat_++;
        top_.m_axi_rvalid = 0;
    }

    void take_activations() {
        counts.activation_beats++;
        sent_ += settings_.beat_bytes;
        if (sent_ == packets_.front().size()) {
            packets_.pop_front();
            sent_ = 0;
        }
        top_.s_axis_tvalid = 0;
    }

    bool take_result() {
        const bool valid = top_.m_axis_tvalid;
        if (!valid && !offered_result_)
            return true;
        Beat data = bytes_of(top_.m_axis_tdata, settings_.beat_bytes);
        const bool last = top_.m_axis_tlast;
        if (offered_result_ && !(valid && data == result_ && last == result_last_))
            return fail("a result was withdrawn or changed before it was taken", counts.cycles);
        offered_result_ = !top_.m_axis_tready;
        if (offered_result_) {
            result_ = data;
            result_last_ = last;
            return true;
        }
        counts.result_beats++;
        partial_.insert(partial_.end(), data.begin(), data.end());
        if (last) {
            results_.push_back({std::move(partial_), bool(top_.m_axis_tuser)});
            partial_ = Beat{};
        }
        return true;
    }

    // A whole beat of memory, or null where there is none.
    const uint8_t *find(uint64_t address) const {
        auto region = memory.upper_bound(address);
        if (region == memory.begin())
            return nullptr;
        --region;
        const uint64_t offset = address - region->first;
        const bool inside = offset + settings_.beat_bytes <= region->second.size();
        return inside ? region->second.data() + offset : nullptr;
    }

    bool fail(const char *what, uint64_t where) {
        error = std::string(what) + " (" + std::to_string(where) + ", cycle " +
                std::to_string(counts.cycles) + ")";
        return false;
    }

    const Settings settings_;
    Random random_;
    VerilatedContext context_;
    Vunit top_;
    std::deque<Burst> bursts_;       // accepted, not begun
    Burst under_way_{}, held_{};     // answered now; shown on the address channel
    std::deque<Beat> packets_;       // activations to send
    std::deque<Packet> results_;     // complete ones
    Beat partial_, result_;          // of a packet of results; the beat that waits
    uint64_t beat_ = 0, sent_ = 0, idle_ = 0;
    bool asked_ = false, offered_result_ = false, result_last_ = false;
};

}  // namespace

extern "C" {

Unit *speq_open(const Settings *settings) { return new Unit(*settings); }
void speq_close(Unit *unit) { delete unit; }
void speq_reset(Unit *unit) { unit->reset(); }

const char *speq_error(Unit *unit) { return unit->error.c_str(); }
void speq_counts(Unit *unit, Counts *counts) { *counts = unit->counts; }

// What may fail gives 0 or more, and -1 with a text in speq_error().
int speq_read(Unit *unit, uint32_t offset, uint32_t *value) {
    return unit->read(offset, value) ? 0 : -1;
}
int speq_write(Unit *unit, uint32_t offset, uint32_t value) {
    return unit->write(offset, value) ? 0 : -1;
}
int speq_flush(Unit *unit) { return unit->flush() ? 0 : -1; }
int speq_wait(Unit *unit, uint64_t patience) { return unit->wait(patience); }

void speq_write_memory(Unit *unit, uint64_t address, const uint8_t *data, uint64_t size) {
    unit->memory[address].assign(data, data + size);
}
void speq_send(Unit *unit, const uint8_t *packet, uint64_t size) { unit->send(packet, size); }

// Of the packet that speq_wait() found; taking it copies its data.
uint64_t speq_packet_size(Unit *unit) { return unit->front().data.size(); }
int speq_take(Unit *unit, uint8_t *data) {
    const Packet &packet = unit->front();
    std::memcpy(data, packet.data.data(), packet.data.size());
    const int user = packet.last_user;
    unit->pop();
    return user;
}

}  // extern "C"
