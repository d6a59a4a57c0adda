// SPI NOR flash of one chip (25-series command set, mode 0). The array belongs to the caller, which maps it
// on a file, so that its content survives the end of this process at any moment.
#pragma once

#include <algorithm>
#include <array>

#include "cycle.h"

class Flash {
  public:
    static constexpr size_t page_bytes = 256, sector_bytes = 4096;

    Cycle next = never;  // end of the running program or erase
    bool cipo = true;
    uint32_t programs = 0, erases = 0, cut = 0;
    uint64_t clocks = 0;  // while selected

    // `page` and `erase` are the times of one operation, in cycles.
    void attach(uint8_t* array, size_t size, Cycle page, Cycle erase, uint64_t seed) {
        array_ = array;
        size_ = size;
        page_time_ = std::max<Cycle>(page, 1);
        erase_time_ = std::max<Cycle>(erase, 1);
        random_ = seed;
    }

    bool busy() const { return next != never; }

    // Takes a change of chip select or clock.
    void pins(bool cs_n, bool sck, bool copi, Cycle now) {
        if (!array_) return;
        if (cs_n != cs_n_) {
            cs_n_ = cs_n;
            if (cs_n) deselected(now);
            else bits_ = bytes_ = 0;
            cipo = true;
        }
        if (sck == sck_) return;
        sck_ = sck;
        if (cs_n) return;
        if (sck) {
            ++clocks;
            in_ = uint8_t(in_ << 1 | copi);
            if (++bits_ % 8 == 0) byte(in_);
        } else {
            cipo = out_ & 0x80;
            out_ = uint8_t(out_ << 1);
        }
    }

    // Completes the running operation.
    void finish() {
        if (command_running_ == program_page) program(count_);
        else erase_from(0, sector_bytes);
        end_operation();
    }

    // Power is cut: a running operation leaves the array half done.
    void power_cut(Cycle now) {
        if (busy()) {
            const Cycle time = command_running_ == program_page ? page_time_ : erase_time_;
            const double done = 1.0 - double(next - now) / double(time);
            if (command_running_ == program_page) {
                const auto whole = std::min(size_t(done * double(count_)), count_ - 1);
                program(whole);
                array_[target(whole)] &= uint8_t(page_[whole] | noise());
            } else {
                const auto whole = size_t(done * sector_bytes);
                erase_from(0, whole);
                for (size_t i = whole; i < sector_bytes; ++i) array_[(sector_ + i) % size_] |= noise();
            }
            ++cut;
            end_operation();
        }
        cs_n_ = true;
        sck_ = asleep_ = write_enabled_ = false;
        cipo = true;
        out_ = 0xff;
    }

  private:
    enum Command : uint8_t {
        program_page = 0x02, read = 0x03, write_disable = 0x04, read_status = 0x05, write_enable = 0x06,
        read_fast = 0x0b, erase_sector = 0x20, identify = 0x9f, wake = 0xab, sleep = 0xb9,
    };

    uint8_t* array_ = nullptr;
    size_t size_ = 0;
    Cycle page_time_ = 1, erase_time_ = 1;
    uint64_t random_ = 0;

    bool cs_n_ = true, sck_ = false;
    uint8_t in_ = 0, out_ = 0xff;
    unsigned bits_ = 0, bytes_ = 0;
    uint8_t command_ = 0;
    bool ignored_ = false, write_enabled_ = false, asleep_ = false;
    uint32_t address_ = 0;

    // The running operation. `page_` holds the bytes in order of arrival; a byte beyond a whole page
    // replaces the one a page earlier.
    uint8_t command_running_ = 0;
    std::array<uint8_t, page_bytes> page_{};
    size_t page_start_ = 0, sector_ = 0, count_ = 0, received_ = 0;

    uint8_t noise() { return uint8_t(random_ = scramble(random_)); }
    size_t target(size_t i) const {
        return ((page_start_ & ~(page_bytes - 1)) | ((page_start_ + i) % page_bytes)) % size_;
    }
    void program(size_t bytes) {
        for (size_t i = 0; i < bytes; ++i) array_[target(i)] &= page_[i];
    }
    void erase_from(size_t first, size_t last) {
        for (size_t i = first; i < last; ++i) array_[(sector_ + i) % size_] = 0xff;
    }
    void end_operation() {
        next = never;
        write_enabled_ = false;
    }
    uint8_t status() const { return uint8_t(busy() | write_enabled_ << 1); }

    void byte(uint8_t value) {
        const unsigned index = bytes_++;
        if (index == 0) {
            command_ = value;
            // A busy flash accepts the status request alone, a sleeping one the wake-up alone.
            ignored_ = (busy() && command_ != read_status) || (asleep_ && command_ != wake);
            address_ = 0;
            received_ = 0;
        }
        out_ = 0xff;
        if (ignored_) return;
        if (index >= 1 && index <= 3) address_ = address_ << 8 | value;
        switch (command_) {
            case read_status: out_ = status(); break;
            case identify: out_ = identity_[index % identity_.size()]; break;
            case read: if (index >= 3) out_ = array_[address_++ % size_]; break;
            case read_fast: if (index >= 4) out_ = array_[address_++ % size_]; break;
            case wake: if (index >= 3) out_ = identity_[2]; break;
            case program_page: if (index >= 4) page_[received_++ % page_bytes] = value; break;
            default: break;
        }
    }

    // Commands that change state take effect when the flash is deselected, at a byte boundary.
    void deselected(Cycle now) {
        if (ignored_ || bytes_ == 0 || bits_ % 8 != 0) return;
        switch (command_) {
            case write_enable: write_enabled_ = true; break;
            case write_disable: write_enabled_ = false; break;
            case sleep: asleep_ = true; break;
            case wake: asleep_ = false; break;
            case program_page:
                if (!write_enabled_ || received_ == 0) break;
                page_start_ = address_;
                count_ = std::min(received_, page_bytes);
                begin(now, page_time_);
                ++programs;
                break;
            case erase_sector:
                if (!write_enabled_ || bytes_ != 4) break;
                sector_ = address_ & ~(sector_bytes - 1);
                begin(now, erase_time_);
                ++erases;
                break;
            default: break;
        }
    }
    void begin(Cycle now, Cycle time) {
        command_running_ = command_;
        next = now + time;
    }

    // Manufacturer, type, and capacity as a power of two: 2^14 bytes.
    static constexpr std::array<uint8_t, 3> identity_{0xef, 0x40, 0x0e};
};
