// What a defense says of itself to whoever attacks it: its stages in the order a query meets them, and what
// an adaptive attack has to know. Data, written into the catalog.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/json.hpp"

namespace gauntlet::defenses {

enum class StageGradient : std::uint8_t {
  kExact,      ///< the derivative of the stage
  kSurrogate,  ///< another function's, named by Stage::surrogate; the forward pass stays exact
  kNone        ///< none: attacks see a constant
};

enum class StageRandomness : std::uint8_t { kNo, kPerQuery, kPerBatch };

struct Stage {
  std::string_view name;
  StageGradient gradient = StageGradient::kExact;
  std::string_view surrogate = {};     ///< of kSurrogate: what the backward pass goes through
  std::string_view input_range = {};   ///< of a value; where it differs by side, both are told
  std::string_view output_range = {};  ///< of a value
  StageRandomness random = StageRandomness::kNo;
  std::string_view seeding = {};     ///< of random stages: where their draws come from
  std::int64_t test_time_steps = 0;  ///< steps of an optimisation that every query goes through
  std::string_view objective = {};   ///< what those steps follow
  bool batch_dependent = false;      ///< a query's code depends on the others of its batch
};

/// Everything but what EntryInfo's capabilities say already (trains, joint, replaces_model: the database is
/// encoded again).
struct Declaration {
  std::span<const Stage> stages = {};  ///< before the network; empty where queries go straight to it
  std::string_view trained_on = {};    ///< attack and budget of its adversarial training inputs; empty: none
  std::string_view extra_data = {};    ///< data beyond the training set; empty: none
  double forward_passes = 1;           ///< cost of a query in passes of the target, a backward pass being two
  bool refuses = false;                ///< may answer a query with a refusal
};

/// The catalog's JSON object of a declaration.
[[nodiscard]] Json describe(const Declaration& declaration);

}  // namespace gauntlet::defenses
