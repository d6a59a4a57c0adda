// Bit-level UART, 8E1 or 8N1: 1 start, 8 data low bit first, even parity or none, 1 stop. It is event
// driven: `next` is the cycle at which it must be called.
#pragma once

#include <array>

#include "ring.h"
#include "cycle.h"

// Format of a character, and the cycle of each half bit, rounded separately so that errors do not accumulate.
class BitTimes {
  public:
    bool parity;
    unsigned bits;

    BitTimes(uint32_t clock_hz, uint32_t baud, bool with_parity)
        : parity(with_parity), bits(with_parity ? 11 : 10) {
        for (unsigned i = 0; i < half_.size(); ++i)
            half_[i] = (uint64_t(i) * clock_hz + baud) / (2 * uint64_t(baud));
    }
    Cycle start_of(unsigned bit) const { return half_[2 * bit]; }
    Cycle middle_of(unsigned bit) const { return half_[2 * bit + 1]; }

  private:
    std::array<Cycle, 2 * 11 + 1> half_;
};

enum class Heard { nothing, byte, bad_parity, bad_framing };

class Receiver {
  public:
    explicit Receiver(const BitTimes& times) : times_(times) {}

    Cycle next = never;
    uint8_t data = 0;

    // Takes a change of the line; a falling edge starts a character.
    void edge(Cycle now, bool level) {
        if (level || next != never) return;
        start_ = now;
        bit_ = bits_ = 0;
        next = now + times_.middle_of(0);
    }

    // Samples the middle of a bit.
    Heard sample(bool level) {
        if (bit_ == 0 && level) {  // a glitch, not a start bit
            next = never;
            return Heard::nothing;
        }
        bits_ |= unsigned(level) << bit_;
        if (++bit_ < times_.bits) {
            next = start_ + times_.middle_of(bit_);
            return Heard::nothing;
        }
        next = never;
        data = uint8_t(bits_ >> 1);
        if (!level) return Heard::bad_framing;
        return times_.parity && __builtin_parity(bits_ >> 1 & 0x1ff) ? Heard::bad_parity : Heard::byte;
    }

    void mute() { next = never; }

  private:
    const BitTimes& times_;
    Cycle start_ = 0;
    unsigned bit_ = 0, bits_ = 0;
};

class Transmitter {
  public:
    Transmitter(const BitTimes& times, size_t capacity) : queue(capacity), times_(times) {}

    Ring<uint8_t> queue;
    Cycle next = never;
    bool driving = false, level = true;
    uint8_t data = 0;

    // Begins to transmit what has been queued, unless a character is being transmitted.
    void wake(Cycle now) {
        if (!driving && !queue.empty()) next = now;
    }

    // Puts the next bit on the line; returns whether a character has been transmitted completely.
    bool step(Cycle now) {
        const bool sent = driving && bit_ == times_.bits;
        if (!driving || sent) {
            driving = !queue.empty();
            level = true;
            next = never;
            data_sent = data;
            if (!driving) return sent;
            data = queue.pop();
            const unsigned tail = times_.parity ? unsigned(__builtin_parity(data)) | 2u : 1u;
            bits_ = unsigned(data) << 1 | tail << 9;
            bit_ = 0;
            start_ = now;
        }
        level = bits_ >> bit_ & 1;
        next = start_ + times_.start_of(++bit_);
        return sent;
    }

    // The character that `step` reported as transmitted.
    uint8_t data_sent = 0;

  private:
    const BitTimes& times_;
    Cycle start_ = 0;
    unsigned bit_ = 0, bits_ = 0;
};
