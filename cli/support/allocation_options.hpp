// What one allocation of a batch system is, as options.
#pragma once

#include <string>

#include "cli/support/arguments.hpp"
#include "coordinator/alloc/rows.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

struct AllocationOptions {
  alloc::QueueSpec spec;
  std::string time;

  /// --partition, --time, --nodes, --gpus, --memory-mb, and what follows `--`.
  void add_to(Arguments& arguments);
  /// The spec with its times read. Errors (kInvalid): a time that is none, and those of alloc::check.
  [[nodiscard]] Result<alloc::QueueSpec> read() const;
};

/// "4h" of an option as seconds; `fallback` for "". Errors (kInvalid) name the option.
[[nodiscard]] Result<std::int64_t> seconds_of(const std::string& option, const std::string& text,
                                              std::int64_t fallback);

}  // namespace gauntlet::cli
