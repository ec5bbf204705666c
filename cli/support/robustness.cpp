#include "cli/support/robustness.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "cli/support/check_sender.hpp"
#include "cli/support/interrupt.hpp"
#include "cli/support/output.hpp"
#include "cli/support/robustness_report.hpp"
#include "cli/support/sweep_file.hpp"
#include "coordinator/client/client.hpp"
#include "coordinator/net/workdir.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"
#include "core/spec/external.hpp"
#include "results/robustness/companion_sweep.hpp"
#include "results/robustness/evidence.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kChecksFailed = 3;

/// A sweep as it was asked for: by file, or by name with whatever the database kept of it.
struct Asked {
  std::string name;
  fs::path file;  ///< "" = only the name was given
};

Result<Asked> asked_for(const RobustnessOptions& options) {
  std::error_code ignored;
  if (!fs::is_regular_file(options.sweep, ignored)) {
    if (options.sweep.ends_with(".yaml") || options.sweep.ends_with(".yml"))
      return fail(ErrorCode::kNotFound, "there is no sweep file {}", options.sweep);
    return Asked{options.sweep, {}};
  }
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(options.sweep));
  return Asked{sweep.spec.name, options.sweep};
}

Result<db::Connection> open_database(const RobustnessOptions& options) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  return connection;
}

fs::path folder_of(const RobustnessOptions& options) { return options.folder.workdir / "robustness"; }

/// The newest text of a submitted sweep, in its own file if that still says the same, else in the work
/// folder.
Result<fs::path> stored_file(const RobustnessOptions& options, const std::string& name) {
  GAUNTLET_TRY(db::Connection connection, open_database(options));
  GAUNTLET_TRY(
      db::Statement * find,
      connection.cached("SELECT r.spec_text, r.spec_path FROM spec_revisions r JOIN sweeps s ON "
                        "s.sweep_id = r.sweep_id WHERE s.name = ? ORDER BY r.revision DESC LIMIT 1"));
  GAUNTLET_CHECK_OK(find->bind_all(name));
  GAUNTLET_TRY(const bool found, find->step());
  if (!found) return fail(ErrorCode::kNotFound, "{} has no sweep '{}'", connection.path(), name);
  const std::string text(find->text(0));
  const fs::path path(find->text(1));
  if (const Result<std::string> now = read_file(path, spec::kMaxSweepBytes); now && *now == text) return path;
  GAUNTLET_CHECK_OK(make_directories(folder_of(options)));
  const fs::path copy = folder_of(options) / (name + ".yaml");
  GAUNTLET_CHECK_OK(write_file_atomic(copy, text));
  return copy;
}

Result<std::string> companion_text(const RobustnessOptions& options, const Asked& asked) {
  fs::path file = asked.file;
  if (file.empty()) {
    GAUNTLET_TRY(file, stored_file(options, asked.name));
  }
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(file));
  std::string text = sweep.text;
  // Descriptors are named relative to the sweep's folder; the companion lies elsewhere.
  for (const std::string& written : spec::external_paths(sweep.text)) {
    GAUNTLET_TRY(const fs::path path, find_beside(written, file));
    const std::size_t at = text.find(written);
    if (at != std::string::npos)
      text.replace(at, written.size(), fs::absolute(path).lexically_normal().string());
  }
  return results::companion_sweep(text, sweep.spec, sweep.expansion, sweep.catalog, options.quick);
}

/// The same program again, its words on stderr: stdout is for the verdicts.
Result<int> run_sweep(const RobustnessOptions& options, const fs::path& file) {
  std::vector<std::string> words = {program_path().string(), "run", file.string(), "--workdir",
                                    options.folder.workdir.string()};
  if (!options.folder.database.empty()) {
    words.insert(words.end(), {"--database", options.folder.database.string()});
  }
  if (options.cpus > 0) words.insert(words.end(), {"--cpus", std::to_string(options.cpus)});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  GAUNTLET_CHECK_OK(flush_output());
  catch_interrupts();  // Ctrl-C is for the run, which says what it left; this command waits for that
  const pid_t child = fork();
  if (child < 0) return fail(ErrorCode::kIo, "no process can be started for gauntlet run");
  if (child == 0) {
    static_cast<void>(dup2(STDERR_FILENO, STDOUT_FILENO));
    execv(arguments.front(), arguments.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail(ErrorCode::kIo, "gauntlet run cannot be waited for");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Jobs that failed leave checks without their rows; the others are judged all the same.
Status run_to_its_end(const RobustnessOptions& options, const fs::path& file) {
  note(fmt::format("running {}\n", file.string()));
  GAUNTLET_TRY(const int code, run_sweep(options, file));
  if (code == 130) return fail(ErrorCode::kInterrupted, "interrupted; go on with the same command");
  if (code == exit_code_of(ErrorCode::kJobsFailed) || code == 0) return {};
  return fail(ErrorCode::kJobsFailed, "gauntlet run {} ended with exit code {}", file.string(), code);
}

/// Verdicts belong to a sweep of the database; one that was never run is not there.
Result<bool> is_known(const RobustnessOptions& options, const std::string& sweep) {
  std::error_code ignored;
  if (!fs::exists(options.folder.database_path(), ignored)) return false;
  GAUNTLET_TRY(db::Connection connection, open_database(options));
  GAUNTLET_TRY(db::Statement * known, connection.cached("SELECT 1 FROM sweeps WHERE name = ?"));
  GAUNTLET_CHECK_OK(known->bind_all(sweep));
  return known->step();
}

/// The sweep itself where it is not known yet (its jobs are the companion's too), then what the checks need.
Status run_companion(const RobustnessOptions& options, const Asked& asked) {
  GAUNTLET_TRY(const std::string text, companion_text(options, asked));
  GAUNTLET_CHECK_OK(make_directories(folder_of(options)));
  const fs::path file = folder_of(options) / (results::companion_name(asked.name) + ".yaml");
  GAUNTLET_CHECK_OK(write_file_atomic(file, text));
  GAUNTLET_TRY(const bool known, is_known(options, asked.name));
  if (!known) GAUNTLET_CHECK_OK(run_to_its_end(options, asked.file));
  return run_to_its_end(options, file);
}

Status write_rows(const RobustnessOptions& options, const std::string& sweep,
                  const std::vector<results::CheckRow>& rows) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_write(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  return results::write_checks(connection, sweep, rows);
}

/// A coordinator is the only one that writes its database: it is asked to.
Status hand_to_coordinator(const RobustnessOptions& options, const std::string& sweep,
                           const std::vector<results::CheckRow>& rows) {
  GAUNTLET_TRY(client::Client client, client::Client::connect(options.folder.workdir));
  std::error_code ignored;
  const std::string& written = client.welcome().database();
  if (!fs::equivalent(written, options.folder.database_path(), ignored)) {
    return fail(ErrorCode::kRefused, "the coordinator of {} writes another database, {}",
                options.folder.workdir.string(), written);
  }
  return send_checks(client, sweep, rows);
}

Status store_checks(const RobustnessOptions& options, const std::string& sweep,
                    const std::vector<results::CheckRow>& rows) {
  Result<coordinator::WorkdirLock> lock = coordinator::WorkdirLock::take(
      options.folder.workdir, "gauntlet verify --robustness", options.folder.database);
  if (lock) return write_rows(options, sweep, rows);
  const Status handed = hand_to_coordinator(options, sweep, rows);
  if (!handed) {
    note(
        fmt::format("the verdicts were not stored: {}, and {}; once that has ended, gauntlet verify "
                    "--robustness {} judges and stores them, and runs nothing\n",
                    lock.error().message, handed.error().message, sweep));
  }
  return {};
}

Status name_what_is_missing(const std::vector<results::CheckRow>& rows, const RobustnessOptions& options) {
  const auto n_missing = std::ranges::count(rows, "not run", &results::CheckRow::verdict);
  if (n_missing > 0 && !options.run) {
    note(fmt::format(
        "{} not run, each for the reason beside it: gauntlet verify --robustness {} --run runs whatever is "
        "missing, --companion prints that as a sweep\n",
        count_of(static_cast<std::size_t>(n_missing), "check"), options.sweep));
  }
  return {};
}

}  // namespace

Result<int> verify_robustness(const RobustnessOptions& options) {
  GAUNTLET_TRY(const Asked asked, asked_for(options));
  if (options.companion) {
    GAUNTLET_TRY(const std::string text, companion_text(options, asked));
    GAUNTLET_CHECK_OK(print(text));
    return 0;
  }
  if (options.run) GAUNTLET_CHECK_OK(run_companion(options, asked));
  std::vector<results::CheckRow> rows;
  {
    GAUNTLET_TRY(db::Connection connection, open_database(options));
    GAUNTLET_TRY(const std::vector<results::SubjectEvidence> evidence,
                 results::read_evidence(connection, {asked.name, results::companion_name(asked.name)}));
    rows = results::judge_evidence(evidence, asked.name, std::string(revision()));
  }
  if (rows.empty()) {
    return fail(ErrorCode::kNotFound,
                "sweep {} has no attacked cell that is done and kept map per query; the checks compare these",
                asked.name);
  }
  GAUNTLET_CHECK_OK(options.json ? print_json(checks_json(asked.name, rows)) : print(checks_text(rows)));
  GAUNTLET_CHECK_OK(store_checks(options, asked.name, rows));
  GAUNTLET_CHECK_OK(name_what_is_missing(rows, options));
  const bool some_fail = std::ranges::find(rows, "fail", &results::CheckRow::verdict) != rows.end();
  return some_fail ? kChecksFailed : 0;
}

}  // namespace gauntlet::cli
