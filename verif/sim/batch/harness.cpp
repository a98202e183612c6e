// One batch through one unit: every cycle of it runs here, so that Python pays one call a batch.
//
// The unit is any module with the ports clk, rst, i__payload/valid/ready and
// o__payload/valid/ready. Payload widths come from the model itself: overloads below take
// whatever type Verilator chose. Only "ports.h", which holds word counts, is generated.

#include "Vdut.h"
#include "ports.h"

#include <cstdint>
#include <cstring>
#include <memory>

namespace {

// Verilator spells a double underscore as "_" and the escape "__05F".
#define I_PAYLOAD i___05Fpayload
#define I_VALID i___05Fvalid
#define I_READY i___05Fready
#define O_PAYLOAD o___05Fpayload
#define O_VALID o___05Fvalid
#define O_READY o___05Fready

void put(CData& port, const uint32_t* words) { port = static_cast<CData>(words[0]); }
void put(SData& port, const uint32_t* words) { port = static_cast<SData>(words[0]); }
void put(IData& port, const uint32_t* words) { port = words[0]; }
void put(QData& port, const uint32_t* words) {
    port = words[0] | (static_cast<QData>(words[1]) << 32);
}
template <std::size_t N>
void put(VlWide<N>& port, const uint32_t* words) {
    std::memcpy(&port[0], words, N * sizeof(uint32_t));
}

void get(CData port, uint32_t* words) { words[0] = port; }
void get(SData port, uint32_t* words) { words[0] = port; }
void get(IData port, uint32_t* words) { words[0] = port; }
void get(QData port, uint32_t* words) {
    words[0] = static_cast<uint32_t>(port);
    words[1] = static_cast<uint32_t>(port >> 32);
}
template <std::size_t N>
void get(const VlWide<N>& port, uint32_t* words) {
    std::memcpy(words, &port[0], N * sizeof(uint32_t));
}

struct Random {  // xorshift64*: stalls and resets need speed and a seed, not quality
    uint64_t state;
    explicit Random(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15ULL + 0xD1B54A32D192ED03ULL) {
        if (state == 0) state = 1;
    }
    bool chance(uint64_t of_2_32) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return ((state * 0x2545F4914F6CDD1DULL) >> 32) < of_2_32;
    }
};

enum Violation : uint64_t {
    NONE = 0,
    VALID_DROPPED = 1,
    PAYLOAD_CHANGED = 2,
    VALID_AFTER_RESET = 3,
    VALID_NEEDS_READY = 4,
    PAYLOAD_NEEDS_READY = 5,
    STARVED = 6,
    SURPLUS = 7,
};

}  // namespace

extern "C" {

// Mirrored by ctypes structures in dut.py. Chances are in units of 2^-32.
struct Plan {
    const uint32_t* beats;  // [n_in][IN_WORDS]
    uint32_t* outputs;      // [n_out][OUT_WORDS]
    uint64_t n_in, n_out;
    uint64_t seed;
    uint64_t stall_in, stall_out;
    uint64_t warm_cycles, reset_chance;  // traffic with resets in it, before the batch
    uint64_t idle_limit;                 // cycles without any transfer that mean "stuck"
    uint64_t drain;                      // cycles to wait for surplus outputs
    uint64_t probe;                      // 1: check that the output ignores o__ready
    const char* plusarg;                 // what the Verilog may ask for, or nothing
};

struct Outcome {
    uint64_t cycles, taken, given, surplus;
    uint64_t first_in, last_in, first_out, last_out;
    uint64_t violation, violation_cycle, in_warm_up, resets;
};

uint64_t amxfp4_in_words() { return IN_WORDS; }
uint64_t amxfp4_out_words() { return OUT_WORDS; }

int amxfp4_run(const Plan* plan, Outcome* out) {
    // The context must outlive the model.
    auto context = std::make_unique<VerilatedContext>();
    const char* arguments[] = {"dut", plan->plusarg};
    context->commandArgs(plan->plusarg ? 2 : 1, arguments);
    auto owner = std::make_unique<Vdut>(context.get());
    Vdut& dut = *owner;
    Random random(plan->seed);
    std::memset(out, 0, sizeof *out);

    uint32_t now[OUT_WORDS], held[OUT_WORDS], probed[OUT_WORDS];
    bool holding = false;        // the sink owes the unit a transfer of `held`
    bool after_reset = false;    // the last edge was a reset
    bool offering = false;       // the source owes the unit beats[next]
    uint64_t next = 0, cycle = 0;
    const bool probe = plan->probe != 0;

    // Set the inputs of a cycle, look at the outputs, check the contract, and clock.
    auto step = [&](bool rst, bool i_valid, bool o_ready, bool& i_moves, bool& o_moves) {
        dut.clk = 0;
        dut.rst = rst;
        if (i_valid) put(dut.I_PAYLOAD, plan->beats + next * IN_WORDS);
        if (after_reset) {
            dut.I_VALID = 0;
            dut.O_READY = o_ready;
            dut.eval();
            if (dut.O_VALID) return VALID_AFTER_RESET;
        }
        dut.I_VALID = i_valid;
        if (probe) {
            dut.O_READY = !o_ready;
            dut.eval();
            const bool valid = dut.O_VALID;
            get(dut.O_PAYLOAD, probed);
            dut.O_READY = o_ready;
            dut.eval();
            if (valid != static_cast<bool>(dut.O_VALID)) return VALID_NEEDS_READY;
            get(dut.O_PAYLOAD, now);
            if (valid && std::memcmp(now, probed, sizeof now) != 0) return PAYLOAD_NEEDS_READY;
        } else {
            dut.O_READY = o_ready;
            dut.eval();
            if (dut.O_VALID) get(dut.O_PAYLOAD, now);
        }
        if (holding) {
            if (!dut.O_VALID) return VALID_DROPPED;
            if (std::memcmp(now, held, sizeof now) != 0) return PAYLOAD_CHANGED;
        }
        // A transfer in a cycle of reset does not count: the reset wins at the edge.
        i_moves = !rst && i_valid && dut.I_READY;
        o_moves = !rst && o_ready && dut.O_VALID;
        holding = !rst && !o_ready && dut.O_VALID;
        if (holding) std::memcpy(held, now, sizeof now);
        after_reset = rst;
        dut.clk = 1;
        dut.eval();
        return NONE;
    };
    auto fail = [&](Violation violation, bool warm) {
        out->violation = violation;
        out->violation_cycle = cycle;
        out->in_warm_up = warm;
        out->cycles = cycle;
        dut.final();
        return 1;
    };

    bool i_moves = false, o_moves = false;
    Violation bad = step(true, false, false, i_moves, o_moves);

    // Warm-up: whatever happens here must leave no trace after the reset that ends it.
    for (cycle = 0; bad == NONE && cycle < plan->warm_cycles; ++cycle) {
        const bool rst = random.chance(plan->reset_chance);
        offering = offering || !random.chance(plan->stall_in);
        bad = step(rst, offering, !random.chance(plan->stall_out), i_moves, o_moves);
        if (bad != NONE) break;
        out->resets += rst;
        if (i_moves) {
            offering = false;
            next = next + 1 == plan->n_in ? 0 : next + 1;
        }
    }
    if (bad == NONE && plan->warm_cycles != 0) {
        offering = offering || !random.chance(plan->stall_in);
        bad = step(true, offering, random.chance(1ULL << 31), i_moves, o_moves);
        out->resets += 1;
    }
    if (bad != NONE) return fail(bad, true);

    offering = false;
    next = 0;
    uint64_t idle = 0;
    for (cycle = 0; next < plan->n_in || out->given < plan->n_out; ++cycle) {
        offering = next < plan->n_in && (offering || !random.chance(plan->stall_in));
        bad = step(false, offering, !random.chance(plan->stall_out), i_moves, o_moves);
        if (bad != NONE) return fail(bad, false);
        if (i_moves) {
            if (next == 0) out->first_in = cycle;
            out->last_in = cycle;
            out->taken = ++next;
            offering = false;
        }
        if (o_moves) {
            if (out->given == plan->n_out) {
                ++out->surplus;
                return fail(SURPLUS, false);
            }
            std::memcpy(plan->outputs + out->given * OUT_WORDS, now, sizeof now);
            if (out->given == 0) out->first_out = cycle;
            out->last_out = cycle;
            ++out->given;
        }
        idle = i_moves || o_moves ? 0 : idle + 1;
        if (idle > plan->idle_limit) return fail(STARVED, false);
    }
    out->cycles = cycle;
    for (uint64_t wait = 0; wait < plan->drain; ++wait, ++cycle) {
        bad = step(false, false, true, i_moves, o_moves);
        if (bad != NONE) return fail(bad, false);
        out->surplus += o_moves;
    }
    if (out->surplus != 0) return fail(SURPLUS, false);
    dut.final();
    return 0;
}

}  // extern "C"
