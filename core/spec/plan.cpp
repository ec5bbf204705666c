#include "core/spec/plan.hpp"

#include <algorithm>
#include <unordered_set>

namespace gauntlet::spec {
namespace {

constexpr std::size_t kMaxExamined = 200;     // new jobs per kind and entry whose reason is looked for
constexpr std::size_t kMaxKnownForms = 1000;  // known jobs each of them is compared with

/// Appends every leaf in which two values differ.
void collect_changes(const std::string& path, const Json& known, const Json& now,
                     std::vector<FieldChange>& changes) {
  if (known == now) return;
  if (!known.is_object() || !now.is_object()) {
    changes.push_back({path, known, now});
    return;
  }
  const auto below = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
  static const Json kAbsent;
  for (const auto& [name, value] : known.items()) {
    const auto other = now.find(name);
    collect_changes(below(name), value, other == now.end() ? kAbsent : *other, changes);
  }
  for (const auto& [name, value] : now.items()) {
    if (!known.contains(name)) collect_changes(below(name), kAbsent, value, changes);
  }
}

bool is_input(const FieldChange& change) { return change.path.starts_with("inputs."); }

/// Finds, for one kind and entry, why its new jobs are new.
class MissFinder {
 public:
  MissFinder(const Expansion& expansion, const PlanSources& sources, Plan& plan)
      : expansion_(expansion), sources_(sources), plan_(plan) {}

  void examine(JobKind kind, const std::string& entry, const std::vector<std::size_t>& new_jobs) {
    std::vector<Json> known = sources_.known_forms(kind, entry);
    if (known.size() > kMaxKnownForms) known.resize(kMaxKnownForms);
    if (known.empty()) return;
    const std::size_t first_miss = plan_.misses.size();
    for (std::size_t index = 0; index < new_jobs.size() && index < kMaxExamined; ++index) {
      const JobSpec job = expansion_.jobs[new_jobs[index]].job;
      add(job, nearest_changes(canonical_form(job), known), first_miss);
    }
  }

 private:
  void add(const JobSpec& job, std::vector<FieldChange> changes, std::size_t first_miss) {
    const bool follows = std::ranges::all_of(changes, is_input);
    if (follows) {
      ++plan_.n_follow;
      return;
    }
    std::erase_if(changes, is_input);
    for (std::size_t index = first_miss; index < plan_.misses.size(); ++index) {
      if (plan_.misses[index].changes != changes) continue;
      ++plan_.misses[index].n_jobs;
      return;
    }
    plan_.misses.push_back({job.kind, job.entry, 1, job.title, std::move(changes)});
  }

  const Expansion& expansion_;
  const PlanSources& sources_;
  Plan& plan_;
};

/// Which line of a plan counts a job.
class Lines {
 public:
  Lines(const Expansion& expansion, std::vector<PlanLine>& lines)
      : expansion_(expansion), lines_(lines), of_group_(expansion.jobs.n_groups(), kNone) {}

  PlanLine& of(std::size_t job) {
    std::size_t& line = of_group_[expansion_.jobs.group(job)];
    if (line == kNone) line = find_or_add(expansion_.jobs[job].job);
    return lines_[line];
  }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;

  std::size_t find_or_add(const JobSpec& job) {
    const auto is_same = [&](const PlanLine& line) {
      return line.kind == job.kind && line.entry == job.entry && line.resources == job.resources;
    };
    const auto found = std::ranges::find_if(lines_, is_same);
    const auto index = static_cast<std::size_t>(found - lines_.begin());
    if (found == lines_.end()) {
      PlanLine& line = lines_.emplace_back();
      line.kind = job.kind;
      line.entry = job.entry;
      line.resources = job.resources;
    }
    return index;
  }

  const Expansion& expansion_;
  std::vector<PlanLine>& lines_;
  std::vector<std::size_t> of_group_;
};

}  // namespace

std::size_t Plan::n_jobs() const {
  std::size_t n = 0;
  for (const PlanLine& line : lines) n += line.n_done + line.n_known + line.n_new;
  return n;
}

std::size_t Plan::n_done() const {
  std::size_t n = 0;
  for (const PlanLine& line : lines) n += line.n_done;
  return n;
}

std::optional<double> Plan::seconds_left() const {
  double seconds = 0;
  for (const PlanLine& line : lines) {
    const std::size_t n_left = line.n_known + line.n_new;
    if (n_left == 0) continue;
    if (!line.seconds_each) return std::nullopt;
    seconds += *line.seconds_each * static_cast<double>(n_left);
  }
  return seconds;
}

Plan make_plan(const Expansion& expansion, const PlanSources& sources) {
  Plan plan;
  plan.n_cells = expansion.cells.size();
  std::map<std::pair<JobKind, std::string>, std::vector<std::size_t>> new_jobs;  // as many as are examined
  Lines lines(expansion, plan.lines);
  for (std::size_t index = 0; index < expansion.jobs.size(); ++index) {
    PlanLine& line = lines.of(index);
    switch (sources.state ? sources.state(expansion.jobs.key(index)) : KnownState::kNew) {
      case KnownState::kDone:
        ++line.n_done;
        break;
      case KnownState::kKnown:
        ++line.n_known;
        break;
      case KnownState::kNew:
        ++line.n_new;
        if (sources.known_forms && line.n_new <= kMaxExamined)
          new_jobs[{line.kind, line.entry}].push_back(index);
        break;
    }
  }
  for (PlanLine& line : plan.lines) {
    if (sources.past_seconds) line.seconds_each = sources.past_seconds(line.kind, line.entry);
  }
  if (sources.known_forms) {
    MissFinder finder(expansion, sources, plan);
    for (const auto& [what, jobs] : new_jobs) finder.examine(what.first, what.second, jobs);
  }
  return plan;
}

std::vector<FieldChange> nearest_changes(const Json& now, const std::vector<Json>& known) {
  std::vector<FieldChange> best;
  for (const Json& form : known) {
    std::vector<FieldChange> changes;
    collect_changes("", form, now, changes);
    if (best.empty() || changes.size() < best.size()) best = std::move(changes);
  }
  return best;
}

}  // namespace gauntlet::spec
