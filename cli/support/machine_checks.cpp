#include "cli/support/machine_checks.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/text.hpp"
#include "core/data/inspect.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

/// A log this long means that somebody has been reading for hours, or that nobody has been able to shrink it.
constexpr std::uintmax_t kLongLog = std::uintmax_t{1} << 30;

MachineCheck check_database(const fs::path& database) {
  std::error_code ignored;
  if (!fs::exists(database, ignored))
    return {"database", CheckLevel::kOk, fmt::format("{}: none yet", database.string())};
  Result<db::Connection> connection = db::Connection::open_read_only(database);
  const Status version = connection ? db::check_version(*connection) : Status(fail(connection.error()));
  if (!version) {
    return {"database", CheckLevel::kFail, version.error().message,
            "`gauntlet verify` says more about a damaged one; a copy made by `gauntlet export --db` can take "
            "its place"};
  }
  const std::uintmax_t log = fs::file_size(database.string() + "-wal", ignored);
  const std::uintmax_t log_bytes = ignored ? 0 : log;
  MachineCheck check{
      "database", CheckLevel::kOk,
      fmt::format("{} can be read, {}", database.string(), human_bytes(fs::file_size(database, ignored)))};
  check.facts = {{"bytes", fs::file_size(database, ignored)}, {"log_bytes", log_bytes}};
  if (log_bytes > kLongLog) {
    check.level = CheckLevel::kWarn;
    check.detail += fmt::format("; its log has grown to {}", human_bytes(log_bytes));
    check.remedy = "a reader that never ends keeps it from shrinking: look for a query or copy that hangs";
  }
  return check;
}

MachineCheck check_token(const fs::path& workdir) {
  const fs::path token = workdir / "token";
  struct stat about {};
  if (::stat(token.c_str(), &about) != 0)
    return {"token", CheckLevel::kOk, "none yet; the first coordinator makes one"};
  if ((about.st_mode & 077) == 0)
    return {"token", CheckLevel::kOk, fmt::format("{} is its owner's alone", token.string())};
  return {"token", CheckLevel::kFail,
          fmt::format("{} can be read by others (mode {:o})", token.string(), about.st_mode & 0777),
          fmt::format("`chmod 600 {}`; whoever has read it may have the coordinator do anything: remove it "
                      "to get another",
                      token.string())};
}

/// Whether the dataset's sources have usual places; others are named by whoever uses them.
bool reads_installed_files(const Json& dataset) {
  const Json needs = dataset.value("needs", Json::array());
  return std::all_of(needs.begin(), needs.end(),
                     [](const Json& need) { return need.value("default", "") != ""; });
}

MachineCheck check_dataset(const Json& dataset) {
  const std::string name = "dataset " + dataset.value("name", "");
  if (dataset.value("available", false)) return {name, CheckLevel::kOk, "sources are there"};
  return {name, CheckLevel::kWarn, dataset.value("detail", ""), "`./dev setup` installs its packages"};
}

void append(std::vector<MachineCheck>& all, std::vector<MachineCheck> more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

}  // namespace

std::vector<MachineCheck> check_machine(const fs::path& workdir, const fs::path& database) {
  std::error_code ignored;
  const fs::path beside = database.has_parent_path() ? database.parent_path() : fs::path(".");
  const bool apart = fs::weakly_canonical(beside, ignored) != fs::weakly_canonical(workdir, ignored);
  std::vector<MachineCheck> checks = check_disk(workdir, !apart);
  if (apart) {
    for (MachineCheck& check : check_disk(beside)) {
      check.name += " of the database";
      checks.push_back(std::move(check));
    }
  }
  append(checks, check_system(workdir));
  checks.push_back(check_database(database));
  checks.push_back(check_token(workdir));
  append(checks, check_network(workdir));
  append(checks, check_compute());
  for (const Json& dataset : data::list_datasets()) {
    if (reads_installed_files(dataset)) checks.push_back(check_dataset(dataset));
  }
  return checks;
}

}  // namespace gauntlet::cli
