// Which jobs a change is about, as options.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/support/options.hpp"

namespace gauntlet::cli {

struct SelectionOptions {
  std::string sweep;
  std::string key;
  std::string where;

  void add_to(CLI::App& app);
  [[nodiscard]] bool empty() const { return sweep.empty() && key.empty() && where.empty(); }
  /// Errors (kNotFound): an unknown sweep.
  [[nodiscard]] Result<proto::Selection> resolve(client::Client& client) const;
};

}  // namespace gauntlet::cli
