// Expected outputs as files; GAUNTLET_UPDATE_GOLDEN=1 writes them instead of comparing.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/base/files.hpp"

namespace gauntlet::testing_support {

/// `name` lies under tests/golden/.
inline void expect_golden(const std::filesystem::path& name, const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(GAUNTLET_SOURCE_DIR) / "tests" / "golden" / name;
  if (std::getenv("GAUNTLET_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(make_directories(path.parent_path()));
    ASSERT_TRUE(write_file_atomic(path, text));
    return;
  }
  const auto golden = read_file(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(text, *golden) << path;
}

}  // namespace gauntlet::testing_support
