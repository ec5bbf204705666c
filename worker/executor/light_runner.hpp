// The runner of the jobs that need no torch: prepare, evaluate, command, noop. One function and one file per
// kind. Thread safety: as JobRunner.
#pragma once

#include <string>

#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

class LightRunner final : public JobRunner {
 public:
  [[nodiscard]] std::string program() const override { return "gauntlet"; }
  [[nodiscard]] std::string environment() const override;
  [[nodiscard]] Result<AttemptResult> run(const AttemptContext& attempt, ProgressSink& progress) override;
};

/// Runs the dataset entry named by the job into an artifact, or makes the validation split of input data
/// (config.validation: {"items", "seed"}). Errors: those of the entry; kInvalid when this
/// program has another version of the entry, or when the sources are not those the job was planned for.
[[nodiscard]] Result<AttemptResult> run_prepare(const AttemptContext& attempt, ProgressSink& progress);

/// Metrics of one direction from two sets of codes: inputs data, query_codes, retrieval_codes and, when
/// targeted, crafted. Errors: kCorrupt for inputs that do not fit together; those of metrics::evaluate. With
/// config.part "validation" on a validation split, with config.select a choice by such measurements:
/// select.hpp.
[[nodiscard]] Result<AttemptResult> run_evaluate(const AttemptContext& attempt, ProgressSink& progress);

/// Runs a program (config.run), or one step of the external entry whose descriptor is at
/// locations.descriptor: its inputs in a folder of its own, its outputs checked, then an artifact like that
/// of the built-in kind of job, rows of metrics without one. Errors: kInvalid for a descriptor that changed
/// since planning, a program that fails, breaks a limit or leaves other outputs than declared; kTimedOut;
/// kOutOfMemory.
[[nodiscard]] Result<AttemptResult> run_command(const AttemptContext& attempt, ProgressSink& progress);

/// Waits config.ms milliseconds, then gives three rows: noop_zero, noop_one, noop_index (= config.index).
[[nodiscard]] Result<AttemptResult> run_noop(const AttemptContext& attempt, ProgressSink& progress);

}  // namespace gauntlet::worker
