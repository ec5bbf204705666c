// External entries run as command jobs on a data set of six items.
#pragma once

#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "core/data/prepared_set.hpp"
#include "core/io/npy.hpp"
#include "core/spec/external.hpp"
#include "tests/support/temp_folder.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::worker {

namespace fs = std::filesystem;
using spec::JobKind;

class NoProgress final : public ProgressSink {
 public:
  void update(const Progress&) override {}
};

/// Six items of 2x2 pixels and two words: 0 and 1 are queries, 2 and 3 train, 4 and 5 are only retrieved.
inline void fill_dataset(const fs::path& folder) {
  std::vector<std::uint8_t> images(6 * 12);
  for (std::size_t at = 0; at < images.size(); ++at) images[at] = static_cast<std::uint8_t>(at * 3);
  const std::vector<std::uint8_t> text = {1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0};
  const std::vector<std::uint8_t> labels = {1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1};
  const std::vector<std::uint8_t> split = {0, 0, 1, 1, 2, 2};
  const auto write = [&](const char* name, const std::vector<std::int64_t>& shape,
                         const std::vector<std::uint8_t>& values) {
    ASSERT_TRUE(io::write_npy<std::uint8_t>(folder / name, shape, std::span<const std::uint8_t>(values)));
  };
  write("images.npy", {6, 2, 2, 3}, images);
  write("text.npy", {6, 2}, text);
  write("labels.npy", {6, 2}, labels);
  write("split.npy", {6}, split);
  std::ofstream(folder / "dataset.json") << R"({"format":1,"name":"tiny"})";
}

class External : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(entry_folder_);
    data_ = publish(JobKind::kPrepare, fill_dataset);
  }
  [[nodiscard]] AttemptContext context(const spec::JobSpec& job) const {
    AttemptContext attempt;
    attempt.job = job;
    attempt.key = key_of(job).value();
    attempt.workdir = folder_ / "runs";
    attempt.store = artifacts::ArtifactStore(attempt.workdir);
    return attempt;
  }
  JobKey publish(JobKind kind, const std::function<void(const fs::path&)>& fill,
                 const Json& about = Json::object()) {
    spec::JobSpec job;
    job.kind = kind;
    job.seed = ++n_published_;
    const AttemptContext attempt = context(job);
    auto draft = attempt.store.begin(attempt.key);
    fill(draft->folder());
    EXPECT_TRUE(attempt.store.publish(std::move(*draft), job, attempt.key, about));
    return attempt.key;
  }
  /// An attack whose command is this shell script; `more` are further lines of the descriptor.
  spec::JobSpec attack(const std::string& script, const std::string& more = "") {
    return entry("attack", "inputs.npy", script,
                 more + "\nbudget: {linf: epsilon}\nfields: {epsilon: {type: real, default: 0.5}}");
  }
  spec::JobSpec entry(const std::string& kind, const std::string& output, const std::string& script,
                      const std::string& more) {
    std::ofstream(entry_folder_ / "run.sh") << script;
    const fs::path path = entry_folder_ / "entry.yaml";
    std::ofstream(path) << fmt::format(
        "gauntlet_external: 1\nkind: {}\nname: mine\ncommand: [sh, run.sh]\nfiles: [run.sh]\ninputs: "
        "[{}]\noutputs: "
        "[{}]\n{}\n",
        kind, kind == "metric" ? "codes, labels" : "inputs", output, more);
    const auto read = spec::read_external(path);
    EXPECT_TRUE(read) << read.error().message;
    spec::JobSpec job;
    job.kind = JobKind::kCommand;
    job.entry = "mine";
    job.version = spec::to_catalog_entry(*read).version;
    job.seed = 1;
    const bool is_metric = kind == "metric";
    job.config = {{"does", is_metric          ? "measure"
                           : kind == "attack" ? "craft"
                                              : "purify"},
                  {"descriptor", (*read)->hash},
                  {kind, {{"epsilon", 0.5}}}};
    if (!is_metric) job.config.update({{"modality", "image"}, {"part", "query"}, {"source", "clean"}});
    job.locations = {{"descriptor", path.string()}};
    job.inputs = {{"data", data_}};
    return job;
  }
  Result<AttemptResult> run(const spec::JobSpec& job) {
    NoProgress progress;
    testing::internal::CaptureStdout();
    auto result = LightRunner().run(context(job), progress);
    printed_ = testing::internal::GetCapturedStdout();
    return result;
  }
  std::string refusal(const spec::JobSpec& job) {
    const auto result = run(job);
    EXPECT_FALSE(result);
    EXPECT_TRUE(result || result.error().code == ErrorCode::kInvalid) << result.error().message;
    EXPECT_FALSE(context(job).store.contains(JobKind::kCommand, key_of(job).value()));
    EXPECT_TRUE(fs::is_empty(folder_ / "runs/artifacts/.tmp"));
    return result ? "" : result.error().message;
  }

  testing_support::TempFolder folder_;
  fs::path entry_folder_ = folder_ / "entry";
  JobKey data_;
  std::uint64_t n_published_ = 0;
  std::string printed_;
};

inline const std::string kCopy = "cp inputs/inputs.npy outputs/\n";

}  // namespace gauntlet::worker
