// Which jobs a change is about, as options.
#pragma once

#include <string>

#include "cli/support/arguments.hpp"
#include "cli/support/options.hpp"

namespace gauntlet::cli {

struct SelectionOptions {
  std::string sweep;
  std::string key;
  std::string where;

  void add_to(Arguments& arguments);
  [[nodiscard]] bool empty() const { return sweep.empty() && key.empty() && where.empty(); }
  /// Errors (kNotFound): an unknown sweep.
  [[nodiscard]] Result<proto::Selection> resolve(client::Client& client) const;
};

}  // namespace gauntlet::cli
