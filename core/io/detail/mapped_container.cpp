#include "core/io/detail/mapped_container.hpp"

#include "core/io/detail/random_file.hpp"
#include "core/io/npy.hpp"
#include "core/io/safetensors.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::io::detail {
namespace {

/// Arrays that lie in one piece each.
class PlainContainer final : public Container {
 public:
  PlainContainer(ContainerKind kind, const std::filesystem::path& path, RandomFile file)
      : Container(kind, path), file_(std::move(file)) {}

  /// `offset`: of the array's first byte in the file.
  Status add(std::string name, DType dtype, std::vector<std::int64_t> shape, std::uint64_t offset) {
    if (!is_utf8(name)) {
      return fail(ErrorCode::kInvalid, "{}: the name '{}' is not UTF-8", path().string(), printable(name));
    }
    ArrayInfo info{.name = std::move(name),
                   .content = Content::kNumbers,
                   .dtype = dtype,
                   .type = std::string(name_of(dtype)),
                   .dims = std::move(shape),
                   .is_matlab = false,
                   .chunk = {},
                   .refusal = {}};
    if (info.dims.size() > kMaxArraySides)
      info.refusal = fmt::format("has {} sides; at most {} are read", info.dims.size(), kMaxArraySides);
    arrays_.push_back(std::move(info));
    offsets_.push_back(offset);
    return {};
  }

 private:
  Status read_floats(std::size_t index, const Slab& slab, std::span<float> out) override {
    return read_slab(at(index), slab, out);
  }
  Status read_bytes(std::size_t index, const Slab& slab, std::span<std::uint8_t> out) override {
    return read_slab(at(index), slab, out);
  }
  Result<Texts> read_texts(std::size_t /*index*/) override { return Texts{}; }

  [[nodiscard]] FileArray at(std::size_t index) const {
    return {&file_, offsets_[index], arrays_[index].dtype, arrays_[index].dims};
  }

  RandomFile file_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace

Result<std::unique_ptr<Container>> open_npy_container(const std::filesystem::path& path) {
  GAUNTLET_TRY(RandomFile file, RandomFile::open(path));
  GAUNTLET_TRY(const NpyArray array, read_npy(path));
  const std::uint64_t offset = file.size() - array.bytes.size();  // the data ends the file
  auto container = std::make_unique<PlainContainer>(ContainerKind::kNpy, path, std::move(file));
  const std::string stem = path.stem().string();
  GAUNTLET_CHECK_OK(container->add(is_utf8(stem) ? stem : "array", array.dtype, array.shape, offset));
  return container;
}

Result<std::unique_ptr<Container>> open_safetensors_container(const std::filesystem::path& path) {
  GAUNTLET_TRY(RandomFile file, RandomFile::open(path));
  GAUNTLET_TRY(const SafeTensors tensors, read_safetensors(path));
  if (tensors.tensors.size() > kMaxArrays) {
    return fail(ErrorCode::kInvalid, "{} holds {} arrays; at most {} are read", path.string(),
                tensors.tensors.size(), kMaxArrays);
  }
  const auto mapped = tensors.file.bytes();
  auto container = std::make_unique<PlainContainer>(ContainerKind::kSafetensors, path, std::move(file));
  for (const auto& [name, tensor] : tensors.tensors) {
    const bool is_in_file = tensor.bytes.empty() || (tensor.bytes.data() >= mapped.data() &&
                                                     tensor.bytes.data() < mapped.data() + mapped.size());
    if (!is_in_file) {
      return fail(ErrorCode::kInvalid, "{}: tensor '{}' does not lie at a multiple of its type's size",
                  path.string(), name);
    }
    const auto offset =
        tensor.bytes.empty() ? 0U : static_cast<std::uint64_t>(tensor.bytes.data() - mapped.data());
    GAUNTLET_CHECK_OK(container->add(name, tensor.dtype, tensor.shape, offset));
  }
  return container;
}

}  // namespace gauntlet::io::detail
