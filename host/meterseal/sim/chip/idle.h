// Leaves out time in which a chip does nothing but count it, found by comparing states.
//
// Between two ticks of a millisecond an idle chip repeats the same few states, here called a round, and a tick
// changes only the counters below. So where everything else is as it was a whole number of rounds and one tick
// before, any number of rounds may be left out, up to the next quarter of a second or, where a quarter was
// observed to change nothing else, up to the next second. The chip then has the state that it would have
// reached by itself: `verif/host/sim/chip/test_bus_idle.py`.
#pragma once

#include <cstring>
#include <tuple>
#include <type_traits>

#include "cycle.h"

// Cycles, ticks, quarters of a second, next random number.
using Counts = std::tuple<Cycle, Cycle, Cycle, Cycle>;

// References to the counters of time in an idle chip; an empty tuple of values for the chip of a netlist, which
// has no such names.
template <class Root>
auto counters_of(Root& root) {
    if constexpr (requires { root.simulated_chip__DOT__chip__DOT__time__024__DOT__prescaler__DOT__count; })
        return std::tie(root.simulated_chip__DOT__chip__DOT__time__024__DOT__prescaler__DOT__count,
                        root.simulated_chip__DOT__chip__DOT__time__024__DOT__quarters__DOT__count,
                        root.simulated_chip__DOT__chip__DOT__time__024__DOT__seconds__DOT__count,
                        root.simulated_chip__DOT__chip__DOT__access__DOT__lfsr);
    else return Counts();
}

// Cycles from one tick to the next, as `Timebase` counts them.
constexpr Cycle cycles_of_tick(uint64_t clock_hz) { return (clock_hz + 500) / 1000; }

// Evaluates all logic that depends on registers alone.
void Vseal_chip___024root___eval_settle(Vseal_chip___024root*);

template <class Root>
class Idle {
  public:
    static constexpr bool possible = !std::is_same_v<decltype(counters_of(std::declval<Root&>())), Counts>;

    explicit Idle(uint32_t clock_hz) : tick_(cycles_of_tick(clock_hz)) {}

    // Length of a round in cycles, 0 while unknown.
    Cycle round() const { return round_; }

    // Whether the work that a tick starts has ended.
    bool settled(Root& root) const { return Counters(root).cycles >= settling; }

    // Whether `as_before` has a meaning now: whole rounds and a tick have passed, or the round is unknown.
    bool comparable(Root& root, Cycle now) const {
        if (!settled(root)) return false;
        return !round_ || ((now - begun_) % round_ == 0 && Counters(root).ticks != seen_.ticks);
    }

    // Whether everything but the counters is as at `begin`, and was so after the first tick. It is not after a
    // second, because the chip counts its uptime.
    bool as_before(Root& root) {
        if (!round_) return false;
        const Counters now(root);
        seen_.into(root);
        const bool alike = std::memcmp(state_, &root, sizeof root) == 0;
        now.into(root);
        kept_ |= alike && now.ticks == seen_.ticks + 1;
        quarter_kept_ |= alike && kept_ && now.quarters != seen_.quarters;
        return alike && kept_;
    }

    // Begins a round of unknown length.
    void begin(Root& root, Cycle now) {
        seen_ = Counters(root);
        seen_.into(root);
        std::memcpy(state_, &root, sizeof root);
        begun_ = now;
        round_ = 0;
        kept_ = quarter_kept_ = false;
    }

    // Whether the round ends here: everything is as at its beginning, and no tick was in between.
    bool ends_round(Root& root, Cycle now) {
        if (now == begun_) return false;
        auto&& cycles = std::get<0>(counters_of(root));
        const auto kept = cycles;
        cycles = std::remove_const_t<decltype(kept)>(seen_.cycles);
        const bool alike = std::memcmp(state_, &root, sizeof root) == 0;
        cycles = kept;
        if (alike) round_ = now - begun_;
        return alike;
    }

    // Most cycles for which the chip stays idle.
    Cycle most(Root& root) const {
        const Counters now(root);
        const Cycle quarters = quarter_kept_ ? quarters_of_second - now.quarters : 1;
        return (quarters * quarter - now.ticks) * tick_ - now.cycles - 1;
    }

    // Whether the chip would be settled again so many cycles later.
    bool settled_after(Root& root, Cycle cycles) const {
        return (Counters(root).cycles + cycles) % tick_ >= settling;
    }

    void skip(Root& root, Cycle cycles) {
        Counters now(root);
        const Cycle passed = now.cycles + cycles;
        const Cycle ticks = now.ticks + passed / tick_;
        for (Cycle tick = now.ticks; tick < ticks; ++tick) now.lfsr = now.lfsr >> 1 ^ (now.lfsr & 1 ? 0xb400 : 0);
        now.quarters += ticks / quarter;
        now.ticks = ticks % quarter;
        now.cycles = passed % tick_;
        now.into(root);
    }

  private:
    // Cycles after a tick in which blocks may still be working; ticks in a quarter of a second.
    static constexpr Cycle settling = 80, quarter = 250, quarters_of_second = 4;

    struct Counters {
        Cycle cycles = 0, ticks = 0, quarters = 0, lfsr = 0;

        Counters() = default;
        explicit Counters(Root& root) { std::tie(cycles, ticks, quarters, lfsr) = counters_of(root); }

        void into(Root& root) const {
            auto counters = counters_of(root);
            counters = Counts(cycles, ticks, quarters, lfsr);
            Vseal_chip___024root___eval_settle(&root);
        }
    };

    Cycle tick_, begun_ = 0, round_ = 0;
    bool kept_ = false, quarter_kept_ = false;  // a tick, a quarter of a second has left everything else as it was
    Counters seen_;
    alignas(Root) char state_[sizeof(Root)] = {};
};
