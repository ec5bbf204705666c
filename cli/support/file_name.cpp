#include "cli/support/file_name.hpp"

#include <cctype>

namespace gauntlet::cli {

std::string file_name(const std::string& stem) {
  std::string name;
  for (const char letter : stem) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '-' || letter == '_';
    name += plain ? letter : '_';
  }
  return name;
}

}  // namespace gauntlet::cli
