// A folder that is gone with its owner.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "core/base/files.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

/// A folder that goes with its owner.
class ScratchFolder {
 public:
  [[nodiscard]] static Result<ScratchFolder> make(const std::filesystem::path& parent) {
    GAUNTLET_CHECK_OK(make_directories(parent));
    std::string name = (parent / "bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return fail(system_error(errno, "make a folder in", parent));
    return ScratchFolder(name);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace gauntlet::cli
