// How the ranks of a gang are started. A launcher is one file and one line of launchers.def; it has two
// sides: the agent's, which makes the command that starts every rank, and the rank's, which learns from the
// launcher which rank it is. What a launcher starts on each machine is a guard (rank_guard.hpp), and only the
// guard talks to the agent, so that signals, exit codes and output arrive the same way under all of them.
// Thread safety: plain functions and values.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "worker/launch/process_group.hpp"

namespace gauntlet::worker {

struct LauncherSettings {
  std::filesystem::path program;       ///< "" = the launcher's usual name, in PATH
  std::vector<std::string> arguments;  ///< of the user, before those of the gang
};

/// What one machine contributes to a gang.
struct GangNode {
  std::string address;  ///< what the launcher calls it
  std::size_t ranks = 1;
};

struct GangLayout {
  std::vector<GangNode> nodes;  ///< the machine of rank 0, which is the agent's, first; ranks go on in order
  std::filesystem::path host_file;  ///< may be written
  [[nodiscard]] std::size_t world() const;
};

/// What a launched process learns from its launcher.
class Seat {
 public:
  virtual ~Seat() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int world() const = 0;
  /// The text of rank 0, on every rank; "" where the launcher cannot carry one and the agent tells it.
  /// Every rank calls it once. Errors: kCollective.
  [[nodiscard]] virtual Result<std::string> from_first(const std::string& text) = 0;
};

struct Launcher {
  std::string_view name;
  std::string_view summary;
  /// Workers whose texts agree can share a gang; "" = a gang stays on its machine. Errors (kInvalid): the
  /// launcher cannot be used here, and why.
  Result<std::string> (*reach)(const LauncherSettings& settings);
  /// What it calls this machine, when other machines reach it as `address`.
  std::string (*node_name)(const std::string& address);
  /// The one command that runs `guard` once for every rank of the layout. Null: the agent forks ranks
  /// itself and keeps them warm. Errors: kIo (the host file), kNotFound (its program).
  Result<Command> (*command)(const LauncherSettings& settings, const GangLayout& layout,
                             const Command& guard);
  /// In a launched process. Errors (kInvalid): it was not started by this launcher.
  Result<std::unique_ptr<Seat>> (*take_seat)();
};

/// Null when there is none of this name.
[[nodiscard]] const Launcher* find_launcher(std::string_view name);
[[nodiscard]] std::vector<std::string> launcher_names();

/// A program by its name in PATH, or `chosen` where that is not "". Errors (kNotFound) say what was looked
/// for.
[[nodiscard]] Result<std::filesystem::path> launcher_program(const std::filesystem::path& chosen,
                                                             std::string_view name);
/// The value of a variable that a launcher sets in what it starts. Errors (kInvalid) name variable and
/// launcher.
[[nodiscard]] Result<int> number_from_environment(const char* variable, std::string_view launcher);

}  // namespace gauntlet::worker
