#include "cli/support/sweep_file.hpp"

#include "cli/support/output.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/data/dataset.hpp"
#include "core/metrics/metric.hpp"

namespace gauntlet::cli {
namespace {

Status check_metric(std::string_view name) {
  GAUNTLET_CHECK_OK(metrics::resolve_metric(name));
  return {};
}

Result<std::string> content_id(std::string_view dataset, const Json& config, const Json& locations) {
  GAUNTLET_TRY(const data::DatasetEntry* entry, data::dataset_registry().find(dataset));
  Json all = config;
  all.update(locations);
  return entry->content_id(all);
}

Error report(const std::vector<spec::Problem>& problems, const std::string& file) {
  for (const spec::Problem& problem : problems) note(fmt::format("{}\n", spec::to_text(problem, file)));
  return {ErrorCode::kInvalid,
          fmt::format("{} in {}; nothing was run", count_of(problems.size(), "problem"), file)};
}

}  // namespace

Result<LoadedSweep> load_sweep(const std::filesystem::path& path) {
  LoadedSweep sweep;
  sweep.path = path;
  GAUNTLET_TRY(sweep.text, read_file(path, spec::kMaxSweepBytes));
  spec::ParsedSweep parsed =
      spec::parse_sweep(sweep.text, path.string(), spec::Catalog::builtin(), &check_metric);
  if (!parsed.spec) return fail(report(parsed.problems, path.string()));
  sweep.spec = std::move(*parsed.spec);
  tl::expected<spec::Expansion, std::vector<spec::Problem>> expansion =
      spec::expand(sweep.spec, spec::Catalog::builtin(), &content_id);
  if (!expansion) return fail(report(expansion.error(), path.string()));
  sweep.expansion = std::move(*expansion);
  return sweep;
}

Result<std::filesystem::path> find_beside(const std::string& written, const std::filesystem::path& sweep) {
  const std::filesystem::path folder = std::filesystem::absolute(sweep).parent_path();
  for (const std::filesystem::path& candidate :
       {std::filesystem::path(written), folder / written, folder.parent_path() / written}) {
    std::error_code ignored;
    if (std::filesystem::exists(candidate, ignored)) return candidate;
  }
  return fail(ErrorCode::kNotFound, "{} names the file {}, which exists neither here nor in {} nor in {}",
              sweep.string(), written, folder.string(), folder.parent_path().string());
}

Json metric_meanings(const std::vector<std::string>& names) {
  Json meanings = Json::object();
  for (const std::string& name : names) {
    const Result<metrics::ResolvedMetric> metric = metrics::resolve_metric(name);
    if (!metric) continue;
    meanings[name] = {{"unit", metric->entry->unit},
                      {"higher_is_better", metric->entry->higher_is_better},
                      {"targeted", metric->entry->about.capabilities.targeted}};
  }
  return meanings;
}

}  // namespace gauntlet::cli
