// gauntlet verify: a work folder checked against itself: the database's rows, and the artifacts they name.
#include <algorithm>
#include <unordered_set>

#include "cli/support/external_check.hpp"
#include "cli/support/external_entries.hpp"
#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/robustness.hpp"
#include "cli/verb.hpp"
#include "coordinator/net/workdir.hpp"
#include "coordinator/store/verify.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/artifacts/inventory.hpp"
#include "core/base/text.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using store::DoneArtifact;
using store::Finding;

/// A coordinator settles a submission in a second commit: what is only between the two is gone at a later
/// look.
constexpr int kLooks = 4;
constexpr Milliseconds kBetweenLooks{250};
constexpr Milliseconds kProgressInterval{200};

struct Options {
  FolderOptions folder;
  std::string external;
  RobustnessOptions robustness;
  bool quick = false;
  bool json = false;
};

struct Report {
  store::DatabaseCounts rows;
  std::size_t n_artifacts = 0;
  std::uint64_t n_bytes = 0;
  std::vector<Finding> problems;
  std::vector<Finding> notes;  ///< what is no difference, but worth knowing
};

/// What both lists have.
std::vector<Finding> common(std::vector<Finding> one, std::vector<Finding> other) {
  std::sort(one.begin(), one.end());
  std::sort(other.begin(), other.end());
  std::vector<Finding> both;
  std::set_intersection(one.begin(), one.end(), other.begin(), other.end(), std::back_inserter(both));
  return both;
}

Result<std::vector<Finding>> lasting_findings(db::Connection& connection, const fs::path& workdir) {
  GAUNTLET_TRY(std::vector<Finding> findings, store::check_invariants(connection));
  for (int look = 1; look < kLooks && !findings.empty() && coordinator::holder_of_workdir(workdir); ++look) {
    pause_for(kBetweenLooks);
    GAUNTLET_TRY(std::vector<Finding> again, store::check_invariants(connection));
    findings = common(std::move(findings), std::move(again));
  }
  return findings;
}

/// Redraws one line on a terminal; says nothing elsewhere.
class Ticker {
 public:
  void show(std::size_t n_done, std::size_t n_all) {
    if (!animated_ || clock_.now() < next_) return;
    next_ = clock_.now() + kProgressInterval;
    note(fmt::format("\r{} of {} checked\x1b[K", n_done, count_of(n_all, "artifact")));
  }
  ~Ticker() {
    if (animated_ && next_ != SteadyTime{}) note("\r\x1b[K");
  }

 private:
  bool animated_ = can_animate();
  SystemClock clock_;
  SteadyTime next_{};
};

class ArtifactCheck {
 public:
  ArtifactCheck(const Options& options, db::Connection& connection, Report& report)
      : options_(options), connection_(connection), store_(options.folder.workdir), report_(report) {}

  Status run() {
    std::error_code ignored;
    if (!options_.folder.database.empty() &&
        !fs::exists(store_.root(), ignored)) {  // a copy, looked at alone
      report_.notes.push_back(
          {"skipped", store_.root().string(), "is not there: only the database is checked"});
      return {};
    }
    std::vector<DoneArtifact> done;
    GAUNTLET_CHECK_OK(store::for_each_artifact(connection_, [&](DoneArtifact artifact) -> Status {
      done.push_back(std::move(artifact));
      return {};
    }));
    GAUNTLET_TRY(const artifacts::Inventory inventory, artifacts::take_inventory(options_.folder.workdir));
    {
      Ticker ticker;
      for (std::size_t at = 0; at < done.size(); ++at) {
        ticker.show(at, done.size());
        GAUNTLET_CHECK_OK(check(done[at]));
      }
    }
    // After the inventory, so that an artifact of a job that is new meanwhile has its job here.
    GAUNTLET_TRY(const std::vector<JobKey> known, store::all_keys(connection_));
    note_leftovers(inventory, known);
    return {};
  }

 private:
  Status check(const DoneArtifact& artifact) {
    const Result<artifacts::Artifact> found = store_.look(artifact.kind, artifact.key, !options_.quick);
    ++report_.n_artifacts;
    if (found && !options_.quick) report_.n_bytes += artifacts::disk_bytes(found->folder);
    std::string wrong;
    if (!found) {
      wrong = found.error().message;
    } else if (found->manifest_hash != artifact.manifest) {
      wrong = fmt::format("its manifest has hash {}, the database says {}",
                          found->manifest_hash.substr(0, 12), artifact.manifest.substr(0, 12));
    }
    if (wrong.empty()) return {};
    // The job may have started over since the list was read.
    GAUNTLET_TRY(const bool still, store::is_still_done(connection_, artifact));
    if (!still) return {};
    report_.problems.push_back({"artifacts", fmt::format("job {}", artifact.key.brief()),
                                fmt::format("({}) left {}: {}", artifact.title,
                                            store_.folder_of(artifact.kind, artifact.key).string(), wrong)});
    return {};
  }

  void note_leftovers(const artifacts::Inventory& inventory, const std::vector<JobKey>& known) {
    for (const artifacts::FoundArtifact& found : inventory.artifacts) {
      if (std::binary_search(known.begin(), known.end(), found.key)) continue;
      report_.notes.push_back({"orphan", found.folder.string(), "is an artifact of no job of this database"});
    }
    for (const artifacts::Leftover& leftover : inventory.leftovers) {
      report_.notes.push_back({"leftover", leftover.path.string(), "is " + leftover.what});
    }
    for (const fs::path& stranger : inventory.strangers) {
      report_.notes.push_back({"stranger", stranger.string(), "is nothing that Gauntlet made"});
    }
  }

  const Options& options_;
  db::Connection& connection_;
  artifacts::ArtifactStore store_;
  Report& report_;
};

Result<Report> verify(const Options& options) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  Report report;
  GAUNTLET_TRY(report.problems, store::check_file(connection));
  // Rows of a broken file would only repeat what is known, at length.
  if (!report.problems.empty()) return report;
  GAUNTLET_TRY(report.rows, store::count_rows(connection));
  GAUNTLET_TRY(report.problems, lasting_findings(connection, options.folder.workdir));
  GAUNTLET_CHECK_OK(ArtifactCheck(options, connection, report).run());
  return report;
}

Json as_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"check", finding.check}, {"subject", finding.subject}, {"message", finding.message}});
  }
  return list;
}

Json as_json(const Options& options, const Report& report) {
  return {{"format", 1},
          {"ok", report.problems.empty()},
          {"quick", options.quick},
          {"database", options.folder.database_path().string()},
          {"checked",
           {{"sweeps", report.rows.sweeps},
            {"cells", report.rows.cells},
            {"jobs", report.rows.jobs},
            {"attempts", report.rows.attempts},
            {"numbers", report.rows.numbers},
            {"artifacts", report.n_artifacts},
            {"artifact_bytes", report.n_bytes}}},
          {"problems", as_json(report.problems)},
          {"notes", as_json(report.notes)}};
}

std::string as_text(const Options& options, const Report& report) {
  std::string text = fmt::format("{}: {}, {}, {}, {}\n", options.folder.database_path().string(),
                                 count_of(static_cast<std::size_t>(report.rows.sweeps), "sweep"),
                                 count_of(static_cast<std::size_t>(report.rows.jobs), "job"),
                                 count_of(static_cast<std::size_t>(report.rows.attempts), "attempt"),
                                 count_of(static_cast<std::size_t>(report.rows.numbers), "number"));
  text += options.quick ? fmt::format("{} by names and sizes (--quick reads no content)\n",
                                      count_of(report.n_artifacts, "artifact"))
                        : fmt::format("{}, {} read and hashed\n", count_of(report.n_artifacts, "artifact"),
                                      human_bytes(report.n_bytes));
  const auto add = [&](const Finding& finding) {
    text += fmt::format("  {:<12} {} {}\n", finding.check, finding.subject, finding.message);
  };
  if (!report.notes.empty()) text += "notes (`gauntlet gc` shows what it would free):\n";
  std::for_each(report.notes.begin(), report.notes.end(), add);
  if (!report.problems.empty()) text += "wrong:\n";
  std::for_each(report.problems.begin(), report.problems.end(), add);
  return text + (report.problems.empty() ? "everything agrees\n"
                                         : count_of(report.problems.size(), "difference") + "\n");
}

/// Descriptors instead of a work folder.
Result<int> run_external(const Options& options) {
  GAUNTLET_TRY(const ExternalEntries entries, read_descriptors(options.external));
  Json list = Json::array();
  std::string text;
  bool ok = true;
  for (const auto& entry : entries) {
    GAUNTLET_TRY(const std::vector<ExternalCheck> checks, check_external(entry));
    text +=
        fmt::format("{} {}: {}\n", spec::name_of(entry->kind), entry->about.name, entry->descriptor.string());
    for (const ExternalCheck& check : checks) {
      ok = ok && check.ok;
      text += fmt::format("  {:<6} {:<28} {}\n", check.ok ? "ok" : "wrong", check.name, check.message);
      list.push_back({{"entry", entry->about.name},
                      {"check", check.name},
                      {"ok", check.ok},
                      {"message", check.message}});
    }
  }
  GAUNTLET_CHECK_OK(options.json ? print_json(Json{{"format", 1}, {"ok", ok}, {"checks", list}})
                                 : print(text));
  return ok ? 0 : 1;
}

Result<int> run(const Options& options) {
  if (!options.external.empty()) return run_external(options);
  if (!options.robustness.sweep.empty()) {
    RobustnessOptions robustness = options.robustness;
    robustness.folder = options.folder;
    robustness.quick = options.quick;
    robustness.json = options.json;
    return verify_robustness(robustness);
  }
  GAUNTLET_TRY(const Report report, verify(options));
  GAUNTLET_CHECK_OK(options.json ? print_json(as_json(options, report)) : print(as_text(options, report)));
  return report.problems.empty() ? 0 : 1;
}

void declare_robustness(Arguments& arguments, RobustnessOptions& options) {
  Argument sweep = arguments.add_option(
      "--robustness", options.sweep,
      "Judge what a sweep's numbers are worth as evidence of robustness instead (checks R01 to R21); exit "
      "code 3 if one fails");
  sweep.type_name("SWEEP");
  const Argument run =
      arguments.add_flag("--run", options.run, "Run what the checks need beside the sweep first")
          .needs(sweep);
  arguments.add_flag("--companion", options.companion, "Only print the sweep that the checks need")
      .needs(sweep);
  arguments.add_option("--cpus", options.cpus, "Threads the jobs of --run may use (default: all processors)")
      .number_between(1, 4096)
      .needs(run);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_flag(
      "--quick", options->quick,
      "Compare artifacts by names and sizes only, without reading them; with --robustness: searches of "
      "500 queries instead of 5,000");
  arguments
      .add_option(
          "--external", options->external,
          "Check a descriptor of an external entry, or a folder of them, on a small made-up dataset instead")
      .type_name("PATH")
      .existing_path();
  declare_robustness(arguments, options->robustness);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb verify_verb;
constinit const Verb verify_verb{
    .name = "verify",
    .summary =
        "Check a work folder against itself, or what a sweep says of robustness; exit code 1 or 3 if it is "
        "wrong",
    .examples =
        "  gauntlet verify\n"
        "  gauntlet verify --workdir /data/runs --quick\n"
        "  gauntlet verify --database backup.db --json\n"
        "  gauntlet verify --external examples/numpy_attack/attack.yaml\n"
        "  gauntlet verify --robustness sweeps/quickstart.yaml --run\n"
        "  gauntlet verify --robustness quickstart --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
