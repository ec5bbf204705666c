// The containers of a source: one file, or the files of one folder.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/io/container.hpp"

namespace gauntlet::data::detail {

/// An array of one of the files.
struct ArrayRef {
  std::size_t file = 0;
  std::size_t array = 0;
};

/// Move-only. One thread.
struct SourceFiles {
  std::filesystem::path root;                         ///< the folder, or the file's folder
  std::vector<std::unique_ptr<io::Container>> files;  ///< by name
  std::vector<std::filesystem::path> others;          ///< files of the folder that are no containers
  std::filesystem::path captions;  ///< caption.txt, one line an item (DCHMT's NUS-WIDE); also in others

  [[nodiscard]] io::Container& file_of(const ArrayRef& ref) const { return *files[ref.file]; }
  [[nodiscard]] const io::ArrayInfo& info_of(const ArrayRef& ref) const {
    return files[ref.file]->arrays()[ref.array];
  }
  /// "file.mat#IAll", or "IAll" when there is one file.
  [[nodiscard]] std::string name_of(const ArrayRef& ref) const;
};

/// Opens a file, or all containers of a folder (not of the folders inside it). Errors: kNotFound, kIo (a loop
/// of links); kInvalid (no container, more than 64 of them or 100,000 entries, a name that is not UTF-8);
/// those of io::open_container.
[[nodiscard]] Result<SourceFiles> open_sources(const std::filesystem::path& path,
                                               const std::filesystem::path& scratch);

/// SHA-256 over the hashes and names of the containers and of small texts beside them: what the arrays are.
[[nodiscard]] Result<std::string> hash_sources_of(const SourceFiles& sources);

}  // namespace gauntlet::data::detail
