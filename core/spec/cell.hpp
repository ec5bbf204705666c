// One point of a sweep, as its axis values. Cells are what tables show; jobs are what computes them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/json.hpp"

namespace gauntlet::spec {

/// Labels, not names, where a value has one ("PGD-20"), since two values of an axis may share an entry.
struct Cell {
  std::string dataset;
  std::string model;
  std::int64_t bits = 0;
  std::string defense;
  std::string attack;
  std::string protocol;   ///< "static", "retrained", "adaptive"; "none" when the attack is none
  std::string direction;  ///< "i2t", "t2i"
  std::string variant;    ///< "" or "<ablation name>/<variant name>"
  std::uint64_t seed = 0;
  auto operator<=>(const Cell&) const = default;
};

}  // namespace gauntlet::spec
