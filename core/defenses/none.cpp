// No defense: the target model as it is, the reference row of every table.
#include "core/defenses/detail/purifier.hpp"

namespace gauntlet::defenses {
namespace {

struct NoneConfig {
  static void fields(auto&, auto&) {}
};

class Undefended final : public Purifier {
 public:
  using Purifier::Purifier;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_CHECK_OK(read_config<NoneConfig>(config, "none"));
  return std::make_unique<Undefended>(std::move(parts.model));
}

}  // namespace

extern const DefenseEntry none_entry;
constinit const DefenseEntry none_entry{
    .about = {.name = "none",
              .version = 1,
              .summary = "No defense: queries go straight to the target model.",
              .reference = "",
              .capabilities = {},
              .fields = &describe_fields<NoneConfig>},
    .make = &make,
    .train = nullptr,
};

}  // namespace gauntlet::defenses
