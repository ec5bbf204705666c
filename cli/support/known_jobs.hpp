// What a work folder's database knows of jobs, read without changing it.
#pragma once

#include <filesystem>
#include <memory>

#include "core/base/result.hpp"
#include "core/spec/plan.hpp"

namespace gauntlet::cli {

class KnownJobs {
 public:
  /// Without a database nothing is known. Errors: kCorrupt, kRefused (locked, newer than this program), kIo.
  [[nodiscard]] static Result<KnownJobs> open(const std::filesystem::path& database);
  KnownJobs(KnownJobs&&) noexcept;
  KnownJobs& operator=(KnownJobs&&) noexcept;
  ~KnownJobs();

  /// Callbacks into this object, which must outlive them.
  [[nodiscard]] spec::PlanSources sources();

 private:
  struct State;
  explicit KnownJobs(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gauntlet::cli
