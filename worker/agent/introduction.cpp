#include "worker/agent/introduction.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/program.hpp"
#include "core/spec/catalog.hpp"
#include "worker/agent/machine.hpp"

namespace gauntlet::worker {

Result<AgentOptions> complete(AgentOptions options) {
  if (options.workdir.empty()) return fail(ErrorCode::kInvalid, "a worker needs a work folder");
  if (options.cpus < 0)
    return fail(ErrorCode::kInvalid, "{} cpus were asked for; 1 or more are allowed", options.cpus);
  if (options.lifetime_s < 0)
    return fail(ErrorCode::kInvalid,
                "a lifetime of {} s was asked for; 1 or more are allowed, 0 is without end",
                options.lifetime_s);
  if (options.credit == 0)
    return fail(ErrorCode::kInvalid, "a credit of 0 leases was asked for; 1 or more are allowed");
  std::error_code error;
  options.workdir = std::filesystem::absolute(options.workdir, error);
  if (options.cpus == 0) options.cpus = usable_cpus();
  if (options.memory_mb == 0) options.memory_mb = physical_memory_mb();
  if (options.name.empty()) options.name = host_name();
  if (options.gauntlet_program.empty()) options.gauntlet_program = program_path().parent_path() / "gauntlet";
  if (options.rank_program.empty()) options.rank_program = program_path().parent_path() / "gauntlet-rank";
  if (options.address.empty()) options.address = host_name();
  const Launcher* const launcher = find_launcher(options.launcher);
  if (launcher == nullptr) {
    return fail(ErrorCode::kInvalid, "'{}' is no launcher; there are {}", options.launcher,
                fmt::join(launcher_names(), ", "));
  }
  GAUNTLET_TRY(const std::string reach, launcher->reach(options.launcher_settings));
  return options;
}

GangSettings gangs_of(const AgentOptions& options) {
  Command guard{.program = options.gauntlet_program,
                .arguments = {"rank-guard", "--program", options.rank_program.string()}};
  return {find_launcher(options.launcher), options.launcher_settings, options.address, std::move(guard),
          known_entries()};
}

std::vector<proto::EntryVersion> known_entries() {
  std::vector<proto::EntryVersion> entries;
  for (const auto kind : {spec::EntryKind::kDataset, spec::EntryKind::kModel, spec::EntryKind::kAttack,
                          spec::EntryKind::kDefense, spec::EntryKind::kMetric}) {
    for (const spec::CatalogEntry& entry : spec::Catalog::builtin().entries(kind)) {
      proto::EntryVersion& message = entries.emplace_back();
      message.set_kind(std::string(spec::name_of(kind)));
      message.set_name(entry.name);
      message.set_version(entry.version);
    }
  }
  return entries;
}

proto::WorkerJoin introduction(const AgentOptions& options, bool has_torch,
                               std::optional<std::chrono::seconds> lifetime_left) {
  proto::WorkerJoin join;
  join.set_name(options.name);
  join.set_cpus(options.cpus);
  join.set_memory_mb(options.memory_mb);
  join.set_credit(options.credit);
  join.set_has_torch(has_torch);
  for (const AgentGpu& gpu : options.gpus) {
    proto::Gpu& message = *join.add_gpus();
    message.set_index(gpu.index);
    message.set_name(gpu.name);
    message.set_memory_mb(gpu.memory_mb);
  }
  for (const NumaNode& node : options.numa_nodes) {
    proto::NumaNode& message = *join.add_numa_nodes();
    message.set_index(node.index);
    message.set_cpus(node.cpus);
    message.set_memory_mb(node.memory_mb);
  }
  join.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  if (lifetime_left) join.set_remaining_s(std::max<std::int64_t>(1, lifetime_left->count()));
  const Launcher& launcher = *find_launcher(options.launcher);
  join.set_reach(launcher.reach(options.launcher_settings).value_or(""));
  join.set_address(launcher.node_name(options.address));
  for (proto::EntryVersion& entry : known_entries()) *join.add_entries() = std::move(entry);
  return join;
}

}  // namespace gauntlet::worker
