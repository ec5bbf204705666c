// What adversarial training takes from the attacks: the budget of a perturbation and signed descent inside
// it.
#pragma once

#include "core/attacks/detail/projection.hpp"  // IWYU pragma: export
