// What `gauntlet plan` shows: how much of an expansion is done, what the rest needs, and why a job is new.
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/spec/expand.hpp"

namespace gauntlet::spec {

enum class KnownState : std::uint8_t {
  kDone,   ///< finished in this work folder
  kKnown,  ///< submitted before and not finished
  kNew,
};

/// What a work folder knows. Every function may be empty: then everything is new and nothing is estimated.
struct PlanSources {
  std::function<KnownState(const JobKey& key)> state;
  /// Canonical forms of the known jobs of a kind and entry; asked once for each.
  std::function<std::vector<Json>(JobKind kind, std::string_view entry)> known_forms;
  /// Mean seconds of past attempts of a kind and entry.
  std::function<std::optional<double>(JobKind kind, std::string_view entry)> past_seconds;
};

/// The jobs of a kind and entry that ask for the same resources.
struct PlanLine {
  JobKind kind = JobKind::kNoop;
  std::string entry;
  Resources resources;
  std::size_t n_done = 0;
  std::size_t n_known = 0;
  std::size_t n_new = 0;
  std::optional<double> seconds_each;
};

/// A field in which a new job differs from the nearest known one, e.g. {"config.defense.lr", 0.001, 0.0001};
/// null = absent.
struct FieldChange {
  std::string path;
  Json known;
  Json now;
  bool operator==(const FieldChange&) const = default;
};

/// Why jobs are new: the same changes for all of them. Jobs that are new only because their inputs are have
/// no miss.
struct Miss {
  JobKind kind = JobKind::kNoop;
  std::string entry;
  std::size_t n_jobs = 0;
  std::string example;  ///< title of one of them
  std::vector<FieldChange> changes;
};

struct Plan {
  std::size_t n_cells = 0;
  std::vector<PlanLine> lines;  ///< in the order in which kinds first appear in the graph
  std::vector<Miss> misses;
  std::size_t n_follow = 0;  ///< new jobs that differ from a known one in their inputs alone

  [[nodiscard]] std::size_t n_jobs() const;
  [[nodiscard]] std::size_t n_done() const;
  /// Seconds of work left, one job at a time; nullopt unless every line with work left has past attempts.
  [[nodiscard]] std::optional<double> seconds_left() const;
};

[[nodiscard]] Plan make_plan(const Expansion& expansion, const PlanSources& sources = {});
[[nodiscard]] std::string to_text(const Plan& plan);
/// {"format": 1, "cells": n, "jobs": {"total", "done", "known", "new"}, "kinds": [{…}], "misses": [{…}],
/// "follow": n, "seconds_left": number or null}
[[nodiscard]] Json to_json(const Plan& plan);

/// The fields in which canonical form `now` differs from the nearest of `known` (fewest differing fields; the
/// first of equals). Empty when there is none known.
[[nodiscard]] std::vector<FieldChange> nearest_changes(const Json& now, const std::vector<Json>& known);

/// What only one of two expansions has, as indices into its cells and jobs.
struct ExpansionDiff {
  std::vector<std::size_t> cells_only_old, cells_only_new;
  std::vector<std::size_t> jobs_only_old, jobs_only_new;
};
[[nodiscard]] ExpansionDiff diff(const Expansion& old_one, const Expansion& new_one);
[[nodiscard]] std::string diff_text(const ExpansionDiff& difference, const Expansion& old_one,
                                    const Expansion& new_one);
/// {"format": 1, "cells": {"removed": […], "added": […]}, "jobs": {"removed": […], "added": […]}}
[[nodiscard]] Json diff_json(const ExpansionDiff& difference, const Expansion& old_one,
                             const Expansion& new_one);

[[nodiscard]] Json to_json(const Cell& cell);

}  // namespace gauntlet::spec
