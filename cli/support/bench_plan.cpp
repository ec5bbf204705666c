#include "cli/support/bench_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/support/child_process.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::minutes kLimit{10};
constexpr std::int64_t kCellsPerSeed = 1108;  ///< 4 x 4 x 6 x 6 x 2, less what the two excludes remove

std::string sweep_of(std::int64_t n_seeds) {
  std::string seeds;
  for (std::int64_t seed = 1; seed <= n_seeds; ++seed)
    seeds += fmt::format("{}{}", seed > 1 ? "," : "", seed);
  return fmt::format(R"(gauntlet: 1
name: plan
axes:
  dataset: {{name: picto_scenes, preset: smoke}}
  model: [cpah, dadh, daph, dcmh]
  bits: [16, 32, 64, 128]
  defense: [none, atrdh, saat, rocmr, tpap, drfgd]
  attack: [none, pgd, fgsm, {{name: pgd, label: pgd5, steps: 5}}, {{name: pgd, label: pgd20, steps: 20}}, mainstay]
  direction: [i2t, t2i]
  seed: [{}]
exclude:
  - {{defense: tpap, attack: pgd5}}
  - {{model: dadh, defense: rocmr, bits: 128}}
metrics: [map, pr]
)",
                     seeds);
}

}  // namespace

Result<Json> measure_plan(const std::filesystem::path& folder, std::int64_t n_cells) {
  const std::int64_t n_seeds = std::max<std::int64_t>(1, n_cells / kCellsPerSeed);
  const std::filesystem::path sweep = folder / "plan.yaml";
  GAUNTLET_CHECK_OK(write_file_atomic(sweep, sweep_of(n_seeds)));
  const std::vector<std::string> command = {program_path().string(), "plan", sweep.string(), "--workdir",
                                            (folder / "empty").string()};
  const auto start = SteadyClock::now();
  GAUNTLET_TRY(ChildProcess child, ChildProcess::start({command, folder / "plan.out", true}));
  while (child.is_running()) {
    if (SteadyClock::now() - start > kLimit) {
      child.kill();
      return fail(ErrorCode::kTimedOut, "gauntlet plan did not end within {} minutes", kLimit.count());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::chrono::duration<double> seconds = SteadyClock::now() - start;
  if (child.exit_code() != 0) return fail(ErrorCode::kInternal, "gauntlet plan: {}", child.last_words());
  return Json{{"plan_cells", n_seeds * kCellsPerSeed},
              {"plan_s", seconds.count()},
              {"plan_peak_mib", static_cast<double>(child.peak_memory_kib()) / 1024}};
}

}  // namespace gauntlet::cli
