#include "worker/executor/attempt_record.hpp"

#include <iostream>
#include <utility>

namespace gauntlet::worker {

AttemptRecord::AttemptRecord(const AttemptContext& attempt, std::string program)
    : attempt_(attempt), program_(std::move(program)), start_(std::chrono::steady_clock::now()) {}

Status AttemptRecord::open() {
  const std::lock_guard lock(mutex_);
  if (attempt_.log.empty() || log_ || !opened_) return opened_;
  Result<AttemptLog> log = AttemptLog::open(attempt_.log);
  if (!log) return opened_ = fail(log.error());
  log_.emplace(std::move(*log));
  if (attempt_.rank == 0) {
    std::cout << fmt::format("{}: {}, key {}, attempt {}, rank 0 of {}, {} threads\n", program_,
                             attempt_.job.title, attempt_.key.hex(), attempt_.attempt.value, attempt_.world,
                             attempt_.threads)
              << std::flush;
  }
  events_.emplace(attempt_);
  events_->started(program_);
  return {};
}

void AttemptRecord::progressed(const Progress& progress) {
  if (open() && events_) events_->progressed(progress);
}

void AttemptRecord::ended(const Result<AttemptResult>& result) {
  if (!result && !open()) return;
  if (events_) events_->ended(result);
  if (!log_) return;
  if (!result) {
    std::cerr << fmt::format("rank {}: {}: {}\n", attempt_.rank, name_of(result.error().code),
                             result.error().message);
  } else if (attempt_.rank == 0) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
    std::cout << fmt::format("done after {:.1f} s\n", took.count());
  }
}

}  // namespace gauntlet::worker
