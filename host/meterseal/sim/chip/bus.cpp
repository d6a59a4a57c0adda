#include "bus.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "chip.h"
#include "ring.h"
#include "uart.h"

constexpr size_t transmit_bytes = 4096, receive_bytes = 65536, tap_records = 65536;
// Longest round of an idle chip that is searched for, in cycles.
constexpr Cycle longest_round = 128;

struct End {
    explicit End(const BitTimes& times)
        : transmitter(times, transmit_bytes), receiver(times), received(receive_bytes) {}

    Transmitter transmitter;
    Receiver receiver;
    Ring<uint8_t> received;
    bool open = false, corrupted = false;
    uint64_t sent = 0, heard = 0, bad_parity = 0, bad_framing = 0, overflowed = 0;
};

struct Bus {
    Bus(uint32_t chip_count, uint32_t end_count, uint32_t clock_hz, uint32_t baud, uint64_t seed)
        : times(clock_hz, baud, true), gsm_times(clock_hz, gsm_baud, false),
          clock_hz(clock_hz), baud(baud), seed(seed), tap(tap_records) {
        for (uint32_t i = 0; i < chip_count; ++i)
            chips.push_back(std::make_unique<Chip>(times, gsm_times, clock_hz, scramble(~seed - i)));
        for (uint32_t i = 0; i < end_count; ++i) ends.push_back(std::make_unique<End>(times));
    }

    BitTimes times, gsm_times;
    uint64_t clock_hz, baud, seed;
    std::vector<std::unique_ptr<Chip>> chips;
    std::vector<std::unique_ptr<End>> ends;
    std::vector<std::pair<uint32_t, Chip*>> powered;
    Ring<Tap> tap;

    Cycle now = 0, next = 0;
    bool line = true;
    Cycle line_next = never;  // the next change of the line by collision or noise
    Cycle noise_end = 0;
    uint64_t noise_below = 0;
    uint64_t collided_slot = never, noisy_slot = never;  // counted once each
    uint64_t collided_bits = 0, noisy_bits = 0, tap_overflowed = 0;
    bool seen = false;         // the tap has recorded something
    Cycle skip_next = never;   // when to try to leave out time
    uint64_t skipped = 0;      // cycles

    void record(uint32_t source, uint8_t kind, uint8_t value, uint8_t flags) {
        if (!tap.push({now, source, kind, value, flags, 0})) ++tap_overflowed;
        seen = true;
    }

    // Sets another rate for all ends and monitors; a character being received is lost.
    void change_baud(uint32_t rate) {
        times = BitTimes(uint32_t(clock_hz), rate, true);
        baud = rate;
        for (const auto& end : ends) end->receiver.mute();
        plan();
    }

    // Level of the bus: a mark while idle, random in each bit time in which drivers disagree.
    bool resolve() {
        unsigned low = 0, high = 0;
        for (const auto& [index, chip] : powered)
            if (chip->driving()) ++(chip->driven() ? high : low);
        for (const auto& end : ends)
            if (end->transmitter.driving) ++(end->transmitter.level ? high : low);
        const bool collision = low && high, noisy = now < noise_end;
        bool level = !low;
        line_next = never;
        if (!collision && !noisy) return level;

        const uint64_t slot = now * baud / clock_hz;
        line_next = ((slot + 1) * clock_hz + baud - 1) / baud;
        const bool turned = noisy && scramble(seed ^ ~slot) < noise_below;
        if (collision) level = scramble(seed ^ slot) & 1;
        if (collision && slot != collided_slot) {
            collided_slot = slot;
            ++collided_bits;
        }
        if (turned && slot != noisy_slot) {
            noisy_slot = slot;
            ++noisy_bits;
        }
        return level != turned;
    }

    void transmit(uint32_t index, End& end) {
        const bool was_driving = end.transmitter.driving;
        if (end.transmitter.step(now)) {
            ++end.sent;
            record(uint32_t(chips.size()) + index, tap_byte, end.transmitter.data_sent,
                   end.corrupted ? byte_corrupted : 0);
            end.corrupted = false;
        }
        if (end.transmitter.driving && !was_driving) end.receiver.mute();
    }

    void receive(End& end) {
        switch (end.receiver.sample(line)) {
            case Heard::byte:
                if (end.received.push(end.receiver.data)) ++end.heard;
                else ++end.overflowed;
                break;
            case Heard::bad_parity: ++end.bad_parity; break;
            case Heard::bad_framing: ++end.bad_framing; break;
            case Heard::nothing: break;
        }
    }

    void monitor(uint32_t index, Chip& chip) {
        const Heard heard = chip.monitor.sample(chip.driven());
        if (heard == Heard::nothing) return;
        record(index, tap_byte, chip.monitor.data,
               uint8_t((chip.corrupted ? byte_corrupted : 0) | (heard == Heard::byte ? 0 : byte_malformed)));
        chip.corrupted = false;
    }

    // Carries out everything that does not happen in every cycle.
    void settle() {
        for (uint32_t i = 0; i < ends.size(); ++i) {
            if (now >= ends[i]->transmitter.next) transmit(i, *ends[i]);
            if (now >= ends[i]->receiver.next) receive(*ends[i]);
        }
        for (uint32_t i = 0; i < chips.size(); ++i) {
            if (now >= chips[i]->next) chips[i]->events(now);
            if (now >= chips[i]->monitor.next) monitor(i, *chips[i]);
        }
        const bool level = resolve();
        if (level != line) {
            line = level;
            for (const auto& [index, chip] : powered) chip->set_line(line);
            for (const auto& end : ends)
                if (end->open && !end->transmitter.driving) end->receiver.edge(now, line);
        }
        for (const auto& [index, chip] : powered)
            if (chip->driving() && chip->driven() != line) chip->corrupted = true;
        for (const auto& end : ends)
            if (end->transmitter.driving && end->transmitter.level != line) end->corrupted = true;
        plan();
    }

    void plan() {
        next = line_next;
        for (const auto& end : ends) next = std::min({next, end->transmitter.next, end->receiver.next});
        for (const auto& chip : chips) next = std::min({next, chip->next, chip->monitor.next});
    }

    // Takes a change of a chip's driver or lamps; a falling edge of its own output begins a character.
    void changed(uint32_t index, Chip& chip) {
        chip.monitor.edge(now, chip.driven());
        if (chip.lamps() == chip.lamps_recorded) return;
        chip.lamps_recorded = chip.lamps();
        record(index, tap_lamps, chip.lamps_recorded, 0);
    }

    void power(uint32_t index, bool on) {
        chips[index]->power(on, line, now);
        changed(index, *chips[index]);
        powered.clear();
        for (uint32_t i = 0; i < chips.size(); ++i)
            if (chips[i]->powered()) powered.push_back({i, chips[i].get()});
        settle();
    }

    // Simulates one clock cycle; returns whether nothing has happened outside of the chips.
    bool cycle() {
        bool unsettled = false;
        ++now;
        for (const auto& [index, chip] : powered) {
            if (__builtin_expect(chip->tick(now), 0)) {
                unsettled = true;
                changed(index, *chip);
            }
        }
        if (__builtin_expect(!unsettled && now < next, 1)) return true;
        settle();
        return false;
    }

    void run(Cycle cycles, bool until_seen) {
        const Cycle end = now + cycles;
        settle();
        for (seen = false; now < end && !(seen && until_seen);) {
            if (powered.empty()) {
                now = std::min(end, next);
                if (now >= next) settle();
                continue;
            }
            if (cycle() && __builtin_expect(now >= skip_next, 0)) skip(end);
        }
    }

    // Leaves out as much as possible of the time up to `end`.
    void skip(Cycle end) {
        const Cycle tick = cycles_of_tick(clock_hz);
        skip_next = now + tick / 2;
        if (std::min(end, next) < now + 4 * tick) return;
        const Cycle round = common_round(end);
        const auto settled = [&] { return every([](auto& idle, auto& root) { return idle.settled(root); }); };
        if (!round || !pass(std::min(end, now + tick), settled)) return;
        for (Cycle cycles = most_idle(end) / round * round; cycles; cycles -= round) {
            if (!every([&](auto& idle, auto& root) { return idle.settled_after(root, cycles); })) continue;
            for (const auto& [index, chip] : powered) chip->idle.skip(chip->root(), cycles);
            now += cycles;
            skipped += cycles;
            return;
        }
    }

    // Cycles after which every chip repeats its state, except for its counters; 0 while unknown.
    Cycle common_round(Cycle end) {
        Cycle round = 1;
        const Cycle ticks = 2 * cycles_of_tick(clock_hz);
        for (const auto& [index, chip] : powered) {
            auto& idle = chip->idle;
            auto& root = chip->root();
            if (chip->loop.active) return 0;
            if (!pass(std::min(end, now + ticks), [&] { return idle.comparable(root, now); })) return 0;
            if (!idle.as_before(root)) {
                idle.begin(root, now);
                pass(std::min(end, now + longest_round), [&] { return idle.ends_round(root, now); });
                return 0;
            }
            round = std::lcm(round, idle.round());
        }
        return round;
    }

    // Most cycles before `end` in which nothing is due and every chip stays idle.
    Cycle most_idle(Cycle end) const {
        Cycle until = std::min(end, next - 1);
        for (const auto& [index, chip] : powered) until = std::min(until, now + chip->idle.most(chip->root()));
        return std::max(until, now) - now;
    }

    // Whether a condition holds for every chip.
    template <class Holds>
    bool every(Holds holds) const {
        return std::all_of(powered.begin(), powered.end(),
                           [&](const auto& it) { return holds(it.second->idle, it.second->root()); });
    }

    // Lets time pass up to `end` until a condition holds; returns whether it does and nothing else has happened.
    template <class Holds>
    bool pass(Cycle end, Holds holds) {
        while (!holds())
            if (now >= end || !cycle()) return false;
        return true;
    }
};

extern "C" {

Bus* bus_create(uint32_t chips, uint32_t ends, uint32_t clock_hz, uint32_t baud, uint64_t seed) {
    return new Bus(chips, ends, clock_hz, baud, seed);
}

void bus_destroy(Bus* bus) { delete bus; }

void bus_flash(Bus* bus, uint32_t chip, uint8_t* array, size_t size, uint64_t page, uint64_t erase) {
    bus->chips[chip]->flash.attach(array, size, page, erase, scramble(bus->seed + chip));
}

void bus_power(Bus* bus, uint32_t chip, int on) { bus->power(chip, on); }

void bus_change_baud(Bus* bus, uint32_t baud) { bus->change_baud(baud); }

void bus_position(Bus* bus, uint32_t index, int closed) {
    Chip& chip = *bus->chips[index];
    chip.move({});
    chip.loop.closed = closed;
    chip.loop.moved(chip.loop_driven());
}

void bus_edges(Bus* bus, uint32_t chip, const uint64_t* after, size_t count) {
    std::vector<Cycle> edges;
    for (size_t i = 0; i < count; ++i) edges.push_back(bus->now + after[i]);
    bus->chips[chip]->move(std::move(edges));
}

void bus_loop(Bus* bus, uint32_t index, const LoopSetting* setting) {
    Chip& chip = *bus->chips[index];
    chip.loop.contact_mv = setting->contact_mv;
    chip.loop.jumper = setting->jumper;
    chip.loop.foreign_mv = setting->foreign_mv;
    chip.loop.offset_mv = setting->offset_mv;
    chip.loop.noise_mv = setting->noise_mv;
    chip.loop.moved(chip.loop_driven());
}

void bus_noise(Bus* bus, double probability, uint64_t cycles) {
    // 2^64 does not fit into 64 bits, so certainty is all ones.
    bus->noise_below = probability >= 1.0 ? UINT64_MAX : uint64_t(probability * 0x1p64);
    bus->noise_end = bus->now + cycles;
}

int bus_skip_idle(Bus* bus) {
    bus->skip_next = Idle<Vseal_chip___024root>::possible ? bus->now : never;
    return Idle<Vseal_chip___024root>::possible;
}

void bus_run(Bus* bus, uint64_t cycles) { bus->run(cycles, false); }

void bus_run_until_seen(Bus* bus, uint64_t cycles) { bus->run(cycles, true); }

int bus_run_to_flash_clock(Bus* bus, uint32_t index, uint64_t clocks, uint64_t cycles) {
    const Flash& flash = bus->chips[index]->flash;
    for (; cycles && flash.clocks < clocks; --cycles) bus->run(1, false);
    return flash.clocks >= clocks;
}

void bus_gsm_open(Bus* bus, uint32_t index, int open) {
    GsmPort& gsm = bus->chips[index]->gsm;
    gsm.open = open;
    gsm.received.clear();
}

size_t bus_gsm_write(Bus* bus, uint32_t index, const uint8_t* bytes, size_t count) {
    Chip& chip = *bus->chips[index];
    size_t taken = 0;
    while (taken < count && chip.gsm.transmitter.queue.push(bytes[taken])) ++taken;
    chip.wake_gsm(bus->now);
    return taken;
}

size_t bus_gsm_read(Bus* bus, uint32_t index, uint8_t* bytes, size_t most) {
    return bus->chips[index]->gsm.received.take(bytes, most);
}

void bus_open(Bus* bus, uint32_t end, int open) {
    End& port = *bus->ends[end];
    port.open = open;
    port.receiver.mute();
    if (open) port.received.clear();
}

size_t bus_write(Bus* bus, uint32_t end, const uint8_t* bytes, size_t count) {
    Transmitter& transmitter = bus->ends[end]->transmitter;
    size_t taken = 0;
    while (taken < count && transmitter.queue.push(bytes[taken])) ++taken;
    transmitter.wake(bus->now);
    return taken;
}

size_t bus_read(Bus* bus, uint32_t end, uint8_t* bytes, size_t most) {
    return bus->ends[end]->received.take(bytes, most);
}

size_t bus_tap(Bus* bus, Tap* records, size_t most) { return bus->tap.take(records, most); }

void bus_state(const Bus* bus, BusState* state) {
    *state = {bus->now, bus->collided_bits, bus->noisy_bits, bus->tap_overflowed, bus->skipped};
}

void bus_chip_state(const Bus* bus, uint32_t index, ChipState* state) {
    const Chip& chip = *bus->chips[index];
    *state = {chip.powered(),        chip.loop.closed,   uint32_t(chip.loop.settled_mv(true)),
              chip.loop_driven(),    chip.comparator(),  chip.lamps(),
              chip.flash.busy(),     chip.flash.programs, chip.flash.erases,
              chip.flash.cut,        chip.flash.clocks};
}

void bus_end_state(const Bus* bus, uint32_t index, EndState* state) {
    const End& end = *bus->ends[index];
    *state = {end.sent,       end.heard,      end.bad_parity,
              end.bad_framing, end.overflowed, uint32_t(end.transmitter.queue.size()),
              end.transmitter.driving};
}

void bus_bare_run(uint64_t cycles) {
    VerilatedContext context;
    Vseal_chip model{&context};
    model.rst = 1;
    model.gsm_rxd = model.rs485_ro = model.flash_cipo = 1;
    for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
        if (cycle == Chip::reset_cycles) model.rst = 0;
        model.clk = 1;
        model.eval();
        model.clk = 0;
        model.eval();
    }
    model.final();
}
}
