// Where this program and what was installed with it lie. A package (`./dev package`) has scripts in bin/ that
// start the programs of libexec/gauntlet/, under the package's own loader where the machine's C library is
// too old.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gauntlet {

/// What starts this program again; the other programs have their names beside it. Empty when it is not known.
[[nodiscard]] std::filesystem::path program_path();

/// The executable behind a program that may be started by a package's script: that one, or `program` itself.
[[nodiscard]] std::filesystem::path executable_of(const std::filesystem::path& program);

/// A command that runs an executable of this package as this program runs: the package's loader with its
/// options, or nothing where the system's does it.
[[nodiscard]] std::vector<std::string> loader_command();

/// A file or folder below /usr/share as the system has it; where the system has none, the package's copy of
/// it if there is one, else the path as it is.
[[nodiscard]] std::filesystem::path installed_path(const std::filesystem::path& path);

}  // namespace gauntlet
