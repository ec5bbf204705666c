// The canonical text of a job from its parts, written without building the job.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/ids.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::spec::detail {

/// Writes what spec::canonical_text returns, in its order: first the config, then each input in the order of
/// roles, then the rest. `entry` is plain ASCII, `config_text` canonical JSON.
class CanonicalWriter {
 public:
  /// Starts over; the text's memory is used again.
  CanonicalWriter& start(std::string_view config_text, std::string_view entry);
  CanonicalWriter& input(std::string_view role, const JobKey& key);
  const std::string& finish(JobKind kind, std::string_view precision, std::uint64_t seed,
                            std::int64_t version);

 private:
  std::string text_;
  bool has_inputs_ = false;
};

}  // namespace gauntlet::spec::detail
