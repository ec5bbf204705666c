// Processors, memory, open files, clock, ports.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "cli/support/machine_checks.hpp"
#include "coordinator/client/client.hpp"
#include "coordinator/net/workdir.hpp"
#include "core/base/cgroup.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGoodMemory = std::uint64_t{2} << 30;
constexpr rlim_t kGoodFiles = 1024;
constexpr rlim_t kLeastFiles = 256;
constexpr double kSkewS = 2;
constexpr Milliseconds kAnswerLimit{2000};

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(CPU_COUNT(&set));
  return static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

MachineCheck check_processors(const CgroupLimits& limits) {
  const unsigned n_cpus = usable_cpus();
  const auto n_all = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  MachineCheck check{"processors", CheckLevel::kOk, count_of(n_cpus, "processor")};
  if (n_cpus < n_all) check.detail += fmt::format(" of the machine's {} may be used", n_all);
  check.facts = {{"cpus", n_cpus}, {"cpu_quota", limits.cpus ? Json(*limits.cpus) : Json()}};
  if (limits.cpus && *limits.cpus < n_cpus - 0.5) {
    check.level = CheckLevel::kWarn;
    check.detail += fmt::format(", but this control group gets the time of {:.1f}", *limits.cpus);
    check.remedy =
        fmt::format("offer no more than it has: --cpus {:.0f}", std::max(1.0, std::floor(*limits.cpus)));
  }
  return check;
}

/// MemAvailable of /proc/meminfo.
std::uint64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemAvailable:")) return std::strtoull(line.c_str() + 13, nullptr, 10) * 1024;
  }
  return 0;
}

MachineCheck check_memory(const CgroupLimits& limits) {
  const std::uint64_t total = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                              static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t available = available_memory();
  MachineCheck check{"memory", CheckLevel::kOk,
                     fmt::format("{}, {} of it available", human_bytes(total), human_bytes(available))};
  check.facts = {
      {"total_gib", static_cast<double>(total) / (1 << 30)},
      {"available_gib", static_cast<double>(available) / (1 << 30)},
      {"limit_gib",
       limits.memory_bytes ? Json(static_cast<double>(*limits.memory_bytes) / (1 << 30)) : Json()}};
  if (limits.memory_bytes && *limits.memory_bytes < total) {
    check.level = CheckLevel::kWarn;
    check.detail += fmt::format("; this control group is killed above {}", human_bytes(*limits.memory_bytes));
    check.remedy = fmt::format("offer no more than it has: --memory-mb {}", *limits.memory_bytes >> 20);
  } else if (available < kGoodMemory) {
    check.level = CheckLevel::kWarn;
    check.remedy = "training on small datasets takes about 2 GiB a process; end something else first";
  }
  return check;
}

MachineCheck check_open_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  MachineCheck check{"open files", CheckLevel::kOk, fmt::format("{} may be open at once", limit.rlim_cur)};
  check.facts = {{"soft", limit.rlim_cur}, {"hard", limit.rlim_max}};
  if (limit.rlim_cur < kGoodFiles) {
    check.level = limit.rlim_cur < kLeastFiles ? CheckLevel::kFail : CheckLevel::kWarn;
    check.remedy = fmt::format("a coordinator needs one per worker: `ulimit -n {}`",
                               std::min<rlim_t>(limit.rlim_max, 65536));
  }
  return check;
}

/// Agents tell leftovers from drafts by the times of files.
MachineCheck check_clock(const fs::path& workdir) {
  const fs::path probe = workdir / fmt::format(".doctor-{}", getpid());
  const std::int64_t before_ms = SystemClock().wall_ms();
  { std::ofstream(probe) << "x"; }
  struct stat about {};
  const bool seen = ::stat(probe.c_str(), &about) == 0;
  const std::int64_t after_ms = SystemClock().wall_ms();
  ::unlink(probe.c_str());
  if (!seen)
    return {"clock", CheckLevel::kWarn, "no file could be made to compare with",
            "see the work folder's line"};
  const double file_s =
      static_cast<double>(about.st_mtim.tv_sec) + static_cast<double>(about.st_mtim.tv_nsec) / 1e9;
  const double before_s = static_cast<double>(before_ms) / 1000;
  const double after_s = static_cast<double>(after_ms) / 1000;
  const double skew_s = file_s < before_s ? file_s - before_s : file_s > after_s ? file_s - after_s : 0;
  MachineCheck check{"clock", CheckLevel::kOk, "that of the files agrees with this machine's"};
  check.facts = {{"file_skew_s", skew_s}};
  if (std::abs(skew_s) > kSkewS) {
    check.level = CheckLevel::kWarn;
    check.detail = fmt::format("files in {} are dated {:.1f} s {} this machine's clock", workdir.string(),
                               std::abs(skew_s), skew_s > 0 ? "after" : "before");
    check.remedy = "let both machines follow a time server (chrony, ntpd)";
  }
  return check;
}

MachineCheck check_port() {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = socket_fd >= 0 &&
                     bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                     listen(socket_fd, 1) == 0;
  const int reason = errno;
  if (socket_fd >= 0) close(socket_fd);
  if (bound) return {"loopback port", CheckLevel::kOk, "a port on 127.0.0.1 can be listened on"};
  return {"loopback port", CheckLevel::kFail,
          fmt::format("cannot listen on 127.0.0.1: {}", std::strerror(reason)),
          "coordinator and workers talk over it; a sandbox or a firewall forbids it"};
}

MachineCheck check_coordinator(const fs::path& workdir) {
  const std::optional<std::string> holder = coordinator::holder_of_workdir(workdir);
  std::error_code ignored;
  const bool has_address = fs::exists(workdir / "coordinator.json", ignored);
  if (!holder && !has_address)
    return {"coordinator", CheckLevel::kOk, fmt::format("none serves {}", workdir.string())};
  if (!holder) {
    return {
        "coordinator", CheckLevel::kOk,
        fmt::format(
            "none serves {}; coordinator.json is left of one that was killed, and the next start replaces it",
            workdir.string())};
  }
  const Result<client::Client> client = client::Client::connect(workdir, kAnswerLimit);
  if (client) {
    return {
        "coordinator", CheckLevel::kOk,
        fmt::format("gauntlet {} serves {} ({})", client->welcome().version(), workdir.string(), *holder)};
  }
  return {"coordinator", CheckLevel::kFail,
          fmt::format("{} holds {}, but: {}", *holder, workdir.string(), client.error().message),
          "its log is logs/coordinator.log in the work folder"};
}

}  // namespace

std::vector<MachineCheck> check_system(const fs::path& workdir) {
  const CgroupLimits limits = cgroup_limits();
  return {check_processors(limits), check_memory(limits), check_open_files(), check_clock(workdir)};
}

std::vector<MachineCheck> check_network(const fs::path& workdir) {
  return {check_port(), check_coordinator(workdir)};
}

}  // namespace gauntlet::cli
