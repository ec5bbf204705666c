#include "core/attacks/attack.hpp"

namespace gauntlet::attacks {
namespace {

struct NoneConfig {
  static void fields(auto& /*self*/, auto& /*visit*/) {}
};

}  // namespace

extern const AttackEntry none_entry;
constinit const AttackEntry none_entry{
    .about = {.name = "none",
              .version = 1,
              .summary = "Clean queries: the benign columns of a table",
              .reference = "",
              .fields = &describe_fields<NoneConfig>},
    .make = nullptr,
};

}  // namespace gauntlet::attacks
