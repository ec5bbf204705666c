#include "coordinator/net/batch_commands.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "core/base/files.hpp"
#include "core/base/subprocess.hpp"

namespace gauntlet::coordinator {
namespace {

/// A controller that restarts answers within this, or the next try finds it.
constexpr Milliseconds kLimit{60'000};
constexpr std::size_t kMaxWords = 600;

std::string user_name() {
  const ::passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr ? fmt::format("{}", ::geteuid()) : std::string(entry->pw_name);
}

/// What a command complained of, in one line, without its name at every line's start.
std::string words_of(const SubprocessOutput& output, const std::string& program) {
  std::string words;
  std::string_view rest = output.err.empty() ? output.out : output.err;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    for (const std::string& head : {program + ": ", std::string("error: ")}) {
      if (line.starts_with(head)) line.remove_prefix(head.size());
    }
    if (!line.empty()) words += (words.empty() ? "" : "; ") + std::string(line);
  }
  if (words.empty()) words = fmt::format("exit code {}", output.exit_code);
  return words.substr(0, kMaxWords);
}

std::vector<std::string> partition_names(const alloc::BatchSystem& system, const std::atomic<bool>* stop) {
  std::vector<std::string> names;
  const auto output = run_subprocess(system.partitions(), kLimit, stop);
  if (!output || output->exit_code != 0) return names;
  std::string_view rest = output->out;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return names;
}

/// Why the batch system does not want it.
Error refusal(const alloc::BatchSystem& system, const alloc::QueueSpec& spec, const SubprocessOutput& output,
              const std::string& program, const std::atomic<bool>* stop) {
  const std::string words = words_of(output, program);
  if (!system.says_no_partition(words)) {
    return {ErrorCode::kInvalid, fmt::format("{} refuses such an allocation: {}", system.title, words)};
  }
  const std::vector<std::string> names = partition_names(system, stop);
  const std::string known =
      names.empty() ? std::string() : fmt::format("; it has {}", fmt::join(names, ", "));
  return {ErrorCode::kInvalid, fmt::format("{} has no partition or queue '{}'{} ({})", system.title,
                                           spec.partition, known, words)};
}

Status write_script(const std::filesystem::path& script, const std::string& text) {
  GAUNTLET_CHECK_OK(make_directories(script.parent_path()));
  return write_file_atomic(script, text);
}

}  // namespace

Status try_submission(const alloc::QueueSpec& spec, const std::filesystem::path& script,
                      const std::string& text, const std::atomic<bool>* stop) {
  GAUNTLET_TRY(const alloc::BatchSystem* system, alloc::find_batch_system(spec.system));
  alloc::Words words = system->check(spec, script);
  if (words.empty()) return {};
  GAUNTLET_CHECK_OK(write_script(script, text));
  const std::string program = words.front();
  const auto output = run_subprocess(std::move(words), kLimit, stop);
  if (!output) return fail(output.error());
  if (output->exit_code != 0) return fail(refusal(*system, spec, *output, program, stop));
  return {};
}

Result<std::string> submit_script(const alloc::QueueSpec& spec, const std::filesystem::path& script,
                                  const std::string& text, const std::atomic<bool>* stop) {
  GAUNTLET_TRY(const alloc::BatchSystem* system, alloc::find_batch_system(spec.system));
  GAUNTLET_CHECK_OK(write_script(script, text));
  alloc::Words words = system->submit(spec, script);
  const std::string program = words.front();
  GAUNTLET_TRY(const SubprocessOutput output, run_subprocess(std::move(words), kLimit, stop));
  if (output.exit_code != 0) return fail(refusal(*system, spec, output, program, stop));
  return system->read_submitted(output.out);
}

Result<std::vector<alloc::BatchJob>> list_jobs(const std::string& system_name,
                                               std::span<const std::string> ids,
                                               const std::atomic<bool>* stop) {
  GAUNTLET_TRY(const alloc::BatchSystem* system, alloc::find_batch_system(system_name));
  alloc::Words words = system->list(user_name(), ids);
  const std::string program = words.front();
  GAUNTLET_TRY(const SubprocessOutput output, run_subprocess(std::move(words), kLimit, stop));
  if (output.exit_code != 0) return fail(ErrorCode::kIo, "{}: {}", program, words_of(output, program));
  return system->read_list(output.out);
}

Status cancel_jobs(const std::string& system_name, std::span<const std::string> ids,
                   const std::atomic<bool>* stop) {
  GAUNTLET_TRY(const alloc::BatchSystem* system, alloc::find_batch_system(system_name));
  alloc::Words words = alloc::cancel_command(*system, ids);
  const std::string program = words.front();
  GAUNTLET_TRY(const SubprocessOutput output, run_subprocess(std::move(words), kLimit, stop));
  if (output.exit_code != 0) return fail(ErrorCode::kIo, "{}: {}", program, words_of(output, program));
  return {};
}

}  // namespace gauntlet::coordinator
