#include "worker/external/inputs.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/artifacts/stand_in.hpp"
#include "core/base/files.hpp"
#include "core/base/random.hpp"
#include "core/data/prepared_set.hpp"
#include "core/data/target_draw.hpp"
#include "core/io/npy.hpp"
#include "core/metrics/codes.hpp"
#include "core/spec/attack_scope.hpp"

namespace gauntlet::external {
namespace {

namespace fs = std::filesystem;
using spec::ExternalTask;
using spec::JobKind;

bool has(const std::vector<std::string>& groups, std::string_view group) {
  return std::ranges::find(groups, group) != groups.end();
}

template <class T>
std::vector<T> rows_of(std::span<const T> all, std::int64_t width, std::span<const std::int64_t> rows) {
  std::vector<T> picked;
  picked.reserve(rows.size() * static_cast<std::size_t>(width));
  for (const std::int64_t row : rows) {
    const auto item = all.subspan(static_cast<std::size_t>(row * width), static_cast<std::size_t>(width));
    picked.insert(picked.end(), item.begin(), item.end());
  }
  return picked;
}

/// [n, H, W, 3] bytes → [n, 3, H, W] in [0,1]
std::vector<float> pictures_of(std::span<const std::uint8_t> bytes, std::size_t n_pixels) {
  std::vector<float> values(bytes.size());
  for (std::size_t item = 0; item * n_pixels * 3 < bytes.size(); ++item) {
    for (std::size_t pixel = 0; pixel < n_pixels; ++pixel) {
      for (std::size_t colour = 0; colour < 3; ++colour) {
        values[item * n_pixels * 3 + colour * n_pixels + pixel] =
            static_cast<float>(bytes[(item * n_pixels + pixel) * 3 + colour]) / 255.0F;
      }
    }
  }
  return values;
}

/// Writes one run's inputs and notes them for job.json.
class InputWriter {
 public:
  InputWriter(const spec::ExternalEntry& entry, ExternalTask task, const spec::JobSpec& job,
              const artifacts::ArtifactStore& store, const fs::path& folder)
      : entry_(entry), task_(task), job_(job), store_(store), folder_(folder) {}

  Result<Given> write() {
    GAUNTLET_TRY(const artifacts::Artifact data, open("data", JobKind::kPrepare));
    GAUNTLET_TRY(set_, data::PreparedSet::open(data.folder));
    given_.n_labels = set_.n_labels();
    given_.bits = job_.config.value("bits", std::int64_t{0});
    if (task_ == ExternalTask::kMeasure) {
      GAUNTLET_CHECK_OK(write_measured());
    } else {
      GAUNTLET_CHECK_OK(write_items());
    }
    GAUNTLET_CHECK_OK(write_about());
    return std::move(given_);
  }

 private:
  Result<artifacts::Artifact> open(std::string_view role, JobKind kind) const {
    const spec::JobInput* const input = job_.find_input(role);
    if (input == nullptr) return fail(ErrorCode::kCorrupt, "the command job has no input '{}'", role);
    return artifacts::open_made(store_, kind, input->key);
  }

  [[nodiscard]] const std::vector<std::string>& groups() const {
    return task_ == ExternalTask::kTrain ? entry_.train_inputs : entry_.inputs;
  }

  template <class T>
  Status add(const std::string& name, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
    files_[name] = {{"dtype", io::name_of(io::dtype_of<T>())}, {"shape", shape}};
    return io::write_npy<T>(folder_ / name, shape, std::span<const T>(values));
  }

  Status write_items() {
    const bool trains = task_ == ExternalTask::kTrain;
    given_.is_image = job_.config.value("modality", "image") == "image";
    given_.is_binary = !given_.is_image && set_.text_is_binary();
    given_.low = given_.is_image || given_.is_binary ? 0 : -1;
    if (!trains) GAUNTLET_CHECK_OK(write_part());
    if (has(groups(), "train")) GAUNTLET_CHECK_OK(write_train());
    if (has(groups(), "codes")) GAUNTLET_CHECK_OK(write_train_codes());
    if (!trains && task_ != ExternalTask::kEncode && job_.find_input("defense") != nullptr)
      GAUNTLET_CHECK_OK(copy_checkpoint("defense", JobKind::kTrainDefense));
    if (job_.find_input("model") != nullptr)
      GAUNTLET_CHECK_OK(copy_checkpoint("model", JobKind::kTrainModel));
    return {};
  }

  /// The items that are crafted, purified or encoded.
  Status write_part() {
    GAUNTLET_TRY(const data::Part part, data::part_from(job_.config.value("part", "")));
    const bool is_crafted = job_.config.value("source", "clean") == "crafted";
    if (is_crafted && part != data::Part::kRetrieval) {
      GAUNTLET_CHECK_OK(take_crafted());
    } else {
      given_.rows = set_.rows(part);
      const auto limit = static_cast<std::size_t>(job_.config.value("limit", std::int64_t{0}));
      if (limit > 0 && limit < given_.rows.size()) given_.rows.resize(limit);
      keep_drawn(part);
      take_clean();
      if (is_crafted) GAUNTLET_CHECK_OK(put_crafted());
    }
    const auto n = static_cast<std::int64_t>(given_.rows.size());
    GAUNTLET_CHECK_OK(add("rows.npy", {n}, given_.rows));
    GAUNTLET_CHECK_OK(add("inputs.npy", given_.shape, given_.values));
    if (has(groups(), "labels")) GAUNTLET_CHECK_OK(write_labels("labels.npy", given_.rows));
    return entry_.about.targeted && task_ == ExternalTask::kCraft ? write_targets() : Status();
  }

  /// Queries that an attack's `on_queries` leaves, database items that its `database_fraction` is of.
  void keep_drawn(data::Part part) {
    const JobKey& data = job_.find_input("data")->key;
    std::vector<std::size_t> places;
    if (part == data::Part::kQuery) {
      places = spec::kept_queries(given_.rows.size(), job_.config, data);
    } else if (part == data::Part::kRetrieval && job_.config.contains("database_fraction")) {
      places = spec::attacked_items(given_.rows.size(), job_.config, job_.seed, data);
    } else {
      return;
    }
    std::vector<std::int64_t> kept;
    for (const std::size_t at : places) kept.push_back(given_.rows[at]);
    given_.rows = std::move(kept);
  }

  /// Attacked items in the places of the clean ones: the database has all its items, whichever were attacked.
  Status put_crafted() {
    Given clean = std::move(given_);
    given_ = clean;
    GAUNTLET_CHECK_OK(take_crafted());
    const Given crafted = std::exchange(given_, std::move(clean));
    if (given_.rows.empty()) return {};
    const std::size_t width = given_.values.size() / given_.rows.size();
    std::unordered_map<std::int64_t, std::size_t> place;
    for (std::size_t at = 0; at < given_.rows.size(); ++at) place.emplace(given_.rows[at], at);
    for (std::size_t item = 0; item < crafted.rows.size(); ++item) {
      const auto at = place.find(crafted.rows[item]);
      if (at == place.end() || crafted.values.size() != crafted.rows.size() * width) {
        return fail(ErrorCode::kCorrupt,
                    "crafted inputs of item {} are not of the retrieval set, or of another shape than its "
                    "items",
                    crafted.rows[item]);
      }
      std::copy_n(crafted.values.begin() + static_cast<std::ptrdiff_t>(item * width), width,
                  given_.values.begin() + static_cast<std::ptrdiff_t>(at->second * width));
    }
    return {};
  }

  void take_clean() {
    const auto n = static_cast<std::int64_t>(given_.rows.size());
    if (!given_.is_image) {
      given_.shape = {n, set_.text_dim()};
      given_.values = texts_of(given_.rows);
    } else if (set_.feature_dim() > 0) {
      given_.shape = {n, set_.feature_dim()};
      given_.values = rows_of(set_.features(), set_.feature_dim(), given_.rows);
    } else {
      given_.shape = {n, 3, set_.height(), set_.width()};
      const std::int64_t n_pixels = set_.height() * set_.width();
      given_.values =
          pictures_of(rows_of(set_.images(), n_pixels * 3, given_.rows), static_cast<std::size_t>(n_pixels));
    }
  }

  [[nodiscard]] std::vector<float> texts_of(std::span<const std::int64_t> rows) const {
    if (!set_.text_is_binary()) return rows_of(set_.text_f32(), set_.text_dim(), rows);
    const std::vector<std::uint8_t> bits = rows_of(set_.text_u8(), set_.text_dim(), rows);
    return {bits.begin(), bits.end()};
  }

  Status take_crafted() {
    GAUNTLET_TRY(const artifacts::Artifact crafted, open("crafted", JobKind::kCraft));
    GAUNTLET_TRY(const io::NpyArray inputs, io::read_npy(crafted.file("inputs.npy")));
    GAUNTLET_TRY(const std::span<const float> values, inputs.as<float>());
    GAUNTLET_TRY(const io::NpyArray rows, io::read_npy(crafted.file("rows.npy")));
    GAUNTLET_TRY(const std::span<const std::int64_t> items, rows.as<std::int64_t>());
    if (inputs.shape.empty() || inputs.shape.front() != static_cast<std::int64_t>(items.size())) {
      return fail(ErrorCode::kCorrupt, "{} holds inputs of shape {} for {} rows", crafted.folder.string(),
                  io::shape_text(inputs.shape), items.size());
    }
    given_.rows.assign(items.begin(), items.end());
    given_.shape = inputs.shape;
    given_.values.assign(values.begin(), values.end());
    return {};
  }

  Status write_labels(const std::string& name, std::span<const std::int64_t> rows) {
    return add(name, {static_cast<std::int64_t>(rows.size()), set_.n_labels()},
               rows_of(set_.labels(), set_.n_labels(), rows));
  }

  Status write_targets() {
    const Json options = job_.config.value("attack", Json::object());
    GAUNTLET_TRY(const data::TargetDraw draw, data::target_draw_from(options.value("targets", "uniform")));
    const spec::JobInput* const data = job_.find_input("data");
    GAUNTLET_TRY(
        data::DrawnTargets targets,
        data::draw_target_items(set_, given_.rows, draw, options.value("target_min_items", std::int64_t{1}),
                                purpose_seed(job_.seed, data->key.hex(), "targets")));
    given_.target_labels = std::move(targets.labels);
    given_.target_items = std::move(targets.items);
    if (!has(groups(), "targets")) return {};
    const auto n = static_cast<std::int64_t>(given_.rows.size());
    GAUNTLET_CHECK_OK(add("target_labels.npy", {n, set_.n_labels()}, given_.target_labels));
    GAUNTLET_CHECK_OK(add("target_text.npy", {n, set_.text_dim()}, texts_of(given_.target_items)));
    return add("target_items.npy", {n}, given_.target_items);
  }

  Status write_train() {
    const std::vector<std::int64_t>& rows = set_.rows(data::Part::kTrain);
    const auto n = static_cast<std::int64_t>(rows.size());
    GAUNTLET_CHECK_OK(add("train_rows.npy", {n}, rows));
    if (set_.feature_dim() > 0) {
      GAUNTLET_CHECK_OK(add("train_images.npy", {n, set_.feature_dim()},
                            rows_of(set_.features(), set_.feature_dim(), rows)));
    } else {
      GAUNTLET_CHECK_OK(add("train_images.npy", {n, set_.height(), set_.width(), 3},
                            rows_of(set_.images(), set_.height() * set_.width() * 3, rows)));
    }
    GAUNTLET_CHECK_OK(add("train_text.npy", {n, set_.text_dim()}, texts_of(rows)));
    return write_labels("train_labels.npy", rows);
  }

  /// ±1 codes of the rows, out of an artifact of codes that holds them among others.
  Status write_codes(const std::string& name, std::string_view role, const std::vector<std::int64_t>* wanted,
                     std::vector<std::int64_t>* found) {
    GAUNTLET_TRY(const artifacts::Artifact artifact, open(role, JobKind::kEncode));
    const auto bits = artifact.about.value("bits", std::int64_t{0});
    GAUNTLET_TRY(const io::NpyArray file, io::read_npy(artifact.file("codes.npy")));
    GAUNTLET_TRY(const std::span<const std::uint8_t> bytes, file.as<std::uint8_t>());
    GAUNTLET_TRY(const metrics::PackedCodes packed, metrics::PackedCodes::from_packed(bytes, bits));
    GAUNTLET_TRY(const io::NpyArray row_file, io::read_npy(artifact.file("rows.npy")));
    GAUNTLET_TRY(const std::span<const std::int64_t> rows, row_file.as<std::int64_t>());
    if (packed.n() != static_cast<std::int64_t>(rows.size()))
      return fail(ErrorCode::kCorrupt, "{} holds {} codes for {} rows", artifact.folder.string(), packed.n(),
                  rows.size());
    std::unordered_map<std::int64_t, std::int64_t> place;
    for (std::size_t at = 0; at < rows.size(); ++at) place.emplace(rows[at], static_cast<std::int64_t>(at));
    const std::vector<std::int64_t> all(rows.begin(), rows.end());
    std::vector<std::int8_t> codes;
    for (const std::int64_t row : wanted != nullptr ? *wanted : all) {
      const auto at = place.find(row);
      if (at == place.end())
        return fail(ErrorCode::kCorrupt, "{} holds no code of item {}", artifact.folder.string(), row);
      const auto words = packed.row(at->second);
      for (std::int64_t bit = 0; bit < bits; ++bit)
        codes.push_back((words[static_cast<std::size_t>(bit / 64)] >> (bit % 64) & 1U) != 0 ? 1 : -1);
    }
    if (found != nullptr) *found = all;
    given_.bits = bits;
    return add(name, {static_cast<std::int64_t>(codes.size()) / std::max<std::int64_t>(bits, 1), bits},
               codes);
  }

  Status write_train_codes() {
    const std::vector<std::int64_t>& rows = set_.rows(data::Part::kTrain);
    GAUNTLET_CHECK_OK(write_codes("train_codes_image.npy", "codes_image", &rows, nullptr));
    return write_codes("train_codes_text.npy", "codes_text", &rows, nullptr);
  }

  Status write_measured() {
    std::vector<std::int64_t> retrieval;
    GAUNTLET_CHECK_OK(write_codes("query_codes.npy", "query_codes", nullptr, &given_.rows));
    GAUNTLET_CHECK_OK(write_codes("retrieval_codes.npy", "retrieval_codes", nullptr, &retrieval));
    GAUNTLET_CHECK_OK(add("query_rows.npy", {static_cast<std::int64_t>(given_.rows.size())}, given_.rows));
    GAUNTLET_CHECK_OK(add("retrieval_rows.npy", {static_cast<std::int64_t>(retrieval.size())}, retrieval));
    if (has(groups(), "labels")) {
      GAUNTLET_CHECK_OK(write_labels("query_labels.npy", given_.rows));
      GAUNTLET_CHECK_OK(write_labels("retrieval_labels.npy", retrieval));
    }
    if (job_.find_input("crafted") == nullptr || !has(groups(), "targets")) return {};
    GAUNTLET_TRY(const artifacts::Artifact crafted, open("crafted", JobKind::kCraft));
    return copy(crafted.file("targets.npy"), "target_labels.npy");
  }

  /// The files of a checkpoint, in a folder of the input's name.
  Status copy_checkpoint(const std::string& role, JobKind kind) {
    GAUNTLET_TRY(const artifacts::Artifact artifact, open(role, kind));
    GAUNTLET_CHECK_OK(make_directories(folder_ / role));
    std::error_code error;
    for (const auto& file : fs::directory_iterator(artifact.folder, error)) {
      const std::string name = file.path().filename().string();
      if (name == "manifest.json" || !file.is_regular_file()) continue;
      GAUNTLET_CHECK_OK(copy(file.path(), role + "/" + name));
    }
    return {};
  }

  Status copy(const fs::path& from, const std::string& name) {
    std::error_code error;
    if (!fs::copy_file(from, folder_ / name, error)) return fail(system_error(error.value(), "copy", from));
    files_[name] = {{"bytes", fs::file_size(folder_ / name, error)}};
    return {};
  }

  Status write_about() {
    const std::string kind(spec::name_of(entry_.kind));
    Json about = {
        {"format", 1},
        {"does", spec::name_of(task_)},
        {"kind", kind},
        {"name", entry_.about.name},
        {"config", job_.config.value(kind, Json::object())},
        {"files", files_},
        {"outputs", task_ == ExternalTask::kTrain ? entry_.checkpoint : entry_.outputs},
        {"n_labels", set_.n_labels()},
        {"bits", given_.bits},
        {"image", {{"height", set_.height()}, {"width", set_.width()}, {"features", set_.feature_dim()}}},
        {"text", {{"dim", set_.text_dim()}, {"binary", set_.text_is_binary()}}}};
    const spec::JobInput* const data = job_.find_input("data");
    std::string purpose = fmt::format("external/{}/{}", entry_.about.name, spec::name_of(task_));
    if (job_.config.contains("draw")) purpose += fmt::format("/draw/{}", job_.config["draw"].dump());
    // 53 bits: exact in every reader of JSON.
    about["seed"] = purpose_seed(job_.seed, data->key.hex(), purpose) >> 11U;
    for (const char* name : {"modality", "part", "source", "direction"}) {
      if (job_.config.contains(name)) about[name] = job_.config[name];
    }
    if (!given_.shape.empty()) about["range"] = {given_.low, given_.high};
    return write_file_atomic(folder_ / "job.json", about.dump(2) + "\n");
  }

  const spec::ExternalEntry& entry_;
  ExternalTask task_;
  const spec::JobSpec& job_;
  const artifacts::ArtifactStore& store_;
  const fs::path& folder_;
  data::PreparedSet set_;
  Given given_;
  Json files_ = Json::object();
};

}  // namespace

Result<Given> write_inputs(const spec::ExternalEntry& entry, ExternalTask task, const spec::JobSpec& job,
                           const artifacts::ArtifactStore& store, const fs::path& folder) {
  return InputWriter(entry, task, job, store, folder).write();
}

}  // namespace gauntlet::external
