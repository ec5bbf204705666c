// What this machine has to offer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace gauntlet::worker {

/// Processors this process may run on, at least 1.
[[nodiscard]] std::int64_t usable_cpus();
/// Physical memory in MiB; 0 when it is not known.
[[nodiscard]] std::int64_t physical_memory_mb();
[[nodiscard]] std::string host_name();
/// How many processes the kernel has killed for want of memory, in this process's control group if it counts
/// them, else on this machine; 0 when it is not known. `root` is "/" but in tests.
[[nodiscard]] std::uint64_t oom_kills(const std::filesystem::path& root = "/");
/// The folder of the running program; empty when it is not known.
[[nodiscard]] std::filesystem::path program_folder();

}  // namespace gauntlet::worker
