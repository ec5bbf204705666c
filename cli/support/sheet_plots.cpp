#include "cli/support/sheet_plots.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/support/file_name.hpp"
#include "cli/support/output.hpp"
#include "cli/support/sheet_cells.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/sheets/explanation.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSheets = 64;

/// The axes by which the cells differ, and those that say what a sheet is about.
std::string stem_of(const SheetRequest& request, const results::CellRow& cell,
                    const std::vector<SheetCell>& all) {
  std::string stem = fmt::format("{}_{}", request.sweep, request.retrieval ? "retrieval" : "heatmap");
  const auto add = [&](const auto& of, bool always) {
    const bool differs =
        std::ranges::any_of(all, [&](const SheetCell& other) { return of(other.row.cell) != of(cell.cell); });
    if (differs || always) stem += fmt::format("_{}", of(cell.cell));
  };
  add([](const spec::Cell& each) { return each.dataset; }, false);
  add([](const spec::Cell& each) { return each.model; }, false);
  add([](const spec::Cell& each) { return each.bits; }, false);
  add([](const spec::Cell& each) { return each.defense; }, true);
  add([](const spec::Cell& each) { return each.attack; }, true);
  add([](const spec::Cell& each) { return each.protocol; }, false);
  add([](const spec::Cell& each) { return each.direction; }, true);
  add([](const spec::Cell& each) { return each.variant; }, false);
  add([](const spec::Cell& each) { return each.seed; }, false);
  return file_name(stem);
}

/// Draws, names and writes the sheets of a request.
class Plotter {
 public:
  Plotter(const SheetRequest& request, const std::vector<SheetCell>& cells)
      : request_(request), cells_(cells), store_(request.workdir) {}

  Result<int> run();

 private:
  Status plot(const SheetCell& cell);
  Result<draw::Sheet> sheet_of(const SheetCell& cell);
  Status write(const SheetCell& cell, const draw::Sheet& sheet);

  const SheetRequest& request_;
  const std::vector<SheetCell>& cells_;
  artifacts::ArtifactStore store_;
  draw::Lettering lettering_;
  std::set<std::string> names_;
};

Result<draw::Sheet> Plotter::sheet_of(const SheetCell& cell) {
  if (request_.retrieval)
    return retrieval_sheet_of(store_, cell, request_.rows, request_.n_queries, lettering_);
  const results::JobOfCell& job = *cell.find("explain");
  GAUNTLET_TRY(const artifacts::Artifact explanation, store_.open(job.kind, job.key));
  GAUNTLET_TRY(const data::PreparedSet set, open_set(store_, cell));
  return sheets::explanation_sheet(
      explanation, set, fmt::format("What the attack did: {}", name_of(cell.row.cell)), lettering_);
}

Status Plotter::write(const SheetCell& cell, const draw::Sheet& sheet) {
  fs::path path = request_.output;
  if (path.empty()) {
    const std::string stem = stem_of(request_, cell.row, cells_);
    std::string name = stem;
    for (int number = 2; !names_.insert(name).second; ++number) name = fmt::format("{}_{}", stem, number);
    path = request_.workdir / "plots" / (name + (request_.png ? ".png" : ".svg"));
    GAUNTLET_CHECK_OK(make_directories(path.parent_path()));
  }
  if (request_.png) {
    GAUNTLET_TRY(const io::RgbImage image, draw::to_image(sheet, lettering_));
    GAUNTLET_CHECK_OK(io::write_png(path, image));
  } else {
    GAUNTLET_TRY(const std::string svg, draw::to_svg(sheet));
    GAUNTLET_CHECK_OK(write_file_atomic(path, svg));
  }
  return print(path.string() + "\n");
}

Status Plotter::plot(const SheetCell& cell) {
  GAUNTLET_TRY(const draw::Sheet sheet, sheet_of(cell));
  return write(cell, sheet);
}

Result<int> Plotter::run() {
  if (request_.png && !lettering_.has_font())
    note("no text font is installed (fonts-dejavu-core has one): the sheet has no words; svg has them\n");
  std::size_t n_missing = 0;
  for (const SheetCell& cell : cells_) {
    if (cell.waits_for.empty()) {
      GAUNTLET_CHECK_OK(plot(cell));
      continue;
    }
    ++n_missing;
    note(fmt::format("{}: {}\n", name_of(cell.row.cell), cell.waits_for));
  }
  if (n_missing == 0 || request_.allow_missing) return 0;
  return fail(ErrorCode::kIncomplete, "{} not run yet (--allow-missing accepts that)",
              n_missing == 1 ? std::string("1 sheet's jobs have")
                             : fmt::format("the jobs of {} sheets have", n_missing));
}

}  // namespace

Result<std::optional<std::string>> sweep_of_subject(const std::string& subject) {
  std::error_code ignored;
  if (!fs::is_regular_file(subject, ignored)) {
    const bool is_file = subject.ends_with(".yaml") || subject.ends_with(".yml");
    return is_file ? std::nullopt : std::optional(subject);
  }
  GAUNTLET_TRY(const std::string text, read_file(subject, spec::kMaxSweepBytes));
  return spec::sweep_name_in(text);
}

Result<int> plot_sheets(db::Connection& connection, const SheetRequest& request) {
  GAUNTLET_TRY(const std::vector<SheetCell> cells,
               find_sheet_cells(connection, request.sweep, request.where, request.retrieval));
  if (!request.output.empty() && cells.size() > 1) {
    std::vector<std::string> names;
    for (std::size_t at = 0; at < std::min<std::size_t>(cells.size(), 3); ++at)
      names.push_back(name_of(cells[at].row.cell));
    return fail(ErrorCode::kInvalid,
                "--output names one file, and {} sheets match (first: {}); narrow them by --where",
                cells.size(), fmt::join(names, " / "));
  }
  if (cells.size() > kMaxSheets) {
    return fail(ErrorCode::kInvalid, "{} sheets match; at most {} are drawn at once, narrow them by --where",
                cells.size(), kMaxSheets);
  }
  return Plotter(request, cells).run();
}

}  // namespace gauntlet::cli
