#include "core/defenses/declaration.hpp"

namespace gauntlet::defenses {
namespace {

std::string_view name_of(StageGradient gradient) {
  switch (gradient) {
    case StageGradient::kExact:
      return "exact";
    case StageGradient::kSurrogate:
      return "surrogate";
    case StageGradient::kNone:
      return "none";
  }
  return "unknown";
}

std::string_view name_of(StageRandomness random) {
  switch (random) {
    case StageRandomness::kNo:
      return "no";
    case StageRandomness::kPerQuery:
      return "per_query";
    case StageRandomness::kPerBatch:
      return "per_batch";
  }
  return "unknown";
}

Json describe(const Stage& stage) {
  return {{"name", stage.name},
          {"gradient", name_of(stage.gradient)},
          {"surrogate", stage.surrogate},
          {"input_range", stage.input_range},
          {"output_range", stage.output_range},
          {"random", name_of(stage.random)},
          {"seeding", stage.seeding},
          {"test_time_steps", stage.test_time_steps},
          {"objective", stage.objective},
          {"batch_dependent", stage.batch_dependent}};
}

}  // namespace

Json describe(const Declaration& declaration) {
  Json stages = Json::array();
  for (const Stage& stage : declaration.stages) stages.push_back(describe(stage));
  return {{"stages", stages},
          {"trained_on", declaration.trained_on},
          {"extra_data", declaration.extra_data},
          {"forward_passes", declaration.forward_passes},
          {"refuses", declaration.refuses}};
}

}  // namespace gauntlet::defenses
