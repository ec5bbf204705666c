#include "cli/support/machine_checks.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "cli/support/child_process.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"
#include "core/data/inspect.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

struct FileSystem {
  long magic;
  const char* name;
  bool network;
};

// Magic numbers of statfs(2).
constexpr FileSystem kFileSystems[] = {
    {0xEF53, "ext4", false},      {0x58465342, "xfs", false},     {0x9123683E, "btrfs", false},
    {0x01021994, "tmpfs", false}, {0x794c7630, "overlay", false}, {0x2fc12fc1, "zfs", false},
    {0x6969, "nfs", true},        {0x0BD00BD0, "lustre", true},   {0x65735546, "fuse", true},
    {0x47504653, "gpfs", true},   {0xff534d42, "cifs", true},     {0xfe534d42, "smb2", true},
    {0x00c36400, "ceph", true},   {0x19830326, "beegfs", true},
};

MachineCheck check_file_system(const fs::path& workdir) {
  MachineCheck check{"file system", true, "", {}};
  struct statfs info {};
  if (statfs(workdir.c_str(), &info) != 0) {
    return {"file system",
            false,
            fmt::format("cannot look at {}: {}", workdir.string(), std::strerror(errno)),
            {}};
  }
  std::string name = fmt::format("type {:#x}", static_cast<unsigned long>(info.f_type));
  for (const FileSystem& known : kFileSystems) {
    if (known.magic != static_cast<long>(info.f_type)) continue;
    name = known.name;
    check.ok = !known.network;
  }
  const double free_gib = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_bsize) / (1 << 30);
  check.detail = fmt::format("{} is on {}, {:.1f} GiB free", workdir.string(), name, free_gib);
  if (!check.ok) check.detail += "; SQLite needs a local disk: put the database there with --database";
  check.facts = {{"type", name}, {"free_gib", free_gib}};
  return check;
}

/// Writes and syncs small blocks: what every commit of the coordinator waits for.
MachineCheck check_sync(const fs::path& workdir) {
  const fs::path probe = workdir / fmt::format(".doctor-{}", getpid());
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    return {"work folder",
            false,
            fmt::format("cannot write in {}: {}", workdir.string(), std::strerror(errno)),
            {}};
  }
  const SystemClock clock;
  std::vector<double> micros;
  const std::string block(4096, 'x');
  bool written = true;
  for (int round = 0; round < 40 && written; ++round) {
    const SteadyTime start = clock.now();
    written =
        write(file, block.data(), block.size()) == static_cast<ssize_t>(block.size()) && fdatasync(file) == 0;
    micros.push_back(std::chrono::duration<double, std::micro>(clock.now() - start).count());
  }
  const int reason = errno;
  close(file);
  unlink(probe.c_str());
  if (!written) {
    return {"work folder",
            false,
            fmt::format("cannot write in {}: {}", workdir.string(), std::strerror(reason)),
            {}};
  }
  std::sort(micros.begin(), micros.end());
  const double p50 = micros[micros.size() / 2];
  const double p99 = micros.back();
  return {"work folder",
          true,
          fmt::format("{} is writable; fdatasync of 4 KiB takes {:.0f} us (half), {:.0f} us (worst of {})",
                      workdir.string(), p50, p99, micros.size()),
          {{"fdatasync_us", {{"p50", p50}, {"p99", p99}}}}};
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
  if (!bound)
    return {"loopback port", false, fmt::format("cannot listen on 127.0.0.1: {}", std::strerror(reason)), {}};
  return {"loopback port", true, "a port on 127.0.0.1 can be listened on", {}};
}

MachineCheck check_rank_program() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path() / "gauntlet-rank";
  if (error || access(program.c_str(), X_OK) != 0) {
    return {"gauntlet-rank",
            false,
            fmt::format("{} is missing: jobs that need torch cannot run here; ./dev build makes it",
                        program.string()),
            {}};
  }
  const fs::path log = fs::temp_directory_path() / fmt::format("gauntlet-doctor-{}", getpid());
  Result<ChildProcess> child = ChildProcess::start({{program.string(), "--version"}, log, true});
  if (!child) return {"gauntlet-rank", false, child.error().message, {}};
  child->wait_or_kill(Milliseconds(30'000));
  Result<std::string> said = read_file(log);
  fs::remove(log, error);
  std::string line = said ? said->substr(0, said->find('\n')) : "";
  if (child->exit_code() != 0) {
    return {"gauntlet-rank", false, fmt::format("{} does not start: {}", program.string(), line), {}};
  }
  return {"gauntlet-rank", true, line, {{"path", program.string()}}};
}

MachineCheck check_database(const fs::path& database) {
  std::error_code ignored;
  if (!fs::exists(database, ignored))
    return {"database", true, fmt::format("{}: none yet", database.string()), {}};
  Result<db::Connection> connection = db::Connection::open_read_only(database);
  if (!connection) return {"database", false, connection.error().message, {}};
  const Status version = db::check_version(*connection);
  if (!version) return {"database", false, version.error().message, {}};
  return {"database", true, fmt::format("{} can be read", database.string()), {}};
}

/// Whether the dataset's sources have usual places; others are named by whoever uses them.
bool reads_installed_files(const Json& dataset) {
  const Json needs = dataset.value("needs", Json::array());
  return std::all_of(needs.begin(), needs.end(),
                     [](const Json& need) { return need.value("default", "") != ""; });
}

MachineCheck check_processors() {
  const unsigned n_cpus = std::thread::hardware_concurrency();
  const double memory_gib =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 30);
  return {"processors",
          true,
          fmt::format("{} processors, {:.1f} GiB memory", n_cpus, memory_gib),
          {{"cpus", n_cpus}, {"memory_gib", memory_gib}}};
}

}  // namespace

std::vector<MachineCheck> check_disk(const fs::path& workdir) {
  const Status made = make_directories(workdir);
  if (!made) return {{"work folder", false, made.error().message, {}}};
  return {check_file_system(workdir), check_sync(workdir)};
}

std::vector<MachineCheck> check_machine(const fs::path& workdir, const fs::path& database) {
  std::vector<MachineCheck> checks = {check_processors()};
  for (MachineCheck& check : check_disk(workdir)) checks.push_back(std::move(check));
  checks.push_back(check_database(database));
  checks.push_back(check_port());
  checks.push_back(check_rank_program());
  for (const Json& dataset : data::list_datasets()) {
    if (!reads_installed_files(dataset)) continue;
    checks.push_back({"dataset " + dataset.value("name", ""),
                      dataset.value("available", false),
                      dataset.value("available", false) ? "sources are there" : dataset.value("detail", ""),
                      {}});
  }
  return checks;
}

}  // namespace gauntlet::cli
