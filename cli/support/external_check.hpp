// Whether an external entry keeps its promises, seen by running it on a small made-up dataset.
#pragma once

#include <string>
#include <vector>

#include "core/spec/external.hpp"

namespace gauntlet::cli {

struct ExternalCheck {
  std::string name;  ///< "craft image: repeatable"
  bool ok = false;
  std::string message;  ///< what is wrong; of a check that holds, what was seen
};

/// Runs every step twice and once with another seed, for each modality the entry works on: it ends well and
/// leaves what it declares (shapes, types, range, budget); the same seed gives the same bytes; another seed
/// gives others exactly when the descriptor says `random`. The first failure of a step ends it. Errors: kIo,
/// kNoSpace of the temporary folder.
[[nodiscard]] Result<std::vector<ExternalCheck>> check_external(
    const std::shared_ptr<const spec::ExternalEntry>& entry);

}  // namespace gauntlet::cli
