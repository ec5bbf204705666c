// The keys of a sweep file, in one place: the reader accepts these, and a test compares
// schemas/sweep.schema.json with them.
#pragma once

#include <string>
#include <vector>

namespace gauntlet::spec::detail {

using Names = std::vector<std::string>;

inline const Names kSweepKeys = {"gauntlet", "name",      "axes",    "zip",       "exclude",   "include",
                                 "settings", "ablations", "metrics", "resources", "tables",    "noop",
                                 "command",  "external",  "select",  "explain",   "on_queries"};
/// Keys that make no sense in a sweep of noop or plain command jobs.
inline const Names kCellKeys = {"axes",    "zip",    "exclude",  "include", "settings", "ablations",
                                "metrics", "tables", "external", "select",  "explain",  "on_queries"};
inline const Names kAxisKeys = {"dataset", "model", "bits", "defense", "attack", "direction", "seed"};
inline const Names kEntryValueKeys = {"name", "label", "when"};  ///< besides the entry's own fields
inline const Names kAttackValueKeys = {
    "name", "label", "when", "protocol", "source", "sides", "database_fraction", "on_queries"};
inline const Names kSourceKeys = {"model", "bits", "defense", "seed"};
inline const Names kPlainValueKeys = {"name", "when"};  ///< of bits, direction, seed
inline const Names kSettingKeys = {"match", "set"};
inline const Names kAblationKeys = {"name", "base", "variants"};
inline const Names kSelectKeys = {"name", "match", "try", "by", "per", "validation"};
inline const Names kSelectByKeys = {"metric", "attack", "direction", "seed"};
inline const Names kValidationKeys = {"items", "seed"};
inline const Names kPerModelKeys = {"dataset", "model", "bits", "direction", "seed"};
inline const Names kPerDefenseKeys = {"dataset", "model", "bits", "defense", "direction", "seed"};
inline const Names kExplainKeys = {"match", "queries", "stage"};
inline const Names kNoopKeys = {"jobs", "ms"};
inline const Names kCommandKeys = {"jobs", "run"};
inline const Names kResourceKeys = {"cpus", "gpus", "ranks", "memory", "time", "labels"};
inline const Names kVariantKeys = {"cpus", "gpus", "ranks", "memory"};  // of the second and later ones
inline const Names kDirections = {"i2t", "t2i"};
inline const Names kSides = {"query", "database", "both"};
inline const Names kProtocols = {"static", "retrained", "adaptive"};

}  // namespace gauntlet::spec::detail
