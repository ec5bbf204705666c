// One copy of each config, however many jobs have it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/json.hpp"
#include "core/spec/job_spec.hpp"

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

}  // namespace gauntlet::spec::detail
