// The few facts of a job's canonical text that the database keeps in columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::store {

struct CanonicalHead {
  std::int64_t kind = 0;  ///< spec::JobKind, also the number in table job_kinds
  std::string entry;
  std::int64_t version = 0;
  bool operator==(const CanonicalHead&) const = default;
};

/// Reads kind, entry and version from the top level, without building the rest. Errors (kInvalid): no JSON
/// object, a kind that is not known, wrong types.
[[nodiscard]] Result<CanonicalHead> read_canonical_head(std::string_view canonical);

}  // namespace gauntlet::store
