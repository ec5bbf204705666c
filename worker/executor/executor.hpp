// The executor: a warm child process of the agent that runs attempts one after another. Both executors
// (`gauntlet executor` for jobs without torch, `gauntlet-rank` for the others) are this loop around a
// JobRunner.
//
// The executor speaks frames with the agent over one socket. While an attempt runs, stdout and stderr go to
// the attempt's log, so that whatever a library prints, the last words of a crash included, are found there.
// Thread safety: run_executor and the runner use the calling thread; ProgressSink::update may be called from
// any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/artifacts/artifact_store.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::worker {

/// One attempt as a runner sees it. Every rank of a gang gets its own, differing in `rank` only.
struct AttemptContext {
  spec::JobSpec job;  ///< resources are default; locations and title are set
  JobKey key;
  LeaseId lease;
  AttemptNo attempt;
  std::filesystem::path workdir;
  std::filesystem::path log;         ///< "" when the attempt keeps no log
  std::filesystem::path rendezvous;  ///< file for the ranks' store; "" when world is 1
  std::string device = "cpu";        ///< "cpu", "cuda"
  int rank = 0;
  int world = 1;    ///< ranks of the gang
  int threads = 1;  ///< of this process, >= 1
  artifacts::ArtifactStore store{workdir};
  double checkpoint_minutes = 5;  ///< between two checkpoints of a training; 0 = after every epoch
  /// Set while it runs: save a checkpoint where the next epoch ends and fail with kInterrupted. A job without
  /// checkpoints may ignore it. Null when nobody can ask.
  const std::atomic<bool>* stop = nullptr;
};

/// How far an attempt is.
struct Progress {
  std::int64_t epoch = 0;  ///< 1-based; 0 = not an epoch kind of job, or not started
  std::int64_t epochs = 0;
  double fraction = 0;  ///< of the whole job, in [0,1]
  double rate = 0;      ///< items per second; 0 = unknown
  std::map<std::string, double> losses = {};
  std::string phase = {};  ///< "epoch", "vocabulary", …
};

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// Cheap enough for every step: at most five a second travel, and always the first of a new phase.
  virtual void update(const Progress& progress) = 0;
};

/// What a finished attempt leaves beside its log. Only rank 0's counts; the other ranks return an empty one.
struct AttemptResult {
  std::vector<spec::ResultRow> rows = {};
  std::vector<spec::Curve> curves = {};
  std::string manifest_hash = {};  ///< of the published artifact, hexadecimal; "" for jobs without one
  std::string environment =
      {};  ///< canonical JSON; "" = JobRunner::environment() with world size and threads added
};

class JobRunner {
 public:
  virtual ~JobRunner() = default;
  /// Name of the program, for messages: "gauntlet", "gauntlet-rank".
  [[nodiscard]] virtual std::string program() const = 0;
  /// Canonical JSON object: program, revision, library versions, device.
  [[nodiscard]] virtual std::string environment() const = 0;
  /// Runs one attempt to its end. Exceptions that libraries throw may pass: the executor turns them into
  /// errors.
  [[nodiscard]] virtual Result<AttemptResult> run(const AttemptContext& attempt, ProgressSink& progress) = 0;
};

/// Announces itself on `fd`, then runs the attempts it is told to until ExecutorStop or the end of the stream
/// (the agent is gone). SIGUSR1 asks the running attempt to stop with a checkpoint (AttemptContext::stop).
/// Returns the process exit code: 0, or 1 when the stream broke its rules.
[[nodiscard]] int run_executor(int fd, JobRunner& runner);

}  // namespace gauntlet::worker
