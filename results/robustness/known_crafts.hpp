// Which attacks' inputs a sweep makes anyway. Thread safety: immutable.
#pragma once

#include <set>
#include <string>
#include <tuple>

#include "core/base/json.hpp"
#include "core/spec/expand.hpp"

namespace gauntlet::results {

class KnownCrafts {
 public:
  explicit KnownCrafts(const spec::Expansion& expansion);

  /// Whether the sweep makes inputs for all queries by this attack with these effective options: on the
  /// undefended model, or else through some defense.
  [[nodiscard]] bool has(const std::string& attack, const Json& options, bool is_static) const {
    return crafts_.contains({attack, options.dump(), is_static});
  }

 private:
  std::set<std::tuple<std::string, std::string, bool>> crafts_;
};

}  // namespace gauntlet::results
