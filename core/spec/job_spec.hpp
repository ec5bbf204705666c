// One unit of work, as content: what is computed, by which entry, from which inputs. Its key is a hash of
// just that. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::spec {

enum class JobKind : std::uint8_t {
  kPrepare,
  kFeatures,
  kTrainModel,
  kTrainAttack,
  kCraft,
  kTrainDefense,
  kEncode,
  kEvaluate,
  kExplain,
  kCommand,
  kNoop,
};
inline constexpr int kJobKindCount = 11;

/// "prepare", "train_model", …: the names of sweep files, keys, folders and the database.
[[nodiscard]] std::string_view name_of(JobKind kind);
[[nodiscard]] Result<JobKind> job_kind_from(std::string_view name);
/// Whether the job needs torch and so runs in gauntlet-rank processes.
[[nodiscard]] bool needs_torch(JobKind kind);

/// What one attempt asks of a worker. Not part of the key.
struct Resources {
  std::int64_t cpus = 1;                           ///< threads, shared by the ranks; 0 only for noop jobs
  std::int64_t gpus = 0;                           ///< one rank per GPU when > 0
  std::int64_t ranks = 1;                          ///< processes of the gang on CPUs; ignored when gpus > 0
  std::int64_t memory_mb = 0;                      ///< 0 = not stated
  std::int64_t time_s = 0;                         ///< wall-clock limit; 0 = none
  std::map<std::string, std::string> labels = {};  ///< what a worker must say of itself, all of it
  /// Asked for instead where the above does not fit, tried in this order. Each differs from all others in its
  /// GPUs, so that these tell which was given; time and labels are those of the first; none holds others.
  std::vector<Resources> or_else = {};
  bool operator==(const Resources&) const = default;
  [[nodiscard]] std::int64_t world_size() const { return gpus > 0 ? gpus : ranks; }
  [[nodiscard]] std::size_t n_variants() const { return 1 + or_else.size(); }
  [[nodiscard]] const Resources& variant(std::size_t index) const {
    return index == 0 ? *this : or_else[index - 1];
  }
  /// The variant that asks for so many GPUs; the first when none does.
  [[nodiscard]] const Resources& with_gpus(std::int64_t n_gpus) const;
};
inline constexpr std::size_t kMaxVariants = 8;
inline constexpr std::size_t kMaxLabels = 16;
/// Letters, digits, ".", "_", "-" and "/"; 1 to 64 of them: names and values of labels.
[[nodiscard]] bool is_label_word(std::string_view text);
/// What Resources promises of its variants and labels. Errors (kInvalid) name what is wrong.
[[nodiscard]] Status check_variants(const Resources& resources);
/// `labels` and `or_else` appear only where there are any.
[[nodiscard]] Json to_json(const Resources& resources);
[[nodiscard]] Result<Resources> resources_from_json(const Json& value);
/// "1 gpu, 2 cpus or 8 cpus, label disk=ssd"
[[nodiscard]] std::string text_of(const Resources& resources);
/// Reads "4h", "90s", "1h30m", "2d" as seconds. Errors (kInvalid): what is allowed.
[[nodiscard]] Result<std::int64_t> duration_s_from(std::string_view text);

/// An input by the part it plays, e.g. {"model", key of the train_model job}.
struct JobInput {
  std::string role;
  JobKey key;
  bool operator==(const JobInput&) const = default;
};

struct JobSpec {
  JobKind kind = JobKind::kNoop;
  std::string entry;             ///< name of the entry that does the work, e.g. "cpah"; "" for evaluate, noop
  std::int64_t version = 0;      ///< that entry's version; the kind's own version where there is no entry
  Json config = Json::object();  ///< effective config, defaults included, numbers normal
  std::vector<JobInput> inputs;  ///< sorted by role; roles are unique
  std::uint64_t seed = 0;        ///< the cell's seed, 0 where nothing is random
  // Not part of the key:
  Resources resources;
  Json locations = Json::object();  ///< the entry's `location` fields: where sources are
  std::string title;                ///< for people: "train_model cpah 32 bits seed 1"

  [[nodiscard]] const JobInput* find_input(std::string_view role) const;
};

/// The object whose canonical text is hashed: kind, entry, version, config, inputs by role, seed, precision:
/// the config's own "precision", else that of the entry's options in it ("attack", "defense" or "model"),
/// else "fp32".
[[nodiscard]] Json canonical_form(const JobSpec& job);
/// The text that is hashed: canonical_json(canonical_form(job)), for inputs in the order of their roles and
/// an `entry` of plain ASCII. Errors: those of canonical_json for the config.
[[nodiscard]] Result<std::string> canonical_text(const JobSpec& job);
/// canonical_json(canonical_form(job)), for a config whose canonical text is at hand. `config_text` must be
/// that text and `entry` plain ASCII; `precision` is what canonical_form finds in it.
[[nodiscard]] std::string canonical_text(const JobSpec& job, std::string_view config_text,
                                         std::string_view precision);
/// SHA-256 of canonical_json(canonical_form(job)). Errors: a number that is not finite, text that is not
/// UTF-8.
[[nodiscard]] Result<JobKey> key_of(const JobSpec& job);
/// Reads back what canonical_form wrote (resources and title are default). Errors: kCorrupt.
[[nodiscard]] Result<JobSpec> job_from_canonical(const Json& form);

}  // namespace gauntlet::spec
