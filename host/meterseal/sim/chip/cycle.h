// Simulated time, counted in cycles of the chips' clock.
#pragma once

#include <cstddef>
#include <cstdint>

using Cycle = uint64_t;
constexpr Cycle never = UINT64_MAX;

// Pseudo-random numbers that are the same in every run (SplitMix64).
inline uint64_t scramble(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}
