#include "cli/support/sheet_cells.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/data/query_draw.hpp"
#include "core/io/npy.hpp"
#include "core/sheets/retrieval.hpp"

namespace gauntlet::cli {
namespace {

using results::JobOfCell;

constexpr std::string_view kNone = "none";

const JobOfCell* find_role(const std::vector<JobOfCell>& jobs, std::string_view role) {
  const auto found = std::ranges::find(jobs, role, &JobOfCell::role);
  return found == jobs.end() ? nullptr : &*found;
}

/// Codes of the retrieval set are listed by the first part they play, which an attack or a defense may have
/// been.
const JobOfCell* items_of(const spec::Cell& cell, const std::vector<JobOfCell>& jobs) {
  const JobOfCell* const own = find_role(jobs, "encode_retrieval");
  return own != nullptr ? own : find_role(jobs, cell.direction == "i2t" ? "codes_text" : "codes_image");
}

/// What does not change when the attack or the defense does.
spec::Cell without(spec::Cell cell, bool attack) {
  cell.defense = kNone;
  cell.variant.clear();
  if (attack) {
    cell.attack = kNone;
    cell.protocol = kNone;
  }
  return cell;
}

/// Reads the jobs of cells, and says which cells can be shown.
class Finder {
 public:
  Finder(db::Connection& connection, bool retrieval) : connection_(connection), retrieval_(retrieval) {}

  Result<std::vector<SheetCell>> find(const std::string& sweep, const std::string& where);

 private:
  Result<bool> add(const results::CellRow& row);
  Status add_codes(const spec::Cell& other, std::vector<CodeJobs>& codes);
  void wait_for(SheetCell& cell, const JobOfCell& job) const;

  db::Connection& connection_;
  bool retrieval_;
  std::map<spec::Cell, std::int64_t> ids_;  ///< of all cells of the sweep
  std::set<JobKey> explained_;
  std::vector<SheetCell> found_;
};

void Finder::wait_for(SheetCell& cell, const JobOfCell& job) const {
  if (!cell.waits_for.empty() || job.state == "done") return;
  cell.waits_for = fmt::format("{} ({}) is {}{}{}", job.title, job.key.brief(), job.state,
                               job.message.empty() ? "" : ": ", job.message);
}

Status Finder::add_codes(const spec::Cell& other, std::vector<CodeJobs>& codes) {
  const auto id = ids_.find(other);
  if (id == ids_.end()) return {};
  GAUNTLET_TRY(const std::vector<JobOfCell> jobs, results::jobs_of_cell(connection_, id->second));
  const JobOfCell* const queries = find_role(jobs, "encode_query");
  const JobOfCell* const items = items_of(other, jobs);
  if (queries != nullptr && items != nullptr) codes.push_back({*queries, *items});
  return {};
}

/// Whether there is something to show of the cell.
Result<bool> Finder::add(const results::CellRow& row) {
  SheetCell cell{.row = row, .jobs = {}, .before = {}, .undefended = {}, .waits_for = {}};
  GAUNTLET_TRY(cell.jobs, results::jobs_of_cell(connection_, row.cell_id));
  if (!retrieval_) {
    const JobOfCell* const job = cell.find("explain");
    if (job == nullptr || !explained_.insert(job->key).second) return false;
    wait_for(cell, *job);
    found_.push_back(std::move(cell));
    return true;
  }
  // A candidate of a selection is measured on validation items, which no other cell has codes of.
  if (cell.find("validation") != nullptr) return false;
  const JobOfCell* const queries = cell.find("encode_query");
  const JobOfCell* const items = items_of(row.cell, cell.jobs);
  if (row.cell.attack == kNone || queries == nullptr || items == nullptr || cell.find("craft") == nullptr)
    return false;
  GAUNTLET_CHECK_OK(add_codes(without(row.cell, true), cell.before));
  if (row.cell.defense != kNone) GAUNTLET_CHECK_OK(add_codes(without(row.cell, false), cell.undefended));
  wait_for(cell, *queries);
  wait_for(cell, *items);
  for (const auto& others : {cell.before, cell.undefended}) {
    for (const CodeJobs& codes : others) {
      wait_for(cell, codes.queries);
      wait_for(cell, codes.items);
    }
  }
  found_.push_back(std::move(cell));
  return true;
}

Result<std::vector<SheetCell>> Finder::find(const std::string& sweep, const std::string& where) {
  GAUNTLET_TRY(const std::vector<std::string> sweeps, results::sweep_names(connection_));
  if (std::ranges::find(sweeps, sweep) == sweeps.end())
    return fail(ErrorCode::kNotFound, "{}", unknown_name_message("sweep", sweep, sweeps));
  GAUNTLET_TRY(const results::CellSelection cells,
               results::select_cells(connection_, {{"sweep", {sweep}}}, {}));
  std::set<std::int64_t> wanted;
  if (!where.empty()) {
    GAUNTLET_TRY(wanted, results::cells_where(connection_, where));
  }
  for (const results::CellRow& row : cells.cells) ids_[row.cell] = row.cell_id;
  std::size_t n_matched = 0;
  for (const results::CellRow& row : cells.cells) {
    if (!where.empty() && !wanted.contains(row.cell_id)) continue;
    ++n_matched;
    GAUNTLET_CHECK_OK(add(row));
  }
  if (!found_.empty()) return std::move(found_);
  if (n_matched == 0) return fail(ErrorCode::kNotFound, "sweep '{}' has no cell where {}", sweep, where);
  if (retrieval_) {
    return fail(ErrorCode::kNotFound, "none of the {} of sweep '{}' has an attack with codes of its own",
                count_of(n_matched, "matching cell"), sweep);
  }
  return fail(ErrorCode::kNotFound,
              "none of the {} of sweep '{}' has explain jobs; a line `explain: [{{queries: 8}}]` in its file "
              "asks for "
              "them",
              count_of(n_matched, "matching cell"), sweep);
}

Result<artifacts::Artifact> open_job(const artifacts::ArtifactStore& store, const JobOfCell& job) {
  return store.open(job.kind, job.key);
}

/// Opened artifacts, which retrievals point to.
struct OpenCodes {
  std::string heading;
  artifacts::Artifact queries, items;
  bool is_attacked = false;
};

Result<OpenCodes> open_codes(const artifacts::ArtifactStore& store, std::string heading,
                             const JobOfCell& queries, const JobOfCell& items, bool is_attacked) {
  OpenCodes open{.heading = std::move(heading), .queries = {}, .items = {}, .is_attacked = is_attacked};
  GAUNTLET_TRY(open.queries, open_job(store, queries));
  GAUNTLET_TRY(open.items, open_job(store, items));
  return open;
}

/// Before the attack, after it, after the defense, as far as there are cells.
Result<std::vector<OpenCodes>> open_all(const artifacts::ArtifactStore& store, const SheetCell& cell,
                                        std::vector<std::string>& notes) {
  const spec::Cell& axes = cell.row.cell;
  std::vector<OpenCodes> all;
  const auto add = [&](std::string heading, const JobOfCell& queries, const JobOfCell& items,
                       bool is_attacked) -> Status {
    GAUNTLET_TRY(OpenCodes open, open_codes(store, std::move(heading), queries, items, is_attacked));
    all.push_back(std::move(open));
    return {};
  };
  for (const CodeJobs& codes : cell.before)
    GAUNTLET_CHECK_OK(add("before the attack", codes.queries, codes.items, false));
  if (cell.before.empty())
    notes.emplace_back(
        "The sweep has no such cell without attack and defense: what was found before is not shown.");
  const bool is_bare = axes.defense == kNone;
  for (const CodeJobs& codes : cell.undefended)
    GAUNTLET_CHECK_OK(
        add(fmt::format("after the attack ({})", axes.attack), codes.queries, codes.items, true));
  if (!is_bare && cell.undefended.empty())
    notes.push_back(
        fmt::format("The sweep has no cell with {} and defense none: what it does to the bare model is not "
                    "shown.",
                    axes.attack));
  const std::string heading = is_bare ? fmt::format("after the attack ({})", axes.attack)
                                      : fmt::format("after the defense ({})", axes.defense);
  GAUNTLET_CHECK_OK(add(heading, *cell.find("encode_query"), *items_of(axes, cell.jobs), true));
  return all;
}

Result<std::vector<std::int64_t>> drawn_rows(const artifacts::Artifact& crafted, const SheetCell& cell,
                                             std::size_t n_queries) {
  GAUNTLET_TRY(const io::NpyArray file, io::read_npy(crafted.file("rows.npy")));
  GAUNTLET_TRY(const auto rows, file.as<std::int64_t>());
  const std::uint64_t seed =
      purpose_seed(cell.row.cell.seed, cell.find("prepare")->key.hex(), data::kShownQueries);
  return data::draw_queries(rows, n_queries, seed);
}

}  // namespace

const JobOfCell* SheetCell::find(std::string_view role) const { return find_role(jobs, role); }

std::string name_of(const spec::Cell& cell) {
  return fmt::format("{} under {}{}, {}, {} {} bits, {}, seed {}{}{}", cell.defense, cell.attack,
                     cell.protocol == kNone ? "" : fmt::format(" ({})", cell.protocol), cell.direction,
                     cell.model, cell.bits, cell.dataset, cell.seed, cell.variant.empty() ? "" : ", ",
                     cell.variant);
}

Result<std::vector<SheetCell>> find_sheet_cells(db::Connection& connection, const std::string& sweep,
                                                const std::string& where, bool retrieval) {
  return Finder(connection, retrieval).find(sweep, where);
}

Result<data::PreparedSet> open_set(const artifacts::ArtifactStore& store, const SheetCell& cell) {
  const JobOfCell* const job = cell.find("prepare");
  if (job == nullptr) return fail(ErrorCode::kCorrupt, "{} has no prepare job", name_of(cell.row.cell));
  GAUNTLET_TRY(const artifacts::Artifact artifact, store.look(job->kind, job->key, /*hashes=*/false));
  return data::PreparedSet::open(artifact.folder);
}

Result<draw::Sheet> retrieval_sheet_of(const artifacts::ArtifactStore& store, const SheetCell& cell,
                                       std::vector<std::int64_t> rows, std::size_t n_queries,
                                       const draw::Lettering& lettering) {
  GAUNTLET_TRY(const data::PreparedSet set, open_set(store, cell));
  GAUNTLET_TRY(const artifacts::Artifact crafted, open_job(store, *cell.find("craft")));
  sheets::RetrievalSubject subject;
  GAUNTLET_TRY(const std::vector<OpenCodes> open, open_all(store, cell, subject.notes));
  subject.queries = cell.row.cell.direction == "i2t" ? Modality::kImage : Modality::kText;
  subject.crafted = &crafted;
  for (const OpenCodes& codes : open)
    subject.retrievals.push_back({codes.heading, &codes.queries, &codes.items, codes.is_attacked});
  subject.rows = std::move(rows);
  if (subject.rows.empty()) {
    GAUNTLET_TRY(subject.rows, drawn_rows(crafted, cell, n_queries));
  }
  return sheets::retrieval_sheet(subject, set, fmt::format("What queries find: {}", name_of(cell.row.cell)),
                                 lettering);
}

}  // namespace gauntlet::cli
