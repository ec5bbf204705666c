// The jobs behind a cell, for what reads their artifacts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::results {

struct JobOfCell {
  std::string role;  ///< the first part it plays for the cell, e.g. "encode_query"
  spec::JobKind kind = spec::JobKind::kNoop;
  JobKey key;
  std::string state;  ///< "done", "queued", …
  std::string title;
  std::string message;  ///< why it failed, or ""
};

/// By job. Empty for a cell that is not there.
[[nodiscard]] Result<std::vector<JobOfCell>> jobs_of_cell(db::Connection& connection, std::int64_t cell_id);

}  // namespace gauntlet::results
