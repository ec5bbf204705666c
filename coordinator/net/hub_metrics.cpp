// What the coordinator tells Prometheus, and whether it is well.
#include <dirent.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>

#include <bit>

#include "coordinator/net/hub.hpp"
#include "core/base/files.hpp"
#include "core/base/overloaded.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"

namespace gauntlet::coordinator {
namespace {

namespace fs = std::filesystem;

/// A commit that takes longer than this is stuck: no disk is that slow.
constexpr std::chrono::seconds kStuckCommit{30};
/// Series are for what goes on; of finished sweeps the newest are kept, so that their end is seen.
constexpr std::size_t kMaxFinishedSweeps = 20;

double as_double(std::uint64_t n) { return static_cast<double>(n); }

std::uint64_t bytes_of(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(path, error);
  return error ? 0 : bytes;
}

std::size_t n_open_files() {
  std::size_t n_files = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  while (::readdir(folder) != nullptr) ++n_files;
  ::closedir(folder);
  return n_files - 3;  // ".", "..", and the folder itself
}

/// Pages of this process in memory: second field of /proc/self/statm.
std::uint64_t resident_bytes() {
  const Result<std::string> statm = read_file("/proc/self/statm", 4096);
  if (!statm) return 0;
  const std::size_t space = statm->find(' ');
  return std::strtoull(statm->c_str() + space + 1, nullptr, 10) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void add_process(MetricsText& text, std::int64_t started_ms) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  text.counter("process_cpu_seconds_total", "Processor time of the coordinator, user and system.",
               seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
  text.gauge("process_resident_memory_bytes", "Memory of the coordinator.", as_double(resident_bytes()));
  text.gauge("process_open_fds", "Open file descriptors.", as_double(n_open_files()));
  text.gauge("process_max_fds", "Limit of open file descriptors.", as_double(files.rlim_cur));
  text.gauge("process_start_time_seconds", "When the coordinator started, seconds since 1970.",
             static_cast<double>(started_ms) / 1000);
}

void add_disk(MetricsText& text, const fs::path& database) {
  text.family("gauntlet_database_bytes", "gauge", "Size of the database file and of its write-ahead log.");
  text.sample(as_double(bytes_of(database)), {{"file", "db"}});
  text.sample(as_double(bytes_of(database.string() + "-wal")), {{"file", "wal"}});
  struct statvfs disk {};
  if (::statvfs(database.parent_path().c_str(), &disk) != 0) return;
  text.gauge("gauntlet_disk_free_bytes", "Free space where the database lies.",
             as_double(disk.f_bavail) * as_double(disk.f_frsize));
}

void add_commits(MetricsText& text, const CommitStats& stats) {
  text.histogram("gauntlet_commit_latency_seconds",
                 "From a decision to its being durable, queueing for the writer included.", stats.latency);
  text.histogram("gauntlet_transaction_seconds", "A whole transaction of the writer: changes, log, fsync.",
                 stats.transaction);
  text.histogram("gauntlet_fsync_seconds",
                 "The COMMIT at the end of a transaction: the log is written and synced to the disk.",
                 stats.commit);
  text.counter("gauntlet_commits_total", "Transactions committed.", as_double(stats.commit.count()));
  text.counter("gauntlet_transitions_total", "State changes committed; over commits: changes per commit.",
               as_double(stats.n_transitions));
}

void add_net(MetricsText& text, const NetCounters& net) {
  text.counter("gauntlet_connections_total", "Connections accepted.", as_double(net.connections));
  text.counter("gauntlet_refused_connections_total", "Hellos with a wrong token, protocol or role.",
               as_double(net.refused));
  text.counter("gauntlet_received_bytes_total", "Bytes received from clients and workers.",
               as_double(net.bytes_in));
  text.counter("gauntlet_sent_bytes_total", "Bytes sent to clients and workers.", as_double(net.bytes_out));
  text.counter("gauntlet_received_frames_total", "Messages received.", as_double(net.frames_in));
}

void add_work(MetricsText& text, const WorkCounters& work) {
  text.family("gauntlet_attempts_total", "counter", "Attempts that ended, by outcome.");
  text.sample(as_double(work.done_attempts), {{"outcome", "done"}});
  for (const auto& [code, n] : work.failed_attempts) text.sample(as_double(n), {{"outcome", name_of(code)}});
  text.family("gauntlet_attempt_seconds", "summary", "Run time of attempts that succeeded, by kind of job.");
  for (std::size_t kind = 0; kind < work.run_time.size(); ++kind) {
    if (work.run_time[kind].n == 0) continue;
    const std::string_view name = spec::name_of(static_cast<spec::JobKind>(kind));
    text.sample(work.run_time[kind].total_s, {{"kind", name}}, "_sum");
    text.sample(as_double(work.run_time[kind].n), {{"kind", name}}, "_count");
  }
  text.counter("gauntlet_leases_total", "Leases given.", as_double(work.leases));
  text.counter("gauntlet_stale_reports_total", "Reports refused since their lease was not current.",
               as_double(work.stale_reports));
  text.counter("gauntlet_submissions_total", "Submissions accepted.", as_double(work.submissions));
  text.counter("gauntlet_workers_joined_total", "Workers that joined for the first time.",
               as_double(work.workers_joined));
  text.counter("gauntlet_workers_left_total", "Workers that were lost or left.",
               as_double(work.workers_left));
  text.histogram("gauntlet_queue_wait_seconds", "From a job's being ready (backoff included) to its lease.",
                 work.queue_wait);
}

void add_jobs(MetricsText& text, const engine::State& state) {
  const auto each_state = [](const engine::StateCounts& counts, const auto& add) {
    for (std::size_t tag = 0; tag < engine::kJobStateCount; ++tag) {
      add(engine::name_of(static_cast<engine::JobStateTag>(tag)), as_double(counts[tag]));
    }
  };
  text.family("gauntlet_jobs", "gauge", "Jobs by state.");
  each_state(state.counts(), [&](std::string_view name, double n) { text.sample(n, {{"state", name}}); });

  std::vector<const engine::Sweep*> shown;
  std::vector<const engine::Sweep*> finished;
  for (const engine::Sweep& sweep : state.sweeps()) {
    const std::uint64_t n_live = sweep.counts[0] + sweep.counts[1] + sweep.counts[2];
    (n_live > 0 ? shown : finished).push_back(&sweep);
  }
  const std::size_t n_kept = std::min(finished.size(), kMaxFinishedSweeps);
  shown.insert(shown.end(), finished.end() - static_cast<std::ptrdiff_t>(n_kept), finished.end());
  text.family("gauntlet_sweep_jobs", "gauge",
              "Jobs of a sweep by state; of finished sweeps only the newest.");
  for (const engine::Sweep* sweep : shown) {
    each_state(sweep->counts, [&](std::string_view name, double n) {
      text.sample(n, {{"sweep", sweep->row.name}, {"state", name}});
    });
  }
}

void add_workers(MetricsText& text, const engine::State& state) {
  std::uint64_t n_attached = 0, n_draining = 0, n_away = 0, gpus = 0, gpus_busy = 0, n_leases = 0;
  std::int64_t cpus = 0, cpus_busy = 0;
  for (const auto& [id, worker] : state.workers()) {
    ++(!worker.attached ? n_away : worker.draining ? n_draining : n_attached);
    n_leases += worker.leases.size();
    cpus += worker.offer.cpus;
    cpus_busy += worker.offer.cpus - std::max<std::int64_t>(0, worker.free_cpus);
    gpus += static_cast<std::uint64_t>(worker.offer.gpus);
    gpus_busy += static_cast<std::uint64_t>(worker.offer.gpus) -
                 static_cast<std::uint64_t>(std::popcount(worker.free_gpus | worker.bad_gpus));
  }
  text.family("gauntlet_workers", "gauge",
              "Workers: attached, draining, or away and given time to come back.");
  text.sample(as_double(n_attached), {{"state", "attached"}});
  text.sample(as_double(n_draining), {{"state", "draining"}});
  text.sample(as_double(n_away), {{"state", "away"}});
  text.gauge("gauntlet_leases", "Leases that workers hold.", as_double(n_leases));
  text.gauge("gauntlet_cpus", "Processors that workers offer.", static_cast<double>(cpus));
  text.gauge("gauntlet_cpus_busy", "Processors that leases occupy.", static_cast<double>(cpus_busy));
  text.gauge("gauntlet_gpus", "GPUs that workers offer.", as_double(gpus));
  text.gauge("gauntlet_gpus_busy", "GPUs that leases occupy.", as_double(gpus_busy));
}

}  // namespace

void Hub::count(const engine::Decision& decision) {
  const auto kind_of = [&](JobId job) {
    return static_cast<std::size_t>(state_.shape_of(state_.job(job)).job.kind);
  };
  for (const engine::Transition& transition : decision.transitions) {
    if (const auto* done = std::get_if<engine::AttemptDone>(&transition.change)) {
      ++work_.done_attempts;
      WorkCounters::RunTime& time = work_.run_time[kind_of(done->job)];
      ++time.n;
      time.total_s += done->outcome.wall_s;
    } else if (const auto* failed = std::get_if<engine::AttemptFailed>(&transition.change)) {
      ++work_.failed_attempts[failed->code];
    } else if (std::holds_alternative<engine::JobLeased>(transition.change)) {
      ++work_.leases;
    } else if (std::holds_alternative<engine::WorkerJoined>(transition.change)) {
      ++work_.workers_joined;
    } else if (std::holds_alternative<engine::WorkerLeft>(transition.change)) {
      ++work_.workers_left;
    }
  }
  for (const engine::Outgoing& message : decision.messages) {
    if (const auto* reports = std::get_if<engine::AnswerReports>(&message))
      work_.stale_reports += reports->stale.size();
  }
}

std::string Hub::metrics() const {
  MetricsText text;
  text.family("gauntlet_build_info", "gauge", "The program.");
  text.sample(1, {{"version", gauntlet::version()}, {"revision", gauntlet::revision()}});
  add_jobs(text, state_);
  add_work(text, work_);
  add_workers(text, state_);
  text.family("gauntlet_connections", "gauge", "Open connections by role.");
  text.sample(as_double(n_clients_), {{"role", "client"}});
  text.sample(as_double(sessions_.size() - n_clients_), {{"role", "worker"}});
  add_net(text, net_);
  add_commits(text, queue_.stats());
  add_disk(text, options_.database);
  add_process(text, started_ms_);
  return std::move(text).take();
}

std::optional<std::string> Hub::illness() const {
  const Milliseconds waiting = queue_.longest_wait();
  if (waiting < kStuckCommit) return std::nullopt;
  return fmt::format("a commit has been waiting for the disk for {}",
                     human_duration(static_cast<double>(waiting.count()) / 1000));
}

}  // namespace gauntlet::coordinator
