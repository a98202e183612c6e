// A unit at the end of a serial line: bytes in, bytes out, every cycle between them here.
//
// The unit is any module with the ports clk, rst, rx, tx and the four LEDs. The receiver below knows
// nothing of how the unit sends: it checks the length of every bit, cycle by cycle.

#include "Vdut.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>

namespace {

constexpr uint8_t END = 0xC0;  // of SLIP

struct Board {
    // The context must outlive the model.
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vdut> dut;
    uint64_t divisor;            // cycles of a bit that the unit sends
    double bit;                  // cycles of a bit sent to it: a host's clock is its own
    uint64_t cycle = 0;
    double begun = -1;           // when the byte on rx began; below 0: rx is idle
    uint8_t byte = 0;            // that byte
    int64_t age = -1;            // cycles since the start bit on tx; -1: tx is idle
    uint32_t gathered = 0;       // bits of the byte on tx, the first one lowest
    bool level = true, invalid = false;
    bool inside = false;         // bytes came from tx since the last END

    explicit Board(const char* plusarg) {
        const char* arguments[] = {"board", plusarg};
        context->commandArgs(2, arguments);
        dut = std::make_unique<Vdut>(context.get());
    }
};

uint32_t leds(const Vdut& dut) {
    return (dut.led_alive != 0) | (dut.led_link != 0) << 1 | (dut.led_busy != 0) << 2 |
           (dut.led_error != 0) << 3;
}

void clock(Board& board, bool rx, bool rst) {
    Vdut& dut = *board.dut;
    dut.rx = rx;
    dut.rst = rst;
    dut.clk = 0;
    dut.eval();
    dut.clk = 1;
    dut.eval();
    ++board.cycle;
}

}  // namespace

extern "C" {

// Mirrored by a ctypes structure in line.py.
struct Exchange {
    const uint8_t* in;   // bytes for rx
    uint8_t* out;        // room for bytes from tx
    uint64_t n_in, most;
    uint64_t cycles;     // stop after so many at the latest
    uint64_t quiet;      // stop when both wires were idle for so many
    uint64_t frame;      // not 0: stop when a frame from tx has ended and all of `in` was sent
    uint64_t used, got;  // bytes begun on rx, bytes ended on tx
    uint64_t ran;        // cycles
    uint64_t violations; // bytes on tx with a bit of the wrong length or a stop bit of 0
    uint64_t leds_now, leds_seen;
};

// The plusarg, +name=value, is for $value$plusargs in the Verilog; it may be empty.
void* amxfp4_board(uint64_t divisor, double bit, const char* plusarg) {
    auto* board = new Board(plusarg);
    board->divisor = divisor;
    board->bit = bit;
    board->dut->rx = 1;
    return board;
}

void amxfp4_board_free(void* handle) {
    auto* board = static_cast<Board*>(handle);
    board->dut->final();
    delete board;
}

// Hold rst, or hold rx at a level, for some cycles; a byte in flight on either wire is lost.
void amxfp4_board_hold(void* handle, uint64_t cycles, int rst, int rx) {
    auto& board = *static_cast<Board*>(handle);
    for (uint64_t n = 0; n < cycles; ++n) clock(board, rx, rst);
    board.begun = -1;
    board.age = -1;
}

void amxfp4_board_run(void* handle, Exchange* run) {
    auto& board = *static_cast<Board*>(handle);
    const int64_t bit = static_cast<int64_t>(board.divisor);
    uint64_t still = 0;
    bool done = false;
    run->used = run->got = run->ran = run->violations = 0;
    run->leds_seen = 0;
    while (!done && run->ran < run->cycles && still < run->quiet && run->got < run->most) {
        // The next byte begins where the last one ended, to the fraction of a cycle.
        if (board.begun >= 0 && board.cycle >= board.begun + 10 * board.bit) {
            const double end = board.begun + 10 * board.bit;
            board.begun = -1;
            if (run->used < run->n_in) {
                board.byte = run->in[run->used++];
                board.begun = end;
            }
        } else if (board.begun < 0 && run->used < run->n_in) {
            board.byte = run->in[run->used++];
            board.begun = static_cast<double>(board.cycle);
        }
        bool rx = true;
        if (board.begun >= 0) {
            const int at = static_cast<int>((board.cycle - board.begun) / board.bit);
            rx = at == 0 ? false : at <= 8 ? board.byte >> (at - 1) & 1 : true;
        }
        clock(board, rx, false);
        ++run->ran;
        ++still;
        if (board.begun >= 0) still = 0;

        const bool tx = board.dut->tx;
        if (board.age < 0 && !tx) {
            board.age = 0;
            board.gathered = 0;
            board.invalid = false;
        }
        if (board.age >= 0) {
            still = 0;
            const int64_t at = board.age / bit;
            if (board.age % bit == 0) {
                board.level = tx;
                board.gathered |= static_cast<uint32_t>(tx) << at;
            } else if (tx != board.level) {
                board.invalid = true;
            }
            if (++board.age == 10 * bit) {
                board.invalid |= (board.gathered & 1) != 0 || (board.gathered >> 9 & 1) == 0;
                run->violations += board.invalid;
                run->out[run->got++] = static_cast<uint8_t>(board.gathered >> 1);
                board.age = -1;
                const bool ended = board.inside && run->out[run->got - 1] == END;
                board.inside = run->out[run->got - 1] != END;
                done = ended && run->frame != 0 && run->used == run->n_in;
            }
        }
        run->leds_seen |= leds(*board.dut);
    }
    run->leds_now = leds(*board.dut);
}

}  // extern "C"
