// Time in which a chip does nothing but count it: found by looking, and left out.
//
// Between two ticks of a millisecond an idle chip goes through the same few states again and again, and a tick
// changes no more than the counters below. So where all else is as it was a whole number of such rounds and
// one tick before, any number of rounds may be left out, up to the next quarter of a second, or, where a quarter
// was seen to change no more, up to the next second. That the chip is then where it would have come by itself:
// `verif/host/sim/chip/test_bus_idle.py`.
#pragma once

#include <cstring>
#include <tuple>
#include <type_traits>

#include "cycle.h"

// Cycles, ticks, quarters of a second, the next draw.
using Counts = std::tuple<Cycle, Cycle, Cycle, Cycle>;

// What counts time in an idle chip; copies of nothing for the chip of a netlist, which has no such names.
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

// Evaluates all that follows from the registers at once.
void Vseal_chip___024root___eval_settle(Vseal_chip___024root*);

template <class Root>
class Idle {
  public:
    static constexpr bool possible = !std::is_same_v<decltype(counters_of(std::declval<Root&>())), Counts>;

    explicit Idle(uint32_t clock_hz) : tick_(cycles_of_tick(clock_hz)) {}

    // Cycles of a round, 0 while none is known.
    Cycle round() const { return round_; }

    // What a tick sets off is over.
    bool rested(Root& root) const { return Counters(root).cycles >= settling; }

    // Whether it is time to ask for `as_before`: whole rounds and a tick have passed, or no round is known.
    bool comparable(Root& root, Cycle now) const {
        if (!rested(root)) return false;
        return !round_ || ((now - begun_) % round_ == 0 && Counters(root).ticks != seen_.ticks);
    }

    // Whether all but the counters is as it was at `begin`, and was so behind the first tick. Behind a second
    // it is not: the chip knows how late it is.
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

    // A round begins, its length is not known.
    void begin(Root& root, Cycle now) {
        seen_ = Counters(root);
        seen_.into(root);
        std::memcpy(state_, &root, sizeof root);
        begun_ = now;
        round_ = 0;
        kept_ = quarter_kept_ = false;
    }

    // Whether the round that has begun ends here: all is as it was, and no tick was between.
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

    // Cycles for which it goes on like this.
    Cycle most(Root& root) const {
        const Counters now(root);
        const Cycle quarters = quarter_kept_ ? quarters_of_second - now.quarters : 1;
        return (quarters * quarter - now.ticks) * tick_ - now.cycles - 1;
    }

    // Whether it would be rested again so many cycles later.
    bool rests_after(Root& root, Cycle cycles) const {
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
    // Cycles behind a tick in which blocks may still be at work; ticks of a quarter of a second.
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
    bool kept_ = false, quarter_kept_ = false;  // a tick, a quarter of a second has left all as it was
    Counters seen_;
    alignas(Root) char state_[sizeof(Root)] = {};
};
