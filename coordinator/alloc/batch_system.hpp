// A batch system: the script of an allocation, the commands that hand it in, list and cancel, and how to read
// what they print. Texts only; nothing is run here. One more system = one file `<name>.cpp` that ends in
// `constinit const BatchSystem <name>_batch{…};`, and one line in batch_systems.def.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/alloc/rows.hpp"

namespace gauntlet::alloc {

using Words = std::vector<std::string>;  ///< a command: its program and arguments

/// What a script needs to know beside the queue.
struct ScriptSite {
  std::filesystem::path gauntlet;  ///< this program, where the nodes find it too
  std::filesystem::path workdir;   ///< on a file system that the nodes share
  std::filesystem::path log;       ///< what script and agents print
  std::string name;                ///< of the batch job
  std::string label;               ///< value of the agents' label `alloc`, or "" for none
};

enum class BatchJobState : std::uint8_t { kPending, kRunning, kEnded, kUnknown };

/// One line of a listing.
struct BatchJob {
  std::string id;
  std::string name;
  BatchJobState state = BatchJobState::kUnknown;
  std::string word;     ///< the system's own, e.g. "NODE_FAIL"
  std::string reason;   ///< why it waits, or how it ended; "" = not told
  bool failed = false;  ///< ended by its own fault: not cancelled, preempted or lost with its node
};

struct BatchSystem {
  std::string_view name;   ///< "slurm"
  std::string_view title;  ///< "Slurm"
  /// Starts one agent per node; ends when they have. `body`, if not empty, runs instead: shell lines in which
  /// `agents` starts the agents.
  std::string (*script)(const QueueSpec& spec, const ScriptSite& site, std::string_view body);
  Words (*submit)(const QueueSpec& spec, const std::filesystem::path& script);
  /// Asks whether the script would be taken, and hands in nothing; no words: the system cannot tell.
  Words (*check)(const QueueSpec& spec, const std::filesystem::path& script);
  /// The id of the job handed in, from what `submit` printed. Errors (kCorrupt) show the text.
  Result<std::string> (*read_submitted)(std::string_view out);
  /// Lists the jobs of a user, and those with the ids if they have ended not long ago.
  Words (*list)(std::string_view user, std::span<const std::string> ids);
  /// Lines that cannot be read are left out. Errors (kCorrupt): nothing of it can be read.
  Result<std::vector<BatchJob>> (*read_list)(std::string_view out);
  std::string_view canceller;  ///< the program that ends the jobs whose ids it is given
  /// Prints the names of partitions or queues, one a line.
  Words (*partitions)();
  /// Whether a refusal says that there is no such partition or queue.
  bool (*says_no_partition)(std::string_view words);
};

[[nodiscard]] std::span<const BatchSystem* const> batch_systems();
/// Errors (kInvalid): names the known ones.
[[nodiscard]] Result<const BatchSystem*> find_batch_system(std::string_view name);

/// The command that ends the jobs with these ids.
[[nodiscard]] Words cancel_command(const BatchSystem& system, std::span<const std::string> ids);

/// The text in single quotes for a shell.
[[nodiscard]] std::string shell_quoted(std::string_view text);
/// "4-00:30:00" with days, "96:30:00" without.
[[nodiscard]] std::string clock_text(std::int64_t seconds, bool with_days);
/// The shell words that start an agent which leaves before the allocation does; reads $lifetime.
[[nodiscard]] std::string agent_command(const QueueSpec& spec, const ScriptSite& site);
/// Seconds before the end of an allocation at which its agents are gone.
[[nodiscard]] std::int64_t margin_s(const QueueSpec& spec);

}  // namespace gauntlet::alloc
