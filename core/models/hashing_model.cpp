#include "core/models/hashing_model.hpp"

namespace gauntlet::models {

Json to_json(const ModelShape& shape) {
  return {{"image_px", shape.image_px},
          {"feature_dim", shape.feature_dim},
          {"text_dim", shape.text_dim},
          {"n_labels", shape.n_labels},
          {"code_bits", shape.code_bits}};
}

Result<ModelShape> shape_from_json(const Json& value) {
  ModelShape shape;
  const std::pair<const char*, std::int64_t*> members[] = {{"image_px", &shape.image_px},
                                                           {"feature_dim", &shape.feature_dim},
                                                           {"text_dim", &shape.text_dim},
                                                           {"n_labels", &shape.n_labels},
                                                           {"code_bits", &shape.code_bits}};
  for (const auto& [name, member] : members) {
    const auto found = value.is_object() ? value.find(name) : value.end();
    if (found == value.end() || !found->is_number_integer() || found->get<std::int64_t>() < 0) {
      return fail(ErrorCode::kCorrupt, "a model's shape needs '{}' as an integer of at least 0, in {}", name,
                  value.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    *member = found->get<std::int64_t>();
  }
  return shape;
}

}  // namespace gauntlet::models
