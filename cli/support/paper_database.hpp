// A database as a lab has it after years: the benchmark of a paper, over and over, written through the store
// that a coordinator writes with. The numbers are drawn, not measured.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::cli {

struct PaperDatabase {
  std::vector<std::string> sweeps;
  std::int64_t n_jobs = 0;
  std::int64_t n_cells = 0;
  std::int64_t n_rows = 0;     ///< three of each job
  std::int64_t n_queries = 0;  ///< rows with readings per query
};

/// Three datasets, three target models, six defenses and three variants of one of them, no attack and two
/// attacks, both directions, five seeds: so many times, each a sweep, that there are at least `n_jobs` jobs,
/// all of them done. One sweep in eight keeps the readings of 1000 queries beside its MAPs. `progress` is
/// told how many jobs there are after each sweep. Errors: those of the store.
[[nodiscard]] Result<PaperDatabase> make_paper_database(const std::filesystem::path& path,
                                                        std::int64_t n_jobs,
                                                        const std::function<void(std::int64_t)>& progress);

}  // namespace gauntlet::cli
