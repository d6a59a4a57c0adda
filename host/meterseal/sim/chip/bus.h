// Chips and host ends on one RS485 bus. C interface for ctypes; `bus.py` mirrors it.
//
// Time is counted in cycles of the chips' clock. Chips and host ends are numbered from 0 each. Running does not
// allocate memory, and nothing here uses a file, a socket or a real clock.
#pragma once

#include <cstddef>
#include <cstdint>

// Everything else stays inside the library (-fvisibility=hidden), where the compiler may inline it.
#pragma GCC visibility push(default)
extern "C" {

struct Bus;

// One record of the tap. `source`: chip number, or number of chips + end number.
struct Tap {
    uint64_t cycle;
    uint32_t source;
    uint8_t kind;   // tap_byte, tap_lamps
    uint8_t value;  // the byte; lamps: bit 0 green, bit 1 red
    uint8_t flags;  // of a byte: byte_corrupted, byte_malformed
    uint8_t reserved;
};
enum { tap_byte = 0, tap_lamps = 1 };
enum { byte_corrupted = 1, byte_malformed = 2 };

// `loop_mv`: voltage of the loop while it is driven. `flash_clocks`: SPI clocks with the flash selected.
struct ChipState {
    uint32_t powered, closed, loop_mv, loop_driven, comparator, lamps, flash_busy;
    uint32_t flash_programs, flash_erases, flash_cut;
    uint64_t flash_clocks;
};

// Manipulations of a loop and its comparator; a negative `foreign_mv` stands for none.
struct LoopSetting {
    int32_t contact_mv, foreign_mv, jumper, offset_mv, noise_mv;
};

struct EndState {
    uint64_t sent, heard, bad_parity, bad_framing, overflowed;
    uint32_t queued, driving;
};

struct BusState {
    uint64_t cycle;
    uint64_t collided_bits;  // bit times in which drivers disagreed
    uint64_t noisy_bits;     // bit times that noise inverted
    uint64_t tap_overflowed;
    uint64_t skipped;  // cycles left out by `bus_skip_idle`
};

Bus* bus_create(uint32_t chips, uint32_t ends, uint32_t clock_hz, uint32_t baud, uint64_t seed);
void bus_destroy(Bus*);

// Flash of one chip: `size` bytes that outlive the bus; times of one operation in cycles.
void bus_flash(Bus*, uint32_t chip, uint8_t* array, size_t size, uint64_t page, uint64_t erase);
void bus_power(Bus*, uint32_t chip, int on);
// Sets the rate of all ends and of the tap; no end may be transmitting.
void bus_change_baud(Bus*, uint32_t baud);
void bus_position(Bus*, uint32_t chip, int closed);
// `count` times from now, in rising order, at which the seal head touches or leaves its plates.
void bus_edges(Bus*, uint32_t chip, const uint64_t* after, size_t count);
void bus_loop(Bus*, uint32_t chip, const LoopSetting*);
// Inverts each bit time of the next `cycles` with `probability`.
void bus_noise(Bus*, double probability, uint64_t cycles);

// Leaves out time in which all chips are idle from now on; nothing else changes. Returns false where the model
// does not support it.
int bus_skip_idle(Bus*);

void bus_run(Bus*, uint64_t cycles);
// Runs until the tap has recorded something, at most so many cycles.
void bus_run_until_seen(Bus*, uint64_t cycles);
// Runs until the flash of this chip has counted so many clocks, at most so many cycles; returns whether it has.
int bus_run_to_flash_clock(Bus*, uint32_t chip, uint64_t clocks, uint64_t cycles);

// An end receives only while it is open; opening discards what was received before.
void bus_open(Bus*, uint32_t end, int open);
size_t bus_write(Bus*, uint32_t end, const uint8_t* bytes, size_t count);  // bytes taken
size_t bus_read(Bus*, uint32_t end, uint8_t* bytes, size_t most);          // bytes given
size_t bus_tap(Bus*, Tap* records, size_t most);                           // records given

// The modem's side of a chip's GSM port: 8N1, 9600 baud.
enum { gsm_baud = 9600 };
void bus_gsm_open(Bus*, uint32_t chip, int open);
size_t bus_gsm_write(Bus*, uint32_t chip, const uint8_t* bytes, size_t count);  // bytes taken
size_t bus_gsm_read(Bus*, uint32_t chip, uint8_t* bytes, size_t most);          // bytes given

void bus_state(const Bus*, BusState*);
void bus_chip_state(const Bus*, uint32_t chip, ChipState*);
void bus_end_state(const Bus*, uint32_t end, EndState*);

// For the benchmark: runs the chip alone and evaluates both clock edges, as in Verilator's manual.
void bus_bare_run(uint64_t cycles);
}
#pragma GCC visibility pop
