#include "cli/support/sweep_tables.hpp"

#include <array>
#include <utility>

#include "cli/support/output.hpp"
#include "core/base/files.hpp"
#include "results/table/render.hpp"

namespace gauntlet::cli {
namespace {

constexpr std::size_t kNamedMissing = 20;
constexpr std::array kWritten = {
    std::pair{".md", results::Format::kMarkdown}, std::pair{".tex", results::Format::kLatex},
    std::pair{".html", results::Format::kHtml}, std::pair{".csv", results::Format::kCsv},
    std::pair{".json", results::Format::kJson}};

}  // namespace

Result<std::vector<NamedTableSpec>> read_table_specs(const LoadedSweep& sweep) {
  std::vector<NamedTableSpec> specs;
  for (const std::string& written : sweep.spec.tables) {
    GAUNTLET_TRY(const std::filesystem::path path, find_beside(written, sweep.path));
    GAUNTLET_TRY(results::TableSpec spec, results::read_table_spec(path));
    // A table of a sweep's run shows that sweep, whatever else the database holds.
    spec.filter["sweep"] = {sweep.spec.name};
    specs.push_back({path.stem().string(), std::move(spec)});
  }
  return specs;
}

Result<std::vector<NamedTable>> fill_tables(const std::vector<NamedTableSpec>& specs,
                                            const std::filesystem::path& database) {
  std::vector<NamedTable> tables;
  for (const NamedTableSpec& named : specs) {
    GAUNTLET_TRY(results::Table table, results::make_table(database, named.spec));
    tables.push_back({named.name, std::move(table)});
  }
  return tables;
}

Status write_tables(const std::vector<NamedTable>& tables, const std::filesystem::path& folder) {
  if (tables.empty()) return {};
  GAUNTLET_CHECK_OK(make_directories(folder));
  for (const NamedTable& named : tables) {
    for (const auto& [suffix, format] : kWritten) {
      GAUNTLET_CHECK_OK(
          write_file_atomic(folder / (named.name + suffix), results::render(named.table, format)));
    }
  }
  return {};
}

std::size_t name_missing(const std::vector<results::MissingNumber>& missing) {
  for (std::size_t at = 0; at < missing.size() && at < kNamedMissing; ++at) {
    note(fmt::format("missing: {}\n", missing[at].text()));
  }
  if (missing.size() > kNamedMissing) {
    note(fmt::format("missing: and {} more (gauntlet query \"SELECT * FROM v_missing\")\n",
                     missing.size() - kNamedMissing));
  }
  return missing.size();
}

}  // namespace gauntlet::cli
