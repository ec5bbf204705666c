// The answers about sweeps that the page was asked for last, so that many viewers cost as much as one.
// Thread safety: none; one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"

namespace gauntlet::coordinator {

class AnswerCache {
 public:
  using Make = std::function<Result<std::string>()>;

  /// An answer is made anew for whoever asks `age` after it was begun. The clock outlives it.
  AnswerCache(const Clock& clock, Milliseconds age) : clock_(clock), age_(age) {}

  /// The answer about a sweep's `what`, made by `make` where none is known that is young enough. Errors,
  /// which are not kept: those of `make`.
  [[nodiscard]] Result<std::string> get(std::uint64_t sweep, const std::string& what, const Make& make);

 private:
  struct Answer {
    SteadyTime begun;
    std::string text;
  };
  const Clock& clock_;
  Milliseconds age_;
  std::map<std::pair<std::uint64_t, std::string>, Answer> answers_;
};

}  // namespace gauntlet::coordinator
