// The target models that learn here, of all there are. Thread safety: a pure function.
#pragma once

#include <vector>

#include "core/models/hashing_model.hpp"

namespace gauntlet::models {

/// Entries with a training, in the order of the list; the others come trained, from a file.
[[nodiscard]] inline std::vector<const ModelEntry*> trained_models() {
  std::vector<const ModelEntry*> all;
  for (const ModelEntry* entry : model_registry().entries()) {
    if (entry->make_training != nullptr) all.push_back(entry);
  }
  return all;
}

}  // namespace gauntlet::models
