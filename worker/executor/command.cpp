// command jobs: a plain program, or one step of an external entry (docs/external.md).
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "core/base/files.hpp"
#include "core/io/npy.hpp"
#include "worker/executor/light_runner.hpp"
#include "worker/external/given.hpp"
#include "worker/external/inputs.hpp"
#include "worker/external/outputs.hpp"
#include "worker/external/process.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using spec::ExternalTask;

void print(std::string_view text) { std::cout << text << std::flush; }

spec::ResultRow reading(std::string metric, double value, std::string unit, std::int64_t n,
                        bool higher_is_better = false) {
  return {.metric = std::move(metric),
          .value = value,
          .unit = std::move(unit),
          .higher_is_better = higher_is_better,
          .n = n};
}

/// A job without an entry: config.run is the program. It is told of once it has printed anything or runs for
/// a while.
Result<AttemptResult> run_plain(const AttemptContext& attempt, ProgressSink& progress) {
  const auto run = attempt.job.config.find("run");
  const bool are_texts = run != attempt.job.config.end() && run->is_array() && !run->empty() &&
                         std::ranges::all_of(*run, [](const Json& word) { return word.is_string(); });
  if (!are_texts) return fail(ErrorCode::kInvalid, "the command job does not say what to run");
  external::Program program;
  program.argv = run->get<std::vector<std::string>>();
  program.limits.time_s = std::int64_t{10} * 365 * 86400;  // the attempt's own limit counts
  const auto tell = [&progress, told = std::make_shared<bool>(false)] {
    if (!std::exchange(*told, true)) progress.update({.phase = "run"});
  };
  program.on_look = tell;
  program.on_output = [tell](std::string_view text) {
    tell();
    print(text);
  };
  GAUNTLET_TRY(const double seconds, external::run_program(program));
  return AttemptResult{.rows = {reading("run_time", seconds, "s", 1)}};
}

/// The folder in which an external entry runs: a draft that is never published, so that it goes away with
/// this, or, after a crash, as every draft does.
class RunFolder {
 public:
  explicit RunFolder(artifacts::Draft draft) : draft_(std::move(draft)), path_(draft_.folder()) {}

  /// Empty inputs/ and outputs/, and the entry's own files.
  Status fill(const spec::ExternalEntry& entry) const {
    GAUNTLET_CHECK_OK(make_directories(inputs()));
    GAUNTLET_CHECK_OK(make_directories(outputs()));
    for (const std::string& file : entry.files) {
      GAUNTLET_CHECK_OK(make_directories((path_ / file).parent_path()));
      std::error_code error;
      if (!fs::copy_file(entry.descriptor.parent_path() / file, path_ / file, error))
        return fail(system_error(error.value(), "copy", entry.descriptor.parent_path() / file));
    }
    return {};
  }
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] fs::path inputs() const { return path_ / "inputs"; }
  [[nodiscard]] fs::path outputs() const { return path_ / "outputs"; }

 private:
  artifacts::Draft draft_;
  fs::path path_;
};

/// One step of an external entry, from its inputs to its artifact and rows.
class Step {
 public:
  Step(const AttemptContext& attempt, const spec::ExternalEntry& entry, ExternalTask task, RunFolder folder)
      : attempt_(attempt), entry_(entry), task_(task), folder_(std::move(folder)) {}

  Result<AttemptResult> run(ProgressSink& progress) {
    progress.update({.phase = "inputs"});
    if (!entry_.given.empty()) return take_given();
    GAUNTLET_CHECK_OK(folder_.fill(entry_));
    GAUNTLET_TRY(given_,
                 external::write_inputs(entry_, task_, attempt_.job, attempt_.store, folder_.inputs()));
    progress.update({.phase = "run"});
    GAUNTLET_TRY(seconds_, external::run_program(program()));
    const auto& declared = task_ == ExternalTask::kTrain ? entry_.checkpoint : entry_.outputs;
    GAUNTLET_CHECK_OK(external::check_folder(folder_.outputs(), declared));
    AttemptResult result;
    if (task_ != ExternalTask::kTrain) {
      GAUNTLET_TRY(result.rows, external::read_rows(folder_.outputs(), given_, entry_));
    }
    if (task_ == ExternalTask::kMeasure) return result;
    return publish(std::move(result));
  }

 private:
  /// Inputs that are there already: checked like a command's, and nothing is run.
  Result<AttemptResult> take_given() {
    GAUNTLET_CHECK_OK(make_directories(folder_.inputs()));
    GAUNTLET_TRY(given_,
                 external::write_inputs(entry_, task_, attempt_.job, attempt_.store, folder_.inputs()));
    GAUNTLET_TRY(external::GivenInputs inputs, external::read_given(entry_, given_));
    changed_ = std::move(inputs.values);
    AttemptResult result;
    result.rows.push_back(reading(attempt_.job.entry + ":given", static_cast<double>(inputs.n_given), "count",
                                  static_cast<std::int64_t>(given_.rows.size()), true));
    return publish(std::move(result));
  }

  Result<AttemptResult> publish(AttemptResult result) {
    GAUNTLET_TRY(artifacts::Draft draft, attempt_.store.begin(attempt_.key));
    GAUNTLET_TRY(const Json about, fill(draft.folder(), result.rows));
    GAUNTLET_TRY(const artifacts::Artifact artifact,
                 attempt_.store.publish(std::move(draft), attempt_.job, attempt_.key, about));
    result.manifest_hash = artifact.manifest_hash;
    return result;
  }

  [[nodiscard]] external::Program program() const {
    external::Program program;
    program.argv = task_ == ExternalTask::kTrain ? entry_.train : entry_.command;
    program.folder = folder_.path();
    program.environment = {{"GAUNTLET_INPUTS", folder_.inputs().string()},
                           {"GAUNTLET_OUTPUTS", folder_.outputs().string()},
                           {"OMP_NUM_THREADS", fmt::format("{}", attempt_.threads)},
                           {"PYTHONDONTWRITEBYTECODE", "1"}};
    for (const auto& variable : entry_.environment) {
      std::erase_if(program.environment, [&](const auto& ours) { return ours.first == variable.first; });
      program.environment.push_back(variable);
    }
    program.venv = entry_.venv;
    program.limits = entry_.limits;
    program.on_output = &print;
    return program;
  }

  Result<Json> fill(const fs::path& draft, std::vector<spec::ResultRow>& rows) {
    switch (task_) {
      case ExternalTask::kTrain:
        rows.push_back(reading("training_time", seconds_, "s", 1));
        return fill_checkpoint(draft);
      case ExternalTask::kEncode:
        return fill_codes(draft, rows);
      case ExternalTask::kCraft:
      case ExternalTask::kPurify:
      case ExternalTask::kMeasure:
        break;
    }
    return fill_changed(draft, rows);
  }

  Result<Json> fill_checkpoint(const fs::path& draft) const {
    for (const std::string& name : entry_.checkpoint) {
      std::error_code error;
      if (!fs::copy_file(folder_.outputs() / name, draft / name, error))
        return fail(system_error(error.value(), "copy", folder_.outputs() / name));
    }
    return Json{{"descriptor", entry_.hash}};
  }

  Result<Json> fill_codes(const fs::path& draft, std::vector<spec::ResultRow>& rows) const {
    GAUNTLET_TRY(const metrics::PackedCodes codes, external::read_codes(folder_.outputs(), given_));
    const std::vector<std::uint8_t> bytes = codes.to_bytes();
    GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(draft / "codes.npy", {codes.n(), (given_.bits + 7) / 8},
                                                  std::span<const std::uint8_t>(bytes)));
    GAUNTLET_CHECK_OK(write_rows_file(draft));
    rows.push_back(reading("encoding_rate", static_cast<double>(codes.n()) / std::max(seconds_, 1e-9),
                           "rows/s", codes.n(), true));
    return Json{{"bits", given_.bits}, {"n", codes.n()}, {"zeros", codes.n_zeros()}};
  }

  Result<Json> fill_changed(const fs::path& draft, std::vector<spec::ResultRow>& rows) const {
    const Json options = attempt_.job.config.value(std::string(spec::name_of(entry_.kind)), Json::object());
    std::vector<float> changed = changed_;
    if (entry_.given.empty()) {
      GAUNTLET_TRY(changed, external::read_changed(folder_.outputs(), given_, entry_, options));
    }
    GAUNTLET_CHECK_OK(
        io::write_npy<float>(draft / "inputs.npy", given_.shape, std::span<const float>(changed)));
    GAUNTLET_CHECK_OK(write_rows_file(draft));
    const auto n = static_cast<std::int64_t>(given_.rows.size());
    if (task_ == ExternalTask::kPurify && entry_.refuses) {
      GAUNTLET_TRY(const std::vector<float> scores, external::read_refusal_scores(folder_.outputs(), given_));
      GAUNTLET_CHECK_OK(
          io::write_npy<float>(draft / spec::kRefusalFile, {n}, std::span<const float>(scores)));
    }
    if (task_ == ExternalTask::kCraft) {
      add_sizes(changed, rows);
    } else {
      rows.push_back(reading("purification_time", seconds_, "s", 1));
    }
    if (!given_.target_items.empty()) {
      GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(draft / "targets.npy", {n, given_.n_labels},
                                                    std::span<const std::uint8_t>(given_.target_labels)));
      GAUNTLET_CHECK_OK(io::write_npy<std::int64_t>(draft / "target_items.npy", {n},
                                                    std::span<const std::int64_t>(given_.target_items)));
    }
    return Json{{"n", n}};
  }

  Status write_rows_file(const fs::path& draft) const {
    return io::write_npy<std::int64_t>(draft / "rows.npy", {static_cast<std::int64_t>(given_.rows.size())},
                                       std::span<const std::int64_t>(given_.rows));
  }

  /// The rows every craft job has.
  void add_sizes(std::span<const float> changed, std::vector<spec::ResultRow>& rows) const {
    const auto n = static_cast<std::int64_t>(given_.rows.size());
    const std::size_t width = n == 0 ? 0 : changed.size() / static_cast<std::size_t>(n);
    double mse = 0, l2 = 0, linf = 0;
    for (std::size_t item = 0; item < given_.rows.size(); ++item) {
      double squares = 0;
      for (std::size_t at = item * width; at < (item + 1) * width; ++at) {
        const double delta = static_cast<double>(changed[at]) - static_cast<double>(given_.values[at]);
        squares += delta * delta;
        linf = std::max(linf, std::abs(delta));
      }
      mse += squares / static_cast<double>(width);
      l2 += std::sqrt(squares);
    }
    const double count = std::max<double>(1, static_cast<double>(n));
    rows.push_back(reading("perceptibility", std::sqrt(mse / count), "ratio", n));
    rows.push_back(
        reading("linf", linf * (given_.is_image ? 255 : 1), given_.is_image ? "grey_levels" : "value", n));
    rows.push_back(reading("l2", l2 / count, "value", n));
  }

  const AttemptContext& attempt_;
  const spec::ExternalEntry& entry_;
  ExternalTask task_;
  RunFolder folder_;
  external::Given given_;
  std::vector<float> changed_;  ///< of given inputs
  double seconds_ = 0;
};

}  // namespace

Result<AttemptResult> run_command(const AttemptContext& attempt, ProgressSink& progress) {
  if (attempt.job.entry.empty()) return run_plain(attempt, progress);
  const Json& config = attempt.job.config;
  GAUNTLET_TRY(const ExternalTask task, spec::external_task_from(config.value("does", "")));
  const std::string descriptor = attempt.job.locations.value("descriptor", "");
  const Result<std::shared_ptr<const spec::ExternalEntry>> entry = spec::read_external(descriptor);
  if (!entry)
    return fail(ErrorCode::kInvalid, "{}", entry.error().message);  // another attempt reads the same
  if ((*entry)->hash != config.value("descriptor", "")) {
    return fail(ErrorCode::kInvalid,
                "{} or a file it lists has changed since the sweep was planned; submit it again", descriptor);
  }
  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  Result<AttemptResult> result = Step(attempt, **entry, task, RunFolder(std::move(draft))).run(progress);
  if (!result && result.error().code == ErrorCode::kInvalid)
    return fail(ErrorCode::kInvalid, "{} {}: {}", spec::name_of((*entry)->kind), attempt.job.entry,
                result.error().message);
  return result;
}

}  // namespace gauntlet::worker
