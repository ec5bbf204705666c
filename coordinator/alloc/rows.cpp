#include "coordinator/alloc/rows.hpp"

#include <algorithm>

#include "coordinator/alloc/batch_system.hpp"

namespace gauntlet::alloc {
namespace {

struct Amount {
  const char* name;
  std::int64_t QueueSpec::*member;
  std::int64_t least;
  std::int64_t most;
};

constexpr std::int64_t kYearS = std::int64_t{366} * 86400;

/// Names are those of the stored JSON.
constexpr Amount kAmounts[] = {
    {"time_s", &QueueSpec::time_s, 60, kYearS},
    {"nodes", &QueueSpec::nodes, 1, 100'000},
    {"cpus", &QueueSpec::cpus, 0, 4096},
    {"gpus", &QueueSpec::gpus, 0, 64},
    {"memory_mb", &QueueSpec::memory_mb, 0, 1 << 30},
    {"max", &QueueSpec::max, 1, 10'000},
    {"idle_s", &QueueSpec::idle_s, 1, kYearS},
    {"min_work_s", &QueueSpec::min_work_s, 0, kYearS},
};

bool is_one_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

}  // namespace

Status check(const QueueSpec& spec) {
  GAUNTLET_CHECK_OK(find_batch_system(spec.system));
  for (const Amount& amount : kAmounts) {
    const std::int64_t value = spec.*amount.member;
    if (value >= amount.least && value <= amount.most) continue;
    return fail(ErrorCode::kInvalid, "{} of an allocation is {}; allowed are {} to {}", amount.name, value,
                amount.least, amount.most);
  }
  const bool is_word = is_one_line(spec.partition) && spec.partition.find('"') == std::string::npos;
  if (!is_word || spec.partition.size() > 200 || spec.partition.starts_with('-'))
    return fail(ErrorCode::kInvalid, "'{}' is no name of a partition or queue", spec.partition);
  for (const std::string& word : spec.extra) {
    if (!is_one_line(word) || word.size() > 4096)
      return fail(ErrorCode::kInvalid, "argument '{}' has a control character or more than 4096 bytes", word);
  }
  if (spec.extra.size() > 100) return fail(ErrorCode::kInvalid, "more than 100 further arguments");
  return {};
}

Json to_json(const QueueSpec& spec) {
  Json value = {{"system", spec.system}, {"partition", spec.partition}, {"extra", spec.extra}};
  for (const Amount& amount : kAmounts) value[amount.name] = spec.*amount.member;
  return value;
}

Result<QueueSpec> queue_spec_from_json(const Json& value) {
  const auto is_text = [&](const char* name) { return value.contains(name) && value[name].is_string(); };
  if (!value.is_object() || !is_text("system") || !is_text("partition") || !value.contains("extra") ||
      !value["extra"].is_array()) {
    return fail(ErrorCode::kCorrupt, "'{}' describes no allocations", value.dump());
  }
  QueueSpec spec;
  spec.system = value["system"].get<std::string>();
  spec.partition = value["partition"].get<std::string>();
  for (const Json& word : value["extra"]) {
    if (!word.is_string()) return fail(ErrorCode::kCorrupt, "'{}' describes no allocations", value.dump());
    spec.extra.push_back(word.get<std::string>());
  }
  for (const Amount& amount : kAmounts) {
    if (!value.contains(amount.name) || !value[amount.name].is_number_integer())
      return fail(ErrorCode::kCorrupt, "'{}' lacks {}", value.dump(), amount.name);
    spec.*amount.member = value[amount.name].get<std::int64_t>();
  }
  return spec;
}

std::string_view name_of(QueueState state) {
  switch (state) {
    case QueueState::kActive:
      return "active";
    case QueueState::kPaused:
      return "paused";
    case QueueState::kRemoving:
      return "removing";
    case QueueState::kRemoved:
      return "removed";
  }
  return "unknown";
}

std::string_view name_of(AllocationState state) {
  switch (state) {
    case AllocationState::kAsking:
      return "asking";
    case AllocationState::kQueued:
      return "queued";
    case AllocationState::kRunning:
      return "running";
    case AllocationState::kEnding:
      return "ending";
    case AllocationState::kEnded:
      return "ended";
  }
  return "unknown";
}

std::string job_name(const QueueRow& queue, AllocationId allocation) {
  return fmt::format("gauntlet-{}-{}", queue.tag, allocation.value);
}

}  // namespace gauntlet::alloc
