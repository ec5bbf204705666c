#include "core/run/chosen_rows.hpp"

#include "core/spec/attack_scope.hpp"

namespace gauntlet::run {
namespace {

std::vector<std::int64_t> picked(const std::vector<std::int64_t>& rows,
                                 const std::vector<std::size_t>& positions) {
  std::vector<std::int64_t> some;
  some.reserve(positions.size());
  for (const std::size_t at : positions) some.push_back(rows[at]);
  return some;
}

}  // namespace

std::vector<std::int64_t> chosen_rows(const JobRun& run, const data::PreparedSet& set, data::Part part) {
  std::vector<std::int64_t> rows = set.rows(part);
  const spec::JobSpec& job = run.attempt.job;
  const JobKey& data_key = job.find_input("data")->key;
  if (part == data::Part::kQuery && job.config.contains("on_queries"))
    rows = picked(rows, spec::kept_queries(rows.size(), job.config, data_key));
  if (part == data::Part::kRetrieval && job.config.contains("database_fraction"))
    rows = picked(rows, spec::attacked_items(rows.size(), job.config, job.seed, data_key));
  const auto limit = static_cast<std::size_t>(job.config.value("limit", std::int64_t{0}));
  if (limit > 0 && limit < rows.size()) rows.resize(limit);
  return rows;
}

}  // namespace gauntlet::run
