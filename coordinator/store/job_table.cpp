#include "coordinator/store/job_table.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace gauntlet::store {
namespace {

using engine::JobStateTag;

/// New jobs from which on a submission is a large one.
constexpr std::uint64_t kManyJobs = 10'000;
/// Rows a statement writes: most of what a statement costs is not the row. More bring nothing.
constexpr std::size_t kRowsAtOnce = 50;
/// Jobs that wait to be written.
constexpr std::size_t kMostUnwritten = 1000;
/// With a smaller one, pages of the keys' index are written again and again.
constexpr const char* kLargeCache = "PRAGMA cache_size=-262144;";
constexpr const char* kUsualCache = "PRAGMA cache_size=-65536; PRAGMA shrink_memory;";

/// Keys are sorted in pieces of this cache's size, in files without a name that a second thread writes: a
/// million takes little over half the time of one piece in memory.
constexpr const char* kSortInFiles = "PRAGMA temp_store=FILE; PRAGMA threads=1; PRAGMA cache_size=-8192;";
constexpr const char* kSortInMemory = "PRAGMA temp_store=MEMORY; PRAGMA threads=0;";

/// "INSERT INTO t (a, b) VALUES (?, ?), (?, ?), …"
std::string insert_text(std::string_view head, int n_columns, std::size_t n_rows) {
  std::string row = "(?";
  for (int column = 1; column < n_columns; ++column) row += ", ?";
  row += ")";
  std::string text(head);
  for (std::size_t at = 0; at < n_rows; ++at) text += (at == 0 ? " VALUES " : ", ") + row;
  return text;
}

/// A statement for one row and one for kRowsAtOnce of them.
struct RowInsert {
  RowInsert(std::string_view head, int columns)
      : n_columns(columns),
        one(insert_text(head, columns, 1)),
        many(insert_text(head, columns, kRowsAtOnce)) {}
  int n_columns;
  std::string one;
  std::string many;
};

/// `bind(statement, parameter, row)` binds one row from that parameter on; what it binds outlives the call.
template <class Row, class Bind>
Status insert_rows(db::Connection& connection, const RowInsert& insert, std::span<const Row> rows,
                   const Bind& bind) {
  while (!rows.empty()) {
    const std::size_t n_rows = rows.size() < kRowsAtOnce ? 1 : kRowsAtOnce;
    GAUNTLET_TRY(db::Statement * statement, connection.cached(n_rows == 1 ? insert.one : insert.many));
    int parameter = 1;
    for (const Row& row : rows.first(n_rows)) {
      GAUNTLET_CHECK_OK(bind(*statement, parameter, row));
      parameter += insert.n_columns;
    }
    const Status written = statement->run();
    statement->reset();
    GAUNTLET_CHECK_OK(written);
    rows = rows.subspan(n_rows);
  }
  return {};
}

}  // namespace

JobTable::~JobTable() {
  if (is_large_) static_cast<void>(connection_.execute(kUsualCache));  // an error would cost memory, no more
}

Status JobTable::begin(SweepId sweep) {
  sweep_ = sweep;
  GAUNTLET_TRY(const std::int64_t last, connection_.integer("SELECT max(job_id) FROM jobs"));
  first_id_ = next_id_ = static_cast<std::uint64_t>(last) + 1;
  return {};
}

Result<KnownJob*> JobTable::find(const JobKey& key) {
  const auto known = known_.find(key);
  if (known != known_.end()) return &known->second;
  if (!dropped_index_.empty()) return nullptr;  // all there are are known
  GAUNTLET_TRY(db::Statement * find,
               connection_.cached("SELECT job_id, state, shape_id FROM jobs WHERE key = ?"));
  GAUNTLET_CHECK_OK(find->bind_all(key));
  GAUNTLET_TRY(const bool row, find->step());
  if (!row) return nullptr;
  const KnownJob job{.id = JobId{static_cast<std::uint64_t>(find->integer(0))},
                     .state = static_cast<JobStateTag>(find->integer(1)),
                     .shape = find->integer(2)};
  find->reset();
  return &known_.emplace(key, job).first->second;
}

Result<JobId> JobTable::insert(const SubmittedJob& job, std::int64_t shape, JobStateTag state,
                               const std::vector<JobId>& needs) {
  if (unwritten_.size() >= kMostUnwritten) GAUNTLET_CHECK_OK(flush());
  const JobId id{next_id_++};
  known_.emplace(job.key, KnownJob{.id = id, .state = state, .shape = shape, .member = true});
  unwritten_.push_back({&job, id, shape, state});
  for (const JobId need : needs) unwritten_needs_.push_back({id, need});
  return id;
}

Status JobTable::flush() {
  if (unwritten_.empty()) return {};
  static const RowInsert jobs("INSERT INTO jobs (job_id, key, shape_id, state, created_ms, changed_ms)", 6);
  GAUNTLET_CHECK_OK(insert_rows(connection_, jobs, std::span<const NewJob>(unwritten_),
                                [this](db::Statement& statement, int parameter, const NewJob& row) {
                                  return statement.bind_from(parameter, row.id, row.job->key, row.shape,
                                                             static_cast<int>(row.state), at_ms_, at_ms_);
                                }));
  static const RowInsert texts("INSERT INTO job_specs (job_id, title, canonical, locations)", 4);
  GAUNTLET_CHECK_OK(insert_rows(connection_, texts, std::span<const NewJob>(unwritten_),
                                [](db::Statement& statement, int parameter, const NewJob& row) {
                                  return statement.bind_from(parameter, row.id, row.job->title,
                                                             row.job->canonical, row.job->locations);
                                }));
  static const RowInsert needs("INSERT INTO needs (job_id, needs_job_id)", 2);
  GAUNTLET_CHECK_OK(insert_rows(connection_, needs, std::span<const engine::NeedRow>(unwritten_needs_),
                                [](db::Statement& statement, int parameter, const engine::NeedRow& row) {
                                  return statement.bind_from(parameter, row.job, row.need);
                                }));
  GAUNTLET_TRY(db::Statement * members,
               connection_.cached("INSERT INTO sweep_jobs (sweep_id, job_id) SELECT ?, job_id FROM jobs "
                                  "WHERE job_id BETWEEN ? AND ?"));
  GAUNTLET_CHECK_OK(members->run_with(sweep_, unwritten_.front().id, unwritten_.back().id));
  unwritten_.clear();
  unwritten_needs_.clear();
  return expect_many();
}

Status JobTable::expect_many() {
  const std::uint64_t n_new = next_id_ - first_id_;
  if (n_new < kManyJobs || !dropped_index_.empty()) return {};
  const bool was_large = std::exchange(is_large_, true);
  // Jobs are numbered densely; to count them would cost every small submission a look at all of them.
  if (n_new >= first_id_ - 1) return drop_index();
  return was_large ? Status() : connection_.execute(kLargeCache);
}

Status JobTable::drop_index() {
  GAUNTLET_TRY(db::Statement * read,
               connection_.cached("SELECT job_id, key, state, shape_id FROM jobs WHERE job_id < ?"));
  GAUNTLET_CHECK_OK(read->bind_all(first_id_));
  while (true) {
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) break;
    known_.try_emplace(read->key(1), KnownJob{.id = JobId{static_cast<std::uint64_t>(read->integer(0))},
                                              .state = static_cast<JobStateTag>(read->integer(2)),
                                              .shape = read->integer(3)});
  }
  GAUNTLET_TRY(
      std::string definition,
      connection_.text("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = 'jobs_by_key'"));
  GAUNTLET_CHECK_OK(connection_.execute("DROP INDEX jobs_by_key"));
  dropped_index_ = std::move(definition);
  return {};
}

Status JobTable::finish() {
  GAUNTLET_CHECK_OK(flush());
  if (dropped_index_.empty()) return {};
  // A connection that has migrated its database keeps sorting in memory.
  const bool in_files = connection_.execute(kSortInFiles).has_value();
  Status made = connection_.execute(dropped_index_);
  if (in_files) {
    GAUNTLET_CHECK_OK(connection_.execute(kSortInMemory));
    // No room for the files, say, while there may be room for the database.
    if (!made && connection_.in_transaction()) made = connection_.execute(dropped_index_);
  }
  GAUNTLET_CHECK_OK(made);
  dropped_index_.clear();
  return {};
}

}  // namespace gauntlet::store
