// One chip and its surroundings: flash, seal loop, GSM port, lamps. `tick` is one clock edge; everything
// slower happens at `next`.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "Vseal_chip.h"
#include "Vseal_chip___024root.h"
#include "flash.h"
#include "idle.h"
#include "loop.h"
#include "ring.h"
#include "uart.h"

// The model acts on the rising edge alone. Resetting its copy of the clock makes the next evaluation a rising
// edge again and saves evaluating the falling one. Where a version of Verilator uses another name for the copy,
// the falling edge is evaluated.
template <class Root>
inline void clock_low(Root& root, Vseal_chip& model) {
    root.clk = 0;
    if constexpr (requires { root.__Vtrigprevexpr___TOP__clk__0; }) root.__Vtrigprevexpr___TOP__clk__0 = 0;
    else model.eval();
}

// The modem's side of the chip's GSM port, which receives only while it is open.
struct GsmPort {
    static constexpr size_t bytes = 4096;

    explicit GsmPort(const BitTimes& times) : transmitter(times, bytes), receiver(times), received(bytes) {}

    Transmitter transmitter;
    Receiver receiver;
    Ring<uint8_t> received;
    bool open = false;

    Cycle next() const { return std::min(transmitter.next, receiver.next); }
};

class Chip {
  public:
    static constexpr Cycle reset_cycles = 16;

    Chip(const BitTimes& bus_times, const BitTimes& gsm_times, uint32_t clock_hz, uint64_t seed)
        : loop(clock_hz, seed), gsm(gsm_times), monitor(bus_times), idle(clock_hz) {}
    ~Chip() {
        if (model_) model_->final();
    }

    Flash flash;
    Loop loop;
    GsmPort gsm;
    Receiver monitor;           // receives what this chip alone drives
    Idle<Vseal_chip___024root> idle;
    bool corrupted = false;     // the bus differed from what this chip drove
    uint8_t lamps_recorded = 0;
    Cycle next = never;         // earliest of reset's end, flash, edges of the head and GSM port

    bool powered() const { return model_ != nullptr; }
    bool driving() const { return pins_ & pin_de; }
    bool driven() const { return !driving() || (pins_ & pin_di); }
    bool loop_driven() const { return pins_ & pin_drive; }
    bool comparator() const { return powered() && root_->loop_cmp; }
    Vseal_chip___024root& root() const { return *root_; }
    uint8_t lamps() const { return uint8_t(pins_ >> lamps_shift & 3); }

    // Creates and destroys the model, so that every register has its initial value at power-up.
    void power(bool on, bool line, Cycle now) {
        if (on == powered()) return;
        if (on) {
            context_ = std::make_unique<VerilatedContext>();
            model_ = std::make_unique<Vseal_chip>(context_.get());
            root_ = model_->rootp;
            root_->clk = 0;
            root_->rst = 1;
            root_->gsm_rxd = gsm.transmitter.level;
            root_->flash_cipo = 1;
            set_line(line);
            model_->eval();
            reset_end_ = now + reset_cycles;
            look(now);
        } else {
            model_->final();
            model_.reset();
            context_.reset();
            flash.power_cut(now);
            gsm.receiver.mute();
            pins_ = 0;
            reset_end_ = never;
        }
        loop.moved(loop_driven());
        plan();
    }

    void set_line(bool line) {
        if (powered()) root_->rs485_ro = line;
    }

    // Simulates one clock cycle; returns whether the driver, a lamp or `next` has changed.
    bool tick(Cycle now) {
        if (loop.active) root_->loop_cmp = loop.step(root_->loop_fb);
        root_->clk = 1;
        model_->eval();
        clock_low(*root_, *model_);
        return sample_pins() != pins_ && look(now);
    }

    // Carries out what is due at `now`.
    void events(Cycle now) {
        if (now >= reset_end_) {
            root_->rst = 0;
            reset_end_ = never;
        }
        if (now >= flash.next) flash.finish();
        while (!edges_.empty() && now >= edges_.front()) {
            edges_.erase(edges_.begin());
            loop.closed = !loop.closed;
            loop.moved(loop_driven());
        }
        serve_gsm(now);
        plan();
    }

    // Schedules the times at which the seal head touches and leaves its plates.
    void move(std::vector<Cycle> edges) {
        edges_ = std::move(edges);
        plan();
    }

    // Starts the transmitter of the GSM port, whose queue is not empty any more.
    void wake_gsm(Cycle now) {
        gsm.transmitter.wake(now);
        plan();
    }

  private:
    enum : unsigned {
        pin_di = 1, pin_de = 2, pin_cs_n = 4, pin_sck = 8, pin_drive = 16, pin_gsm = 32, lamps_shift = 6,
        pins_of_flash = pin_cs_n | pin_sck, pins_of_chip = pins_of_flash | pin_drive | pin_gsm,
    };

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vseal_chip> model_;
    Vseal_chip___024root* root_ = nullptr;
    unsigned pins_ = 0;
    Cycle reset_end_ = never;
    std::vector<Cycle> edges_;

    unsigned sample_pins() const {
        return root_->rs485_di | root_->rs485_de << 1 | root_->flash_cs_n << 2 | root_->flash_sck << 3 |
               root_->loop_drive << 4 | root_->gsm_txd << 5 | root_->led_green << 6 | root_->led_red << 7;
    }

    bool look(Cycle now) {
        const unsigned pins = sample_pins(), changed = pins ^ pins_;
        pins_ = pins;
        if (changed & pins_of_flash) {
            flash.pins(pins & pin_cs_n, pins & pin_sck, root_->flash_copi, now);
            root_->flash_cipo = flash.cipo;
        }
        if (changed & pin_drive) loop.moved(loop_driven());
        if ((changed & pin_gsm) && gsm.open) gsm.receiver.edge(now, pins & pin_gsm);
        const Cycle planned = next;
        if (changed & (pin_cs_n | pin_gsm)) plan();
        return (changed & ~unsigned(pins_of_chip)) || next != planned;
    }

    void serve_gsm(Cycle now) {
        if (now >= gsm.transmitter.next) gsm.transmitter.step(now);
        if (powered()) root_->gsm_rxd = gsm.transmitter.level;
        if (now >= gsm.receiver.next && gsm.receiver.sample(pins_ & pin_gsm) == Heard::byte)
            gsm.received.push(gsm.receiver.data);
    }

    void plan() {
        next = std::min({reset_end_, flash.next, gsm.next()});
        if (!edges_.empty()) next = std::min(next, edges_.front());
    }
};
