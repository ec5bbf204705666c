#include "worker/external/outputs.hpp"

#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "core/base/files.hpp"
#include "core/io/npy.hpp"
#include "worker/external/budget.hpp"

namespace gauntlet::external {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRowsBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxRows = 256;

bool is_plain(const fs::path& path, mode_t type) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0 && (about.st_mode & S_IFMT) == type;
}

Result<spec::ResultRow> row_from(const Json& value, const Given& given, const spec::ExternalEntry& entry) {
  spec::ResultRow row;
  row.metric = value.at("metric").get<std::string>();
  const bool is_own = entry.kind == spec::EntryKind::kMetric && row.metric == entry.about.name;
  if (!is_own && !row.metric.starts_with(entry.about.name + ":")) {
    return fail(ErrorCode::kInvalid,
                "outputs/rows.json: a row is called '{}'; allowed: {}names that start with '{}:'", row.metric,
                entry.kind == spec::EntryKind::kMetric ? entry.about.name + " and " : "", entry.about.name);
  }
  row.value = value.at("value").get<double>();
  row.unit = value.value("unit", entry.unit);
  row.higher_is_better = value.value("higher_is_better", entry.higher_is_better);
  row.n = value.value("n", static_cast<std::int64_t>(given.rows.size()));
  row.per_query = value.value("per_query", std::vector<float>());
  const bool all_finite = std::isfinite(row.value) &&
                          std::ranges::all_of(row.per_query, [](float each) { return std::isfinite(each); });
  if (!all_finite) return fail(ErrorCode::kInvalid, "outputs/rows.json: '{}' is not finite", row.metric);
  if (!row.per_query.empty() && row.per_query.size() != given.rows.size()) {
    return fail(ErrorCode::kInvalid, "outputs/rows.json: '{}' has {} values per query; there are {} queries",
                row.metric, row.per_query.size(), given.rows.size());
  }
  return row;
}

}  // namespace

Status check_folder(const fs::path& folder, const std::vector<std::string>& names) {
  if (!is_plain(folder, S_IFDIR))
    return fail(ErrorCode::kInvalid, "the folder 'outputs' was taken away or replaced by something else");
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    const std::string name = file.path().filename().string();
    if (std::ranges::find(names, name) == names.end())
      return fail(ErrorCode::kInvalid, "outputs hold '{}'; declared: {}", name,
                  fmt::format("{}", fmt::join(names, ", ")));
    if (!is_plain(file.path(), S_IFREG))
      return fail(ErrorCode::kInvalid,
                  "outputs/{} is no ordinary file; links, folders and devices are not taken", name);
    struct stat about {};
    if (::lstat(file.path().c_str(), &about) == 0 && about.st_nlink > 1)
      return fail(ErrorCode::kInvalid, "outputs/{} is a second name of a file elsewhere; links are not taken",
                  name);
  }
  if (error) return fail(system_error(error.value(), "read", folder));
  for (const std::string& name : names) {
    if (name != "rows.json" && !is_plain(folder / name, S_IFREG))
      return fail(ErrorCode::kInvalid, "outputs do not hold '{}', which is declared", name);
  }
  return {};
}

Result<std::vector<float>> read_changed(const fs::path& folder, const Given& given,
                                        const spec::ExternalEntry& entry, const Json& options) {
  const Result<io::NpyArray> file = io::read_npy(folder / "inputs.npy");
  if (!file) return fail(ErrorCode::kInvalid, "outputs/inputs.npy cannot be read: {}", file.error().message);
  if (file->dtype != io::DType::kF32 || file->shape != given.shape) {
    return fail(ErrorCode::kInvalid, "outputs/inputs.npy is {} of shape {}; allowed: {} of shape {}",
                io::name_of(file->dtype), io::shape_text(file->shape), io::name_of(io::DType::kF32),
                io::shape_text(given.shape));
  }
  GAUNTLET_TRY(const std::span<const float> values, file->as<float>());
  GAUNTLET_CHECK_OK(check_legal(values, given, entry, options, "outputs/inputs.npy"));
  return std::vector<float>(values.begin(), values.end());
}

Result<std::vector<float>> read_refusal_scores(const fs::path& folder, const Given& given) {
  const std::string name = fmt::format("outputs/{}", spec::kRefusalFile);
  const Result<io::NpyArray> file = io::read_npy(folder / spec::kRefusalFile);
  if (!file) return fail(ErrorCode::kInvalid, "{} cannot be read: {}", name, file.error().message);
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(given.rows.size())};
  if (file->dtype != io::DType::kF32 || file->shape != shape) {
    return fail(ErrorCode::kInvalid, "{} is {} of shape {}; allowed: {} of shape {}", name,
                io::name_of(file->dtype), io::shape_text(file->shape), io::name_of(io::DType::kF32),
                io::shape_text(shape));
  }
  GAUNTLET_TRY(const std::span<const float> scores, file->as<float>());
  for (std::size_t at = 0; at < scores.size(); ++at) {
    if (!std::isfinite(scores[at]))
      return fail(ErrorCode::kInvalid, "{}: the score of item {} is {}; allowed: a number", name,
                  given.rows[at], scores[at]);
  }
  return std::vector<float>(scores.begin(), scores.end());
}

Result<metrics::PackedCodes> read_codes(const fs::path& folder, const Given& given) {
  const Result<io::NpyArray> file = io::read_npy(folder / "codes.npy");
  if (!file) return fail(ErrorCode::kInvalid, "outputs/codes.npy cannot be read: {}", file.error().message);
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(given.rows.size()), given.bits};
  if (file->shape != shape) {
    return fail(ErrorCode::kInvalid, "outputs/codes.npy has shape {}; allowed: {}",
                io::shape_text(file->shape), io::shape_text(shape));
  }
  const auto pack = [&]<class T>(T) -> Result<metrics::PackedCodes> {
    GAUNTLET_TRY(const std::span<const T> values, file->as<T>());
    auto packed = metrics::PackedCodes::from_values(values, given.bits);
    if (!packed) return fail(ErrorCode::kInvalid, "outputs/codes.npy: {}", packed.error().message);
    return packed;
  };
  if (file->dtype == io::DType::kF32) return pack(float{});
  if (file->dtype == io::DType::kF64) return pack(double{});
  if (file->dtype == io::DType::kI8) return pack(std::int8_t{});
  if (file->dtype == io::DType::kI32) return pack(std::int32_t{});
  if (file->dtype == io::DType::kI64) return pack(std::int64_t{});
  if (file->dtype == io::DType::kU8 || file->dtype == io::DType::kBool) return pack(std::uint8_t{});
  return fail(ErrorCode::kInvalid, "outputs/codes.npy holds {}; allowed: f32, f64, i8, i32, i64, u8, bool",
              io::name_of(file->dtype));
}

Result<std::vector<spec::ResultRow>> read_rows(const fs::path& folder, const Given& given,
                                               const spec::ExternalEntry& entry) {
  std::vector<spec::ResultRow> rows;
  std::error_code ignored;
  if (fs::exists(folder / "rows.json", ignored)) {
    GAUNTLET_TRY(const std::string text, read_file(folder / "rows.json", kMaxRowsBytes));
    const Result<Json> list = parse_json(text, "outputs/rows.json");
    if (!list || !list->is_array() || list->size() > kMaxRows)
      return fail(ErrorCode::kInvalid, "{}",
                  list ? "outputs/rows.json is no list of at most 256 rows" : list.error().message);
    try {
      for (const Json& value : *list) {
        GAUNTLET_TRY(spec::ResultRow row, row_from(value, given, entry));
        if (std::ranges::find(rows, row.metric, &spec::ResultRow::metric) != rows.end())
          return fail(ErrorCode::kInvalid, "outputs/rows.json: '{}' is there twice", row.metric);
        rows.push_back(std::move(row));
      }
    } catch (const Json::exception& error) {
      return fail(ErrorCode::kInvalid, "outputs/rows.json: a row is malformed: {}", error.what());
    }
  }
  const bool is_measured = std::ranges::find(rows, entry.about.name, &spec::ResultRow::metric) != rows.end();
  if (entry.kind == spec::EntryKind::kMetric && !is_measured)
    return fail(ErrorCode::kInvalid, "outputs/rows.json has no row '{}'", entry.about.name);
  return rows;
}

}  // namespace gauntlet::external
