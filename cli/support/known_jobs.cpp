#include "cli/support/known_jobs.hpp"

#include <cstring>
#include <unordered_map>

#include "core/base/ids.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {

struct KnownJobs::State {
  std::optional<db::Connection> connection;
  std::unordered_map<JobKey, bool> done;  ///< by key: whether the job is done
};

namespace {

Status read_states(db::Connection& connection, std::unordered_map<JobKey, bool>& done) {
  GAUNTLET_TRY(
      db::Statement statement,
      connection.prepare("SELECT j.key, s.name = 'done' FROM jobs j JOIN job_states s USING (state)"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) return {};
    JobKey key;
    const std::span<const std::byte> bytes = statement.blob(0);
    if (bytes.size() == key.digest.size()) std::memcpy(key.digest.data(), bytes.data(), bytes.size());
    done.emplace(key, statement.integer(1) != 0);
  }
}

/// A plan is no worse than a guess when the database cannot answer these.
std::vector<Json> read_forms(db::Connection& connection, spec::JobKind kind, std::string_view entry) {
  std::vector<Json> forms;
  Result<db::Statement> statement = connection.prepare(
      "SELECT config FROM v_jobs WHERE kind = ? AND entry = ? ORDER BY job_id DESC LIMIT 5000");
  if (!statement || !statement->bind_all(name_of(kind), entry)) return forms;
  for (Result<bool> row = statement->step(); row && *row; row = statement->step()) {
    Json form = Json::parse(statement->text(0), nullptr, false);
    if (!form.is_discarded()) forms.push_back(std::move(form));
  }
  return forms;
}

std::optional<double> read_seconds(db::Connection& connection, spec::JobKind kind, std::string_view entry) {
  Result<db::Statement> statement = connection.prepare(
      "SELECT avg(a.wall_s) FROM attempts a JOIN jobs j USING (job_id) JOIN job_shapes h USING (shape_id) "
      "JOIN job_kinds k ON k.kind = h.kind WHERE a.code = 0 AND k.name = ? AND h.entry = ?");
  if (!statement || !statement->bind_all(name_of(kind), entry)) return std::nullopt;
  const Result<bool> row = statement->step();
  if (!row || !*row || statement->is_null(0)) return std::nullopt;
  return statement->real(0);
}

}  // namespace

Result<KnownJobs> KnownJobs::open(const std::filesystem::path& database) {
  auto state = std::make_unique<State>();
  std::error_code ignored;
  if (std::filesystem::exists(database, ignored)) {
    GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(database));
    GAUNTLET_CHECK_OK(db::check_version(connection));
    GAUNTLET_CHECK_OK(read_states(connection, state->done));
    state->connection.emplace(std::move(connection));
  }
  return KnownJobs(std::move(state));
}

KnownJobs::KnownJobs(std::unique_ptr<State> state) : state_(std::move(state)) {}
KnownJobs::KnownJobs(KnownJobs&&) noexcept = default;
KnownJobs& KnownJobs::operator=(KnownJobs&&) noexcept = default;
KnownJobs::~KnownJobs() = default;

spec::PlanSources KnownJobs::sources() {
  if (!state_->connection) return {};
  State* state = state_.get();
  spec::PlanSources sources;
  sources.state = [state](const JobKey& key) {
    const auto found = state->done.find(key);
    if (found == state->done.end()) return spec::KnownState::kNew;
    return found->second ? spec::KnownState::kDone : spec::KnownState::kKnown;
  };
  sources.known_forms = [state](spec::JobKind kind, std::string_view entry) {
    return read_forms(*state->connection, kind, entry);
  };
  sources.past_seconds = [state](spec::JobKind kind, std::string_view entry) {
    return read_seconds(*state->connection, kind, entry);
  };
  return sources;
}

}  // namespace gauntlet::cli
