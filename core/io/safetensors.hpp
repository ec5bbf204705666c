// The .safetensors format: named tensors and string metadata in one file, without code in it.
//   u64 header length (little endian) | JSON header | tensor bytes, back to back
// Thread safety: a SafeTensors is immutable after reading.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/result.hpp"
#include "core/io/dtype.hpp"

namespace gauntlet::io {

/// The largest header that is read, in bytes; the format's own limit.
inline constexpr std::size_t kMaxSafetensorsHeader = 100'000'000;

using TensorMap = std::map<std::string, TensorView, std::less<>>;
using MetadataMap = std::map<std::string, std::string, std::less<>>;

/// A mapped file. Move-only; the tensors' bytes live as long as this object.
struct SafeTensors {
  TensorMap tensors;
  MetadataMap metadata;

  /// Null when there is none of that name.
  [[nodiscard]] const TensorView* find(std::string_view name) const {
    const auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : &found->second;
  }
  /// Errors (kCorrupt) name the file and the tensor.
  [[nodiscard]] Result<const TensorView*> at(std::string_view name) const;

  std::filesystem::path path;
  MappedFile file;
  std::vector<std::vector<std::byte>> aligned_copies;  ///< of tensors that lie unaligned in the file
};

/// Maps a file and checks its whole header: length within the file and kMaxSafetensorsHeader, no name twice,
/// known types, sizes that match the shapes, byte ranges that cover the data without overlap or hole. Errors:
/// kNotFound, kIo, kCorrupt with the path and what is wrong.
[[nodiscard]] Result<SafeTensors> read_safetensors(const std::filesystem::path& path);

/// Writes a file that appears complete or not at all. Equal content gives equal bytes: tensors of wide types
/// first (so that every tensor is aligned), then by name; header padded with spaces to a multiple of 8.
/// Errors: kNoSpace, kIo; kInvalid when bytes and shape of a tensor disagree or a name is "__metadata__".
[[nodiscard]] Status write_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                                       const MetadataMap& metadata = {});

}  // namespace gauntlet::io
