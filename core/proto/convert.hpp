// Messages to and from the plain structs of core/spec, at the edge of every process.
// Thread safety: free functions on plain values.
#pragma once

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"
#include "core/spec/result_row.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::proto {

[[nodiscard]] Resources to_proto(const spec::Resources& resources);
/// Errors (kInvalid): a negative number, more than 64 GPUs, no rank; names the field and the value.
[[nodiscard]] Result<spec::Resources> resources_from(const Resources& message);

[[nodiscard]] Row to_proto(const spec::ResultRow& row);
/// Errors (kCorrupt): per-query bytes that are no whole number of floats.
[[nodiscard]] Result<spec::ResultRow> row_from(const Row& message);

[[nodiscard]] Curve to_proto(const spec::Curve& curve);
/// Errors (kCorrupt): bytes that are no whole number of floats, or x and y of different lengths.
[[nodiscard]] Result<spec::Curve> curve_from(const Curve& message);

/// The 32 bytes of a key as a protobuf bytes field carries them.
[[nodiscard]] std::string key_bytes(const JobKey& key);
/// Errors (kCorrupt): not 32 bytes.
[[nodiscard]] Result<JobKey> key_from_bytes(std::string_view bytes);

}  // namespace gauntlet::proto
