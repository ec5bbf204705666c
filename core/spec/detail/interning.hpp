// Tables that keep one copy of what many cells share, so that planning is linear in cells with a small
// constant.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/json.hpp"
#include "core/spec/expand.hpp"

namespace gauntlet::spec::detail {

/// Hash of a short list of numbers.
struct NumbersHash {
  template <class Numbers>
  std::size_t operator()(const Numbers& numbers) const noexcept {
    std::uint64_t state = 0x9E3779B97F4A7C15ULL;
    for (const std::uint32_t number : numbers) {
      state = (state ^ number) * 0xBF58476D1CE4E5B9ULL;
      state ^= state >> 29U;
    }
    return static_cast<std::size_t>(state);
  }
};

using ConfigId = std::uint32_t;
using JobIndex = std::uint32_t;

/// Configs by their canonical text: equal configs have equal ids.
class ConfigTable {
 public:
  ConfigId intern(Json value);
  [[nodiscard]] const Json& value(ConfigId id) const { return configs_[id].value; }
  [[nodiscard]] const std::string& text(ConfigId id) const { return configs_[id].text; }
  [[nodiscard]] const std::string& precision(ConfigId id) const { return configs_[id].precision; }

  /// The config made from these numbers: `make` is called the first time only.
  template <class Make>
  ConfigId composed(const std::array<std::uint32_t, 8>& from, Make make) {
    const auto known = composed_.find(from);
    if (known != composed_.end()) return known->second;
    const ConfigId id = intern(make());
    composed_.emplace(from, id);
    return id;
  }

 private:
  struct Config {
    Json value;
    std::string text;
    std::string precision;
  };
  std::vector<Config> configs_;
  std::unordered_map<std::string, ConfigId> by_text_;
  std::unordered_map<std::array<std::uint32_t, 8>, ConfigId, NumbersHash> composed_;
};

/// Parts that inputs play in a job, in the order of their names.
enum class InputRole : std::uint8_t {
  kAttack,
  kCodesImage,
  kCodesText,
  kCrafted,
  kCraftedImage,
  kCraftedText,
  kData,
  kDefense,
  kFeatures,
  kModel,
  kQueryCodes,
  kRetrievalCodes,
};
[[nodiscard]] std::string_view name_of(InputRole role);

struct InputJob {
  InputRole role;
  JobIndex job;
};

/// What makes a job the job it is, in interned form.
struct JobDraft {
  JobKind kind = JobKind::kNoop;
  const CatalogEntry* entry = nullptr;  ///< null where no entry does the work
  ConfigId config = 0;
  std::vector<InputJob> inputs;  ///< in any order
  std::uint64_t seed = 0;
};

/// Jobs, unique by content; a job is added after its inputs.
class JobTable {
 public:
  JobTable(const ConfigTable& configs, const SweepSpec& spec) : configs_(configs), spec_(spec) {}

  struct Added {
    JobIndex index;
    bool is_new;  ///< title and locations are still to be set
  };
  Added add(JobDraft draft);
  [[nodiscard]] JobSpec& spec_of(JobIndex index) { return jobs_[index].job; }
  [[nodiscard]] std::vector<PlannedJob> take() { return std::move(jobs_); }

 private:
  const ConfigTable& configs_;
  const SweepSpec& spec_;
  std::vector<PlannedJob> jobs_;
  std::unordered_map<std::vector<std::uint32_t>, JobIndex, NumbersHash> by_content_;
  std::vector<std::uint32_t> content_;  ///< scratch of add
};

}  // namespace gauntlet::spec::detail
