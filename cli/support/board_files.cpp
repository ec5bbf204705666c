#include "cli/support/board_files.hpp"

#include <cmath>

#include "cli/support/output.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/data/prepared_set.hpp"
#include "results/board/standing.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
constexpr double kSameBudget = 1e-9;

/// The hash of one file of an artifact, or of the names and hashes of all; "" when it is gone.
Result<std::string> content_hash(const fs::path& folder, std::string_view file) {
  const fs::path path = folder / "manifest.json";
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::string();
  GAUNTLET_TRY(const std::string text, read_file(path));
  GAUNTLET_TRY(const Json manifest, parse_json(text, path.string()));
  std::string all;
  for (const Json& each : manifest.value("files", Json::array())) {
    const std::string name = each.value("name", ""), hash = each.value("sha256", "");
    if (name == file) return hash;
    all += fmt::format("{} {}\n", name, hash);
  }
  return file.empty() ? to_hex(sha256(all)) : std::string();
}

Result<std::string> query_ids_hash(const fs::path& folder) {
  const Result<data::PreparedSet> set = data::PreparedSet::open(folder);
  if (!set) {
    return fail(set.error().code, "a leaderboard names the queries, which the prepared data knows: {}",
                set.error().message);
  }
  return to_hex(sha256(std::as_bytes(std::span(set->rows(data::Part::kQuery)))));
}

Result<Json> read_checks(db::Connection& connection, const results::BundleCell& item, double epsilon) {
  const spec::Cell& cell = item.cell;
  GAUNTLET_TRY(db::Statement * rows,
               connection.cached(
                   "SELECT check_id, verdict, epsilon, delta, ci_low, ci_high, n, sentence FROM v_checks "
                   "WHERE sweep = ? AND dataset = ? AND model = ? AND bits = ? AND defense = ? AND "
                   "direction = ? AND variant = ? AND seed = ? ORDER BY check_id"));
  GAUNTLET_CHECK_OK(rows->bind_all(item.sweep, cell.dataset, cell.model, cell.bits, cell.defense,
                                   cell.direction, cell.variant, static_cast<std::int64_t>(cell.seed)));
  Json checks = Json::array();
  while (true) {
    GAUNTLET_TRY(const bool any, rows->step());
    if (!any) return checks;
    if (!rows->is_null(2) && std::abs(rows->real(2) - epsilon) > kSameBudget) continue;
    Json check = {{"check", rows->text(0)},
                  {"verdict", rows->text(1)},
                  {"n", rows->integer(6)},
                  {"sentence", rows->text(7)}};
    const char* names[] = {"delta", "ci_low", "ci_high"};
    for (int at = 0; at < 3; ++at)
      if (!rows->is_null(3 + at)) check[names[at]] = rows->real(3 + at);
    checks.push_back(std::move(check));
  }
}

}  // namespace

Result<results::Board> read_boards(const std::vector<fs::path>& files) {
  results::Board all;
  for (const fs::path& file : files) {
    GAUNTLET_TRY(const std::string text, read_file(file));
    GAUNTLET_TRY(const results::Board board, results::Board::read(text, file.string()));
    all.merge(board);
  }
  return all;
}

void BoardFiles::add_to(Arguments& arguments, const std::string& help) {
  arguments.add_option("files", files_, help).required().type_name("FILE");
}

Status write_board(const fs::path& file, const results::Board& board) {
  GAUNTLET_TRY(const std::string text, board.text());
  return write_file_atomic(file, text);
}

int tell_conflicts(const results::Board& board) {
  for (const std::string& line : results::differences_of(board)) note("note: " + line + "\n");
  const std::vector<std::string> conflicts = results::conflicts_of(board);
  for (const std::string& line : conflicts) note("conflict: " + line + "\n");
  return conflicts.empty() ? 0 : 1;
}

results::BoardFacts facts_of(const artifacts::ArtifactStore& store) {
  return {.content_hash =
              [&store](spec::JobKind kind, const JobKey& key, std::string_view file) {
                return content_hash(store.folder_of(kind, key), file);
              },
          .query_ids_hash =
              [&store](const JobKey& prepare) {
                return query_ids_hash(store.folder_of(spec::JobKind::kPrepare, prepare));
              }};
}

Result<results::ChecksOf> checks_of(db::Connection& connection) {
  GAUNTLET_TRY(const std::int64_t has_view,
               connection.integer("SELECT count(*) FROM sqlite_schema WHERE name = 'v_checks'"));
  if (has_view == 0) return results::ChecksOf();
  return results::ChecksOf([&connection](const results::BundleCell& cell, double epsilon) {
    return read_checks(connection, cell, epsilon);
  });
}

}  // namespace gauntlet::cli
