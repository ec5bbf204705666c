// From a checked sweep to its cells and to the smallest graph of jobs that answers them. Pure.
// Thread safety: immutable; copies share what they hold.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/catalog.hpp"
#include "core/spec/cell.hpp"
#include "core/spec/job_spec.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::spec {

namespace detail {
class PackedGraph;
}

/// The identity of a dataset's sources: (entry name, effective config without locations, locations) → content
/// id. Called once per distinct config and locations.
using ContentIdFn =
    std::function<Result<std::string>(std::string_view dataset, const Json& config, const Json& locations)>;

struct PlannedJob {
  JobSpec job;
  JobKey key;
};

/// A job by the part it plays for a cell: "prepare", "features", "train_model", "codes_image", "codes_text",
/// "train_attack", "craft", "craft_train", "train_defense", "encode_query", "encode_retrieval", "evaluate". A
/// defense whose branches are trained apart and that also encodes the retrieval set adds
/// "craft_train_retrieval", "train_defense_retrieval"; one whose branches are trained together has
/// "craft_train_image" and "craft_train_text" instead of "craft_train". An external defense adds "purify", an
/// external metric "measure". An attack on the database has "craft_database", and no "craft" where it leaves
/// the queries alone. A cell whose queries are to be shown has "explain".
struct CellJob {
  std::size_t job = 0;    ///< index into Expansion::jobs
  std::string_view role;  ///< static storage
};

struct PlannedCell {
  Cell cell;
  std::vector<CellJob> jobs;  ///< every job the cell needs, by role
  std::span<const std::string>
      metrics;  ///< those that apply, sorted; lives as long as any copy of the Expansion
};

/// Walks a list whose elements are made when they are looked at.
template <class List>
class IndexIterator {
 public:
  using value_type = typename List::value_type;
  using difference_type = std::ptrdiff_t;
  IndexIterator() = default;
  IndexIterator(const List* list, std::size_t index) : list_(list), index_(index) {}
  value_type operator*() const { return (*list_)[index_]; }
  IndexIterator& operator++() {
    ++index_;
    return *this;
  }
  IndexIterator operator++(int) {
    IndexIterator before = *this;
    ++index_;
    return before;
  }
  bool operator==(const IndexIterator&) const = default;

 private:
  const List* list_ = nullptr;
  std::size_t index_ = 0;
};

/// A million cells have millions of jobs, most of whose words are the same: they are kept packed, some 70
/// bytes a job, and a PlannedJob is made of one when it is asked for.
class PlannedJobs {
 public:
  using value_type = PlannedJob;
  using const_iterator = IndexIterator<PlannedJobs>;

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] PlannedJob operator[](std::size_t index) const;
  [[nodiscard]] const_iterator begin() const { return {this, 0}; }
  [[nodiscard]] const_iterator end() const { return {this, size()}; }

  [[nodiscard]] const JobKey& key(std::size_t index) const;
  /// The text whose SHA-256 is the key; see canonical_text.
  [[nodiscard]] std::string canonical(std::size_t index) const;
  /// Jobs of one group differ in config, seed, inputs and title alone. Groups count from 0.
  [[nodiscard]] std::size_t group(std::size_t index) const;
  [[nodiscard]] std::size_t n_groups() const;

 private:
  friend struct Expansion;
  std::shared_ptr<const detail::PackedGraph> graph_;
};

/// Cells, packed like the jobs.
class PlannedCells {
 public:
  using value_type = PlannedCell;
  using const_iterator = IndexIterator<PlannedCells>;

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] PlannedCell operator[](std::size_t index) const;
  [[nodiscard]] const_iterator begin() const { return {this, 0}; }
  [[nodiscard]] const_iterator end() const { return {this, size()}; }

 private:
  friend struct Expansion;
  std::shared_ptr<const detail::PackedGraph> graph_;
};

struct Expansion {
  PlannedJobs jobs;    ///< unique by key; every job comes after its inputs
  PlannedCells cells;  ///< unique; in the order of the axes, then include, then ablations

  Expansion() = default;
  explicit Expansion(const std::shared_ptr<const detail::PackedGraph>& graph);
};

/// Problems: pairs that cannot work (each with the `exclude` line that removes them), a source without an
/// identity, a sweep without cells.
[[nodiscard]] tl::expected<Expansion, std::vector<Problem>> expand(const SweepSpec& spec,
                                                                   const Catalog& catalog,
                                                                   const ContentIdFn& content_id);

}  // namespace gauntlet::spec
