#include "core/robustness/study.hpp"

#include <algorithm>
#include <array>

namespace gauntlet::robustness {
namespace {

constexpr std::array<std::string_view, 2> kLevels = {"grey", "swap"};

bool is_bounded(double epsilon) { return epsilon > 0 && epsilon < 1; }

/// Of equally frequent budgets the largest; 0 without any.
double most_frequent(const std::map<double, int>& times) {
  double best = 0;
  int most = 0;
  for (const auto& [epsilon, n] : times) {
    if (n >= most) best = epsilon;
    most = std::max(most, n);
  }
  return best;
}

}  // namespace

const Arm* Evidence::clean() const {
  return !arms.empty() && arms.front().kind == ArmKind::kClean ? &arms.front() : nullptr;
}

std::optional<double> Evidence::level(std::string_view name) const {
  for (const Arm& arm : arms) {
    const auto found = arm.figures.find(std::string(name));
    if (found != arm.figures.end()) return found->second;
  }
  return std::nullopt;
}

std::vector<const Arm*> Study::arms(ArmKind kind, bool white) const {
  std::vector<const Arm*> found;
  for (const Arm& arm : own->arms) {
    if (arm.kind == kind && arm.white == white && arm.epsilon == epsilon) found.push_back(&arm);
  }
  return found;
}

double judged_epsilon(const Evidence& evidence) {
  std::map<double, int> white, any;
  for (const Arm& arm : evidence.arms) {
    if (!is_bounded(arm.epsilon)) continue;
    ++any[arm.epsilon];
    if (arm.kind == ArmKind::kGradient && arm.white) ++white[arm.epsilon];
  }
  return most_frequent(white.empty() ? any : white);
}

const std::vector<TrivialControl>& trivial_controls() {
  static const std::vector<TrivialControl> kControls = {
      {"box_blur", "box_blur"},
      {"round_image", "round_image"},
      {"round_image", "round_image 8 bits", {{"bits", 8}}},
      {"round_text", "round_text"},
  };
  return kControls;
}

bool is_trivial_control(std::string_view defense) {
  const auto& all = trivial_controls();
  return std::ranges::find(all, defense, &TrivialControl::name) != all.end();
}

ArmKind kind_of_attack(std::string_view attack, const Json& options, bool is_single_untargeted) {
  if (attack == "none") return ArmKind::kClean;
  if (attack == "probe") return ArmKind::kProbe;
  if (std::ranges::find(kLevels, attack) != kLevels.end()) return ArmKind::kLevel;
  if (!is_single_untargeted || !options.is_object() || attack.empty()) return ArmKind::kOther;
  if (options.contains("feedback")) return ArmKind::kSearch;
  if (options.contains("draw")) return ArmKind::kNoise;
  return ArmKind::kGradient;
}

}  // namespace gauntlet::robustness
