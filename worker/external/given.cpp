#include "worker/external/given.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/io/npy.hpp"
#include "worker/external/budget.hpp"

namespace gauntlet::external {
namespace {

Result<std::vector<std::int64_t>> read_items(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::NpyArray file, io::read_npy(path));
  if (file.shape.size() != 1)
    return fail(ErrorCode::kInvalid, "{} has shape {}; allowed: one number per input", path.string(),
                io::shape_text(file.shape));
  if (file.dtype == io::DType::kI32) {
    GAUNTLET_TRY(const std::span<const std::int32_t> items, file.as<std::int32_t>());
    return std::vector<std::int64_t>(items.begin(), items.end());
  }
  GAUNTLET_TRY(const std::span<const std::int64_t> items, file.as<std::int64_t>());
  return std::vector<std::int64_t>(items.begin(), items.end());
}

/// Where each given input belongs among the queries.
Result<std::vector<std::size_t>> places_of(const std::vector<std::int64_t>& items, const Given& clean,
                                           const std::string& file) {
  std::unordered_map<std::int64_t, std::size_t> place;
  for (std::size_t at = 0; at < clean.rows.size(); ++at) place.emplace(clean.rows[at], at);
  std::vector<std::size_t> places;
  std::vector<bool> taken(clean.rows.size());
  for (const std::int64_t item : items) {
    const auto found = place.find(item);
    if (found == place.end())
      return fail(ErrorCode::kInvalid, "{}: item {} is no query of this dataset", file, item);
    if (taken[found->second]) return fail(ErrorCode::kInvalid, "{}: item {} is there twice", file, item);
    taken[found->second] = true;
    places.push_back(found->second);
  }
  return places;
}

}  // namespace

Result<GivenInputs> read_given(const spec::ExternalEntry& entry, const Given& clean) {
  const std::filesystem::path folder = entry.descriptor.parent_path();
  std::vector<std::int64_t> items = clean.rows;
  if (!entry.given_items.empty()) {
    GAUNTLET_TRY(items, read_items(folder / entry.given_items));
  }
  GAUNTLET_TRY(const std::vector<std::size_t> places, places_of(items, clean, entry.given_items));
  GAUNTLET_TRY(const io::NpyArray file, io::read_npy(folder / entry.given));
  std::vector<std::int64_t> shape = clean.shape;
  shape.front() = static_cast<std::int64_t>(items.size());
  if (file.dtype != io::DType::kF32 || file.shape != shape) {
    return fail(ErrorCode::kInvalid, "{} is {} of shape {}; allowed: {} of shape {}", entry.given,
                io::name_of(file.dtype), io::shape_text(file.shape), io::name_of(io::DType::kF32),
                io::shape_text(shape));
  }
  GAUNTLET_TRY(const std::span<const float> values, file.as<float>());
  GivenInputs given{clean.values, static_cast<std::int64_t>(items.size())};
  const std::size_t width = items.empty() ? 0 : values.size() / items.size();
  for (std::size_t at = 0; at < places.size(); ++at) {
    const auto input = values.subspan(at * width, width);
    std::ranges::copy(input, given.values.begin() + static_cast<std::ptrdiff_t>(places[at] * width));
  }
  GAUNTLET_CHECK_OK(check_legal(given.values, clean, entry, Json::object(), entry.given));
  return given;
}

}  // namespace gauntlet::external
