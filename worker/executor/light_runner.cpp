#include "worker/executor/light_runner.hpp"

#include <fstream>

#include "core/base/version.hpp"

namespace gauntlet::worker {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

std::string LightRunner::environment() const {
  const Json environment = {{"program", program()},
                            {"revision", std::string(revision())},
                            {"versions", {{"gauntlet", std::string(version())}, {"compiler", __VERSION__}}},
                            {"cpu", cpu_name()},
                            {"device", "cpu"}};
  return canonical_json(environment).value_or("{}");
}

Result<AttemptResult> LightRunner::run(const AttemptContext& attempt, ProgressSink& progress) {
  switch (attempt.job.kind) {
    case spec::JobKind::kPrepare:
      return run_prepare(attempt, progress);
    case spec::JobKind::kEvaluate:
      return run_evaluate(attempt, progress);
    case spec::JobKind::kCommand:
      return run_command(attempt, progress);
    case spec::JobKind::kNoop:
      return run_noop(attempt, progress);
    case spec::JobKind::kFeatures:
    case spec::JobKind::kTrainModel:
    case spec::JobKind::kTrainAttack:
    case spec::JobKind::kCraft:
    case spec::JobKind::kTrainDefense:
    case spec::JobKind::kEncode:
    case spec::JobKind::kExplain:
      break;
  }
  return fail(ErrorCode::kInvalid,
              "gauntlet executor runs prepare, evaluate, command and noop jobs; this one is {}",
              spec::name_of(attempt.job.kind));
}

}  // namespace gauntlet::worker
