// A board's system compiled by Verilator, with the other end of its serial line: bytes to and from
// its two pins, 8N1, with a bit length of its own. Compiled together with the design's C++, whose
// class is Vunit. Time passes only within board_read() and board_run().

#include <cstdint>
#include <deque>

#include "Vunit.h"
#include "verilated.h"

namespace {

constexpr int START = 0, STOP = 9;  // bits of a byte on the line, data between them

class Board {
  public:
    explicit Board(double bit) : bit_(bit), top_(&context_) { reset(); }
    ~Board() { top_.final(); }

    int64_t cycles = 0;
    std::deque<uint8_t> sent, received;

    void reset() {
        sent.clear();
        received.clear();
        sending_ = receiving_ = false;
        top_.rx = 1;
        top_.rst = 1;
        for (int cycle = 0; cycle < 3; cycle++)
            clock();
        top_.rst = 0;
    }

    void tick() {
        drive();
        clock();
        listen();
    }

    // Nothing is left to be sent, and the line back is idle.
    bool idle() const { return sent.empty() && !sending_ && !receiving_; }
    bool dropped() const { return top_.dropped; }

  private:
    void clock() {
        for (int level = 0; level < 2; level++) {
            top_.clk = level;
            top_.eval();
            context_.timeInc(1);
        }
        cycles++;
    }

    void drive() {
        if (!sending_ && !sent.empty()) {
            sending_ = true;
            sent_from_ = cycles;
        }
        if (!sending_)
            return;
        const int number = int((cycles - sent_from_) / bit_);
        if (number > STOP) {
            sent.pop_front();
            sending_ = false;
        } else {
            top_.rx = number == START ? 0 : number == STOP ? 1 : sent.front() >> (number - 1) & 1;
        }
    }

    void listen() {
        if (!receiving_) {
            if (!top_.tx) {
                receiving_ = true;
                received_from_ = cycles;
                number_ = START;
            }
            return;
        }
        if (cycles - received_from_ < (number_ + 0.5) * bit_)
            return;
        if (number_ == STOP) {
            if (top_.tx)
                received.push_back(byte_);
            receiving_ = false;
        } else if (number_ != START) {
            byte_ = byte_ >> 1 | top_.tx << 7;
        }
        number_++;
    }

    const double bit_;
    VerilatedContext context_;
    Vunit top_;
    bool sending_ = false, receiving_ = false;
    int64_t sent_from_ = 0, received_from_ = 0;
    int number_ = 0;
    uint8_t byte_ = 0;
};

}  // namespace

extern "C" {

Board *board_open(double bit) { return new Board(bit); }
void board_close(Board *board) { delete board; }
void board_reset(Board *board) { board->reset(); }
int64_t board_cycles(Board *board) { return board->cycles; }
int board_dropped(Board *board) { return board->dropped(); }

void board_write(Board *board, const uint8_t *data, uint64_t size) {
    board->sent.insert(board->sent.end(), data, data + size);
}

void board_run(Board *board, uint64_t cycles) {
    while (cycles--)
        board->tick();
}

// Up to `size` bytes; fewer if they have not come within so many cycles after the last byte was
// sent.
uint64_t board_read(Board *board, uint8_t *data, uint64_t size, uint64_t cycles) {
    for (uint64_t left = cycles; board->received.size() < size && left > 0;) {
        board->tick();
        if (board->idle())
            left--;
    }
    uint64_t count = 0;
    for (; count < size && !board->received.empty(); count++) {
        data[count] = board->received.front();
        board->received.pop_front();
    }
    return count;
}

}  // extern "C"
