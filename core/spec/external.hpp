// External entries: methods that live outside this program, told by a descriptor (docs/external.md). In a
// catalog they stand beside the built-in entries; the jobs they do are `command` jobs.
// Thread safety: immutable after reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/spec/catalog.hpp"

namespace gauntlet::spec {

/// What a command job of an external entry does; `config.does` of the job.
enum class ExternalTask : std::uint8_t { kTrain, kEncode, kCraft, kPurify, kMeasure };
[[nodiscard]] std::string_view name_of(ExternalTask task);  // "train", "encode", "craft", "purify", "measure"
[[nodiscard]] Result<ExternalTask> external_task_from(std::string_view name);

/// What a process may use; one that wants more is ended, with everything it started.
struct ExternalLimits {
  std::int64_t time_s = 3600;                      ///< wall clock
  std::int64_t memory_mb = 0;                      ///< address space of each process; 0 = no limit
  std::int64_t disk_mb = 16384;                    ///< all that it writes in its folder
  std::int64_t log_bytes = std::int64_t{4} << 20;  ///< of stdout and stderr that are kept
  bool operator==(const ExternalLimits&) const = default;
};

/// How far crafted inputs may lie from the clean ones: a number, or the name of a field of the entry.
struct ExternalBudget {
  std::string norm;   ///< "linf", "l2", "flips" (values that differ at all), "grid" (every value is k / it)
  std::string field;  ///< "" when `value` counts
  double value = 0;
};

/// What a defense that refuses queries leaves beside them: f32 [n], refused above 0.
inline constexpr const char* kRefusalFile = "refusal_scores.npy";

/// A descriptor, read and checked.
struct ExternalEntry {
  EntryKind kind = EntryKind::kAttack;
  CatalogEntry about;                     ///< `about.external` is null here; see to_catalog_entry
  std::filesystem::path descriptor;       ///< absolute
  std::string hash;                       ///< SHA-256, hexadecimal, of the descriptor and its files
  std::vector<std::string> command;       ///< program and arguments
  std::vector<std::string> train;         ///< of the training, where the entry trains
  std::vector<std::string> inputs;        ///< groups of files it wants; see docs/external.md
  std::vector<std::string> train_inputs;  ///< the same of the training
  std::vector<std::string> outputs;       ///< names of the files `command` must leave, no others
  std::vector<std::string> checkpoint;    ///< names of the files `train` must leave, no others
  std::vector<std::string> files;         ///< beside the descriptor, copied into the working folder
  std::string given;        ///< of an attack without a command: the file of its inputs, made elsewhere
  std::string given_items;  ///< the file that says which items they are of; "" = all queries, in order
  std::vector<std::pair<std::string, std::string>> environment;
  std::string venv;  ///< folder of a virtual environment, absolute; "" for none
  ExternalLimits limits;
  std::vector<ExternalBudget> budget;  ///< of attacks
  bool random = false;                 ///< the seed changes the outputs
  bool refuses = false;                ///< of defenses: it leaves a score that refuses queries above 0
  std::string unit = "ratio";          ///< of metrics
  bool higher_is_better = true;        ///< of metrics
};

/// The largest descriptor, and the largest of its files.
inline constexpr std::size_t kMaxDescriptorBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxExternalFileBytes = std::size_t{256} << 20;
/// The largest file of given inputs, which is mapped and never copied.
inline constexpr std::size_t kMaxGivenBytes = std::size_t{64} << 30;

/// A descriptor's text, checked; `file` is its path for messages. Nothing is opened, so paths are as written
/// and there is no hash. Errors (kInvalid): every problem, one a line, as file:line:column.
[[nodiscard]] Result<ExternalEntry> parse_external(std::string_view text, std::string_view file);

/// Reads a descriptor and hashes its files. Errors: kNotFound, kIo; kInvalid with every problem, one a line,
/// as file:line:column.
[[nodiscard]] Result<std::shared_ptr<const ExternalEntry>> read_external(const std::filesystem::path& path);

/// The entry as a catalog holds it: its version is made of the hash.
[[nodiscard]] CatalogEntry to_catalog_entry(const std::shared_ptr<const ExternalEntry>& external);

/// The paths under `external` of a sweep file, as written; none when the text is no YAML (parse_sweep says
/// so) or has no such key.
[[nodiscard]] std::vector<std::string> external_paths(std::string_view sweep_text);

/// The built-in catalog with these entries added. Errors (kInvalid): a name that is taken.
[[nodiscard]] Result<Catalog> with_external(const Catalog& catalog,
                                            const std::vector<std::shared_ptr<const ExternalEntry>>& entries);

}  // namespace gauntlet::spec
