#include "cli/support/bench_rank.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include "cli/support/child_process.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kPatience{1'800'000};

}  // namespace

Result<Json> figures_of_rank(const std::vector<std::string>& arguments) {
  std::error_code error;
  const auto program = program_path().parent_path() / "gauntlet-rank";
  if (access(program.c_str(), X_OK) != 0) {
    return fail(ErrorCode::kNotFound, "{} is missing, and it does the measuring; ./dev build makes it",
                program.string());
  }
  const auto log = std::filesystem::temp_directory_path() / fmt::format("gauntlet-bench-{}", getpid());
  std::vector<std::string> command = {program.string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  GAUNTLET_TRY(ChildProcess child, ChildProcess::start({command, log, true}));
  child.wait_or_kill(kPatience);
  const std::string said = read_file(log).value_or("");
  std::filesystem::remove(log, error);
  if (child.exit_code() != 0) return fail(ErrorCode::kInternal, "gauntlet-rank failed: {}", said);
  const std::size_t begin = said.rfind("\n{");
  const Json figures =
      Json::parse(begin == std::string::npos ? said : said.substr(begin + 1), nullptr, false);
  if (!figures.is_object()) return fail(ErrorCode::kInternal, "gauntlet-rank printed no figures: {}", said);
  return figures;
}

}  // namespace gauntlet::cli
