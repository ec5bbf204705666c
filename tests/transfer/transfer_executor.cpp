// An executor whose jobs leave artifacts of config.kb KiB that say nothing, or read those of others. With
// config.checkpoint, a first attempt saves a checkpoint and hangs; a later one must find it.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/artifacts/adopt.hpp"
#include "core/base/files.hpp"
#include "core/base/random.hpp"
#include "core/transfer/incoming.hpp"
#include "worker/executor/executor_loop.hpp"

namespace gauntlet::worker {
namespace {

class Runner final : public JobRunner {
 public:
  [[nodiscard]] std::string program() const override { return "transfer_executor"; }
  [[nodiscard]] std::string environment() const override { return R"({"program":"transfer_executor"})"; }

  [[nodiscard]] Result<AttemptResult> run(const AttemptContext& attempt, ProgressSink&) override {
    for (const spec::JobInput& input : attempt.job.inputs) {
      GAUNTLET_TRY(const auto found, artifacts::find_manifest(attempt.store, input.key));
      const auto kind = spec::job_kind_from(found.folder.parent_path().parent_path().filename().string());
      GAUNTLET_TRY(const auto opened, attempt.store.open(*kind, input.key));
    }
    if (attempt.job.config.value("checkpoint", false)) GAUNTLET_CHECK_OK(go_on(attempt));
    if (attempt.job.kind == spec::JobKind::kEvaluate) {
      return AttemptResult{
          .rows = {{.metric = "map", .value = 1, .unit = "ratio", .higher_is_better = true, .n = 1}}};
    }
    if (const auto made = attempt.store.open(attempt.job.kind, attempt.key))
      return AttemptResult{.manifest_hash = made->manifest_hash};
    GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
    write(draft.folder() / "noise.bin", attempt.job.config.value("kb", 0), attempt.job.seed);
    std::filesystem::create_directories(draft.folder() / "more");
    std::ofstream(draft.folder() / "more" / "text.txt") << std::string(100'000, 'x');
    std::ofstream(draft.folder() / "empty") << "";
    GAUNTLET_TRY(const auto artifact,
                 attempt.store.publish(std::move(draft), attempt.job, attempt.key, Json::object()));
    return AttemptResult{.manifest_hash = artifact.manifest_hash};
  }

 private:
  static void write(const std::filesystem::path& path, int n_kb, std::uint64_t seed) {
    std::ofstream file(path, std::ios::binary);
    RandomStream random = RandomStream::of(seed, 1, 0);
    std::string block(1024, '\0');
    for (int at = 0; at < n_kb; ++at) {
      for (std::size_t byte = 0; byte < block.size(); byte += 4) {
        const std::uint32_t bits = random.below(0x7fffffff);
        std::memcpy(block.data() + byte, &bits, 4);
      }
      file << block;
    }
  }

  static Status go_on(const AttemptContext& attempt) {
    const auto file = transfer::checkpoint_folder(attempt.workdir, attempt.key) / transfer::kCheckpointFile;
    if (attempt.attempt.value > 1) {
      GAUNTLET_TRY(const std::string saved, read_file(file));
      if (saved != "epoch 7") return fail(ErrorCode::kInvalid, "the checkpoint says '{}'", saved);
      return {};
    }
    GAUNTLET_CHECK_OK(make_directories(file.parent_path()));
    GAUNTLET_CHECK_OK(write_file_atomic(file, "epoch 7"));
    while (true) ::pause();  // until its machine is lost
  }
};

}  // namespace
}  // namespace gauntlet::worker

int main(int argc, char** argv) {
  gauntlet::worker::Runner runner;
  const int fd = argc < 2 ? -1 : std::atoi(argv[argc - 1]);
  if (argc < 5 || std::strcmp(argv[argc - 4], "--board") != 0)
    return gauntlet::worker::run_executor(fd, runner);
  return gauntlet::worker::run_executor({fd, std::atoi(argv[argc - 3])}, runner);
}
