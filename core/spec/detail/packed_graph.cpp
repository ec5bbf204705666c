#include "core/spec/detail/packed_graph.hpp"

#include <algorithm>
#include <thread>

#include "core/base/check.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::size_t kFirstIndexSize = 1024;
constexpr std::size_t kJobsWorthAThread = 20'000;

std::uint64_t mixed(std::uint64_t state, std::uint64_t number) {
  state = (state ^ number) * 0xBF58476D1CE4E5B9ULL;
  return state ^ state >> 29U;
}

}  // namespace

PackedGraph::PackedGraph(const SweepSpec& spec) : values_(spec.values), resources_(spec.resources) {
  index_.resize(kFirstIndexSize);
}

// ---------------------------------------------------------------- jobs

std::uint32_t PackedGraph::seed_number(std::uint64_t seed) {
  if (seed == 0) return 0;
  if (seeds_[last_seed_] == seed) return last_seed_;
  const auto [known, is_new] = seed_numbers_.emplace(seed, static_cast<std::uint32_t>(seeds_.size()));
  if (is_new) seeds_.push_back(seed);
  last_seed_ = known->second;
  return last_seed_;
}

std::uint32_t PackedGraph::group_of(const JobDraft& draft) {
  const auto is_it = [&](const Group& group) {
    return group.kind == draft.kind && group.source == draft.entry && group.roles == draft.inputs.roles() &&
           group.n_ranked == draft.ranked.size() && group.n_candidates == draft.n_candidates &&
           group.locations == draft.locations;
  };
  const auto found = std::ranges::find_if(groups_, is_it);
  if (found == groups_.end()) {
    Group& group = groups_.emplace_back();
    group.kind = draft.kind;
    group.source = draft.entry;
    group.entry = draft.entry == nullptr ? "" : draft.entry->name;
    group.version = draft.entry == nullptr ? 1 : draft.entry->version;
    group.roles = draft.inputs.roles();
    group.n_ranked = static_cast<std::uint32_t>(draft.ranked.size());
    group.n_candidates = draft.n_candidates;
    group.locations = draft.locations;
    return static_cast<std::uint32_t>(groups_.size() - 1);
  }
  return static_cast<std::uint32_t>(found - groups_.begin());
}

bool PackedGraph::is_job(std::size_t index, const JobDraft& draft, std::uint32_t seed) const {
  const Job& job = jobs_[index];
  if (job.config != draft.config || job.seed != seed) return false;
  const Group& group = groups_[job.group];
  if (group.kind != draft.kind || group.source != draft.entry || group.roles != draft.inputs.roles() ||
      group.n_ranked != draft.ranked.size() || group.n_candidates != draft.n_candidates)
    return false;
  bool same = true;
  std::size_t at = job.inputs;
  draft.inputs.for_each([&](InputRole, JobIndex input) { same = same && inputs_[at++] == input; });
  for (const JobIndex input : draft.ranked) same = same && inputs_[at++] == input;
  return same;
}

JobIndex PackedGraph::add_job(const JobDraft& draft) {
  const std::uint32_t seed = seed_number(draft.seed);
  std::uint64_t mix = mixed(static_cast<std::uint64_t>(draft.kind), draft.config);
  mix = mixed(mix, std::uint64_t{seed} << 16U | draft.inputs.roles());
  draft.inputs.for_each([&](InputRole, JobIndex input) { mix = mixed(mix, input); });
  for (const JobIndex input : draft.ranked) mix = mixed(mix, input);
  const auto hash = static_cast<std::uint32_t>(mix);
  std::size_t slot = hash & (index_.size() - 1);
  while (index_[slot].next_job != 0) {
    const JobIndex known = index_[slot].next_job - 1;
    if (index_[slot].hash == hash && is_job(known, draft, seed)) return known;
    slot = (slot + 1) & (index_.size() - 1);
  }
  const JobIndex index = append_job(draft, seed);
  index_[slot] = {hash, index + 1};
  if (jobs_.size() * 4 > index_.size() * 3) grow_index();
  return index;
}

JobIndex PackedGraph::append_job(const JobDraft& draft, std::uint32_t seed) {
  // 32 bits are enough for ten million cells, which is what a sweep may have.
  const auto index = static_cast<JobIndex>(jobs_.size());
  if (subject_ != nullptr) subjects_.emplace(index, *subject_);
  jobs_.push_back({group_of(draft), draft.config, seed, static_cast<std::uint32_t>(inputs_.size()),
                   static_cast<std::uint32_t>(cells_.size())});
  std::uint8_t level = 0;
  const auto append = [&](JobIndex input) {
    inputs_.push_back(input);
    level = std::max(level, static_cast<std::uint8_t>(levels_[input] + 1));
  };
  draft.inputs.for_each([&](InputRole, JobIndex input) { append(input); });
  std::ranges::for_each(draft.ranked, append);
  levels_.push_back(level);
  return index;
}

void PackedGraph::grow_index() {
  std::vector<IndexSlot> larger(2 * index_.size());
  for (const IndexSlot& used : index_) {
    if (used.next_job == 0) continue;
    std::size_t slot = used.hash & (larger.size() - 1);
    while (larger[slot].next_job != 0) slot = (slot + 1) & (larger.size() - 1);
    larger[slot] = used;
  }
  index_ = std::move(larger);
}

// ---------------------------------------------------------------- cells

std::uint32_t PackedGraph::name_variant(std::string name) {
  const auto known = std::ranges::find(variants_, name);
  if (known != variants_.end()) return static_cast<std::uint32_t>(known - variants_.begin());
  variants_.push_back(std::move(name));
  return static_cast<std::uint32_t>(variants_.size() - 1);
}

std::uint32_t PackedGraph::shape_of(const CellDraft& draft) {
  const auto is_it = [&](const Shape& shape) {
    return shape.metric_set == draft.metric_set && shape.variant == draft.variant &&
           shape.protocol == draft.protocol &&
           std::ranges::equal(shape.roles, draft.jobs, {}, {}, &CellJob::role);
  };
  if (last_shape_ < shapes_.size() && is_it(shapes_[last_shape_])) return last_shape_;
  const auto found = std::ranges::find_if(shapes_, is_it);
  last_shape_ = static_cast<std::uint32_t>(found - shapes_.begin());
  if (found == shapes_.end()) {
    Shape& shape = shapes_.emplace_back();
    for (const CellJob& part : draft.jobs) shape.roles.push_back(part.role);
    shape.protocol = draft.protocol;
    shape.metric_set = draft.metric_set;
    shape.variant = draft.variant;
  }
  return last_shape_;
}

void PackedGraph::add_cell(const CellDraft& draft) {
  cells_.push_back({draft.point, shape_of(draft), static_cast<std::uint32_t>(cell_jobs_.size())});
  for (const CellJob& part : draft.jobs) cell_jobs_.push_back(static_cast<JobIndex>(part.job));
}

// ---------------------------------------------------------------- keys

void PackedGraph::finish(int n_threads) {
  index_ = {};
  keys_.resize(n_jobs());
  const std::size_t n_jobs = keys_.size();
  const auto n_parts = static_cast<std::size_t>(n_jobs < kJobsWorthAThread ? 1 : std::max(1, n_threads));
  const int n_levels = levels_.empty() ? 1 : *std::ranges::max_element(levels_) + 1;
  for (int level = 0; level < n_levels; ++level) {
    std::vector<std::jthread> helpers;
    for (std::size_t part = 1; part < n_parts; ++part) {
      helpers.emplace_back([this, level, first = n_jobs * part / n_parts,
                            last = n_jobs * (part + 1) / n_parts] { key_jobs(level, first, last); });
    }
    key_jobs(level, 0, n_jobs / n_parts);
  }
  levels_ = {};
}

/// The inputs of a level's jobs have their keys already.
void PackedGraph::key_jobs(int level, std::size_t first, std::size_t last) {
  CanonicalWriter writer;
  for (std::size_t job = first; job < last; ++job) {
    if (noops_ || levels_[job] == level) keys_[job] = JobKey{sha256(write_canonical(job, writer))};
  }
}

}  // namespace gauntlet::spec::detail
