// The sections of a sweep file that stand for themselves: metrics, resources, settings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/spec/detail/reading.hpp"

namespace gauntlet::spec::detail {

/// Reads {defense.lr: 1.0e-4, attack.protocol: static}. Whether the fields exist is checked by
/// check_assignments, when the values they may apply to are known.
[[nodiscard]] std::vector<Assignment> read_assignments(const YamlNode& node, std::string_view what,
                                                       Report& report);

/// Checks each assignment against the entries it may apply to: at least one must have the field, and all that
/// have it must take the value.
void check_assignments(const std::vector<Assignment>& assignments,
                       const std::map<EntryKind, std::vector<const CatalogEntry*>>& candidates,
                       Report& report);

/// The metrics' shortest names, sorted and unique.
[[nodiscard]] std::vector<std::string> read_metrics(const YamlNode& node, const Catalog& catalog,
                                                    const MetricCheck& check_metric, Report& report);

/// Changes the amounts that the file names.
void read_resources(const YamlNode& node, std::map<JobKind, Resources>& resources, Report& report);

[[nodiscard]] NoopPlan read_noop(const YamlNode& node, Report& report);
/// {jobs: 1000, run: [program, argument, …]}
[[nodiscard]] NoopPlan read_command(const YamlNode& node, Report& report);

/// "8GB", "512 MiB" → megabytes of 10^6 bytes, rounded up. Errors: what is allowed.
[[nodiscard]] Result<std::int64_t> parse_memory_mb(std::string_view text);
/// "4h", "90s", "1h30m", "2d" → seconds. Errors: what is allowed.
[[nodiscard]] Result<std::int64_t> parse_duration_s(std::string_view text);

}  // namespace gauntlet::spec::detail
