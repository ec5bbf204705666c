#include "core/run/torch_runner.hpp"

#include <torch/version.h>

#include "core/base/check.hpp"
#include "core/base/version.hpp"
#include "core/collective/device_transport.hpp"
#include "core/run/explain_job.hpp"
#include "core/run/jobs.hpp"
#include "core/train/seeding.hpp"

namespace gauntlet::run {
namespace {

constexpr int kRendezvousTimeoutS = 60;

/// Where the attempt's tensors live. Errors: kInvalid in a build without such devices, kIo when there is
/// none.
Result<torch::Device> device_of(const worker::AttemptContext& attempt,
                                collective::DeviceTransport* transport) {
  if (attempt.device == "cpu") return torch::Device(torch::kCPU);
  if (transport == nullptr) {
    return fail(ErrorCode::kInvalid,
                "the attempt was given a {} device, and this gauntlet-rank is built for processors; "
                "`GAUNTLET_DEVICE=cuda ./dev build` makes the other",
                attempt.device);
  }
  if (transport->n_devices() == 0)
    return fail(ErrorCode::kIo, "the attempt was given a {} device; {}", attempt.device,
                transport->devices());
  return torch::Device(transport->device_type(), 0);  // the agent shows each rank its own device only
}

Result<std::unique_ptr<collective::Communicator>> join_gang(const worker::AttemptContext& attempt,
                                                            torch::Device device,
                                                            collective::DeviceTransport* transport) {
  if (attempt.world == 1) return collective::make_solo_communicator();
  if (!device.is_cpu()) {
    return collective::make_device_communicator(attempt.rendezvous.string(), attempt.rank, attempt.world,
                                                kRendezvousTimeoutS, *transport);
  }
  return collective::make_gloo_communicator(attempt.rendezvous.string(), attempt.rank, attempt.world,
                                            kRendezvousTimeoutS);
}

Result<worker::AttemptResult> run_kind(const JobRun& run) {
  switch (run.attempt.job.kind) {
    case spec::JobKind::kFeatures:
      return run_features(run);
    case spec::JobKind::kTrainModel:
      return run_train_model(run);
    case spec::JobKind::kTrainAttack:
      return run_train_attack(run);
    case spec::JobKind::kCraft:
      return run_craft(run);
    case spec::JobKind::kTrainDefense:
      return run_train_defense(run);
    case spec::JobKind::kEncode:
      return run_encode(run);
    case spec::JobKind::kExplain:
      return run_explain(run);
    case spec::JobKind::kPrepare:
    case spec::JobKind::kEvaluate:
    case spec::JobKind::kCommand:
    case spec::JobKind::kNoop:
      break;
  }
  return fail(ErrorCode::kInvalid, "gauntlet-rank does not run {} jobs", spec::name_of(run.attempt.job.kind));
}

}  // namespace

std::string TorchRunner::environment() const {
  Json environment = {{"program", program()},
                      {"version", version()},
                      {"revision", revision()},
                      {"versions", {{"libtorch", TORCH_VERSION}}},
                      {"device", "cpu"}};
  if (transport_ != nullptr) {
    environment["versions"][transport_->library()] = transport_->version();
    environment["variables"] = transport_->environment();
  }
  const Result<std::string> text = canonical_json(environment);
  GAUNTLET_CHECK(text.has_value());
  return *text;
}

Result<worker::AttemptResult> TorchRunner::run(const worker::AttemptContext& attempt,
                                               worker::ProgressSink& progress) {
  train::set_threads(attempt.threads);
  GAUNTLET_TRY(const torch::Device device, device_of(attempt, transport_));
  GAUNTLET_TRY(const auto communicator, join_gang(attempt, device, transport_));
  try {
    return run_kind(
        {.attempt = attempt, .progress = progress, .communicator = *communicator, .device = device});
  } catch (
      const collective::CollectiveFailure& failure) {  // crosses torch's backward, so it has to be thrown
    return fail(ErrorCode::kCollective, "{}", failure.what());
  }
}

}  // namespace gauntlet::run
