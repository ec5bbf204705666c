// Where the database and the artifacts lie: file system, space, what a commit waits for.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/support/machine_checks.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

struct FileSystem {
  unsigned long magic;
  const char* name;
  enum class Nature : std::uint8_t { kLocal, kMemory, kNetwork } nature;
};
using Nature = FileSystem::Nature;

// Magic numbers of statfs(2).
constexpr FileSystem kFileSystems[] = {
    {0xEF53, "ext4", Nature::kLocal},         {0x58465342, "xfs", Nature::kLocal},
    {0x9123683E, "btrfs", Nature::kLocal},    {0x794c7630, "overlay", Nature::kLocal},
    {0x2fc12fc1, "zfs", Nature::kLocal},      {0xF2F52010, "f2fs", Nature::kLocal},
    {0x01021994, "tmpfs", Nature::kMemory},   {0x858458f6, "ramfs", Nature::kMemory},
    {0x6969, "nfs", Nature::kNetwork},        {0x0BD00BD0, "lustre", Nature::kNetwork},
    {0x65735546, "fuse", Nature::kNetwork},   {0x47504653, "gpfs", Nature::kNetwork},
    {0x517B, "smb", Nature::kNetwork},        {0xff534d42, "cifs", Nature::kNetwork},
    {0xfe534d42, "smb2", Nature::kNetwork},   {0x00c36400, "ceph", Nature::kNetwork},
    {0x19830326, "beegfs", Nature::kNetwork}, {0x01021997, "9p", Nature::kNetwork},
};

constexpr double kLeastFreeGib = 0.25;
constexpr double kGoodFreeGib = 5;
constexpr std::uint64_t kGoodFreeFiles = 10'000;
constexpr int kSyncs = 400;
constexpr Milliseconds kSyncTime{2000};
/// Above this, a commit is felt.
constexpr double kSlowSyncUs = 20'000;
/// Below this, hardly any disk has written and confirmed anything: a request to a fast one alone takes 10 us.
constexpr double kImplausibleSyncUs = 20;
/// A rotating disk needs half a turn, 3 to 4 ms, to come to the place.
constexpr double kImplausibleRotatingUs = 1000;

std::string reason() { return std::strerror(errno); }

struct Found {
  FileSystem kind{0, "", Nature::kLocal};
  std::string name;
};

Found file_system_of(const struct statfs& info) {
  const auto magic = static_cast<unsigned long>(info.f_type) & 0xFFFFFFFFUL;
  for (const FileSystem& known : kFileSystems) {
    if (known.magic == magic) return {known, known.name};
  }
  return {{magic, "", Nature::kLocal}, fmt::format("a file system of type {:#x}", magic)};
}

MachineCheck check_file_system(const fs::path& folder, const struct statfs& info, bool for_database) {
  const Found found = file_system_of(info);
  MachineCheck check{"file system", CheckLevel::kOk, fmt::format("{} is on {}", folder.string(), found.name)};
  check.facts = {{"type", found.name}};
  if (found.kind.nature == Nature::kNetwork && for_database) {
    check.level = CheckLevel::kFail;
    check.detail += ", which cannot keep a database safe: SQLite's log needs memory shared by all who use it";
    check.remedy = "put the database on a local disk with --database; the work folder may stay";
  } else if (found.kind.nature == Nature::kMemory) {
    check.level = CheckLevel::kWarn;
    check.detail += ", which is memory: all of it is gone when the machine stops";
    check.remedy = "use a work folder on a disk, but for tests";
  }
  return check;
}

MachineCheck check_space(const fs::path& folder, const struct statfs& info) {
  const double free_gib = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_bsize) / (1 << 30);
  const bool counts_files = info.f_files > 0;
  MachineCheck check{"free space", CheckLevel::kOk,
                     fmt::format("{:.1f} GiB free in {}", free_gib, folder.string())};
  check.facts = {{"free_gib", free_gib}, {"free_files", counts_files ? Json(info.f_ffree) : Json()}};
  if (free_gib < kLeastFreeGib) {
    check.level = CheckLevel::kFail;
  } else if (free_gib < kGoodFreeGib) {
    check.level = CheckLevel::kWarn;
  } else if (counts_files && info.f_ffree < kGoodFreeFiles) {
    check.level = CheckLevel::kWarn;
    check.detail += fmt::format(", but only {} more files can be made", info.f_ffree);
  }
  if (check.level != CheckLevel::kOk) check.remedy = "`gauntlet gc` shows what a work folder can do without";
  return check;
}

/// What Linux says of the disk under a file: /sys/dev/block/<major>:<minor>, or the disk of that partition.
struct Disk {
  std::string name;
  std::string write_cache;  ///< "write back", "write through" or ""
  bool rotating = false;
};

Disk disk_of(const fs::path& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return {};
  std::error_code error;
  fs::path device =
      fs::canonical(fmt::format("/sys/dev/block/{}:{}", major(about.st_dev), minor(about.st_dev)), error);
  if (error) return {};
  if (!fs::exists(device / "queue", error)) device = device.parent_path();
  const auto word = [&](const char* file) {
    Result<std::string> text = read_file(device / "queue" / file, 4096);
    if (!text) return std::string();
    while (!text->empty() && text->back() == '\n') text->pop_back();
    return *text;
  };
  return {device.filename().string(), word("write_cache"), word("rotational") == "1"};
}

struct Syncs {
  std::vector<double> micros;  ///< sorted
  [[nodiscard]] double quantile(double q) const {
    return micros[static_cast<std::size_t>(q * static_cast<double>(micros.size() - 1))];
  }
};

/// Writes and syncs small blocks at the end of a file, as a commit does to its log.
Result<Syncs> measure_syncs(const fs::path& folder) {
  const fs::path probe = folder / fmt::format(".doctor-{}", getpid());
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return fail(ErrorCode::kIo, "cannot write in {}: {}", folder.string(), reason());
  const SystemClock clock;
  Syncs syncs;
  const std::string block(4096, 'x');
  bool written = true;
  const SteadyTime deadline = clock.now() + kSyncTime;
  for (int round = 0; round < kSyncs && written && clock.now() < deadline; ++round) {
    const SteadyTime start = clock.now();
    written =
        write(file, block.data(), block.size()) == static_cast<ssize_t>(block.size()) && fdatasync(file) == 0;
    syncs.micros.push_back(std::chrono::duration<double, std::micro>(clock.now() - start).count());
  }
  const std::string why = reason();
  close(file);
  unlink(probe.c_str());
  if (!written) return fail(ErrorCode::kIo, "cannot write in {}: {}", folder.string(), why);
  std::sort(syncs.micros.begin(), syncs.micros.end());
  return syncs;
}

/// A drive that answers before it has written loses what was acknowledged when the power goes. That cannot be
/// seen from here; an answer faster than the hardware could give is a reason to ask.
void doubt(MachineCheck& check, double p50, const Disk& disk, Nature nature) {
  if (nature != Nature::kLocal) return;
  const bool spins = disk.rotating && disk.name.starts_with("sd");
  const double least = spins ? kImplausibleRotatingUs : kImplausibleSyncUs;
  if (p50 >= least) return;
  check.level = CheckLevel::kWarn;
  check.detail +=
      spins ? fmt::format("; that is faster than a rotating disk can be, and {} says it is one", disk.name)
            : "; that is faster than almost any disk can be";
  check.remedy =
      "a drive with power-loss protection, or a controller with a battery, may answer so fast and be right; "
      "a "
      "virtual disk with an unsafe cache answers so too, and loses acknowledged results when the power goes: "
      "find "
      "out which it is";
}

MachineCheck check_sync(const fs::path& folder, Nature nature) {
  const Result<Syncs> syncs = measure_syncs(folder);
  if (!syncs) {
    return {"work folder", CheckLevel::kFail, syncs.error().message,
            "use another folder (--workdir), or make this one writable"};
  }
  const double p50 = syncs->quantile(0.5);
  const double p99 = syncs->quantile(0.99);
  const Disk disk = disk_of(folder);
  MachineCheck check{
      "work folder", CheckLevel::kOk,
      fmt::format("{} is writable; fdatasync of 4 KiB: {:.0f} us p50, {:.0f} us p99 ({} measured)",
                  folder.string(), p50, p99, syncs->micros.size())};
  check.facts = {{"fdatasync_us", {{"p50", p50}, {"p99", p99}}},
                 {"disk", disk.name},
                 {"write_cache", disk.write_cache},
                 {"rotating", disk.rotating}};
  if (p50 > kSlowSyncUs) {
    check.level = CheckLevel::kWarn;
    check.remedy = "every commit waits that long: put the database on a faster disk with --database";
  }
  doubt(check, p50, disk, nature);
  return check;
}

/// The folders that are made for a look at the disk, and are gone again with this.
class FoldersForALook {
 public:
  explicit FoldersForALook(const fs::path& folder) : folder_(fs::absolute(folder)), there_(folder_) {
    std::error_code error;
    while (!fs::exists(there_, error) && there_.has_relative_path()) there_ = there_.parent_path();
  }
  FoldersForALook(const FoldersForALook&) = delete;
  FoldersForALook& operator=(const FoldersForALook&) = delete;
  ~FoldersForALook() {
    std::error_code error;
    for (fs::path at = folder_; at != there_ && fs::remove(at, error);) at = at.parent_path();
  }

 private:
  fs::path folder_;
  fs::path there_;  ///< the nearest that was there before
};

}  // namespace

std::vector<MachineCheck> check_disk(const fs::path& folder, bool for_database) {
  const FoldersForALook look(folder);
  const Status made = make_directories(folder);
  if (!made)
    return {{"work folder", CheckLevel::kFail, made.error().message, "give another one with --workdir"}};
  struct statfs info {};
  if (statfs(folder.c_str(), &info) != 0) {
    return {{"file system", CheckLevel::kFail,
             fmt::format("cannot look at {}: {}", folder.string(), reason()),
             "give another folder with --workdir"}};
  }
  return {check_file_system(folder, info, for_database), check_space(folder, info),
          check_sync(folder, file_system_of(info).kind.nature)};
}

}  // namespace gauntlet::cli
