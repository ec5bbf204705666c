// What the readers of array files have in common: a file in memory, everything in it read.
#pragma once

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "core/io/container.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {

/// A file without a place on a disk, under a path.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    GAUNTLET_CHECK(descriptor_ >= 0);
    GAUNTLET_CHECK(::write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

/// Reads the first and the last part of every array, and all strings.
inline void read_everything(io::Container& file) {
  constexpr std::int64_t kMost = 1 << 16;
  for (const io::ArrayInfo& array : file.arrays()) {
    if (!array.refusal.empty()) continue;
    if (array.content == io::Content::kTexts) {
      static_cast<void>(file.texts(array));
      continue;
    }
    if (array.content != io::Content::kNumbers) continue;
    GAUNTLET_CHECK(array.n_elements() >= 0);
    for (const bool at_end : {false, true}) {
      io::Slab slab;
      std::int64_t n = 1;
      for (const std::int64_t side : array.dims) {
        const std::int64_t count =
            std::min(side, std::max<std::int64_t>(1, kMost / std::max<std::int64_t>(1, n)));
        slab.start.push_back(at_end ? side - count : 0);
        slab.count.push_back(count);
        n *= count;
      }
      std::vector<float> values(static_cast<std::size_t>(n));
      static_cast<void>(file.read(array, slab, std::span(values)));
    }
  }
}

}  // namespace gauntlet::fuzz
