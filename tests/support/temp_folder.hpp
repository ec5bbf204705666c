// A fresh folder that goes away with the object, and bytes written into it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace gauntlet::testing_support {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Makes the folders above it, too; returns the file's path.
  std::filesystem::path write(std::string_view name, std::string_view bytes) const;

 private:
  std::filesystem::path path_;
};

[[nodiscard]] std::string bytes_of_file(const std::filesystem::path& path);

}  // namespace gauntlet::testing_support
