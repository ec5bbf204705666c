// gauntlet logs: what a job's attempts printed.
#include <algorithm>
#include <charconv>
#include <fstream>

#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string key;
  std::filesystem::path workdir;
  int attempt = 0;
  bool follow = false;
};

/// The log folder of the one job whose key starts so.
Result<fs::path> job_folder(const Options& options) {
  const fs::path logs = options.workdir / "logs";
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(logs, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name.starts_with(options.key)) found.push_back(entry.path());
  }
  if (found.empty()) {
    return fail(ErrorCode::kNotFound, "no job whose key starts with '{}' has logs in {}", options.key,
                logs.string());
  }
  if (found.size() > 1) {
    return fail(ErrorCode::kInvalid, "{} keys start with '{}', e.g. {} and {}; give more digits",
                found.size(), options.key, found[0].filename().string().substr(0, 16),
                found[1].filename().string().substr(0, 16));
  }
  return found.front();
}

/// Logs of the attempts, by number.
std::vector<std::pair<int, fs::path>> attempts_in(const fs::path& folder) {
  std::vector<std::pair<int, fs::path>> attempts;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string stem = entry.path().stem().string();
    int number = 0;
    const auto [end, status] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (status == std::errc{} && end == stem.data() + stem.size())
      attempts.emplace_back(number, entry.path());
  }
  std::sort(attempts.begin(), attempts.end());
  return attempts;
}

Status print_new(std::ifstream& file) {
  std::string block(std::size_t{64} * 1024, '\0');
  while (true) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    const std::streamsize n_read = file.gcount();
    if (n_read <= 0) break;
    GAUNTLET_CHECK_OK(print(std::string_view(block).substr(0, static_cast<std::size_t>(n_read))));
  }
  file.clear();
  return flush_output();
}

Result<int> run(const Options& options) {
  if (options.key.size() < 4) {
    return fail(ErrorCode::kInvalid, "'{}' is too short; give at least 4 digits of the job's key",
                options.key);
  }
  GAUNTLET_TRY(const fs::path folder, job_folder(options));
  const std::vector<std::pair<int, fs::path>> attempts = attempts_in(folder);
  if (attempts.empty()) return fail(ErrorCode::kNotFound, "{} holds no logs", folder.string());
  auto chosen = std::prev(attempts.end());
  if (options.attempt > 0) {
    chosen = std::find_if(attempts.begin(), attempts.end(),
                          [&](const auto& one) { return one.first == options.attempt; });
    if (chosen == attempts.end()) {
      return fail(ErrorCode::kNotFound, "attempt {} has no log; there are logs of {}, the last of attempt {}",
                  options.attempt, count_of(attempts.size(), "attempt"), attempts.back().first);
    }
  }
  std::ifstream file(chosen->second, std::ios::binary);
  if (!file) return fail(ErrorCode::kIo, "cannot read {}", chosen->second.string());
  GAUNTLET_CHECK_OK(print_new(file));
  if (!options.follow) return 0;
  catch_interrupts();
  while (n_interrupts() == 0) {
    pause_for(Milliseconds(200));
    GAUNTLET_CHECK_OK(print_new(file));
  }
  return exit_code_of(ErrorCode::kInterrupted);
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->workdir = default_workdir();
  app.add_option("key", options->key, "First digits of a job's key (at least 4)")->required();
  app.add_option("--attempt", options->attempt, "Which attempt (default: the last)")
      ->check(number_between(1, 1'000'000));
  app.add_flag("-f,--follow", options->follow, "Go on printing what is added, until Ctrl-C");
  app.add_option("--workdir", options->workdir,
                 "Work folder (default: $GAUNTLET_WORKDIR, else ./gauntlet-runs)")
      ->type_name("DIR");
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb logs_verb;
constinit const Verb logs_verb{
    .name = "logs",
    .summary = "Print what a job's attempts printed",
    .examples = "  gauntlet logs 3fa9c2\n  gauntlet logs 3fa9c2 --attempt 1\n  gauntlet logs 3fa9c2 -f\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
