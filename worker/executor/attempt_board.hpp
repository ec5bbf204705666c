// Memory that an agent shares with one of its executors, so that the executor has its next attempts at hand
// and need not answer after each of them: which attempts nobody has begun, and what the executor has not sent
// yet. What is in it outlives the executor, whatever ends that. Thread safety: between the two processes as
// it stands; within each, one thread at a time, save that take() may be called by any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace gauntlet::worker {

class AttemptBoard {
 public:
  /// Attempts that can be on it at once.
  static constexpr std::size_t kPlaces = 16;
  /// Bytes of answers that it keeps.
  static constexpr std::size_t kKeptBytes = std::size_t{60} << 10;

  /// An empty one, the agent's. Errors: kIo, kNoSpace.
  [[nodiscard]] static Result<AttemptBoard> make();
  /// The executor's, over a descriptor that it has inherited and that is its own from now on. Errors: kIo.
  [[nodiscard]] static Result<AttemptBoard> open(int fd);
  /// To be inherited by the executor.
  [[nodiscard]] int descriptor() const { return file_.get(); }

  /// Puts an attempt on it, by its lease (not 0). False: there is no place.
  [[nodiscard]] bool offer(std::uint64_t lease);
  /// Takes it off; whether it was there. Whoever takes it, the executor to begin it or the agent to do
  /// something else with it, is the only one to do so.
  [[nodiscard]] bool take(std::uint64_t lease);

  /// The executor: remembers what it will send later, after what it remembers already. False: it is too much.
  [[nodiscard]] bool keep(std::string_view frames);
  /// The executor: all of it has been sent.
  void forget();
  /// The agent, when the executor has ended: what it remembered. May have been sent, when the end came
  /// between.
  [[nodiscard]] std::string kept() const;

 private:
  struct Shared;
  struct Unmap {
    void operator()(Shared* shared) const;
  };
  explicit AttemptBoard(Descriptor file) : file_(std::move(file)) {}
  [[nodiscard]] Status map();

  Descriptor file_;
  std::unique_ptr<Shared, Unmap> shared_;
};

}  // namespace gauntlet::worker
