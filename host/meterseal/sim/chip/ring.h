// Bounded first-in first-out buffer; an item that does not fit is refused, and the caller counts it.
#pragma once

#include <cstddef>
#include <memory>

template <class T>
class Ring {
  public:
    // `capacity` is a power of two.
    explicit Ring(size_t capacity) : items_(new T[capacity]), mask_(capacity - 1) {}

    size_t size() const { return head_ - tail_; }
    bool empty() const { return head_ == tail_; }
    size_t free() const { return mask_ + 1 - size(); }
    void clear() { tail_ = head_; }

    bool push(const T& item) {
        if (free() == 0) return false;
        items_[head_++ & mask_] = item;
        return true;
    }
    T pop() { return items_[tail_++ & mask_]; }

    size_t take(T* into, size_t most) {
        size_t taken = 0;
        while (taken < most && !empty()) into[taken++] = pop();
        return taken;
    }

  private:
    std::unique_ptr<T[]> items_;
    size_t mask_, head_ = 0, tail_ = 0;
};
