#include "results/compare/config_differences.hpp"

#include <fmt/format.h>

#include <set>

namespace gauntlet::results {
namespace {

void flatten(const Json& value, const std::string& path, std::map<std::string, std::string>& settings) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, member] : value.items())
      flatten(member, path.empty() ? name : path + "." + name, settings);
    return;
  }
  settings[path] = value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Inputs are other jobs, which are compared themselves.
std::map<std::string, std::string> settings_in(std::string_view canonical) {
  std::map<std::string, std::string> settings;
  Json form = Json::parse(canonical, nullptr, false);
  if (!form.is_object()) return settings;
  form.erase("inputs");
  const auto config = form.find("config");
  if (config != form.end()) {
    flatten(*config, "", settings);
    form.erase("config");
  }
  for (const auto& [name, value] : form.items()) settings.emplace(name, value.dump());
  return settings;
}

}  // namespace

Result<std::map<std::string, const ConfigDiffer::Settings*>> ConfigDiffer::settings_of(Jobs& jobs,
                                                                                       std::int64_t cell_id) {
  std::map<std::string, const Settings*> by_role;
  GAUNTLET_TRY(db::Statement * statement,
               jobs.connection->cached(
                   "SELECT ro.name, cj.job_id, sp.canonical FROM cell_jobs cj JOIN roles ro ON ro.role_id = "
                   "cj.role_id JOIN job_specs sp ON sp.job_id = cj.job_id WHERE cj.cell_id = ? ORDER BY "
                   "ro.name, cj.job_id"));
  GAUNTLET_CHECK_OK(statement->bind_all(cell_id));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return by_role;
    std::string role(statement->text(0));
    const auto [known, is_new] = jobs.settings.try_emplace(statement->integer(1));
    if (is_new) known->second = settings_in(statement->text(2));
    for (int n = 2; by_role.contains(role); ++n) role = fmt::format("{} {}", statement->text(0), n);
    by_role.emplace(role, &known->second);
  }
}

std::size_t ConfigDiffer::add(const std::string& role, const std::string& path, const std::string& a,
                              const std::string& b) {
  const auto [place, is_new] = known_.emplace(std::tuple(role, path, a, b), found_.size());
  if (is_new) found_.push_back({role, path, a, b, 0});
  ++found_[place->second].n_places;
  return place->second;
}

Result<std::vector<std::size_t>> ConfigDiffer::differences(const SideNumber& a, const SideNumber& b) {
  GAUNTLET_TRY(const auto jobs_a, settings_of(a_, a.cell_id));
  GAUNTLET_TRY(const auto jobs_b, settings_of(b_, b.cell_id));
  std::vector<std::size_t> differing;
  std::set<std::string> roles;
  for (const auto& [role, settings] : jobs_a) roles.insert(role);
  for (const auto& [role, settings] : jobs_b) roles.insert(role);
  const auto value_in = [](const Settings& settings, const std::string& path) {
    const auto found = settings.find(path);
    return found == settings.end() ? std::string() : found->second;
  };
  for (const std::string& role : roles) {
    const auto in_a = jobs_a.find(role);
    const auto in_b = jobs_b.find(role);
    if (in_a == jobs_a.end() || in_b == jobs_b.end()) {
      differing.push_back(
          add(role, "", in_a == jobs_a.end() ? "" : "a job", in_b == jobs_b.end() ? "" : "a job"));
      continue;
    }
    std::set<std::string> paths;
    for (const auto& [path, value] : *in_a->second) paths.insert(path);
    for (const auto& [path, value] : *in_b->second) paths.insert(path);
    for (const std::string& path : paths) {
      const std::string value_a = value_in(*in_a->second, path);
      const std::string value_b = value_in(*in_b->second, path);
      if (value_a != value_b) differing.push_back(add(role, path, value_a, value_b));
    }
  }
  if (!differing.empty() || a.value == b.value) return differing;
  if (a.revision != b.revision) differing.push_back(add("run", "revision", a.revision, b.revision));
  if (a.device != b.device) differing.push_back(add("run", "device", a.device, b.device));
  return differing;
}

}  // namespace gauntlet::results
