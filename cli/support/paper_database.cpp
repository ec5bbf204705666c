#include "cli/support/paper_database.hpp"

#include <array>
#include <random>
#include <unordered_map>

#include "coordinator/store/job_store.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::cli {
namespace {

constexpr std::array kDatasets = {"flickr25k", "mscoco", "nuswide"};
constexpr std::array kModels = {"cpah", "dadh", "daph"};
constexpr std::array kDefenses = {"none", "atrdh", "saat", "rocmr", "tpap", "drfgd"};
constexpr std::array kVariants = {"w/o L_Div", "w/o L_Ali", "w/o L_Rec"};
constexpr std::uint64_t kSeeds = 5;
constexpr std::size_t kQueries = 1000;
constexpr std::size_t kSweepsPerQueries = 8;
constexpr std::int64_t kBatch = 2000;
constexpr std::int64_t kStartMs = 1'700'000'000'000;
constexpr const char* kEnvironment =
    R"({"device":"bench","revision":"bench","threads":8,"versions":{"torch":"2.15.0"},"world":1})";

struct AttackCase {
  const char* attack;
  const char* protocol;
  const char* direction;
};
constexpr std::array kAttacks = {AttackCase{"none", "none", "i2t"}, AttackCase{"none", "none", "t2i"},
                                 AttackCase{"eqb2a", "static", "i2t"}, AttackCase{"ta_dch", "static", "i2t"},
                                 AttackCase{"ta_dch", "static", "t2i"}};

/// The jobs and cells of one sweep; jobs are shared as an expansion shares them.
class SweepMaker {
 public:
  explicit SweepMaker(std::string name) {
    submission_.name = std::move(name);
    submission_.spec_text = "gauntlet: 1\n# " + submission_.name + "\n";
    submission_.spec_path = submission_.name + ".yaml";
    submission_.revision = "bench";
    submission_.metrics = "{}";
  }

  Status add_cell(const spec::Cell& cell) {
    const std::string lab = submission_.name;
    const std::string seed = fmt::format("{}", cell.seed);
    GAUNTLET_TRY(const JobKey model, job(spec::JobKind::kTrainModel, cell.model, cell.seed,
                                         {{"dataset", cell.dataset}, {"lab", lab}}, {}));
    std::vector<spec::JobInput> inputs = {{"model", model}};
    store::SubmittedCell submitted{.cell = cell, .jobs = {{model, "model"}}, .metrics = {"map"}};
    if (cell.attack != "none") {
      GAUNTLET_TRY(const JobKey crafted, job(spec::JobKind::kCraft, cell.attack, cell.seed,
                                             {{"direction", cell.direction}}, inputs));
      inputs.insert(inputs.begin(), {"crafted", crafted});
      submitted.jobs.push_back({crafted, "craft"});
      submitted.metrics.emplace_back("t_map");
    }
    if (cell.defense != "none") {
      GAUNTLET_TRY(const JobKey defense, job(spec::JobKind::kTrainDefense, cell.defense, cell.seed,
                                             {{"variant", cell.variant}, {"lr", 1e-4}}, {{"model", model}}));
      inputs.insert(inputs.end() - 1, {"defense", defense});
      submitted.jobs.push_back({defense, "defense"});
    }
    GAUNTLET_TRY(const JobKey codes,
                 job(spec::JobKind::kEncode, "", cell.seed, {{"direction", cell.direction}}, inputs));
    GAUNTLET_TRY(const JobKey numbers,
                 job(spec::JobKind::kEvaluate, "", 0, {{"metrics", {"map", "t_map"}}}, {{"codes", codes}}));
    submitted.jobs.push_back({codes, "encode"});
    submitted.jobs.push_back({numbers, "evaluate"});
    submission_.cells.push_back(std::move(submitted));
    return {};
  }

  [[nodiscard]] const store::Submission& submission() const { return submission_; }
  [[nodiscard]] bool evaluates(std::size_t job) const { return evaluates_[job]; }

 private:
  Result<JobKey> job(spec::JobKind kind, std::string entry, std::uint64_t seed, Json config,
                     std::vector<spec::JobInput> inputs) {
    spec::JobSpec job;
    job.kind = kind;
    job.entry = std::move(entry);
    job.version = 1;
    job.config = std::move(config);
    job.inputs = std::move(inputs);
    job.seed = seed;
    store::SubmittedJob submitted;
    GAUNTLET_TRY(submitted.canonical, spec::canonical_text(job));
    submitted.key = JobKey{sha256(submitted.canonical)};
    const JobKey key = submitted.key;
    if (!known_.emplace(submitted.canonical, key).second) return key;
    submitted.title = fmt::format("{} {} seed {}", spec::name_of(kind), job.entry, seed);
    for (const spec::JobInput& input : job.inputs) submitted.needs.push_back(input.key);
    submission_.jobs.push_back(std::move(submitted));
    evaluates_.push_back(kind == spec::JobKind::kEvaluate);
    return key;
  }

  store::Submission submission_;
  std::vector<bool> evaluates_;
  std::unordered_map<std::string, JobKey> known_;
};

Status add_benchmark(SweepMaker& sweep) {
  spec::Cell cell;
  cell.bits = 32;
  for (const char* dataset : kDatasets) {
    cell.dataset = dataset;
    for (const char* model : kModels) {
      cell.model = model;
      for (cell.seed = 1; cell.seed <= kSeeds; ++cell.seed) {
        for (const AttackCase& attack : kAttacks) {
          cell.attack = attack.attack;
          cell.protocol = attack.protocol;
          cell.direction = attack.direction;
          for (const char* defense : kDefenses) {
            cell.defense = defense;
            GAUNTLET_CHECK_OK(sweep.add_cell(cell));
          }
          if (cell.model != "cpah" || cell.attack != "ta_dch") continue;
          for (const char* variant : kVariants) {
            cell.variant = fmt::format("drfgd-losses/{}", variant);
            GAUNTLET_CHECK_OK(sweep.add_cell(cell));
          }
          cell.variant.clear();
        }
      }
    }
  }
  return {};
}

/// Finishes the jobs of a sweep, in batches as a busy coordinator does.
class Finisher {
 public:
  Finisher(store::JobStore& store, PaperDatabase& made) : store_(store), made_(made) {}

  Status finish(const SweepMaker& sweep, std::span<const JobId> ids, bool with_queries) {
    std::vector<engine::Transition> batch;
    for (std::size_t at = 0; at < ids.size(); ++at) {
      const LeaseId lease{++last_lease_};
      batch.push_back({now_ms_, engine::JobLeased{ids[at], lease, AttemptNo{1}, WorkerId{1}, 0}});
      engine::AttemptDone done{
          .job = ids[at], .lease = lease, .attempt = AttemptNo{1}, .worker = WorkerId{1}, .outcome = {}};
      done.outcome.wall_s = 1;
      done.outcome.environment = kEnvironment;
      done.outcome.rows = sweep.evaluates(at) ? ratios(with_queries) : costs();
      made_.n_rows += static_cast<std::int64_t>(done.outcome.rows.size());
      batch.push_back({++now_ms_, std::move(done)});
      if (batch.size() < kBatch && at + 1 < ids.size()) continue;
      GAUNTLET_CHECK_OK(store_.apply(batch));
      batch.clear();
    }
    return {};
  }

 private:
  std::vector<spec::ResultRow> ratios(bool with_queries) {
    std::vector<spec::ResultRow> rows;
    for (const char* metric : {"map", "t_map", "chance_map"}) {
      rows.push_back({.metric = metric,
                      .value = share_(random_),
                      .higher_is_better = rows.size() != 1,
                      .n = static_cast<std::int64_t>(kQueries)});
    }
    if (!with_queries) return rows;
    ++made_.n_queries;
    rows.front().per_query.resize(kQueries);
    for (float& value : rows.front().per_query) value = static_cast<float>(share_(random_));
    return rows;
  }
  std::vector<spec::ResultRow> costs() {
    return {{.metric = "wall", .value = share_(random_), .unit = "s", .higher_is_better = false, .n = 1},
            {.metric = "parameters", .value = 1e6, .unit = "count", .higher_is_better = false, .n = 1},
            {.metric = "rate", .value = share_(random_), .unit = "rows/s", .n = 1}};
  }

  store::JobStore& store_;
  PaperDatabase& made_;
  std::uint64_t last_lease_ = 0;
  std::int64_t now_ms_ = kStartMs;
  std::mt19937_64 random_{7};
  std::uniform_real_distribution<double> share_{0, 1};
};

}  // namespace

Result<PaperDatabase> make_paper_database(const std::filesystem::path& path, std::int64_t n_jobs,
                                          const std::function<void(std::int64_t)>& progress) {
  GAUNTLET_TRY(store::JobStore store, store::JobStore::open(path));
  const std::vector<engine::Transition> joined = {
      {kStartMs, engine::WorkerJoined{WorkerId{1}, "bench", "bench", 8, 0, 0}}};
  GAUNTLET_CHECK_OK(store.apply(joined));
  PaperDatabase made;
  Finisher finisher(store, made);
  while (made.n_jobs < n_jobs) {
    SweepMaker sweep(fmt::format("lab-{}", made.sweeps.size() + 1));
    GAUNTLET_CHECK_OK(add_benchmark(sweep));
    GAUNTLET_TRY(const engine::SubmitOutcome submitted, store.submit(sweep.submission(), kStartMs));
    store::Selection selection;
    selection.sweep = submitted.sweep.id;
    // New jobs have growing ids, in the order in which they were handed in.
    GAUNTLET_TRY(const std::vector<JobId> ids, store.select(selection));
    const bool with_queries = made.sweeps.size() % kSweepsPerQueries == 0;
    GAUNTLET_CHECK_OK(finisher.finish(sweep, ids, with_queries));
    made.sweeps.push_back(sweep.submission().name);
    made.n_jobs += static_cast<std::int64_t>(ids.size());
    made.n_cells += static_cast<std::int64_t>(sweep.submission().cells.size());
    progress(made.n_jobs);
  }
  return made;
}

}  // namespace gauntlet::cli
