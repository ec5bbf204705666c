// How a program without torch knows which models share image features. A convention of field names, so that
// the catalog needs no more than fields: whatever decides a model's image features is named `backbone` or
// `backbone_…`; `backbone` names the network and `backbone_frozen` says that training leaves it as it came.
// Thread safety: pure functions.
#pragma once

#include "core/base/json.hpp"

namespace gauntlet::spec {

/// The members of `config` that are named `backbone…`.
[[nodiscard]] Json backbone_fields(const Json& config);

/// Whether the features of a model with this config do not depend on its training: a network with published
/// weights (cnnf, alexnet) that stays as it came. False for configs without these fields.
[[nodiscard]] bool has_frozen_backbone(const Json& model_config);

}  // namespace gauntlet::spec
