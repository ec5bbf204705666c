#include "cli/support/mat_arrays.hpp"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/io/container.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

Result<const io::ArrayInfo*> pick(const io::Container& container, const std::string& name) {
  std::vector<std::string> names;
  for (const io::ArrayInfo& array : container.arrays()) names.push_back(array.name);
  if (name.empty() && names.size() == 1) return &container.arrays().front();
  if (name.empty()) {
    return fail(ErrorCode::kInvalid, "{} holds {}; say which, as in {}:{}", container.path().string(),
                names.empty() ? "no array" : fmt::format("{}", fmt::join(names, ", ")),
                container.path().filename().string(), names.empty() ? "array" : names.front());
  }
  const io::ArrayInfo* const array = container.find(name);
  if (array != nullptr) return array;
  return fail(ErrorCode::kInvalid, "{}: {}", container.path().string(),
              unknown_name_message("array", name, names));
}

}  // namespace

Result<MatArrays> MatArrays::make() {
  std::string name = (fs::temp_directory_path() / "gauntlet-arrays-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return fail(system_error(errno, "create the folder", name));
  return MatArrays(name);
}

MatArrays::MatArrays(MatArrays&& other) noexcept : folder_(std::exchange(other.folder_, fs::path())) {}

MatArrays::~MatArrays() {
  if (folder_.empty()) return;
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Result<fs::path> MatArrays::as_npy(const fs::path& written) const {
  std::error_code ignored;
  fs::path file = written;
  std::string name;
  if (!fs::exists(file, ignored)) {
    const std::string text = written.string();
    const std::size_t colon = text.rfind(':');
    if (colon != std::string::npos) {
      file = text.substr(0, colon);
      name = text.substr(colon + 1);
    }
  }
  GAUNTLET_TRY(const io::ContainerKind kind, io::sniff(file));
  if (kind == io::ContainerKind::kNpy) return file;
  GAUNTLET_TRY(const auto container, io::open_container(file, folder_));
  GAUNTLET_TRY(const io::ArrayInfo* array, pick(*container, name));
  if (array->content != io::Content::kNumbers || array->dims.empty() || array->dims.size() > 2) {
    return fail(ErrorCode::kInvalid, "{}: '{}' is {} of shape {}; allowed: numbers with one or two sides",
                file.string(), array->name, array->type, io::shape_text(array->dims));
  }
  std::vector<float> values(static_cast<std::size_t>(array->n_elements()));
  GAUNTLET_CHECK_OK(
      container->read(*array, {std::vector<std::int64_t>(array->dims.size(), 0), array->dims}, values));
  std::vector<std::int64_t> shape = array->dims;
  if (array->is_matlab && shape.size() == 2) {  // as it lies in the file, an item is a column
    std::vector<float> turned(values.size());
    const auto rows = static_cast<std::size_t>(shape[0]), columns = static_cast<std::size_t>(shape[1]);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column)
        turned[column * rows + row] = values[row * columns + column];
    }
    values = std::move(turned);
    std::swap(shape[0], shape[1]);
  }
  if (shape.size() == 2 && shape[1] == 1) shape.pop_back();  // a column of classes
  const fs::path path = folder_ / fmt::format("{}-{}.npy", file.filename().string(), array->name);
  GAUNTLET_CHECK_OK(io::write_npy<float>(path, shape, std::span<const float>(values)));
  return path;
}

}  // namespace gauntlet::cli
