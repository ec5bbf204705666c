// gauntlet gc: what of a work folder nothing needs any more; shown, and with --yes freed.
#include <map>

#include "cli/support/gc_plan.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "coordinator/net/workdir.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
const SystemClock kClock;

struct Options {
  FolderOptions folder;
  std::string max_size;
  std::string older;
  bool yes = false;
  bool list = false;
  bool json = false;
};

Result<GcOptions> gc_options(const Options& options) {
  GcOptions gc;
  gc.workdir = options.folder.workdir;
  if (!options.max_size.empty()) {
    GAUNTLET_TRY(gc.max_bytes, parse_bytes(options.max_size));
  }
  if (!options.older.empty()) {
    GAUNTLET_TRY(const double age_s, parse_age(options.older));
    gc.old_before_ms = kClock.wall_ms() - static_cast<std::int64_t>(age_s * 1000);
  }
  return gc;
}

/// Nobody submits, leases or reports while it lasts. Workers may go on with what they have.
Result<coordinator::WorkdirLock> lock_folder(const fs::path& workdir, const fs::path& database) {
  Result<coordinator::WorkdirLock> lock = coordinator::WorkdirLock::take(workdir, "gauntlet gc", database);
  if (lock || lock.error().code != ErrorCode::kRefused) return lock;
  return fail(
      ErrorCode::kRefused,
      "{}; `gauntlet coordinator --stop --workdir {}` stops a coordinator: what its workers run goes on, "
      "and is reported when it is started again",
      lock.error().message, workdir.string());
}

/// Gives pages without rows back to the disk, where that is worth a rewrite of the whole file.
void shrink(db::Connection& connection) {
  const Result<std::int64_t> n_free = connection.integer("PRAGMA freelist_count");
  const Result<std::int64_t> n_pages = connection.integer("PRAGMA page_count");
  if (n_free && n_pages && *n_free * 4 > *n_pages) {
    const Status vacuumed = connection.execute("VACUUM");
    if (!vacuumed) note(fmt::format("the database was not made smaller: {}\n", vacuumed.error().message));
  }
  static_cast<void>(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"));  // a coordinator does it too
}

Result<GcPlan> show(const Options& options, const GcOptions& gc) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  return plan_gc(connection, gc);
}

Result<GcPlan> free_now(const Options& options, const GcOptions& gc) {
  const fs::path database = options.folder.database_path();
  std::error_code error;
  if (!fs::exists(database, error))
    return fail(ErrorCode::kNotFound, "there is no database {}", database.string());
  GAUNTLET_TRY(const coordinator::WorkdirLock lock, lock_folder(options.folder.workdir, database));
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_write(database));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  GAUNTLET_TRY(GcPlan plan, plan_gc(connection, gc));
  GAUNTLET_CHECK_OK(run_gc(connection, gc, plan, kClock.wall_ms()));
  if (gc.old_before_ms) shrink(connection);
  return plan;
}

struct Group {
  std::size_t n_items = 0;
  std::uint64_t bytes = 0;
};

std::map<GcReason, Group> groups_of(const GcPlan& plan) {
  std::map<GcReason, Group> groups;
  for (const GcItem& item : plan.items) {
    Group& group = groups[item.reason];
    ++group.n_items;
    group.bytes += item.bytes;
  }
  return groups;
}

std::string words_for(GcReason reason, std::size_t n) {
  switch (reason) {
    case GcReason::kLeftover:
      return count_of(n, "leftover") + " of processes that died, and damaged artifacts that were set aside";
    case GcReason::kOrphan:
      return count_of(n, "artifact") + " of no job of this database";
    case GcReason::kUnwanted:
      return count_of(n, "artifact") + " that no cell of any sweep has any more";
    case GcReason::kOverLimit:
      return count_of(n, "artifact") + " that can be made again, the cheapest first (--max-size)";
    case GcReason::kCheckpoint:
      return count_of(n, "checkpoint") + " of trainings that are done or that nothing needs any more";
    case GcReason::kOldLog:
      return count_of(n, "log") + " of attempts that later ones superseded, or that are older than asked";
  }
  return "";
}

std::string as_text(const Options& options, const GcPlan& plan) {
  std::string text;
  for (const auto& [reason, group] : groups_of(plan)) {
    text += fmt::format("{:>10}  {}\n", human_bytes(group.bytes), words_for(reason, group.n_items));
    if (!options.list) continue;
    for (const GcItem& item : plan.items) {
      if (item.reason != reason) continue;
      text += fmt::format("{:>14}  {}: {}\n", human_bytes(item.bytes), item.path.string(), item.what);
    }
  }
  const store::History& history = plan.history;
  if (history.attempts + history.events + history.workers + history.environments > 0) {
    text += fmt::format("{:>10}  {}, {}, {}, {} in the database\n", "rows of",
                        count_of(static_cast<std::size_t>(history.attempts), "superseded attempt"),
                        count_of(static_cast<std::size_t>(history.events), "event"),
                        count_of(static_cast<std::size_t>(history.workers), "worker"),
                        count_of(static_cast<std::size_t>(history.environments), "environment"));
  }
  text += fmt::format("{} {}; {} of {} stay\n", options.yes ? "freed" : "would free",
                      human_bytes(plan.freed_bytes), count_of(plan.n_kept, "artifact"),
                      human_bytes(plan.kept_bytes));
  return text;
}

Json as_json(const Options& options, const GcPlan& plan) {
  Json groups = Json::object();
  for (const auto& [reason, group] : groups_of(plan)) {
    groups[std::string(name_of(reason))] = {{"n", group.n_items}, {"bytes", group.bytes}};
  }
  Json items = Json::array();
  for (const GcItem& item : plan.items) {
    items.push_back({{"reason", name_of(item.reason)},
                     {"path", item.path.string()},
                     {"bytes", item.bytes},
                     {"what", item.what},
                     {"key", item.kind ? Json(item.key.hex()) : Json()}});
  }
  return {{"format", 1},
          {"freed", options.yes},
          {"bytes", plan.freed_bytes},
          {"groups", std::move(groups)},
          {"items", std::move(items)},
          {"kept", {{"n", plan.n_kept}, {"bytes", plan.kept_bytes}}},
          {"over_limit_bytes", plan.over_bytes},
          {"rows",
           {{"attempts", plan.history.attempts},
            {"events", plan.history.events},
            {"workers", plan.history.workers},
            {"environments", plan.history.environments}}}};
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const GcOptions gc, gc_options(options));
  GAUNTLET_TRY(const GcPlan plan, options.yes ? free_now(options, gc) : show(options, gc));
  GAUNTLET_CHECK_OK(options.json ? print_json(as_json(options, plan)) : print(as_text(options, plan)));
  if (plan.over_bytes > 0) {
    note(fmt::format("{} above --max-size stay: finished cells or unfinished jobs need them\n",
                     human_bytes(plan.over_bytes)));
  }
  const bool anything = !plan.items.empty() || plan.history.attempts + plan.history.events > 0;
  if (!options.yes && anything) note("nothing was freed; add --yes to free it\n");
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_flag("--yes", options->yes, "Free it; without this, only say what would be freed");
  arguments
      .add_option(
          "--max-size", options->max_size,
          "Free also artifacts that can be made again, the cheapest to make first, until all artifacts "
          "take no more than this; what finished cells end in and what unfinished jobs read stays")
      .type_name("SIZE");
  arguments
      .add_option(
          "--older", options->older,
          "Free also the history that is older: rows of superseded attempts and of events, logs of jobs "
          "that are done. Numbers and the attempts that measured them stay")
      .type_name("AGE");
  arguments.add_flag("--list", options->list, "Name every file and folder");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb gc_verb;
constinit const Verb gc_verb{
    .name = "gc",
    .summary = "Show, and with --yes free, what of a work folder nothing needs any more",
    .examples =
        "  gauntlet gc\n"
        "  gauntlet gc --list\n"
        "  gauntlet gc --yes --max-size 200GB\n"
        "  gauntlet gc --yes --older 90d\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
