#include "results/board/bundle_jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::results {

BundleJobs::BundleJobs(const Bundle& bundle) {
  for (const BundleJob& job : bundle.jobs) jobs_.emplace(job.key, &job);
}

const BundleJob* BundleJobs::of(const BundleCell& cell, std::string_view role) const {
  for (const auto& [name, key] : cell.jobs)
    if (name == role) return jobs_.at(key);
  return nullptr;
}

const BundleJob* BundleJobs::input_of(const BundleJob& job, const std::string& role) const {
  const auto& inputs = job.form.at("inputs");
  if (!inputs.contains(role)) return nullptr;
  const Result<Digest> digest = digest_from_hex(inputs[role].get<std::string>());
  const auto found = digest ? jobs_.find(JobKey{*digest}) : jobs_.end();
  return found == jobs_.end() ? nullptr : found->second;
}

std::vector<const BundleJob*> BundleJobs::members_of(const BundleJob& evaluate) const {
  std::vector<const BundleJob*> members;
  for (std::size_t at = 0; at < evaluate.form.at("config").at("worst").at("members").size(); ++at) {
    const BundleJob* encode = input_of(evaluate, fmt::format("worst_of_{:03}", at));
    members.push_back(encode == nullptr ? nullptr : input_of(*encode, "crafted"));
  }
  return members;
}

const spec::ResultRow* row_of(const BundleJob& job, std::string_view metric) {
  const auto row = std::find_if(job.rows.begin(), job.rows.end(),
                                [&](const spec::ResultRow& each) { return each.metric == metric; });
  return row == job.rows.end() || !std::isfinite(row->value) ? nullptr : &*row;
}

std::string name_of(const BundleCell& cell) {
  return fmt::format("{} {} {} bits {} {} {} seed {}", cell.cell.dataset, cell.cell.model, cell.cell.bits,
                     cell.cell.defense, cell.cell.attack, cell.cell.direction, cell.cell.seed);
}

}  // namespace gauntlet::results
