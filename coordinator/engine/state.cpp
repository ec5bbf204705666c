#include "coordinator/engine/state.hpp"

#include <algorithm>
#include <bit>

#include "coordinator/engine/quarantine.hpp"
#include "coordinator/engine/spread.hpp"
#include "core/base/check.hpp"

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

std::uint64_t all_gpus(std::int64_t n) { return n >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1; }

bool fits_in_total(const Worker& worker, const spec::Resources& asked) {
  for (std::size_t index = 0; index < asked.n_variants(); ++index) {
    const spec::Resources& variant = asked.variant(index);
    if (variant.gpus <= usable_gpus(worker) && variant.memory_mb <= worker.offer.memory_mb) return true;
  }
  return false;
}

bool has_labels(const WorkerOffer& offer, const std::map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = offer.labels.find(label.first);
    return found != offer.labels.end() && found->second == label.second;
  });
}

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

bool qualifies(const Worker& worker, const Shape& shape) {
  return has_labels(worker.offer, shape.job.resources.labels) &&
         (!shape.needs_torch || worker.offer.has_torch) &&
         (shape.entry == kNone || worker.entries.contains(shape.entry));
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
  if (!rows.jobs.empty()) reserve_jobs(rows.jobs.back().id.value + 1);
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

// ---------------------------------------------------------------- workers

Worker* State::find_worker(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

const Worker* State::find_worker(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

Worker* State::find_agent(const std::string& agent_id) {
  const auto found = agents_.find(agent_id);
  return found == agents_.end() ? nullptr : find_worker(found->second);
}

Worker& State::add_worker(WorkerId id, const WorkerOffer& offer) {
  Worker& worker = workers_[id];
  worker.id = id;
  agents_[offer.agent_id] = id;
  set_offer(worker, offer);
  return worker;
}

void State::set_offer(Worker& worker, const WorkerOffer& offer) {
  worker.offer = offer;
  worker.hosts.clear();
  worker.entries.clear();
  for (const auto& [kind, name, version] : offer.entries)
    worker.entries.insert(intern_entry(kind, name, version));
  worker.offer.entries.clear();
  count_free(worker);
  refresh_open(worker);
}

void State::count_free(Worker& worker) {
  worker.free_cpus = worker.offer.cpus;
  worker.free_memory_mb = worker.offer.memory_mb;
  worker.free_gpus = all_gpus(worker.offer.gpus) & ~worker.bad_gpus;
  open_.update(worker);
  for (const auto* jobs : {&worker.leases, &worker.parts}) {
    for (const JobId id : *jobs) occupy(worker, use_of(id, std::get<Leased>(job(id).state), worker));
  }
}

State::Use State::use_of(JobId id, const Leased& lease, const Worker& worker) const {
  const std::span<const GangPart> parts = gang(id);
  if (parts.empty()) {
    const spec::Resources& asked = occupied(id, lease);
    return {std::min(asked.cpus, worker.offer.cpus), asked.memory_mb, lease.gpus};
  }
  for (const GangPart& part : parts) {
    if (part.worker != worker.id) continue;
    const spec::Resources share = share_of(shape_of(job(id)).job.resources, part.ranks);
    return {std::min(share.cpus, worker.offer.cpus), share.memory_mb, part.gpus};
  }
  GAUNTLET_CHECK(false);
  return {};
}

void State::occupy(Worker& worker, const Use& use) {
  worker.free_cpus -= use.cpus;
  worker.free_memory_mb -= use.memory_mb;
  worker.free_gpus &= ~use.gpus;
  open_.update(worker);
}

void State::free(Worker& worker, const Use& use) {
  worker.free_cpus += use.cpus;
  worker.free_memory_mb += use.memory_mb;
  worker.free_gpus |= use.gpus & all_gpus(worker.offer.gpus) & ~worker.bad_gpus;
  open_.update(worker);
}

std::span<const GangPart> State::gang(JobId id) const {
  if (gangs_.empty()) return {};
  const auto found = gangs_.find(id);
  return found == gangs_.end() ? std::span<const GangPart>() : std::span<const GangPart>(found->second);
}

void State::remove_worker(WorkerId id) {
  Worker* worker = find_worker(id);
  GAUNTLET_CHECK(worker != nullptr && worker->leases.empty() && worker->parts.empty());
  worker->attached = false;
  refresh_open(*worker);
  const auto agent = agents_.find(worker->offer.agent_id);
  if (agent != agents_.end() && agent->second == id) agents_.erase(agent);
  workers_.erase(id);
}

void State::refresh_open(Worker& worker) {
  const bool open = worker.attached && !worker.draining && worker.quarantine.empty() &&
                    worker.leases.size() < worker.offer.credit;
  const bool listed = worker.listed.index != kNone;
  if (open && !listed) open_.add(worker);
  if (!open && listed) open_.remove(worker);
}

void State::quarantine_gpu(Worker& worker, std::uint32_t device) {
  worker.bad_gpus |= std::uint64_t{1} << device;
  worker.free_gpus &= ~worker.bad_gpus;
  worker.hosts.clear();
  open_.update(worker);
}

void State::take(JobId id, Leased& lease) {
  Worker* worker = find_worker(lease.worker);
  GAUNTLET_CHECK(worker != nullptr);
  occupy(*worker, use_of(id, lease, *worker));
  for (const GangPart& part : gang(id)) {
    if (part.worker == lease.worker) continue;
    Worker* const other = find_worker(part.worker);
    GAUNTLET_CHECK(other != nullptr);
    occupy(*other, use_of(id, lease, *other));
    other->parts.push_back(id);
  }
  lease.slot = static_cast<std::uint32_t>(worker->leases.size());
  worker->leases.push_back(id);
  refresh_open(*worker);
}

void State::release(JobId id, const Leased& lease) {
  Worker* worker = find_worker(lease.worker);
  GAUNTLET_CHECK(worker != nullptr && worker->leases[lease.slot] == id);
  free(*worker, use_of(id, lease, *worker));
  for (const GangPart& part : gang(id)) {
    if (part.worker == lease.worker) continue;
    Worker* const other = find_worker(part.worker);
    GAUNTLET_CHECK(other != nullptr);
    free(*other, use_of(id, lease, *other));
    std::erase(other->parts, id);
  }
  if (!gangs_.empty()) gangs_.erase(id);
  const JobId last = worker->leases.back();
  worker->leases[lease.slot] = last;
  std::get<Leased>(job(last).state).slot = lease.slot;
  worker->leases.pop_back();
  refresh_open(*worker);
}

const spec::Resources& State::occupied(JobId id, const Leased& lease) const {
  const spec::Resources& asked = shape_of(job(id)).job.resources;
  return asked.or_else.empty() ? asked : asked.with_gpus(std::popcount(lease.gpus));
}

bool State::hosts(Worker& worker, std::uint32_t shape_index) const {
  if (worker.hosts.size() <= shape_index) worker.hosts.resize(shapes_.size(), 0);
  std::uint8_t& known = worker.hosts[shape_index];
  if (known == 0) {
    const Shape& asked = shapes_[shape_index];
    const bool yes = fits_in_total(worker, asked.job.resources) && qualifies(worker, asked);
    known = yes ? 2 : 1;
  }
  return known == 2;
}

void State::set_last_ids(LeaseId lease, WorkerId worker) {
  last_lease_ = lease.value;
  last_worker_ = worker.value;
}

}  // namespace gauntlet::engine
