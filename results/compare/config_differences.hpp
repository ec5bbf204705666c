// Which settings of two cells' jobs differ.
// Thread safety: none; belongs to the thread of its sides.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/result.hpp"
#include "results/compare/compare.hpp"

namespace gauntlet::results {

class ConfigDiffer {
 public:
  ConfigDiffer(db::Connection& a, db::Connection& b) : a_{&a, {}}, b_{&b, {}} {}

  /// Indices of the differences between two cells, in an order of their own; numbers of the same jobs differ
  /// by where they ran. Every difference is kept once and counted for each call.
  [[nodiscard]] Result<std::vector<std::size_t>> differences(const SideNumber& a, const SideNumber& b);
  /// Those found so far.
  [[nodiscard]] std::vector<ConfigDifference> take() { return std::move(found_); }

 private:
  using Settings = std::map<std::string, std::string>;  // path → canonical JSON
  struct Jobs {
    db::Connection* connection;
    std::map<std::int64_t, Settings> settings;  // by job
  };
  [[nodiscard]] static Result<std::map<std::string, const Settings*>> settings_of(Jobs& jobs,
                                                                                  std::int64_t cell_id);
  std::size_t add(const std::string& role, const std::string& path, const std::string& a,
                  const std::string& b);

  Jobs a_;
  Jobs b_;
  std::vector<ConfigDifference> found_;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::size_t> known_;
};

}  // namespace gauntlet::results
