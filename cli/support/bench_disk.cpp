#include "cli/support/bench_disk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "cli/support/page_client.hpp"
#include "core/base/descriptor.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kBlock = 4096;
constexpr int kFlushes = 256;
constexpr std::chrono::seconds kFlushTime{2};

/// Every file of the file system that holds `folder` is on disk.
Status write_all_back(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || ::syncfs(opened.get()) != 0) return fail(system_error(errno, "write back", folder));
  return {};
}

bool write_block(int file, int at) {
  static const std::string block(kBlock, 'x');
  return ::pwrite(file, block.data(), kBlock, static_cast<off_t>(kBlock) * at) ==
         static_cast<ssize_t>(kBlock);
}

/// Microseconds of each flush.
Result<std::vector<double>> time_flushes(const std::filesystem::path& probe) {
  const Descriptor file(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return fail(system_error(errno, "make", probe));
  bool works = true;
  for (int at = 0; at < kFlushes; ++at) works = works && write_block(file.get(), at);
  works = works && ::fsync(file.get()) == 0;
  std::vector<double> micros;
  const SteadyTime begun = SteadyClock::now();
  for (int at = 0; at < kFlushes && works && SteadyClock::now() - begun < kFlushTime; ++at) {
    const SteadyTime start = SteadyClock::now();
    works = write_block(file.get(), at) && ::fdatasync(file.get()) == 0;
    micros.push_back(seconds_since(start) * 1e6);
  }
  const int reason = errno;
  ::unlink(probe.c_str());
  if (!works) return fail(system_error(reason, "write", probe));
  return micros;
}

/// A counter of the coordinator's metrics.
Result<double> read_counter(const Served& served, std::string_view name) {
  GAUNTLET_TRY(PageClient page, PageClient::connect(served.workdir()));
  GAUNTLET_TRY(const std::string text, page.get("/metrics"));
  const std::string line = fmt::format("\n{} ", name);
  const std::size_t at = text.find(line);
  if (at == std::string::npos) return fail(ErrorCode::kInternal, "the coordinator's metrics lack {}", name);
  return std::strtod(text.c_str() + at + line.size(), nullptr);
}

constexpr std::string_view kCommits = "gauntlet_commits_total";

}  // namespace

Status settle_disk(const std::filesystem::path& folder, const std::string& name, Json& figures) {
  GAUNTLET_CHECK_OK(write_all_back(folder));
  GAUNTLET_TRY(const std::vector<double> micros, time_flushes(folder / ".flushed"));
  figures[name + "_fdatasync_p50_us"] = percentile(micros, 0.5);
  figures[name + "_fdatasync_p99_us"] = percentile(micros, 0.99);
  return {};
}

Result<CommitCount> CommitCount::begin(const Served& served) {
  GAUNTLET_TRY(const double before, read_counter(served, kCommits));
  return CommitCount(before);
}

Status CommitCount::end(const Served& served, std::int64_t n_jobs, const std::string& name,
                        Json& figures) const {
  GAUNTLET_TRY(const double now, read_counter(served, kCommits));
  figures[name + "_jobs_per_commit"] = static_cast<double>(n_jobs) / std::max(1.0, now - before_);
  return {};
}

}  // namespace gauntlet::cli
