// gauntlet export: what a work folder holds, in files of their own.
#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/db/backup.hpp"
#include "core/db/migrate.hpp"
#include "results/export/archive.hpp"
#include "results/export/bundle.hpp"
#include "results/export/report.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
constexpr Milliseconds kProgressInterval{100};

struct Options {
  FolderOptions folder;
  fs::path db;
  fs::path to;
  results::BundleSelection selection;
  bool json = false;
};

/// A redrawn line on a terminal; Ctrl-C ends the copy.
class Progress {
 public:
  [[nodiscard]] bool show(double done) {
    if (animated_ && clock_.now() >= next_) {
      next_ = clock_.now() + kProgressInterval;
      note(fmt::format("\rcopying: {:.0f} %\x1b[K", done * 100));
    }
    return n_interrupts() == 0;
  }
  void clear() const {
    if (animated_ && next_ != SteadyTime{}) note("\r\x1b[K");
  }

 private:
  bool animated_ = can_animate();
  SystemClock clock_;
  SteadyTime next_{};
};

Result<int> export_db(const Options& options) {
  GAUNTLET_TRY(db::Connection source, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(source));
  catch_interrupts();
  Progress progress;
  Result<db::Backup> backup =
      db::back_up(source, options.db, [&](double done) { return progress.show(done); });
  progress.clear();
  if (!backup) return fail(std::move(backup.error()));
  const auto rows = [&](const char* table) { return static_cast<std::size_t>(backup->rows[table]); };
  GAUNTLET_CHECK_OK(
      options.json ? print_json(Json{{"format", 1},
                                     {"what", "db"},
                                     {"file", options.db.string()},
                                     {"bytes", backup->bytes},
                                     {"rows", backup->rows}})
                   : print(fmt::format("{}: {}, {}, {}, {}; checked\n", options.db.string(),
                                       human_bytes(backup->bytes), count_of(rows("sweeps"), "sweep"),
                                       count_of(rows("jobs"), "job"), count_of(rows("results"), "number"))));
  return 0;
}

/// Manifests of the jobs' artifacts, as far as the work folder has them.
Status add_manifests(const Options& options, const results::Bundle& bundle,
                     std::map<std::string, std::string>& files) {
  const artifacts::ArtifactStore store(options.folder.workdir);
  for (const results::BundleJob& job : bundle.jobs) {
    if (!job.attempt || job.attempt->manifest.empty()) continue;
    GAUNTLET_TRY(const spec::JobKind kind, spec::job_kind_from(job.form.value("kind", "")));
    const fs::path path = store.folder_of(kind, job.key) / "manifest.json";
    std::error_code error;
    if (!fs::is_regular_file(path, error)) continue;
    GAUNTLET_TRY(files[fmt::format("manifests/{}.json", job.key.hex())], read_file(path));
  }
  return {};
}

Result<int> export_cells(const Options& options) {
  GAUNTLET_TRY(db::Connection source, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(source));
  GAUNTLET_TRY(const results::Bundle bundle, results::collect(source, options.selection));
  std::map<std::string, std::string> files = results::files_of(bundle);
  files["report.html"] = results::report_of(bundle, fmt::format("{} ({})", version(), revision()));
  GAUNTLET_CHECK_OK(add_manifests(options, bundle, files));
  GAUNTLET_CHECK_OK(results::write_export(options.to, files));
  std::size_t n_rows = 0, n_open = 0;
  for (const results::BundleJob& job : bundle.jobs) {
    n_rows += job.rows.size();
    n_open += job.state == "done" ? 0U : 1U;
  }
  if (n_open > 0)
    note(fmt::format("{} of the selected cells {} not done yet\n", count_of(n_open, "job"),
                     n_open == 1 ? "is" : "are"));
  GAUNTLET_CHECK_OK(
      options.json
          ? print_json(Json{{"format", 1},
                            {"what", "cells"},
                            {"to", options.to.string()},
                            {"sweeps", bundle.sweeps.size()},
                            {"cells", bundle.cells.size()},
                            {"jobs", bundle.jobs.size()},
                            {"jobs_not_done", n_open},
                            {"numbers", n_rows}})
          : print(fmt::format("{}: {}, {}, {}, {}\n", options.to.string(),
                              count_of(bundle.sweeps.size(), "sweep"), count_of(bundle.cells.size(), "cell"),
                              count_of(bundle.jobs.size(), "job"), count_of(n_rows, "number"))));
  return 0;
}

Result<int> run(const Options& options) {
  const bool selects = !options.selection.sweeps.empty() || !options.selection.where.empty();
  if (options.db.empty() == options.to.empty()) {
    return fail(
        ErrorCode::kInvalid,
        "'gauntlet export' needs to know what to write: --db FILE, or --to DIR|FILE.tar.zst with --sweep "
        "or --where");
  }
  if (!options.db.empty() && selects)
    return fail(ErrorCode::kInvalid, "--db copies the whole database; --sweep and --where go with --to");
  if (options.db.empty() && !selects)
    return fail(ErrorCode::kInvalid, "--to needs to know which cells: --sweep NAME or --where CONDITION");
  return options.db.empty() ? export_cells(options) : export_db(options);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments
      .add_option(
          "--db", options->db,
          "Copy the database into this new file, as it is at one moment; a coordinator may go on writing")
      .type_name("FILE");
  arguments
      .add_option("--sweep", options->selection.sweeps, "Cells of this sweep; may be given more than once")
      .type_name("NAME")
      .one_at_a_time();
  arguments
      .add_option("--where", options->selection.where, "Cells that match, e.g. \"dataset=mscoco and seed=1\"")
      .type_name("CONDITION");
  arguments
      .add_option(
          "--to", options->to,
          "Write the cells with their jobs, configs, numbers, curves, manifests and a report into this new "
          "folder, or archive when it ends in .tar.zst; `gauntlet import` reads it")
      .type_name("DIR|FILE");
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb export_verb;
constinit const Verb export_verb{
    .name = "export",
    .summary = "Hand over cells with numbers and a report, or copy the database while it is in use",
    .examples =
        "  gauntlet export --sweep paper-table2 --to table2.tar.zst\n"
        "  gauntlet export --where \"dataset=mscoco and defense in (none, drfgd)\" --to mscoco/\n"
        "  gauntlet export --db backup.db\n"
        "  gauntlet export --workdir /data/runs --db /backup/runs-$(date +%F).db\n"
        "  gauntlet query --database backup.db \"SELECT count(*) FROM v_results\"\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
