// libhdf5's handles as owners, and its errors as ours.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

#include "core/base/result.hpp"

namespace gauntlet::io::detail {

/// Closes with the function of its kind. Move-only; negative: none.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  Hdf5Handle(const Hdf5Handle&) = delete;
  Hdf5Handle& operator=(const Hdf5Handle&) = delete;
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  [[nodiscard]] hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// Once per process: nothing printed, no plugins loaded.
void start_hdf5();

/// Held around every call of libhdf5 that another thread's reading may meet.
[[nodiscard]] std::mutex& hdf5_mutex();

/// The innermost message of the last failure; forgets it.
[[nodiscard]] std::string hdf5_words();

}  // namespace gauntlet::io::detail
