#pragma once

#include <string>

namespace gauntlet::cli {

/// A name for a file out of what people called something: letters, digits, "-" and "_"; "_" for the rest.
[[nodiscard]] std::string file_name(const std::string& stem);

}  // namespace gauntlet::cli
