// The artifact of an explain job as one sheet a person can look at: a block per query.
// Thread safety: pure functions.
#pragma once

#include <string>

#include "core/artifacts/artifact_store.hpp"
#include "core/data/prepared_set.hpp"
#include "core/draw/sheet.hpp"

namespace gauntlet::sheets {

/// Pictures: clean, adversarial, difference, what the defense makes of it, and its heat maps over the
/// adversarial picture. Texts: the words that changed or that the maps point to. `explanation` is of an
/// explain job, `set` what it is about; `title` stands above. Errors: kCorrupt (arrays that do not fit),
/// kInvalid (image features, which nobody can look at).
[[nodiscard]] Result<draw::Sheet> explanation_sheet(const artifacts::Artifact& explanation,
                                                    const data::PreparedSet& set, std::string title,
                                                    const draw::Lettering& lettering);

}  // namespace gauntlet::sheets
