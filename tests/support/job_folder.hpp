// A work folder with a prepared set, in which jobs that need torch are run one by one.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/artifacts/artifact_store.hpp"
#include "core/run/torch_runner.hpp"
#include "tests/data/small_set.hpp"

namespace gauntlet::testing_support {

class JobFolder {
 public:
  /// Publishes a prepared set as the artifact of a prepare job; its key.
  JobKey add(const data::SmallSet& set, const std::string& name = "small") const {
    const TempFolder source;
    spec::JobSpec job;
    job.kind = spec::JobKind::kPrepare;
    job.entry = name;
    const JobKey key = spec::key_of(job).value();
    auto draft = store_.begin(key);
    EXPECT_TRUE(draft) << draft.error().message;
    std::filesystem::copy(set.write(source), draft->folder(), std::filesystem::copy_options::recursive);
    EXPECT_TRUE(store_.publish(std::move(*draft), job, key, Json::object()));
    return key;
  }

  struct Silent final : worker::ProgressSink {
    void update(const worker::Progress& /*progress*/) override {}
  };

  /// One attempt of a job, with its log where agents put it (nothing is written to it here).
  [[nodiscard]] Result<worker::AttemptResult> attempt(const spec::JobSpec& job) const {
    Silent progress;
    return attempt(job, progress);
  }
  /// The same, watched, and stopped once `stop` is set.
  [[nodiscard]] Result<worker::AttemptResult> attempt(const spec::JobSpec& job,
                                                      worker::ProgressSink& progress,
                                                      const std::atomic<bool>* stop = nullptr) const {
    const JobKey key = spec::key_of(job).value();
    std::filesystem::create_directories(log_of(key).parent_path());
    const worker::AttemptContext context{.job = job,
                                         .key = key,
                                         .lease = {},
                                         .attempt = AttemptNo{1},
                                         .workdir = work_.path(),
                                         .log = log_of(key),
                                         .rendezvous = {},
                                         .stop = stop};
    return run::TorchRunner().run(context, progress);
  }

  /// The same for a job that leaves an artifact; the job's key.
  [[nodiscard]] Result<JobKey> run(const spec::JobSpec& job) const {
    GAUNTLET_TRY(const worker::AttemptResult result, attempt(job));
    EXPECT_FALSE(result.manifest_hash.empty());
    return spec::key_of(job);
  }

  [[nodiscard]] std::filesystem::path log_of(const JobKey& key) const {
    return work_ / "logs" / key.hex() / "1.log";
  }
  [[nodiscard]] std::filesystem::path file(spec::JobKind kind, const JobKey& key,
                                           std::string_view name) const {
    return store_.folder_of(kind, key) / name;
  }
  [[nodiscard]] std::filesystem::path checkpoint_of(const JobKey& key) const {
    return work_ / "checkpoints" / key.hex() / "checkpoint.safetensors";
  }
  [[nodiscard]] const std::filesystem::path& path() const { return work_.path(); }
  [[nodiscard]] const artifacts::ArtifactStore& store() const { return store_; }

 private:
  TempFolder work_;
  artifacts::ArtifactStore store_{work_.path()};
};

}  // namespace gauntlet::testing_support
