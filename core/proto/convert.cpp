#include "core/proto/convert.hpp"

#include <bit>
#include <cstring>

namespace gauntlet::proto {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays travel as little-endian bytes");

std::string to_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

Result<std::vector<float>> floats_from(const std::string& bytes, std::string_view owner) {
  if (bytes.size() % sizeof(float) != 0) {
    return fail(ErrorCode::kCorrupt, "{}: {} bytes are no whole number of 4-byte values", owner,
                bytes.size());
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Status check_range(std::string_view name, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kInvalid, "resources: {} is {}; allowed are {} to {}", name, value, min, max);
}

constexpr std::int64_t kMaxGpus = 64;
constexpr std::int64_t kMaxCpus = 1 << 20;
constexpr std::int64_t kMaxMemoryMb = std::int64_t{1} << 40;
constexpr std::int64_t kMaxTimeS = std::int64_t{10} * 366 * 86400;

}  // namespace

Resources to_proto(const spec::Resources& resources) {
  Resources message;
  message.set_cpus(resources.cpus);
  message.set_gpus(resources.gpus);
  message.set_ranks(resources.ranks);
  message.set_memory_mb(resources.memory_mb);
  message.set_time_s(resources.time_s);
  message.mutable_labels()->insert(resources.labels.begin(), resources.labels.end());
  for (const spec::Resources& other : resources.or_else) *message.add_or_else() = to_proto(other);
  return message;
}

namespace {

Result<spec::Resources> amounts_from(const Resources& message) {
  GAUNTLET_CHECK_OK(check_range("cpus", message.cpus(), 0, kMaxCpus));
  GAUNTLET_CHECK_OK(check_range("gpus", message.gpus(), 0, kMaxGpus));
  GAUNTLET_CHECK_OK(check_range("ranks", message.ranks(), 1, kMaxCpus));
  GAUNTLET_CHECK_OK(check_range("memory_mb", message.memory_mb(), 0, kMaxMemoryMb));
  GAUNTLET_CHECK_OK(check_range("time_s", message.time_s(), 0, kMaxTimeS));
  return spec::Resources{.cpus = message.cpus(),
                         .gpus = message.gpus(),
                         .ranks = message.ranks(),
                         .memory_mb = message.memory_mb(),
                         .time_s = message.time_s()};
}

}  // namespace

Result<spec::Resources> resources_from(const Resources& message) {
  GAUNTLET_TRY(spec::Resources resources, amounts_from(message));
  resources.labels = {message.labels().begin(), message.labels().end()};
  for (const Resources& other : message.or_else()) {
    GAUNTLET_TRY(spec::Resources variant, amounts_from(other));
    resources.or_else.push_back(std::move(variant));
  }
  GAUNTLET_CHECK_OK(spec::check_variants(resources));
  return resources;
}

Row to_proto(const spec::ResultRow& row) {
  Row message;
  message.set_metric(row.metric);
  message.set_value(row.value);
  message.set_unit(row.unit);
  message.set_higher_is_better(row.higher_is_better);
  message.set_n(row.n);
  message.set_per_query(to_bytes(row.per_query));
  return message;
}

Result<spec::ResultRow> row_from(const Row& message) {
  GAUNTLET_TRY(std::vector<float> per_query, floats_from(message.per_query(), message.metric()));
  return spec::ResultRow{.metric = message.metric(),
                         .value = message.value(),
                         .unit = message.unit(),
                         .higher_is_better = message.higher_is_better(),
                         .n = message.n(),
                         .per_query = std::move(per_query)};
}

Curve to_proto(const spec::Curve& curve) {
  Curve message;
  message.set_name(curve.name);
  message.set_x_label(curve.x_label);
  message.set_y_label(curve.y_label);
  message.set_x(to_bytes(curve.x));
  message.set_y(to_bytes(curve.y));
  return message;
}

Result<spec::Curve> curve_from(const Curve& message) {
  GAUNTLET_TRY(std::vector<float> x, floats_from(message.x(), message.name()));
  GAUNTLET_TRY(std::vector<float> y, floats_from(message.y(), message.name()));
  if (x.size() != y.size()) {
    return fail(ErrorCode::kCorrupt, "curve {}: {} x values, but {} y values", message.name(), x.size(),
                y.size());
  }
  return spec::Curve{.name = message.name(),
                     .x_label = message.x_label(),
                     .y_label = message.y_label(),
                     .x = std::move(x),
                     .y = std::move(y)};
}

std::string key_bytes(const JobKey& key) {
  return {reinterpret_cast<const char*>(key.digest.data()), key.digest.size()};
}

Result<JobKey> key_from_bytes(std::string_view bytes) {
  JobKey key;
  if (bytes.size() != key.digest.size()) {
    return fail(ErrorCode::kCorrupt, "a job key has {} bytes; it must have {}", bytes.size(),
                key.digest.size());
  }
  std::memcpy(key.digest.data(), bytes.data(), bytes.size());
  return key;
}

}  // namespace gauntlet::proto
