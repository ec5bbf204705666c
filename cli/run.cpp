// gauntlet run: a sweep on this machine, from file to tables. It starts a coordinator and an agent as
// children, looks after them, and is otherwise a client like any other.
#include <optional>

#include "cli/support/alloc_run.hpp"
#include "cli/support/allocation_options.hpp"
#include "cli/support/ended_jobs.hpp"
#include "cli/support/interrupt.hpp"
#include "cli/support/local_cluster.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/progress.hpp"
#include "cli/support/submission.hpp"
#include "cli/support/sweep_file.hpp"
#include "cli/support/sweep_tables.hpp"
#include "cli/support/sweep_wait.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/io/utf.hpp"
#include "results/table/render.hpp"

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kFirstPoll{5};
constexpr Milliseconds kLongestPoll{100};

struct Options {
  std::string spec;
  FolderOptions folder;
  std::int64_t cpus = 0;
  double checkpoint_minutes = 5;
  int priority = 0;
  bool no_worker = false;
  AllocationOptions allocation;  ///< asked for when it has a system
  bool json = false;
};

class SweepRun {
 public:
  SweepRun(const Options& options, const LoadedSweep& sweep)
      : options_(options),
        sweep_(sweep),
        cluster_({std::filesystem::absolute(options.folder.workdir).lexically_normal(),
                  options.folder.database.empty() ? std::filesystem::path()
                                                  : std::filesystem::absolute(options.folder.database),
                  options.cpus, options.checkpoint_minutes}),
        view_(can_animate()) {}

  /// Returns the last status of the sweep, every job of which is over.
  Result<proto::StatusReply> run() {
    Result<proto::StatusReply> status = submit_and_wait();
    if (!status && status.error().code == ErrorCode::kInterrupted) return fail(stop_by_request());
    return status;
  }

  [[nodiscard]] std::filesystem::path database() const {
    return client_ && !client_->welcome().database().empty() ? client_->welcome().database()
                                                             : options_.folder.database_path().string();
  }
  [[nodiscard]] std::uint64_t sweep_id() const { return sweep_id_; }
  [[nodiscard]] Result<EndedJobs> ended() const {
    return ended_jobs(database(), sweep_id_, sweep_.expansion.jobs);
  }

  /// Ends the children. A coordinator that has other work left goes on until nobody uses it.
  void close() {
    const bool others = others_wait();
    client_.reset();
    cluster_.stop_worker();
    if (!others) cluster_.stop_coordinator();
  }

 private:
  Result<proto::StatusReply> submit_and_wait() {
    GAUNTLET_TRY(client::Client client, cluster_.connect());
    client_.emplace(std::move(client));
    GAUNTLET_CHECK_OK(submit());
    Milliseconds poll = kFirstPoll;
    while (true) {
      if (n_interrupts() > 0) return fail(ErrorCode::kInterrupted, "interrupted");
      GAUNTLET_TRY(proto::StatusReply status, current_status());
      GAUNTLET_TRY(const proto::SweepStatus sweep, sweep_in(status, sweep_id_));
      if (is_over(sweep)) {
        view_.finish(sweep);
        return status;
      }
      const bool alone = !cluster_.joined() || status.workers().empty();
      if (alone && !options_.no_worker) cluster_.want_worker();
      GAUNTLET_CHECK_OK(cluster_.tend_worker());
      view_.show(status, sweep);
      pause_for(poll);
      poll = std::min(poll * 2, kLongestPoll);
    }
  }

  Status submit() {
    for (int attempt = 1;; ++attempt) {
      Result<proto::SubmitReply> reply = submit_sweep(*client_, sweep_, options_.priority);
      if (reply) {
        sweep_id_ = reply->sweep_id();
        view_.say(fmt::format("{}: {}, {} new, {} known, {} of them done", sweep_.spec.name,
                              count_of(sweep_.expansion.jobs.size(), "job"), reply->new_jobs(),
                              reply->reused_jobs(), reply->done_jobs()));
        return retry_failed();
      }
      const bool again =
          is_retryable(reply.error().code) && reply.error().code != ErrorCode::kIo && attempt < 5;
      if (!again) return fail(reply.error());
      GAUNTLET_CHECK_OK(reconnect());
    }
  }

  /// Asking for a sweep again asks for what failed or was cancelled of it, too; not for what is of earlier
  /// versions of the file, which may have been corrected because of that.
  Status retry_failed() {
    GAUNTLET_TRY(const EndedJobs ended, this->ended());
    others_ = ended.others;
    std::uint64_t n_jobs = 0;
    if (ended.others.empty()) {
      GAUNTLET_TRY(n_jobs, retry_where([this](proto::Selection& jobs) { jobs.set_sweep_id(sweep_id_); }));
    } else {
      for (const auto* keys : {&ended.failed, &ended.cancelled}) {
        for (const JobKey& key : *keys) {
          GAUNTLET_TRY(const std::uint64_t n_of_key,
                       retry_where([&](proto::Selection& jobs) { jobs.set_key_prefix(key.hex()); }));
          n_jobs += n_of_key;
        }
      }
    }
    if (n_jobs > 0) {
      view_.say(fmt::format("trying {} again that failed or {} cancelled before", count_of(n_jobs, "job"),
                            n_jobs == 1 ? "was" : "were"));
    }
    return {};
  }

  template <class Choose>
  Result<std::uint64_t> retry_where(const Choose& choose) {
    proto::Frame request;
    proto::Selection& selection = *request.mutable_retry_request()->mutable_selection();
    selection.add_states("failed");
    selection.add_states("cancelled");
    choose(selection);
    return request_change(*client_, std::move(request));
  }

  Result<proto::StatusReply> current_status() {
    while (true) {
      Result<proto::StatusReply> status = request_status(*client_, sweep_id_);
      if (status) leave_out(others_, *status);
      if (status || !is_retryable(status.error().code)) return status;
      view_.say(fmt::format("the coordinator is gone ({}); starting it again", status.error().message));
      GAUNTLET_CHECK_OK(reconnect());
    }
  }

  Status reconnect() {
    client_.reset();
    GAUNTLET_TRY(client::Client client, cluster_.connect());
    client_.emplace(std::move(client));
    return {};
  }

  /// First Ctrl-C: attempts are interrupted and given back. Second: everything of ours ends at once.
  Error stop_by_request() {
    const int before = n_interrupts();
    view_.say("stopping: running attempts are interrupted and given back (Ctrl-C again stops at once)");
    const bool only_watched = cluster_.joined() && !cluster_.has_worker();
    close();
    const std::string resume =
        fmt::format("gauntlet run {} --workdir {}", options_.spec, options_.folder.workdir.string());
    if (n_interrupts() > before)
      return {ErrorCode::kInterrupted, fmt::format("stopped at once; go on with: {}", resume)};
    if (only_watched) {
      return {ErrorCode::kInterrupted,
              fmt::format("left sweep {} to the coordinator that was running already; look again with: {}",
                          sweep_.spec.name, resume)};
    }
    return {ErrorCode::kInterrupted,
            fmt::format("interrupted; everything finished is kept; go on with: {}", resume)};
  }

  bool others_wait() {
    if (!client_) return false;
    const Result<proto::StatusReply> status = request_status(*client_, 0);
    if (!status) return false;
    for (const proto::SweepStatus& other : status->sweeps()) {
      if (other.sweep_id() != sweep_id_ && !other.paused() && !is_over(other) && counts_of(other).running > 0)
        return true;
    }
    return false;
  }

  const Options& options_;
  const LoadedSweep& sweep_;
  LocalCluster cluster_;
  ProgressView view_;
  std::optional<client::Client> client_;
  std::uint64_t sweep_id_ = 0;
  std::vector<JobKey> others_;  ///< of earlier versions of the file, that had failed before
};

Json failed_jobs(const proto::StatusReply& status) {
  Json failed = Json::array();
  for (const proto::FailedJob& job : status.failed()) {
    failed.push_back({{"kind", job.kind()},
                      {"title", job.title()},
                      {"error", name_of(static_cast<ErrorCode>(job.code()))},
                      {"message", job.message()},
                      {"log", job.log()},
                      {"blocks", job.blocks()}});
  }
  return failed;
}

Json as_json(const proto::SweepStatus& sweep, const proto::StatusReply& status,
             const std::vector<NamedTable>& tables) {
  const JobCounts counts = counts_of(sweep);
  Json document = {{"format", 1},
                   {"sweep", sweep.name()},
                   {"jobs",
                    {{"total", counts.total},
                     {"done", counts.done},
                     {"reused", counts.reused},
                     {"failed", counts.failed},
                     {"blocked", counts.blocked},
                     {"cancelled", counts.cancelled}}},
                   {"failed", failed_jobs(status)},
                   {"tables", Json::object()}};
  for (const NamedTable& named : tables) {
    document["tables"][named.name] = Json::parse(results::render(named.table, results::Format::kJson));
  }
  return document;
}

Status print_tables(const std::vector<NamedTable>& tables) {
  const results::Format format = can_decorate_output() ? results::Format::kTerminal : results::Format::kText;
  for (std::size_t at = 0; at < tables.size(); ++at) {
    GAUNTLET_CHECK_OK(print((at == 0 ? "" : "\n") + results::render(tables[at].table, format)));
  }
  return flush_output();
}

/// Tables as far as there are numbers, then the verdict.
Result<int> conclude(const Options& options, const std::vector<NamedTableSpec>& specs,
                     proto::StatusReply status, SweepRun& sweep_run) {
  GAUNTLET_TRY(const proto::SweepStatus sweep, sweep_in(status, sweep_run.sweep_id()));
  GAUNTLET_TRY(const EndedJobs ended, sweep_run.ended());
  leave_out(ended.others, status);
  if (const std::size_t n = ended.others.size(); n > 0) {
    note(fmt::format(
        "{} of earlier versions of this file failed or {} blocked or cancelled, and {} left alone\n",
        count_of(n, "job"), n == 1 ? "is" : "are", n == 1 ? "is" : "are"));
  }
  GAUNTLET_TRY(const std::vector<NamedTable> tables, fill_tables(specs, sweep_run.database()));
  GAUNTLET_CHECK_OK(write_tables(tables, options.folder.workdir / "tables"));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(as_json(sweep, status, tables)));
  } else {
    GAUNTLET_CHECK_OK(print_tables(tables));
  }
  for (const proto::FailedJob& job : status.failed()) {
    note(fmt::format("failed: {}: {}\n  log: {}\n", job.title(), io::harmless(job.message()),
                     (options.folder.workdir / job.log()).string()));
  }
  std::size_t n_missing = 0;
  for (const NamedTable& named : tables) n_missing += name_missing(named.table.missing);
  GAUNTLET_CHECK_OK(ended.others.empty() ? verdict_of(sweep) : verdict_of(sweep.name(), ended.counts()));
  if (n_missing > 0) {
    return fail(ErrorCode::kIncomplete, "{} of the tables missing though every job is done",
                count_of(n_missing, "number"));
  }
  return 0;
}

/// The same command inside one allocation.
Result<int> run_there(const Options& options) {
  AllocRun there;
  there.allocation = options.allocation.spec;
  GAUNTLET_TRY(there.allocation, options.allocation.read());
  there.allocation.cpus = options.cpus;
  there.workdir = std::filesystem::absolute(options.folder.workdir).lexically_normal();
  there.run = {std::filesystem::absolute(options.spec).lexically_normal().string(), "--priority",
               fmt::format("{}", options.priority), "--checkpoint-minutes",
               fmt::format("{}", options.checkpoint_minutes)};
  if (options.json) there.run.emplace_back("--json");
  if (!options.folder.database.empty()) {
    return fail(
        ErrorCode::kInvalid,
        "--database does not go with --alloc: the coordinator runs on a node that may be another next time");
  }
  there.again =
      fmt::format("gauntlet run {} --alloc {} --time {} --workdir {}", options.spec,
                  options.allocation.spec.system, options.allocation.time, options.folder.workdir.string());
  return run_in_allocation(there);
}

Result<int> run(const Options& options) {
  const std::vector<std::string>& extra = options.allocation.spec.extra;
  if (options.allocation.spec.system.empty() && !extra.empty()) {
    return fail(ErrorCode::kInvalid,
                "'{}' is one word too many: run takes one sweep file, and further words only "
                "for the batch system of --alloc",
                extra.front());
  }
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(options.spec));
  GAUNTLET_TRY(const std::vector<NamedTableSpec> tables, read_table_specs(sweep));
  GAUNTLET_CHECK_OK(make_directories(options.folder.workdir));
  catch_interrupts();
  if (!options.allocation.spec.system.empty()) return run_there(options);
  SweepRun sweep_run(options, sweep);
  Result<proto::StatusReply> status = sweep_run.run();
  if (!status) {
    sweep_run.close();
    return fail(status.error());
  }
  Result<int> result = conclude(options, tables, std::move(*status), sweep_run);
  sweep_run.close();
  return result;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("spec", options->spec, "Sweep file").required().type_name("SPEC");
  options->folder.add_to(arguments);
  arguments.add_option("--cpus", options->cpus, "Threads the jobs may use (default: all processors)")
      .number_between(1, 4096);
  arguments
      .add_option(
          "--checkpoint-minutes", options->checkpoint_minutes,
          "Minutes between two checkpoints of a training, from which another attempt goes on; 0: after "
          "every epoch (default: 5)")
      .number_between(0, 1e6);
  arguments.add_option("--priority", options->priority, "Larger ones first, among sweeps of one work folder");
  arguments.add_flag("--no-worker", options->no_worker, "Start no agent here; others are to join");
  const Argument alloc = arguments.add_option(
      "--alloc", options->allocation.spec.system,
      "Run all of it, coordinator included, inside one allocation of this batch system (slurm, pbs); the "
      "work folder must be on a file system that the nodes share. --cpus is then per node");
  options->allocation.add_to(arguments);
  for (const char* name : {"--partition", "--time", "--nodes", "--gpus", "--memory-mb"})
    arguments.find(name).value().needs(alloc);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb run_verb;
constinit const Verb run_verb{
    .name = "run",
    .summary = "Run a sweep on this machine and print its tables; repeat the command to go on",
    .examples =
        "  gauntlet run sweeps/quickstart.yaml\n"
        "  gauntlet run sweeps/quickstart.yaml --workdir /data/runs --cpus 8\n"
        "  gauntlet run sweeps/quickstart.yaml --json > result.json\n"
        "  gauntlet run sweeps/paper-table2.yaml --alloc slurm --partition gpu --nodes 2 --gpus 4 --time "
        "12h\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
