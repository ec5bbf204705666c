// The runner inside gauntlet-rank: one attempt of a job that needs torch, as one rank of its gang. The only
// entry point of this box.
#pragma once

#include <string>

#include "worker/executor/executor.hpp"

namespace gauntlet::run {

/// Thread safety: none; one per process.
class TorchRunner final : public worker::JobRunner {
 public:
  [[nodiscard]] std::string program() const override { return "gauntlet-rank"; }
  [[nodiscard]] std::string environment() const override;
  [[nodiscard]] Result<worker::AttemptResult> run(const worker::AttemptContext& attempt,
                                                  worker::ProgressSink& progress) override;
};

}  // namespace gauntlet::run
