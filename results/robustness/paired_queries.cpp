#include "results/robustness/paired_queries.hpp"

#include <algorithm>

#include "core/spec/attack_scope.hpp"

namespace gauntlet::results {
namespace {

std::vector<std::size_t> queries_of(std::size_t n_all, std::uint64_t n_drawn, const JobKey& data) {
  return spec::kept_queries(n_all, Json{{"on_queries", n_drawn}}, data);
}

}  // namespace

void PairedQueries::note(const ScoredQueries& of, const robustness::Arm& arm) {
  if (of.n_drawn == 0) {
    std::size_t& n_all = n_all_[of.data];
    n_all = std::max(n_all, arm.ap.size());
    return;
  }
  const auto [known, is_new] = fewest_.emplace(of.data, of.n_drawn);
  if (!is_new) known->second = std::min(known->second, of.n_drawn);
}

void PairedQueries::cut(const ScoredQueries& of, robustness::Arm& arm) const {
  const auto fewest = fewest_.find(of.data);
  const auto n_all = n_all_.find(of.data);
  if (fewest == fewest_.end() || n_all == n_all_.end()) return;
  const std::vector<std::size_t> own = queries_of(n_all->second, of.n_drawn, of.data);
  const std::vector<std::size_t> kept = queries_of(n_all->second, fewest->second, of.data);
  if (own.size() != arm.ap.size() || kept.size() >= own.size()) return;
  const auto shorten = [&](std::vector<double>& values) {
    if (values.size() != own.size()) return;
    std::vector<double> some;
    for (std::size_t at = 0; at < own.size(); ++at) {
      if (std::ranges::binary_search(kept, own[at])) some.push_back(values[at]);
    }
    values = std::move(some);
  };
  shorten(arm.ap);
  for (auto& [name, values] : arm.per_query) shorten(values);
}

}  // namespace gauntlet::results
