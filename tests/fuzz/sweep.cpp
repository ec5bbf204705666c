// A sweep file: problems with places, or a sweep that can be expanded or is refused in words.
#include "core/base/check.hpp"
#include "core/spec/expand.hpp"
#include "core/spec/sweep_spec.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {
namespace {

constexpr std::uint64_t kMostPoints =
    500;  ///< larger sweeps are only parsed: they take long, and teach nothing

Result<std::string> content_id(std::string_view dataset, const Json& config, const Json& locations) {
  if (locations.contains("path") && locations["path"] == "missing")
    return fail(ErrorCode::kNotFound, "there is no folder 'missing'");
  return fmt::format("{} {}", dataset, config.dump());
}

std::uint64_t n_points(const spec::SweepSpec& sweep) {
  if (sweep.noop) return sweep.noop->jobs;
  std::uint64_t n = 0;
  const auto add = [&](std::uint64_t more) { n = more > kMostPoints ? kMostPoints + 1 : n + more; };
  add(sweep.product.size());
  for (const spec::PointSet& points : sweep.include) add(points.size());
  for (const spec::Ablation& ablation : sweep.ablations) {
    for (std::size_t variant = 0; variant <= ablation.variants.size() && n <= kMostPoints; ++variant)
      add(ablation.base.size());
  }
  return n;
}

}  // namespace

void sweep(Bytes bytes) {
  const spec::Catalog& catalog = spec::Catalog::builtin();
  const spec::ParsedSweep parsed = spec::parse_sweep(text_of(bytes), "fuzz.yaml", catalog);
  GAUNTLET_CHECK(parsed.spec.has_value() == parsed.problems.empty());
  for (const spec::Problem& problem : parsed.problems)
    GAUNTLET_CHECK(!problem.message.empty() && problem.line >= 0);
  if (!parsed.spec || n_points(*parsed.spec) > kMostPoints) return;
  const auto expansion = spec::expand(*parsed.spec, catalog, &content_id);
  GAUNTLET_CHECK(expansion || !expansion.error().empty());
  if (!expansion) return;
  for (std::size_t index = 0; index < expansion->jobs.size(); ++index) {
    const spec::PlannedJob planned = expansion->jobs[index];
    const auto text = canonical_json(spec::canonical_form(planned.job));
    GAUNTLET_CHECK(text && *text == expansion->jobs.canonical(index));
    GAUNTLET_CHECK(*spec::key_of(planned.job) == planned.key);
  }
}

}  // namespace gauntlet::fuzz
