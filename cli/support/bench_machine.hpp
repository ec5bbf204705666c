// What a benchmark's reader must know of the machine it ran on.
#pragma once

#include <filesystem>

#include "core/base/json.hpp"

namespace gauntlet::cli {

/// {"cpu", "cores", "features": ["avx2", …], "filesystem", "fdatasync_us": {"p50", "p99"}}; the disk's are
/// null where the work folder cannot be written.
[[nodiscard]] Json bench_machine(const std::filesystem::path& workdir);

}  // namespace gauntlet::cli
