// gauntlet bench artifacts: how fast an artifact moves through a coordinator, over loopback.
#include <cstring>
#include <fstream>

#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/base/files.hpp"
#include "core/base/random.hpp"
#include "worker/transfer/moves.hpp"

namespace gauntlet::cli {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

struct Options {
  FolderOptions folder;
  std::int64_t mb = 1000;
  bool quick = false;
  bool tls = false;
  bool json = false;
};

/// Content that no compressor shrinks: the slowest case for a wire that is faster than one.
void write_noise(const std::filesystem::path& path, std::int64_t n_mb) {
  std::ofstream file(path, std::ios::binary);
  RandomStream random = RandomStream::of(1, 1, 0);
  std::string block(kBlockBytes, '\0');
  for (std::int64_t at = 0; at < n_mb; ++at) {
    for (std::size_t byte = 0; byte < block.size(); byte += sizeof(std::uint64_t)) {
      const std::uint64_t bits = random.next();
      std::memcpy(block.data() + byte, &bits, sizeof bits);
    }
    file << block;
  }
}

Result<artifacts::Artifact> make_artifact(const std::filesystem::path& workdir, std::int64_t n_mb) {
  const artifacts::ArtifactStore store(workdir);
  spec::JobSpec job;
  job.kind = spec::JobKind::kPrepare;
  job.entry = "noise";
  job.config = {{"mb", n_mb}};
  GAUNTLET_TRY(const JobKey key, spec::key_of(job));
  GAUNTLET_TRY(artifacts::Draft draft, store.begin(key));
  write_noise(draft.folder() / "noise.bin", n_mb);
  return store.publish(std::move(draft), job, key, Json::object());
}

Status measure_moves(const Options& options, const std::filesystem::path& folder, Json& figures) {
  GAUNTLET_CHECK_OK(make_directories(folder / "coordinator"));
  GAUNTLET_TRY(Served served,
               Served::start(folder / "coordinator",
                             options.tls ? std::vector<std::string>{"--tls"} : std::vector<std::string>{}));
  GAUNTLET_TRY(const artifacts::Artifact artifact, make_artifact(folder / "worker", options.mb));
  GAUNTLET_TRY(const JobKey key, spec::key_of(artifact.job));
  worker::Route route;
  route.find = [&served]() -> Result<client::Endpoint> { return served.endpoint(); };
  const double mb = static_cast<double>(options.mb) * kBlockBytes / 1e6;
  auto start = std::chrono::steady_clock::now();
  GAUNTLET_TRY(const std::string there, worker::push_artifact(route, artifact.folder));
  figures["artifact_push_mb_per_s"] = mb / seconds_since(start);
  start = std::chrono::steady_clock::now();
  GAUNTLET_TRY(const std::string back, worker::fetch_artifact(route, folder / "other", key));
  figures["artifact_fetch_mb_per_s"] = mb / seconds_since(start);
  served.stop();
  if (there == artifact.manifest_hash && back == there) return {};
  return fail(ErrorCode::kInternal, "what came is not what was sent");
}

Result<int> run(Options& options) {
  if (options.quick) options.mb = std::min<std::int64_t>(options.mb, 64);
  GAUNTLET_TRY(const ScratchFolder folder, ScratchFolder::make(options.folder.workdir));
  Json figures = {{"artifact_mb", static_cast<double>(options.mb) * kBlockBytes / 1e6}};
  GAUNTLET_CHECK_OK(measure_moves(options, folder.path(), figures));
  return report_figures("artifacts", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--mb", options->mb, "MiB of the artifact (default 1000)").number_between(1, 1e6);
  arguments.add_flag("--quick", options->quick, "64 MiB at most");
  arguments.add_flag("--tls", options->tls, "Over TLS");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_artifacts_verb;
constinit const Verb bench_artifacts_verb{
    .name = "bench artifacts",
    .summary = "Measure how fast an artifact moves to a coordinator's work folder, flushed, and back",
    .examples = "  gauntlet bench artifacts\n  gauntlet bench artifacts --mb 100 --tls --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
