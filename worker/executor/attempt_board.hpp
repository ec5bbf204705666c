// Memory that an agent shares with one of its executors, so that the executor has its next attempts at hand:
// which of them nobody has begun. What is on it outlives the executor, whatever ends that.
// Thread safety: between the two processes as it stands; offer() and take() may be called by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace gauntlet::worker {

class AttemptBoard {
 public:
  /// Attempts that can be on it at once.
  static constexpr std::size_t kPlaces = 16;

  /// An empty one, the agent's. Errors: kIo, kNoSpace.
  [[nodiscard]] static Result<AttemptBoard> make();
  /// The executor's, over a descriptor that it has inherited; it is closed. Errors: kIo.
  [[nodiscard]] static Result<AttemptBoard> open(int fd);
  /// To be inherited by the executor, until it is closed.
  [[nodiscard]] int descriptor() const { return file_.get(); }
  /// The memory stays.
  void close_descriptor() { file_.reset(); }

  /// Puts an attempt on it, by its lease (not 0). False: there is no place.
  [[nodiscard]] bool offer(std::uint64_t lease);
  /// Takes it off; whether it was there. Whoever takes it, the executor to begin it or the agent to do
  /// something else with it, is the only one to do so.
  [[nodiscard]] bool take(std::uint64_t lease);

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
