// Auto-PGD on codes as an attack: the shared part of the entries `apgd` and `apgd_targeted`.
#pragma once

#include <memory>
#include <string>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/code_goals.hpp"

namespace gauntlet::attacks {

struct ApgdConfig {
  std::string objective;
  std::string anchor = "far1";
  double tau = 0.05;
  std::int64_t voters = 9;
  std::int64_t steps = 100;
  std::int64_t restart = 1;
  std::string start = "random";
  std::string gradient = "full";
  std::int64_t samples = 1;
  std::string randomness = "fresh";
  double refusal_weight = 1;
  std::string select = "ap";
  std::string rounding = "none";
  double epsilon_image = 8.0 / 255.0;
  double epsilon_text = 0.05;

  static void fields(auto& self, auto& visit) {
    visit("steps", self.steps,
          {.doc = "Gradient steps; the step size is relative to the budget and its schedule to this number.",
           .min = 1,
           .max = 100000});
    visit("restart", self.restart,
          {.doc = "Number of the random start, from 1; every start is a craft of its own.",
           .min = 1,
           .max = 1000});
    visit("start", self.start,
          {.doc = "random: within the budget. warm: where the same attack on the undefended target ends; "
                  "for protocol adaptive.",
           .choices = {"random", "warm"}});
    visit(
        "gradient", self.gradient,
        {.doc = "What gradients go through under protocol adaptive. full: what the defense declares, its "
                "own derivative or the surrogate it names. identity: purification taken for x + a constant. "
                "unrolled: its test-time steps made smooth. smooth: sigmoids in place of rounding. Values "
                "are always those of the exact pipeline; a defense without such steps answers as full.",
         .choices = {"full", "identity", "unrolled", "smooth"}});
    visit("samples", self.samples,
          {.doc = "Draws of a random defense that a gradient is averaged over, and that candidates are "
                  "compared on; 20 for such defenses.",
           .min = 1,
           .max = 1000});
    visit(
        "randomness", self.randomness,
        {.doc = "fresh: new draws at every step. frozen: the same at all.", .choices = {"fresh", "frozen"}});
    visit("refusal_weight", self.refusal_weight,
          {.doc = "Against a defense that refuses queries: how often its detector's score is subtracted from "
                  "the objective; 0.1, 1 and 10 are worth trying. 0: it is not looked at.",
           .min = 0,
           .max = 1e6});
    visit("select", self.select,
          {.doc = "What is kept of the way. ap: the least average precision (targeted: the greatest for the "
                  "target) among checkpoints, last and best loss; looks at the database's codes and labels. "
                  "loss: the best loss. last: the last step.",
           .choices = {"ap", "loss", "last"}});
    visit(
        "rounding", self.rounding,
        {.doc = "u8: inputs on the grid of k/255 throughout, as they are saved.", .choices = {"none", "u8"}});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector.", .min = 0, .max = 1});
  }
};

/// Errors: kInvalid for a warm start without a defense; those of reading the database.
[[nodiscard]] Result<std::unique_ptr<Attack>> make_apgd(const ApgdConfig& config, AttackSurface surface,
                                                        std::uint64_t seed, bool targeted);

}  // namespace gauntlet::attacks
