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
/// The folder of the running program; empty when it is not known.
[[nodiscard]] std::filesystem::path program_folder();

}  // namespace gauntlet::worker
