#include "worker/agent/gangs.hpp"

#include <algorithm>
#include <fstream>

namespace gauntlet::worker {
namespace {

/// The parts with those of one address side by side, in the order of first mention: several workers of one
/// machine are one node to launchers, which give it all of its ranks before they go on to the next.
std::vector<const proto::GangPart*> by_machine(const proto::Lease& lease) {
  std::vector<const proto::GangPart*> parts;
  for (const proto::GangPart& part : lease.parts()) {
    const auto last = std::find_if(parts.rbegin(), parts.rend(), [&](const proto::GangPart* other) {
      return other->address() == part.address();
    });
    parts.insert(last == parts.rend() ? parts.end() : last.base(), &part);
  }
  return parts;
}

}  // namespace

std::size_t world_of(const proto::Lease& lease) {
  std::size_t n_ranks = 0;
  for (const proto::GangPart& part : lease.parts()) n_ranks += part.ranks();
  if (n_ranks > 0) return n_ranks;
  if (lease.gpus_size() > 0) return static_cast<std::size_t>(lease.gpus_size());
  return static_cast<std::size_t>(std::max<std::int64_t>(1, lease.resources().ranks()));
}

GangPlan plan_gang(const proto::Lease& lease, const GangSettings& settings, std::filesystem::path host_file) {
  GangPlan plan;
  plan.layout.host_file = std::move(host_file);
  for (const proto::GangPart* part : by_machine(lease)) {
    std::vector<GangNode>& nodes = plan.layout.nodes;
    if (nodes.empty() || nodes.back().address != part->address()) nodes.push_back({part->address(), 0});
    nodes.back().ranks += part->ranks();
    for (std::uint32_t rank = 0; rank < part->ranks(); ++rank) {
      const bool has_gpu = static_cast<int>(rank) < part->gpus_size();
      plan.gpus.push_back(has_gpu ? std::optional(part->gpus(static_cast<int>(rank))) : std::nullopt);
    }
  }
  if (!plan.layout.nodes.empty()) return plan;
  plan.layout.nodes.push_back({settings.launcher->node_name(settings.address), world_of(lease)});
  plan.gpus.assign(lease.gpus().begin(), lease.gpus().end());
  plan.gpus.resize(world_of(lease));
  return plan;
}

void append_to_log(const std::filesystem::path& log, std::string_view text) {
  std::error_code ignored;
  std::filesystem::create_directories(log.parent_path(), ignored);
  std::ofstream(log, std::ios::app).write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace gauntlet::worker
