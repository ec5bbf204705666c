// The runner inside gauntlet-rank: one attempt of a job that needs torch, as one rank of its gang. The only
// entry point of this box.
#pragma once

#include <string>

#include "worker/executor/executor.hpp"

namespace gauntlet::collective {
class DeviceTransport;
}

namespace gauntlet::run {

/// Thread safety: none; one per process.
class TorchRunner final : public worker::JobRunner {
 public:
  /// `transport` outlives the runner; null: this program was built for processors.
  explicit TorchRunner(collective::DeviceTransport* transport = nullptr) : transport_(transport) {}

  [[nodiscard]] std::string program() const override { return "gauntlet-rank"; }
  [[nodiscard]] std::string environment() const override;
  [[nodiscard]] Result<worker::AttemptResult> run(const worker::AttemptContext& attempt,
                                                  worker::ProgressSink& progress) override;

 private:
  collective::DeviceTransport* transport_;
};

}  // namespace gauntlet::run
