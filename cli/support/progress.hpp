// A sweep's progress in words: a few lines redrawn on a terminal, plain lines now and then elsewhere. Always
// on stderr. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::cli {

/// Numbers of one sweep's jobs.
struct JobCounts {
  std::uint64_t total = 0, done = 0, running = 0, open = 0;  ///< open: waiting, queued or running
  std::uint64_t failed = 0, blocked = 0, cancelled = 0;
  std::uint64_t reused = 0;
};
[[nodiscard]] JobCounts counts_of(const proto::SweepStatus& sweep);

/// "quickstart: 37 of 120 jobs done (12 reused), 4 running, 0 failed, about 2m 10s left"
[[nodiscard]] std::string summary_of(const proto::SweepStatus& sweep);
/// Counts and overall bar in so many columns (20 or more): a long name gives way, counts go on in a second
/// line.
[[nodiscard]] std::vector<std::string> lines_of(const proto::SweepStatus& sweep, std::size_t columns);
/// "train_model cpah seed 1: epoch 3/10, loss 0.123, 410/s"
[[nodiscard]] std::string line_of(const proto::RunningJob& job);
/// The same in so many columns: the title gives way ("train_model cpa…: epoch 3/10, loss 0.123").
[[nodiscard]] std::string line_of(const proto::RunningJob& job, std::size_t columns);

class ProgressView {
 public:
  /// `animated`: redraw in place; otherwise a line at most every `interval`.
  explicit ProgressView(bool animated, Milliseconds interval = Milliseconds(5000));

  /// Shows the state of the sweep, if it is time.
  void show(const proto::StatusReply& status, const proto::SweepStatus& sweep);
  /// A line that stays.
  void say(const std::string& line);
  /// A line for every failed job that has not been named before.
  void say_failures(const proto::StatusReply& status);
  /// Removes what is redrawn; in plain mode prints the last state if it has not been printed.
  void finish(const proto::SweepStatus& sweep);

 private:
  /// Rows of the screen that what is drawn takes now, whatever the width was then.
  [[nodiscard]] std::size_t rows_drawn() const;
  void clear();
  void draw(const std::vector<std::string>& lines);

  bool animated_;
  Milliseconds interval_;
  SteadyTime next_{};
  std::vector<std::size_t> drawn_;  ///< columns of every line that is on the screen
  std::string last_line_;
  std::set<std::string> failures_said_;
};

}  // namespace gauntlet::cli
