// MD5 of files whose publishers state nothing better. Not for keys.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet {

/// Lower-case hexadecimal, 32 characters. Errors: kNotFound, kIo, with the path.
[[nodiscard]] Result<std::string> md5_file(const std::filesystem::path& path);

}  // namespace gauntlet
