// gauntlet export: what a work folder holds, in a file of its own.
#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"
#include "core/db/backup.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
constexpr Milliseconds kProgressInterval{100};

struct Options {
  FolderOptions folder;
  fs::path db;
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

Result<int> run(const Options& options) {
  if (options.db.empty())
    return fail(ErrorCode::kInvalid, "'gauntlet export' needs to know what to write: --db FILE");
  return export_db(options);
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option(
         "--db", options->db,
         "Copy the database into this new file, as it is at one moment; a coordinator may go on writing")
      ->type_name("FILE");
  options->folder.add_to(app);
  add_json(app, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb export_verb;
constinit const Verb export_verb{
    .name = "export",
    .summary = "Copy the database while it is in use, into one file that is checked",
    .examples =
        "  gauntlet export --db backup.db\n"
        "  gauntlet export --workdir /data/runs --db /backup/runs-$(date +%F).db\n"
        "  gauntlet query --database backup.db \"SELECT count(*) FROM v_results\"\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
