// What a leaderboard says of one finished cell: its numbers with their values per query, its members, its
// curve over budgets, its cost. Thread safety: pure functions over the caller's values.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "results/board/bundle_jobs.hpp"
#include "results/board/from_bundle.hpp"

namespace gauntlet::results {

/// A finished cell on its way to the board.
struct FinishedCell {
  const BundleCell* cell = nullptr;
  const BundleJob* evaluate = nullptr;
  Json threat_model;  ///< null for given inputs: they stand on boards of others
  Json entry;
  Json run;
  std::string weights_hash;
  double value = 0;  ///< of the threat model's metric
};

/// A threat model without what tells static from adaptive: cells that differ in nothing else belong together.
[[nodiscard]] std::string no_protocol_id(Json threat_model);

/// The references outlive it; `others` are all cells of attack sets, for what is shown beside one.
class EvaluationWriter {
 public:
  EvaluationWriter(const Bundle& bundle, const BundleJobs& jobs, const BoardFacts& facts,
                   const std::vector<FinishedCell>& others)
      : bundle_(bundle), jobs_(jobs), facts_(facts), others_(others) {}

  /// Of an attack set. Errors: those of the facts.
  [[nodiscard]] Result<Json> of_set(const FinishedCell& found, const std::string& by) const;
  /// Of inputs that somebody sent, which `craft` took in; the cell has values per query of `map`. Errors:
  /// those of the facts.
  [[nodiscard]] Result<Json> of_given(const FinishedCell& found, const BundleJob& craft) const;

 private:
  [[nodiscard]] Result<std::string> query_ids_hash(const BundleJob& evaluate) const;
  [[nodiscard]] Result<Json> begin(const FinishedCell& found, const std::string& metric) const;
  void add_static(const FinishedCell& found, Json& evaluation) const;
  [[nodiscard]] Status add_members(const BundleJob& evaluate, Json& evaluation) const;
  void add_curve(const FinishedCell& found, Json& evaluation) const;
  void add_cost(const FinishedCell& found, Json& evaluation) const;

  const Bundle& bundle_;
  const BundleJobs& jobs_;
  const BoardFacts& facts_;
  const std::vector<FinishedCell>& others_;
};

}  // namespace gauntlet::results
