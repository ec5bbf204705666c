#include "coordinator/net/alloc_messages.hpp"

namespace gauntlet::coordinator {

alloc::QueueSpec spec_from(const proto::AllocSpec& message) {
  return {.system = message.system(),
          .partition = message.partition(),
          .time_s = message.time_s(),
          .nodes = message.nodes(),
          .cpus = message.cpus(),
          .gpus = message.gpus(),
          .memory_mb = message.memory_mb(),
          .max = message.max(),
          .idle_s = message.idle_s(),
          .min_work_s = message.min_work_s(),
          .extra = {message.extra().begin(), message.extra().end()}};
}

void add_spec(const alloc::QueueSpec& spec, proto::AllocSpec& message) {
  message.set_system(spec.system);
  message.set_partition(spec.partition);
  message.set_time_s(spec.time_s);
  message.set_nodes(spec.nodes);
  message.set_cpus(spec.cpus);
  message.set_gpus(spec.gpus);
  message.set_memory_mb(spec.memory_mb);
  message.set_max(spec.max);
  message.set_idle_s(spec.idle_s);
  message.set_min_work_s(spec.min_work_s);
  message.mutable_extra()->Add(spec.extra.begin(), spec.extra.end());
}

}  // namespace gauntlet::coordinator
