// What is known of one defense: the attacks that were run on it, with their scores per query and what they
// noticed on the way. Robustness checks look at nothing else. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace gauntlet::robustness {

/// What an attack asks of its target.
enum class ArmKind : std::uint8_t {
  kClean,     ///< no attack
  kGradient,  ///< gradients
  kSearch,    ///< codes or ranked lists only
  kNoise,     ///< nothing
  kProbe,     ///< measures, and leaves noise
  kLevel,     ///< other inputs in place of the queries: what needs no attack
  kOther      ///< learned, targeted, external, an ensemble: in no comparison of kinds
};

/// One attack on one defense: a cell, as far as checks are concerned.
struct Arm {
  std::string label;   ///< as tables call it
  std::string attack;  ///< entry
  ArmKind kind = ArmKind::kOther;
  bool white = false;  ///< made on exactly what it is measured on: through the whole defended pipeline
  /// For which model, length, seed or defense it was made, where that is another one; "" also for the
  /// undefended model of the same setting.
  std::string source = {};
  double epsilon = 0;                          ///< budget in [0,1] units of the attacked modality; 0: none
  Json options = Json::object();               ///< effective
  std::vector<double> ap = {};                 ///< [Q] average precision of the stored inputs, encoded again
  std::map<std::string, double> figures = {};  ///< rows of its jobs; NaN: measured, but no number
  std::map<std::string, std::vector<double>> per_query = {};  ///< [Q] of those that have values per query
};

/// One defense as one model, code length, direction and seed meet it.
struct Evidence {
  std::string defense;     ///< entry
  std::string label = {};  ///< of the defense, as tables call it
  bool is_image = true;    ///< queries are pictures
  std::vector<Arm> arms;   ///< the clean queries first, if they were evaluated
  /// Splits that settings of its jobs were chosen on; "query" is what must not be there.
  std::vector<std::string> selected_on;
  bool is_imported = false;  ///< numbers of another program, of whose making nothing is known

  [[nodiscard]] const Arm* clean() const;
  [[nodiscard]] bool is_undefended() const { return defense == "none"; }
  /// A figure of any arm, the first that has it.
  [[nodiscard]] std::optional<double> level(std::string_view name) const;
};

/// A defense beside what it is compared with. Borrowed; none is null but `undefended`.
struct Study {
  const Evidence* own = nullptr;
  const Evidence* undefended = nullptr;
  std::vector<const Evidence*> controls;  ///< trivial defenses of the same setting
  double epsilon = 0;                     ///< the budget that is judged; see judged_epsilon

  /// Arms of `own` at the judged budget that satisfy all.
  [[nodiscard]] std::vector<const Arm*> arms(ArmKind kind, bool white) const;
};

/// The bounded budget that most white gradient attacks have, of equally frequent ones the largest; where
/// there are none, that most attacks have. 0 without any.
[[nodiscard]] double judged_epsilon(const Evidence& evidence);

/// A defense that any other has to beat.
struct TrivialControl {
  std::string_view name;   ///< entry
  std::string_view label;  ///< what a sweep calls it that has no label of its own for it
  Json options = Json::object();
};
[[nodiscard]] const std::vector<TrivialControl>& trivial_controls();
/// Whether some control is this entry, whatever its options.
[[nodiscard]] bool is_trivial_control(std::string_view defense);

/// What a cell's jobs say of its attack: its kind by the options of its entry.
[[nodiscard]] ArmKind kind_of_attack(std::string_view attack, const Json& options, bool is_single_untargeted);

}  // namespace gauntlet::robustness
