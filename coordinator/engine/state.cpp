#include "coordinator/engine/state.hpp"

#include <algorithm>

namespace gauntlet::engine {
namespace {

/// Which kind of registry entry does the work of a job kind; "" where none does.
std::string_view entry_kind_of(spec::JobKind kind) {
  switch (kind) {
    case spec::JobKind::kPrepare:
      return "dataset";
    case spec::JobKind::kFeatures:
    case spec::JobKind::kTrainModel:
      return "model";
    case spec::JobKind::kTrainAttack:
    case spec::JobKind::kCraft:
      return "attack";
    case spec::JobKind::kTrainDefense:
    case spec::JobKind::kEncode:
    case spec::JobKind::kExplain:
      return "defense";
    case spec::JobKind::kEvaluate:
    case spec::JobKind::kCommand:
    case spec::JobKind::kNoop:
      return "";
  }
  return "";
}

/// Trainings save checkpoints (core/train); everything else begins anew.
bool keeps_progress(spec::JobKind kind) {
  return kind == spec::JobKind::kTrainModel || kind == spec::JobKind::kTrainAttack ||
         kind == spec::JobKind::kTrainDefense;
}

bool is_live(JobStateTag tag) {
  return tag == JobStateTag::kWaiting || tag == JobStateTag::kQueued || tag == JobStateTag::kLeased;
}

void add_to(std::uint64_t& counter, std::int64_t by) { counter += static_cast<std::uint64_t>(by); }

}  // namespace

std::string_view name_of(JobStateTag state) {
  switch (state) {
    case JobStateTag::kWaiting:
      return "waiting";
    case JobStateTag::kQueued:
      return "queued";
    case JobStateTag::kLeased:
      return "leased";
    case JobStateTag::kDone:
      return "done";
    case JobStateTag::kFailed:
      return "failed";
    case JobStateTag::kBlocked:
      return "blocked";
    case JobStateTag::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

// ---------------------------------------------------------------- jobs

std::span<const std::uint32_t> State::needs(JobId id) const {
  const Job& found = job(id);
  return std::span(needs_).subspan(found.needs_begin, found.n_needs);
}

std::vector<JobId> State::dependants(JobId id) const {
  std::vector<JobId> found;
  for (std::uint32_t edge = job(id).first_edge; edge != kNone; edge = edge_next_[edge]) {
    found.push_back(JobId{edge_owner_[edge]});
  }
  return found;
}

std::vector<std::uint32_t> State::sweeps_of(JobId id) const {
  std::vector<std::uint32_t> found;
  for (std::uint32_t at = job(id).first_member; at != kNone; at = member_next_[at])
    found.push_back(member_sweep_[at]);
  return found;
}

JobState State::settled(JobId id) const {
  std::uint32_t n_unmet = 0;
  for (const std::uint32_t need : needs(id)) {
    const JobState& state = jobs_[need].state;
    switch (tag_of(state)) {
      case JobStateTag::kDone:
        break;
      case JobStateTag::kFailed:
      case JobStateTag::kCancelled:
        return Blocked{JobId{need}};
      case JobStateTag::kBlocked:
        return Blocked{std::get<Blocked>(state).culprit};
      case JobStateTag::kWaiting:
      case JobStateTag::kQueued:
      case JobStateTag::kLeased:
        ++n_unmet;
        break;
    }
  }
  if (n_unmet > 0) return Waiting{n_unmet};
  return Queued{};
}

void State::count(JobId id, const JobState& state, std::int64_t by) {
  const JobStateTag tag = tag_of(state);
  const auto kind = static_cast<std::size_t>(shape_of(job(id)).job.kind);
  add_to(counts_[static_cast<std::size_t>(tag)], by);
  for (std::uint32_t at = job(id).first_member; at != kNone; at = member_next_[at]) {
    Sweep& sweep = sweeps_[member_sweep_[at]];
    add_to(sweep.counts[static_cast<std::size_t>(tag)], by);
    if (is_live(tag)) add_to(sweep.live_by_kind[kind], by);
  }
}

void State::set_state(JobId id, JobState state) {
  Job& changed = job(id);
  count(id, changed.state, -1);
  if (const auto* lease = std::get_if<Leased>(&changed.state)) release(id, *lease);
  changed.state = state;
  count(id, changed.state, +1);
  if (auto* lease = std::get_if<Leased>(&changed.state)) {
    changed.home = kNone;
    take(id, *lease);
    if (lease->deadline != SteadyTime::max()) {
      timers_.push_back({lease->deadline, static_cast<std::uint32_t>(id.value)});
      std::push_heap(timers_.begin(), timers_.end(), std::greater<>{});
    }
  } else if (const auto* queued = std::get_if<Queued>(&changed.state)) {
    if (queued->not_before == SteadyTime{}) {
      push_ready(id);
    } else {
      timers_.push_back({queued->not_before, static_cast<std::uint32_t>(id.value)});
      std::push_heap(timers_.begin(), timers_.end(), std::greater<>{});
    }
  }
}

std::vector<JobId> State::pop_due(SteadyTime now) {
  std::vector<JobId> due;
  while (!timers_.empty() && timers_.front().at <= now) {
    const Timer timer = timers_.front();
    std::pop_heap(timers_.begin(), timers_.end(), std::greater<>{});
    timers_.pop_back();
    const JobState& state = jobs_[timer.job].state;
    const auto* queued = std::get_if<Queued>(&state);
    const auto* lease = std::get_if<Leased>(&state);
    if ((queued != nullptr && queued->not_before == timer.at) ||
        (lease != nullptr && lease->deadline == timer.at)) {
      due.push_back(JobId{timer.job});
    }
  }
  std::sort(due.begin(), due.end());
  due.erase(std::unique(due.begin(), due.end()), due.end());
  return due;
}

void State::note_cut_off(JobId id, std::int64_t ran_s) {
  constexpr std::int64_t kStepS = 60;  // few lengths, so few shapes
  Job& changed = job(id);
  const JobShape shape = shapes_[changed.shape].job;  // by value: shapes_ may move
  const std::int64_t least_s = (ran_s + kStepS - 1) / kStepS * kStepS;
  if (least_s > shapes_[changed.shape].least_s) changed.shape = intern_shape(shape, least_s);
}

void State::set_resources(JobId id, const spec::Resources& resources) {
  Job& changed = job(id);
  JobShape shape = shapes_[changed.shape].job;  // by value: shapes_ may move
  shape.resources = resources;
  changed.shape = intern_shape(shape, shapes_[changed.shape].least_s);
  const auto* queued = std::get_if<Queued>(&changed.state);
  if (queued != nullptr && queued->not_before == SteadyTime{}) push_ready(id);  // to the queue of its shape
}

// ---------------------------------------------------------------- adding

std::uint32_t State::intern_entry(std::string_view kind, std::string_view name, std::int64_t version) {
  const auto next = static_cast<std::uint32_t>(entries_.size());
  return entries_.try_emplace({std::string(kind), std::string(name), version}, next).first->second;
}

std::uint32_t State::intern_shape(const JobShape& shape, std::int64_t least_s) {
  for (std::uint32_t at = 0; at < shapes_.size(); ++at) {
    if (shapes_[at].least_s == least_s && shapes_[at].job == shape) return at;
  }
  const std::string_view kind = entry_kind_of(shape.kind);
  const std::uint32_t entry =
      kind.empty() || shape.entry.empty() ? kNone : intern_entry(kind, shape.entry, shape.version);
  shapes_.push_back({.job = shape,
                     .entry = entry,
                     .needs_torch = spec::needs_torch(shape.kind),
                     .keeps_progress = keeps_progress(shape.kind),
                     .least_s = least_s});
  return static_cast<std::uint32_t>(shapes_.size() - 1);
}

Status State::add_rows(const JobRows& rows) {
  std::vector<std::uint32_t> shapes;
  for (const JobShape& shape : rows.shapes) shapes.push_back(intern_shape(shape));
  if (!rows.jobs.empty() && rows.jobs.back().id.value < kNone) {
    const std::uint64_t n_jobs = rows.jobs.back().id.value + 1;
    reserve_jobs(n_jobs);
    if (n_jobs > jobs_.size()) jobs_.resize(n_jobs);
  }
  if (member_sweep_.empty()) {  // later ones grow in steps
    member_sweep_.reserve(rows.members.size());
    member_next_.reserve(rows.members.size());
  }
  for (const JobRow& row : rows.jobs) GAUNTLET_CHECK_OK(add_job(row, shapes));
  for (std::size_t begin = 0; begin < rows.needs.size();) {
    std::size_t end = begin;
    while (end < rows.needs.size() && rows.needs[end].job == rows.needs[begin].job) ++end;
    GAUNTLET_CHECK_OK(add_needs(std::span(rows.needs).subspan(begin, end - begin)));
    begin = end;
  }
  for (const MemberRow& member : rows.members) GAUNTLET_CHECK_OK(add_member(member));
  return {};
}

/// Exactly so many at first; later ones in steps, so that many small submissions copy each job a few times.
void State::reserve_jobs(std::uint64_t n_jobs) {
  if (n_jobs <= jobs_.capacity()) return;
  jobs_.reserve(std::max<std::uint64_t>(n_jobs, jobs_.capacity() + jobs_.capacity() / 4));
}

Status State::add_job(const JobRow& row, const std::vector<std::uint32_t>& shapes) {
  if (row.shape >= shapes.size())
    return fail(ErrorCode::kCorrupt, "job {}: unknown shape {}", row.id.value, row.shape);
  if (!row.id || row.id.value >= kNone)
    return fail(ErrorCode::kCorrupt, "job {}: no such number", row.id.value);
  if (has_job(row.id)) return fail(ErrorCode::kCorrupt, "job {}: added twice", row.id.value);
  if (row.id.value >= jobs_.size()) jobs_.resize(row.id.value + 1);
  Job& added = jobs_[row.id.value];
  added.exists = true;
  added.shape = shapes[row.shape];
  added.attempts = static_cast<std::uint32_t>(row.last_attempt.value);
  added.failures = row.failures;
  added.losses = row.losses;
  added.needs_begin = static_cast<std::uint32_t>(needs_.size());
  count(row.id, added.state, +1);
  return {};
}

Status State::add_needs(std::span<const NeedRow> needs) {
  const JobId owner = needs.front().job;
  if (!has_job(owner) || job(owner).n_needs != 0) {
    return fail(ErrorCode::kCorrupt, "job {}: its needs come apart or without it", owner.value);
  }
  jobs_[owner.value].needs_begin = static_cast<std::uint32_t>(needs_.size());
  jobs_[owner.value].n_needs = static_cast<std::uint32_t>(needs.size());
  for (const NeedRow& row : needs) {
    if (!has_job(row.need) || row.need >= owner) {
      return fail(ErrorCode::kCorrupt, "job {}: needs job {}, which is not an older job", owner.value,
                  row.need.value);
    }
    Job& need = jobs_[row.need.value];
    const auto edge = static_cast<std::uint32_t>(needs_.size());
    needs_.push_back(static_cast<std::uint32_t>(row.need.value));
    edge_owner_.push_back(static_cast<std::uint32_t>(owner.value));
    edge_next_.push_back(need.first_edge);
    need.first_edge = edge;
  }
  return {};
}

Status State::add_member(const MemberRow& member) {
  const std::uint32_t sweep = find_sweep(member.sweep);
  if (sweep == kNone || !has_job(member.job)) {
    return fail(ErrorCode::kCorrupt, "sweep {} or its job {} is unknown", member.sweep.value,
                member.job.value);
  }
  Job& added = job(member.job);
  for (std::uint32_t at = added.first_member; at != kNone; at = member_next_[at]) {
    if (member_sweep_[at] == sweep) return {};
  }
  count(member.job, added.state, -1);
  member_sweep_.push_back(sweep);
  member_next_.push_back(added.first_member);
  added.first_member = static_cast<std::uint32_t>(member_sweep_.size() - 1);
  count(member.job, added.state, +1);
  const auto* queued = std::get_if<Queued>(&added.state);
  if (queued != nullptr && queued->not_before == SteadyTime{} && best_home(member.job) != added.home) {
    push_ready(member.job);
  }
  return {};
}

void State::set_last_ids(LeaseId lease, WorkerId worker) {
  last_lease_ = lease.value;
  last_worker_ = worker.value;
}

}  // namespace gauntlet::engine
