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

Status check_shape(const ModelShape& shape, std::string_view model) {
  const auto lacks = [&](std::string_view what) {
    return fail(ErrorCode::kInvalid,
                "{}: the dataset has no {}; a target model hashes images and texts of labelled pairs", model,
                what);
  };
  if (shape.image_px < 1 && shape.feature_dim < 1) return lacks("images");
  if (shape.text_dim < 1) return lacks("texts");
  if (shape.n_labels < 1) return lacks("labels");
  if (shape.code_bits >= 1) return {};
  return fail(ErrorCode::kInvalid, "{}: codes of {} bits do not exist; allowed: at least 1", model,
              shape.code_bits);
}

Status check_inputs(const ModelShape& model, const ModelShape& data, std::string_view owner) {
  struct Size {
    const char* what;
    const char* unit;
    std::int64_t model, data;
  };
  for (const Size& size : {Size{"pictures", "px", model.image_px, data.image_px},
                           Size{"image features", "values", model.feature_dim, data.feature_dim},
                           Size{"texts", "values", model.text_dim, data.text_dim}}) {
    if (size.model == size.data) continue;
    return fail(ErrorCode::kInvalid, "{} was trained on {} of {} {}; those of this dataset have {}", owner,
                size.what, size.model, size.unit, size.data);
  }
  return {};
}

}  // namespace gauntlet::models
