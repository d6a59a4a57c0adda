// The seal loop of one chip, from the plate that the chip drives back to its comparator, cycle by cycle.
//
// The plate feeds the loop through the seal head's end-of-line resistor; a divider and a capacitor
// produce the comparator's input (here the loop voltage, before the divider). A plain comparator has a
// fixed threshold; a chip that measures has `loop_fb` behind a resistor and a capacitor in its place.
#pragma once

#include <cmath>

#include "cycle.h"

// Set by the build: whether the comparator's reference is the RC of `loop_fb`. SEAL_SEALED_MV, voltage of
// the closed loop, comes from `sealchip.interface` and has no default here.
#ifndef SEAL_LOOP_FEEDBACK
#define SEAL_LOOP_FEEDBACK 0
#endif

class Loop {
  public:
    static constexpr bool feedback = SEAL_LOOP_FEEDBACK;
    static constexpr double supply_mv = 5000, threshold_mv = 2500, full_scale_mv = 8192;
    // Time constants in seconds: of the loop, and of `loop_fb` (22 kOhm, 100 nF).
    static constexpr double loop_tau = 20e-6, feedback_tau = 2.2e-3;

    Loop(double clock_hz, uint64_t seed)
        : follow_(1 - std::exp(-1 / (loop_tau * clock_hz))),
          follow_feedback_(1 - std::exp(-1 / (feedback_tau * clock_hz))),
          random_(seed) {}

    // The surroundings; `moved` puts changes into effect.
    bool closed = false, jumper = false;
    int contact_mv = SEAL_SEALED_MV;  // while the head is in; less with a corroded contact
    int foreign_mv = -1;    // an external source on the loop, whatever is driven; negative: none
    int offset_mv = 0, noise_mv = 0;  // of the comparator; noise is rms

    // Whether the comparator's output may change by itself, so that `step` must be called.
    bool active = feedback;

    // Final voltage of the loop.
    int settled_mv(bool driven) const {
        if (foreign_mv >= 0) return foreign_mv;
        if (!driven) return 0;
        return jumper ? int(supply_mv) : closed ? contact_mv : 0;
    }

    void moved(bool driven) {
        target_ = settled_mv(driven);
        active = true;
    }

    // Advances one clock cycle and returns the comparator's output.
    bool step(bool fb) {
        voltage_ += (target_ - voltage_) * follow_;
        if constexpr (feedback) reference_ += ((fb ? full_scale_mv : 0) - reference_) * follow_feedback_;
        else settle();
        const double seen = voltage_ + offset_mv + (noise_mv ? noise() : 0);
        return seen > reference_;
    }

  private:
    double follow_, follow_feedback_;
    double target_ = 0, voltage_ = 0, reference_ = feedback ? 0 : threshold_mv;
    uint64_t random_;

    // With a fixed threshold the output is constant once the voltage is final and beyond the reach of the noise.
    void settle() {
        if (std::abs(target_ - voltage_) > 0.5) return;
        voltage_ = target_;
        active = std::abs(target_ + offset_mv - threshold_mv) <= noise_reach * noise_mv;
    }

    // Approximately normal and never beyond `noise_reach` times its rms: the sum of four uniform numbers.
    static constexpr double noise_reach = 3.4642;
    double noise() {
        random_ = scramble(random_);
        const uint64_t sum = (random_ & 0xffff) + (random_ >> 16 & 0xffff) + (random_ >> 32 & 0xffff) + (random_ >> 48);
        return (double(sum) / 0x1fffe - 1) * noise_reach * noise_mv;
    }
};
