#include "core/io/container.hpp"

#include <algorithm>

#include "core/base/check.hpp"
#include "core/io/detail/mapped_container.hpp"
#include "core/io/detail/random_file.hpp"
#include "core/io/hdf5.hpp"
#include "core/io/list_file.hpp"
#include "core/io/mat5.hpp"

namespace gauntlet::io {
namespace {

constexpr std::size_t kHeadBytes = 4096;
constexpr std::string_view kHdf5Magic = "\x89HDF\r\n\x1a\n";

/// HDF5 allows a user block of 0, 512, 1024, … bytes before its first byte.
Result<bool> has_hdf5_magic(const detail::RandomFile& file) {
  std::string magic(kHdf5Magic.size(), '\0');
  for (std::uint64_t at = 0; at + magic.size() <= file.size() && at <= (std::uint64_t{1} << 20);
       at = at == 0 ? 512 : at * 2) {
    GAUNTLET_CHECK_OK(file.read_at(at, std::as_writable_bytes(std::span(magic))));
    if (magic == kHdf5Magic) return true;
  }
  return false;
}

bool is_safetensors(std::string_view head) {
  if (head.size() < 9 || head[8] != '{') return false;
  return head.substr(3, 5) == std::string_view("\0\0\0\0\0", 5) || head[6] == '\0';
}

}  // namespace

std::string_view name_of(ContainerKind kind) {
  static constexpr std::string_view kNames[] = {
      ".npy", ".safetensors", "MAT v5", "MAT v7.3 (HDF5)", "HDF5", "list of paths and labels"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::int64_t ArrayInfo::n_elements() const {
  std::int64_t n = 1;
  for (const std::int64_t side : dims) n *= side;
  return n;
}

const ArrayInfo* Container::find(std::string_view name) const {
  const auto found = std::ranges::find(arrays_, name, &ArrayInfo::name);
  return found == arrays_.end() ? nullptr : &*found;
}

Status Container::check_slab(const ArrayInfo& array, const Slab& slab, std::size_t n_out) const {
  GAUNTLET_CHECK(!arrays_.empty() && &array >= arrays_.data() && &array < arrays_.data() + arrays_.size());
  if (array.content != Content::kNumbers || !array.refusal.empty()) {
    return fail(ErrorCode::kInvalid, "{}: {} {}", path_.string(), array.name,
                array.refusal.empty() ? fmt::format("holds {}, not numbers", array.type) : array.refusal);
  }
  bool fits = slab.start.size() == array.dims.size() && slab.count.size() == array.dims.size();
  std::uint64_t n_wanted = 1;
  for (std::size_t side = 0; fits && side < array.dims.size(); ++side) {
    fits = slab.start[side] >= 0 && slab.count[side] >= 0 && slab.start[side] <= array.dims[side] &&
           slab.count[side] <= array.dims[side] - slab.start[side];
    n_wanted *= static_cast<std::uint64_t>(slab.count[side]);
  }
  if (fits && n_wanted == n_out) return {};
  return fail(ErrorCode::kInvalid, "{}: {} is {}; {} from {} is not a part of it ({} elements asked for)",
              path_.string(), array.name, shape_text(array.dims), shape_text(slab.count),
              shape_text(slab.start), n_out);
}

Status Container::read(const ArrayInfo& array, const Slab& slab, std::span<float> out) {
  GAUNTLET_CHECK_OK(check_slab(array, slab, out.size()));
  if (out.empty()) return {};
  const std::lock_guard lock(mutex_);
  return read_floats(static_cast<std::size_t>(&array - arrays_.data()), slab, out);
}

Status Container::read(const ArrayInfo& array, const Slab& slab, std::span<std::uint8_t> out) {
  GAUNTLET_CHECK_OK(check_slab(array, slab, out.size()));
  if (array.dtype != DType::kU8 && array.dtype != DType::kBool) {
    return fail(ErrorCode::kInvalid, "{}: {} holds {}; u8 is needed here", path_.string(), array.name,
                array.type);
  }
  if (out.empty()) return {};
  const std::lock_guard lock(mutex_);
  return read_bytes(static_cast<std::size_t>(&array - arrays_.data()), slab, out);
}

Result<Texts> Container::texts(const ArrayInfo& array) {
  if (array.content != Content::kTexts || !array.refusal.empty()) {
    return fail(ErrorCode::kInvalid, "{}: {} {}", path_.string(), array.name,
                array.refusal.empty() ? fmt::format("holds {}, not strings", array.type) : array.refusal);
  }
  const std::lock_guard lock(mutex_);
  return read_texts(static_cast<std::size_t>(&array - arrays_.data()));
}

Result<ContainerKind> sniff(const std::filesystem::path& path) {
  GAUNTLET_TRY(const detail::RandomFile file, detail::RandomFile::open(path));
  std::string head(std::min<std::uint64_t>(file.size(), kHeadBytes), '\0');
  GAUNTLET_CHECK_OK(file.read_at(0, std::as_writable_bytes(std::span(head))));
  if (head.starts_with("\x93NUMPY")) return ContainerKind::kNpy;
  if (head.starts_with("MATLAB 5.0")) return ContainerKind::kMat5;
  GAUNTLET_TRY(const bool is_hdf5, has_hdf5_magic(file));
  if (head.starts_with("MATLAB 7.3 MAT-file")) {
    if (is_hdf5) return ContainerKind::kMat73;
    return fail(ErrorCode::kCorrupt,
                "{} has the header of a MATLAB 7.3 file, but no HDF5 follows it within {} bytes",
                path.string(), file.size());
  }
  if (is_hdf5) return ContainerKind::kHdf5;
  if (is_safetensors(head)) return ContainerKind::kSafetensors;
  if (looks_like_list(head)) return ContainerKind::kList;
  return fail(
      ErrorCode::kInvalid,
      "{} is nothing that is known by its first bytes; .npy, .safetensors, MAT v5, MAT v7.3, HDF5 and "
      "text lists of paths and labels are read",
      path.string());
}

Result<std::unique_ptr<Container>> open_container(const std::filesystem::path& path,
                                                  const std::filesystem::path& scratch) {
  GAUNTLET_TRY(const ContainerKind kind, sniff(path));
  switch (kind) {
    case ContainerKind::kNpy:
      return detail::open_npy_container(path);
    case ContainerKind::kSafetensors:
      return detail::open_safetensors_container(path);
    case ContainerKind::kMat5:
      return open_mat5(path, scratch);
    case ContainerKind::kMat73:
    case ContainerKind::kHdf5:
      return open_hdf5(path);
    case ContainerKind::kList:
      return open_list(path);
  }
  return fail(ErrorCode::kInternal, "no such kind of file");
}

}  // namespace gauntlet::io
