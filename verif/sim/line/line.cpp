// A unit at the end of a serial line: bytes in, bytes out, every cycle between them here.
//
// The unit is any module with the ports clk, rst, rx, tx and the four lamps. The receiver below knows
// nothing of how the unit sends: it holds every bit to its length, cycle by cycle.

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
    std::unique_ptr<Vdut> dut = std::make_unique<Vdut>(context.get());
    uint64_t divisor;            // cycles of a bit that the unit sends
    double bit;                  // cycles of a bit that it is sent: a host's clock is its own
    uint64_t cycle = 0;
    double begun = -1;           // when the byte on rx began; below 0: there is none
    uint8_t byte = 0;            // that byte
    int64_t age = -1;            // cycles since the start bit on tx; -1: the line is idle
    uint32_t gathered = 0;       // bits of the byte on tx, the first one lowest
    bool level = true, spoilt = false;
    bool inside = false;         // bytes came from tx since the last END
};

uint32_t lamps(const Vdut& dut) {
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
struct Passage {
    const uint8_t* in;   // bytes for rx
    uint8_t* out;        // room for bytes from tx
    uint64_t n_in, most;
    uint64_t cycles;     // stop after so many at the latest
    uint64_t quiet;      // stop when nothing moved on either wire for so many
    uint64_t frame;      // not 0: stop when a frame from tx has ended and all of `in` was sent
    uint64_t used, got;  // bytes begun on rx, bytes ended on tx
    uint64_t ran;        // cycles
    uint64_t violations; // bits on tx that were not of their length, stop bits that were 0
    uint64_t lamps_now, lamps_seen, lamps_changed;
};

void* amxfp4_board(uint64_t divisor, double bit, const char* plusarg) {
    auto* board = new Board;
    const char* arguments[] = {"dut", plusarg};
    board->context->commandArgs(plusarg ? 2 : 1, arguments);
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

void amxfp4_board_run(void* handle, Passage* passage) {
    auto& board = *static_cast<Board*>(handle);
    const int64_t bit = static_cast<int64_t>(board.divisor);
    uint64_t still = 0;
    bool done = false;
    passage->used = passage->got = passage->ran = passage->violations = 0;
    passage->lamps_seen = passage->lamps_changed = 0;
    uint32_t before = lamps(*board.dut);
    while (!done && passage->ran < passage->cycles && still < passage->quiet &&
           passage->got < passage->most) {
        // The next byte begins where the last one ended, to the fraction of a cycle.
        if (board.begun >= 0 && board.cycle >= board.begun + 10 * board.bit) {
            const double end = board.begun + 10 * board.bit;
            board.begun = -1;
            if (passage->used < passage->n_in) {
                board.byte = passage->in[passage->used++];
                board.begun = end;
            }
        } else if (board.begun < 0 && passage->used < passage->n_in) {
            board.byte = passage->in[passage->used++];
            board.begun = static_cast<double>(board.cycle);
        }
        bool rx = true;
        if (board.begun >= 0) {
            const int at = static_cast<int>((board.cycle - board.begun) / board.bit);
            rx = at == 0 ? false : at <= 8 ? board.byte >> (at - 1) & 1 : true;
        }
        clock(board, rx, false);
        ++passage->ran;
        ++still;
        if (board.begun >= 0) still = 0;

        const bool tx = board.dut->tx;
        if (board.age < 0 && !tx) {
            board.age = 0;
            board.gathered = 0;
            board.spoilt = false;
        }
        if (board.age >= 0) {
            still = 0;
            const int64_t at = board.age / bit;
            if (board.age % bit == 0) {
                board.level = tx;
                board.gathered |= static_cast<uint32_t>(tx) << at;
            } else if (tx != board.level) {
                board.spoilt = true;
            }
            if (++board.age == 10 * bit) {
                board.spoilt |= (board.gathered & 1) != 0 || (board.gathered >> 9 & 1) == 0;
                passage->violations += board.spoilt;
                passage->out[passage->got++] = static_cast<uint8_t>(board.gathered >> 1);
                board.age = -1;
                const bool ended = board.inside && passage->out[passage->got - 1] == END;
                board.inside = passage->out[passage->got - 1] != END;
                done = ended && passage->frame != 0 && passage->used == passage->n_in;
            }
        }
        const uint32_t now = lamps(*board.dut);
        passage->lamps_seen |= now;
        passage->lamps_changed |= now ^ before;
        before = now;
    }
    passage->lamps_now = before;
}

}  // extern "C"
