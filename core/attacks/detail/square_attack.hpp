// Random search on codes or ranked lists as an attack: the shared part of the entries `square` and
// `square_targeted`.
#pragma once

#include <memory>
#include <string>

#include "core/attacks/attack.hpp"

namespace gauntlet::attacks {

struct SquareConfig {
  std::string feedback = "code";
  std::int64_t iterations = 5000;
  std::int64_t list = 50;
  std::int64_t restart = 1;
  std::int64_t samples = 1;
  std::string select = "ap";
  std::string rounding = "none";
  double epsilon_image = 8.0 / 255.0;
  double epsilon_text = 0.05;

  static void fields(auto& self, auto& visit) {
    visit("iterations", self.iterations,
          {.doc = "Moves that are tried, one query each.", .min = 1, .max = 1e6});
    visit("restart", self.restart,
          {.doc = "Number of the random start, from 1; every start is a craft of its own.",
           .min = 1,
           .max = 1000});
    visit("samples", self.samples,
          {.doc = "Draws of a random defense whose mean a move is judged by.", .min = 1, .max = 1000});
    visit("select", self.select,
          {.doc = "Among inputs of the best score: ap, the one of least average precision (targeted: "
                  "greatest for the target); last, the last.",
           .choices = {"ap", "last"}});
    visit(
        "rounding", self.rounding,
        {.doc = "u8: inputs on the grid of k/255 throughout, as they are saved.", .choices = {"none", "u8"}});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of a picture in [0,1] units.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector.", .min = 0, .max = 1});
  }
};

/// Errors: those of reading the database.
[[nodiscard]] Result<std::unique_ptr<Attack>> make_square(const SquareConfig& config, AttackSurface surface,
                                                          std::uint64_t seed, bool targeted);

}  // namespace gauntlet::attacks
