#include "cli/support/sweep_file.hpp"

#include <algorithm>

#include "cli/support/external_entries.hpp"
#include "cli/support/output.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "core/data/dataset.hpp"
#include "core/metrics/metric.hpp"

namespace gauntlet::cli {
namespace {

/// An external metric has its name and nothing more.
Status check_metric(const spec::Catalog& catalog, std::string_view name) {
  const auto entry = catalog.find(spec::EntryKind::kMetric, name.substr(0, name.find_first_of("@:/")));
  if (!entry || !(*entry)->external) {
    GAUNTLET_CHECK_OK(metrics::resolve_metric(name));
    return {};
  }
  if ((*entry)->name == name) return {};
  return fail(ErrorCode::kInvalid,
              "metric '{}': an external metric has no @K, kind or rule for ties; allowed: {}", name,
              (*entry)->name);
}

Result<std::string> content_id(std::string_view dataset, const Json& config, const Json& locations) {
  GAUNTLET_TRY(const data::DatasetEntry* entry, data::dataset_registry().find(dataset));
  Json all = config;
  all.update(locations);
  return entry->content_id(all);
}

/// A field `x_content` beside a location `x` is the identity of the file there, "<SHA-256>/<bytes>": what the
/// job's key knows of it. Found out here, where the file is, unless the sweep says it.
Status fill_contents(const spec::Catalog& catalog, spec::SweepSpec& spec) {
  for (std::size_t axis = 0; axis < spec::kAxisCount; ++axis) {
    const auto kind = spec::entry_kind_of(static_cast<spec::Axis>(axis));
    if (!kind) continue;
    for (spec::AxisValue& value : spec.values[axis]) {
      GAUNTLET_TRY(const spec::CatalogEntry* entry, catalog.find(*kind, value.name));
      for (const FieldInfo& field : entry->fields) {
        const std::string content = field.name + "_content";
        const bool has_content =
            std::ranges::find(entry->fields, content, &FieldInfo::name) != entry->fields.end();
        if (!field.location || !has_content || value.options.contains(content)) continue;
        const std::string path = value.options.value(field.name, "");
        if (path.empty()) continue;
        GAUNTLET_TRY(const Digest digest, sha256_file(path));
        value.options[content] = fmt::format("{}/{}", to_hex(digest), std::filesystem::file_size(path));
      }
    }
  }
  return {};
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
  GAUNTLET_TRY(sweep.catalog, catalog_of(sweep.text, path));
  spec::ParsedSweep parsed =
      spec::parse_sweep(sweep.text, path.string(), sweep.catalog,
                        [&](std::string_view metric) { return check_metric(sweep.catalog, metric); });
  if (!parsed.spec) return fail(report(parsed.problems, path.string()));
  sweep.spec = std::move(*parsed.spec);
  GAUNTLET_CHECK_OK(fill_contents(sweep.catalog, sweep.spec));
  tl::expected<spec::Expansion, std::vector<spec::Problem>> expansion =
      spec::expand(sweep.spec, sweep.catalog, &content_id);
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

Json metric_meanings(const std::vector<std::string>& names, const spec::Catalog& catalog) {
  Json meanings = Json::object();
  for (const std::string& name : names) {
    const auto entry = catalog.find(spec::EntryKind::kMetric, name);
    if (entry && (*entry)->external) {
      meanings[name] = {{"unit", (*entry)->external->unit},
                        {"higher_is_better", (*entry)->external->higher_is_better},
                        {"targeted", (*entry)->targeted}};
      continue;
    }
    const Result<metrics::ResolvedMetric> metric = metrics::resolve_metric(name);
    if (!metric) continue;
    meanings[name] = {{"unit", metric->entry->unit},
                      {"higher_is_better", metric->entry->higher_is_better},
                      {"targeted", metric->entry->about.capabilities.targeted}};
  }
  return meanings;
}

}  // namespace gauntlet::cli
