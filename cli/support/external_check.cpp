#include "cli/support/external_check.hpp"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/random.hpp"
#include "core/io/npy.hpp"
#include "core/io/utf.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using spec::ExternalTask;
using spec::JobKind;

constexpr std::int64_t kItems = 24, kQueries = 6, kTrain = 10, kPixels = 8, kWords = 16, kLabels = 4,
                       kBits = 16;
constexpr std::size_t kShownBytes = 16 << 10;

class Silent final : public worker::ProgressSink {
 public:
  void update(const worker::Progress&) override {}
};

/// What the program prints is no data of this command: its beginning goes to stderr, where it moves no
/// cursor.
class OutputAside final : public std::streambuf {
 public:
  OutputAside() : out_(std::cout.rdbuf(this)) {}
  ~OutputAside() override { std::cout.rdbuf(out_); }
  OutputAside(const OutputAside&) = delete;
  OutputAside& operator=(const OutputAside&) = delete;

 private:
  std::streamsize xsputn(const char* text, std::streamsize n) override {
    const auto size = static_cast<std::size_t>(n), shown = std::min(size, left_);
    std::cerr << io::harmless({text, shown});
    if (left_ > 0 && shown == left_) std::cerr << "\n(what it prints from here on is not shown)\n";
    left_ -= shown;
    return n;
  }
  int_type overflow(int_type letter) override {
    const char text = traits_type::to_char_type(letter);
    return xsputn(&text, 1), letter;
  }

  std::streambuf* out_;
  std::size_t left_ = kShownBytes;
};

/// A work folder that goes away with this.
class ScratchFolder {
 public:
  [[nodiscard]] static Result<fs::path> make() {
    std::string name = (fs::temp_directory_path() / "gauntlet-external-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return fail(system_error(errno, "create the folder", name));
    return fs::path(name);
  }
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {}
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

template <class T>
Status write_random(const fs::path& path, const std::vector<std::int64_t>& shape, std::uint32_t below,
                    std::uint64_t seed) {
  std::size_t n = 1;
  for (const std::int64_t side : shape) n *= static_cast<std::size_t>(side);
  RandomStream stream(seed);
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(stream.below(below));
  return io::write_npy<T>(path, shape, std::span<const T>(values));
}

Status write_dataset(const fs::path& folder) {
  GAUNTLET_CHECK_OK(write_random<std::uint8_t>(folder / "images.npy", {kItems, kPixels, kPixels, 3}, 256, 1));
  GAUNTLET_CHECK_OK(write_random<std::uint8_t>(folder / "text.npy", {kItems, kWords}, 2, 2));
  std::vector<std::uint8_t> labels(kItems * kLabels), split(kItems);
  for (std::size_t item = 0; item < split.size(); ++item) {
    labels[item * kLabels + item % kLabels] = 1;
    split[item] = item < kQueries ? 0 : item < kQueries + kTrain ? 1 : 2;
  }
  GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(folder / "labels.npy", {kItems, kLabels},
                                                std::span<const std::uint8_t>(labels)));
  GAUNTLET_CHECK_OK(
      io::write_npy<std::uint8_t>(folder / "split.npy", {kItems}, std::span<const std::uint8_t>(split)));
  return write_file_atomic(folder / "dataset.json", R"({"format":1,"name":"made"})");
}

Status write_codes(const fs::path& folder, std::int64_t first, std::int64_t n) {
  GAUNTLET_CHECK_OK(write_random<std::uint8_t>(folder / "codes.npy", {n, kBits / 8}, 256, 3));
  std::vector<std::int64_t> rows;
  for (std::int64_t row = first; row < first + n; ++row) rows.push_back(row);
  return io::write_npy<std::int64_t>(folder / "rows.npy", {n}, std::span<const std::int64_t>(rows));
}

/// Runs steps of one entry in one work folder.
class Bench {
 public:
  Bench(const spec::ExternalEntry& entry, const fs::path& workdir)
      : entry_(entry), version_(0), store_(workdir), workdir_(workdir) {}

  Status make_inputs() {
    GAUNTLET_TRY(data_, publish(JobKind::kPrepare, 1, Json::object(),
                                [](const fs::path& folder) { return write_dataset(folder); }));
    GAUNTLET_TRY(queries_, publish_codes(2, 0, kQueries));
    GAUNTLET_TRY(retrieval_, publish_codes(3, kQueries, kItems - kQueries));
    return {};
  }

  /// A digest of what the step left: files or rows.
  Result<std::string> run(ExternalTask task, std::string_view side, std::uint64_t seed) {
    spec::JobSpec job = job_of(task, side, seed);
    if (entry_.kind == spec::EntryKind::kDefense && !entry_.train.empty() && task == ExternalTask::kPurify)
      job.inputs.push_back({"defense", trained_});
    if (task == ExternalTask::kEncode) job.inputs.push_back({"model", trained_});
    std::ranges::sort(job.inputs, {}, &spec::JobInput::role);
    worker::AttemptContext attempt;
    attempt.job = job;
    GAUNTLET_TRY(attempt.key, spec::key_of(job));
    attempt.workdir = workdir_;
    attempt.store = store_;
    Silent silent;
    GAUNTLET_CHECK_OK(store_.remove(JobKind::kCommand, attempt.key));
    GAUNTLET_TRY(const worker::AttemptResult result, worker::run_command(attempt, silent));
    if (task == ExternalTask::kTrain) trained_ = attempt.key;
    if (task == ExternalTask::kMeasure) {
      std::string rows;
      for (const spec::ResultRow& row : result.rows) rows += fmt::format("{}={};", row.metric, row.value);
      return rows;
    }
    return digest_of(store_.folder_of(JobKind::kCommand, attempt.key));
  }

 private:
  template <class Fill>
  Result<JobKey> publish(JobKind kind, std::uint64_t seed, const Json& about, Fill fill) {
    spec::JobSpec job;
    job.kind = kind;
    job.seed = seed;
    GAUNTLET_TRY(const JobKey key, spec::key_of(job));
    GAUNTLET_TRY(artifacts::Draft draft, store_.begin(key));
    GAUNTLET_CHECK_OK(fill(draft.folder()));
    GAUNTLET_CHECK_OK(store_.publish(std::move(draft), job, key, about));
    return key;
  }

  Result<JobKey> publish_codes(std::uint64_t seed, std::int64_t first, std::int64_t n) {
    return publish(JobKind::kEncode, seed, {{"bits", kBits}, {"n", n}, {"zeros", 0}},
                   [&](const fs::path& folder) { return write_codes(folder, first, n); });
  }

  [[nodiscard]] spec::JobSpec job_of(ExternalTask task, std::string_view side, std::uint64_t seed) const {
    Json options = Json::object();
    for (const FieldInfo& field : entry_.about.fields) options[field.name] = field.default_value;
    spec::JobSpec job;
    job.kind = JobKind::kCommand;
    job.entry = entry_.about.name;
    job.version = version_;
    job.seed = seed;
    job.config = {{"does", spec::name_of(task)},
                  {"descriptor", entry_.hash},
                  {"bits", kBits},
                  {"modality", side},
                  {"part", "query"},
                  {"source", "clean"},
                  {std::string(spec::name_of(entry_.kind)), options}};
    job.locations = {{"descriptor", entry_.descriptor.string()}};
    job.inputs = {{"data", data_}};
    if (task == ExternalTask::kMeasure) {
      job.inputs.push_back({"query_codes", queries_});
      job.inputs.push_back({"retrieval_codes", retrieval_});
    } else {
      job.inputs.push_back({"codes_image", retrieval_});
      job.inputs.push_back({"codes_text", retrieval_});
    }
    return job;
  }

  static Result<std::string> digest_of(const fs::path& folder) {
    std::vector<std::string> digests;
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().filename() == "manifest.json") continue;
      GAUNTLET_TRY(const Digest digest, sha256_file(file.path()));
      digests.push_back(file.path().filename().string() + to_hex(digest));
    }
    std::ranges::sort(digests);
    return fmt::format("{}", fmt::join(digests, " "));
  }

  const spec::ExternalEntry& entry_;
  std::int64_t version_;
  artifacts::ArtifactStore store_;
  fs::path workdir_;
  JobKey data_, queries_, retrieval_, trained_;
};

std::vector<ExternalTask> tasks_of(const spec::ExternalEntry& entry) {
  switch (entry.kind) {
    case spec::EntryKind::kModel:
      return {ExternalTask::kTrain, ExternalTask::kEncode};
    case spec::EntryKind::kAttack:
      return {ExternalTask::kCraft};
    case spec::EntryKind::kDefense:
      return entry.train.empty() ? std::vector{ExternalTask::kPurify}
                                 : std::vector{ExternalTask::kTrain, ExternalTask::kPurify};
    case spec::EntryKind::kMetric:
    case spec::EntryKind::kDataset:
      break;
  }
  return {ExternalTask::kMeasure};
}

/// False when a later step of this side makes no sense.
bool check_step(const spec::ExternalEntry& entry, Bench& bench, ExternalTask task, std::string_view side,
                std::vector<ExternalCheck>& checks) {
  const std::string step = fmt::format("{} {}", spec::name_of(task), side);
  const auto other = bench.run(task, side, 2);
  const auto first = other ? bench.run(task, side, 1) : other;
  if (!first) {
    checks.push_back({step + ": runs", false, first.error().message});
    return false;
  }
  checks.push_back({step + ": runs", true, "leaves what it declares, within range and budget"});
  const auto second = bench.run(task, side, 1);
  const bool same = second && *second == *first;
  checks.push_back(
      {step + ": repeatable", same,
       same ? "the same seed gives the same bytes" : "the same seed gave other outputs the second time"});
  // What is learned may or may not show a seed; what is drawn for one run must.
  if (task == ExternalTask::kTrain) return true;
  const bool differs = *other != *first;
  checks.push_back(
      {step + ": seed", differs == entry.random,
       entry.random ? (differs ? "another seed gives other outputs"
                               : "the descriptor says random: true, but another seed gave the same outputs")
                    : (differs ? "another seed gave other outputs; say random: true"
                               : "the seed changes nothing, as declared")});
  return true;
}

/// Given inputs belong to the queries of one dataset, so that the made-up one can tell nothing of them.
ExternalCheck check_given(const spec::ExternalEntry& entry) {
  const std::string name = "given inputs: files";
  const Result<io::NpyArray> inputs = io::read_npy(entry.descriptor.parent_path() / entry.given);
  if (!inputs) return {name, false, inputs.error().message};
  if (inputs->dtype != io::DType::kF32 || inputs->shape.empty())
    return {name, false,
            fmt::format("{} is {} of shape {}; allowed: f32, one input after the other", entry.given,
                        io::name_of(inputs->dtype), io::shape_text(inputs->shape))};
  if (!entry.given_items.empty()) {
    const Result<io::NpyArray> items = io::read_npy(entry.descriptor.parent_path() / entry.given_items);
    if (!items) return {name, false, items.error().message};
    if (items->shape != std::vector<std::int64_t>{inputs->shape.front()})
      return {name, false,
              fmt::format("{} holds {} inputs, {} has shape {}", entry.given, inputs->shape.front(),
                          entry.given_items, io::shape_text(items->shape))};
  }
  return {name, true,
          fmt::format("{} inputs; a sweep checks them against the clean queries before it uses them",
                      inputs->shape.front())};
}

}  // namespace

Result<std::vector<ExternalCheck>> check_external(const std::shared_ptr<const spec::ExternalEntry>& entry) {
  if (!entry->given.empty()) return std::vector{check_given(*entry)};
  GAUNTLET_TRY(const fs::path path, ScratchFolder::make());
  const ScratchFolder scratch(path);
  const OutputAside aside;
  Bench bench(*entry, scratch.path());
  GAUNTLET_CHECK_OK(bench.make_inputs());
  std::vector<ExternalCheck> checks;
  for (const std::string_view side : {"image", "text"}) {
    const bool works = side == "image" ? entry->about.image : entry->about.text;
    if (!works || (entry->kind == spec::EntryKind::kMetric && side == "text")) continue;
    if (std::ranges::find(entry->inputs, "model") != entry->inputs.end()) {
      checks.push_back(
          {std::string(side), true, "not run: it asks for the checkpoint of a real target model"});
      continue;
    }
    for (const ExternalTask task : tasks_of(*entry)) {
      if (!check_step(*entry, bench, task, side, checks)) break;
    }
  }
  return checks;
}

}  // namespace gauntlet::cli
