#include "core/models/hashing_model.hpp"

namespace gauntlet::models {

#define GAUNTLET_MODEL(stem) extern const ModelEntry stem##_entry;
#include "core/models/models.def"
#undef GAUNTLET_MODEL

namespace {

constexpr const ModelEntry* kEntries[] = {
#define GAUNTLET_MODEL(stem) &stem##_entry,
#include "core/models/models.def"
#undef GAUNTLET_MODEL
};

}  // namespace

const Registry<ModelEntry>& model_registry() {
  static constexpr Registry<ModelEntry> kRegistry("model", kEntries);
  return kRegistry;
}

}  // namespace gauntlet::models
