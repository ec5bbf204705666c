// Where the page of a work folder's coordinator is.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::cli {

struct PageAddress {
  std::string address;  ///< "127.0.0.1:9100"
  std::string token;
};

/// Errors: kUnreachable (no coordinator, or one without a page); those of reading its files.
[[nodiscard]] Result<PageAddress> find_page(const std::filesystem::path& workdir);

}  // namespace gauntlet::cli
