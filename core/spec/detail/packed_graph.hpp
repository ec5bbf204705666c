// An expansion in memory: what jobs and cells share is kept once, the rest in a few numbers each, so that a
// million cells fit a laptop. Built by one thread, then immutable and read by any.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/spec/detail/canonical_parts.hpp"
#include "core/spec/detail/effective_config.hpp"
#include "core/spec/detail/interning.hpp"
#include "core/spec/expand.hpp"

namespace gauntlet::spec::detail {

using JobIndex = std::uint32_t;

/// Parts that inputs play in a job, in the order of their names.
enum class InputRole : std::uint8_t {
  kAttack,
  kBaseQueryCodes,
  kBaseRetrievalCodes,
  kCleanQueryCodes,
  kCodesImage,
  kCodesText,
  kCrafted,
  kCraftedImage,
  kCraftedText,
  kData,
  kDefense,
  kFeatures,
  kModel,
  kQueryCodes,
  kRetrievalCodes,
};
inline constexpr std::size_t kInputRoleCount = 15;
[[nodiscard]] std::string_view name_of(InputRole role);

/// A job's inputs, one per role at most, in the order of roles.
class InputJobs {
 public:
  void set(InputRole role, JobIndex job) {
    jobs_[static_cast<std::size_t>(role)] = job;
    roles_ = static_cast<std::uint16_t>(roles_ | 1U << static_cast<unsigned>(role));
  }
  /// Bit r: there is an input of role r.
  [[nodiscard]] std::uint16_t roles() const { return roles_; }

  /// Calls visit(role, job) for each.
  template <class Visit>
  void for_each(Visit visit) const {
    for_each_role(roles_, [&](InputRole role) { visit(role, jobs_[static_cast<std::size_t>(role)]); });
  }
  template <class Visit>
  static void for_each_role(std::uint16_t roles, Visit visit) {
    for (std::uint32_t left = roles; left != 0; left &= left - 1) {
      visit(static_cast<InputRole>(std::countr_zero(left)));
    }
  }

 private:
  std::array<JobIndex, kInputRoleCount> jobs_{};
  std::uint16_t roles_ = 0;
};

/// What makes a job the job it is, in interned form, and where its sources are.
struct JobDraft {
  JobKind kind = JobKind::kNoop;
  const CatalogEntry* entry = nullptr;  ///< null where no entry does the work
  ConfigId config = 0;
  InputJobs inputs = {};
  std::span<const JobIndex> ranked =
      {};  ///< codes whose worst an evaluation reports: inputs beside the roles
  /// Of a selection, whose `ranked` are so many checkpoints and then the scores.
  std::optional<std::uint32_t> n_candidates = std::nullopt;
  std::uint64_t seed = 0;
  std::optional<ConfigId> locations = std::nullopt;  ///< no part of the identity; the first draft's count
};

/// A cell, packed.
struct CellDraft {
  Point point{};
  std::uint32_t variant = 0;  ///< 0, or its number as given to name_variant
  std::uint32_t metric_set = 0;
  std::string_view protocol;
  std::span<const CellJob> jobs;
};

class PackedGraph {
 public:
  explicit PackedGraph(const SweepSpec& spec);

  [[nodiscard]] ConfigTable& configs() { return configs_; }
  /// The job of this content; made unless there is one. Belongs to the cell that is added next.
  JobIndex add_job(const JobDraft& draft);
  void add_cell(const CellDraft& draft);
  /// What jobs that are made from now on are about, where that is not the cell that is added next; null: it
  /// is.
  void set_subject(const Point* point) { subject_ = point; }
  /// "<ablation>/<variant>" → its number, from 1.
  std::uint32_t name_variant(std::string name);
  void set_metric_sets(std::vector<std::vector<std::string>> sets) { metric_sets_ = std::move(sets); }
  /// Instead of jobs and cells.
  void set_noops(const NoopPlan& noops) { noops_ = noops; }
  /// Computes the keys; nothing is added afterwards. The result does not depend on the number of threads.
  void finish(int n_threads);

  [[nodiscard]] std::size_t n_jobs() const { return noops_ ? noops_->jobs : jobs_.size(); }
  [[nodiscard]] std::size_t n_cells() const { return cells_.size(); }
  [[nodiscard]] std::size_t n_groups() const { return noops_ ? 1 : groups_.size(); }
  [[nodiscard]] std::size_t group(std::size_t job) const { return noops_ ? 0 : jobs_[job].group; }
  [[nodiscard]] const JobKey& key(std::size_t job) const { return keys_[job]; }
  [[nodiscard]] JobSpec job(std::size_t index) const;
  [[nodiscard]] std::string canonical(std::size_t job) const;
  [[nodiscard]] PlannedCell cell(std::size_t index) const;

 private:
  /// What many jobs share.
  struct Group {
    JobKind kind = JobKind::kNoop;
    std::string entry;
    std::int64_t version = 1;
    std::uint16_t roles = 0;     ///< of the inputs
    std::uint32_t n_ranked = 0;  ///< inputs "worst_of_000", "worst_of_001", …, after those of the roles
    std::optional<std::uint32_t>
        n_candidates;  ///< the first of them are "candidate_000", …, then "score_0000"
    std::optional<ConfigId> locations;
    const CatalogEntry* source = nullptr;  ///< compared, never looked into
  };
  struct Job {
    std::uint32_t group = 0;
    ConfigId config = 0;
    std::uint32_t seed = 0;    ///< into seeds_
    std::uint32_t inputs = 0;  ///< the first of them in inputs_, in the order of the group's roles
    std::uint32_t cell = 0;    ///< the first that needs it
  };
  /// What many cells share.
  struct Shape {
    std::vector<std::string_view> roles;
    std::string protocol;
    std::uint32_t metric_set = 0;
    std::uint32_t variant = 0;
  };
  struct PackedCell {
    Point point{};
    std::uint32_t shape = 0;
    std::uint32_t jobs = 0;  ///< the first of them in cell_jobs_
  };

  struct IndexSlot {
    std::uint32_t hash = 0;
    std::uint32_t next_job = 0;  ///< the job's index + 1; 0 = free
  };

  [[nodiscard]] bool is_job(std::size_t index, const JobDraft& draft, std::uint32_t seed) const;
  JobIndex append_job(const JobDraft& draft, std::uint32_t seed);
  [[nodiscard]] std::uint32_t seed_number(std::uint64_t seed);
  [[nodiscard]] std::uint32_t group_of(const JobDraft& draft);
  [[nodiscard]] std::uint32_t shape_of(const CellDraft& draft);
  void grow_index();
  void key_jobs(int level, std::size_t first, std::size_t last);
  [[nodiscard]] const std::string& write_canonical(std::size_t job, CanonicalWriter& writer) const;
  [[nodiscard]] std::string noop_config(std::size_t index) const;
  [[nodiscard]] JobSpec noop(std::size_t index) const;
  [[nodiscard]] static std::string ranked_role(const Group& group, std::uint32_t index);
  [[nodiscard]] std::string title_of(std::size_t index) const;
  [[nodiscard]] Cell axes_of(const PackedCell& cell) const;
  template <class Visit>
  void for_each_input(const Job& job, Visit visit) const;

  ConfigTable configs_;
  std::array<std::vector<AxisValue>, kAxisCount> values_;
  std::map<JobKind, Resources> resources_;
  std::vector<std::string> variants_{""};
  std::vector<std::vector<std::string>> metric_sets_;
  std::optional<NoopPlan> noops_;

  std::vector<Group> groups_;
  std::vector<Shape> shapes_;
  std::vector<std::uint64_t> seeds_{0};
  std::unordered_map<std::uint64_t, std::uint32_t> seed_numbers_{{0, 0}};
  std::deque<Job> jobs_;  ///< deques: growing one copies nothing
  std::deque<JobIndex> inputs_;
  std::deque<std::uint8_t> levels_;  ///< of jobs: 0 without inputs, else above those of all of them
  const Point* subject_ = nullptr;
  std::unordered_map<std::size_t, Point> subjects_;  ///< of jobs that are not about their first cell
  std::deque<PackedCell> cells_;
  std::deque<JobIndex> cell_jobs_;
  std::vector<JobKey> keys_;
  std::vector<IndexSlot> index_;  ///< jobs by content, open addressing
  std::uint32_t last_seed_ = 0;   ///< these two: what the last one looked for was
  std::uint32_t last_shape_ = 0;
};

}  // namespace gauntlet::spec::detail
