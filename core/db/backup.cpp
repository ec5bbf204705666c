#include "core/db/backup.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/files.hpp"
#include "core/db/error.hpp"
#include "core/db/snapshot.hpp"

namespace gauntlet::db {
namespace {

namespace fs = std::filesystem;

/// Pages between two looks at the progress: about 8 MB.
constexpr int kPagesPerStep = 2048;

/// The copy while it is made; removed unless it is kept.
class DraftFile {
 public:
  static Result<DraftFile> create(const fs::path& target) {
    fs::path path = target.string() + fmt::format(".part-{}", ::getpid());
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0) return fail(system_error(errno, "write", path));
    ::close(file);
    return DraftFile(std::move(path));
  }
  DraftFile(DraftFile&& other) noexcept : path_(std::exchange(other.path_, fs::path())) {}
  DraftFile& operator=(DraftFile&&) = delete;
  DraftFile(const DraftFile&) = delete;
  DraftFile& operator=(const DraftFile&) = delete;
  ~DraftFile() {
    if (path_.empty()) return;
    std::error_code ignored;
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) fs::remove(path_.string() + suffix, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Durable under its name from now on. Errors: kRefused when somebody has made a file of that name
  /// meanwhile.
  Status keep_as(const fs::path& target) {
    GAUNTLET_CHECK_OK(sync(path_));
    // A file system without this flag says EINVAL; a link does the same there.
    int moved = ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE);
    if (moved != 0 && errno == EINVAL) {
      moved = ::link(path_.c_str(), target.c_str());
      if (moved == 0) ::unlink(path_.c_str());
    }
    if (moved != 0) {
      if (errno == EEXIST) return exists(target);
      return fail(system_error(errno, "write", target));
    }
    path_.clear();
    return sync(target.has_parent_path() ? target.parent_path() : fs::path("."));
  }

  static tl::unexpected<Error> exists(const fs::path& target) {
    return fail(ErrorCode::kRefused, "{} exists already and is not overwritten; give another name",
                target.string());
  }

 private:
  explicit DraftFile(fs::path path) : path_(std::move(path)) {}

  static Status sync(const fs::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return fail(system_error(errno, "open", path));
    const int synced = ::fsync(file);
    const int reason = errno;
    ::close(file);
    if (synced != 0 && reason != EINVAL) return fail(system_error(reason, "flush", path));
    return {};
  }

  fs::path path_;
};

/// Ends the copy whatever happens.
struct FinishBackup {
  void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
};

Status copy_pages(Connection& source, Connection& copy, const BackupProgress& progress) {
  const std::unique_ptr<sqlite3_backup, FinishBackup> backup(
      sqlite3_backup_init(copy.handle(), "main", source.handle(), "main"));
  if (backup == nullptr) return fail(error_of(copy.handle(), sqlite3_errcode(copy.handle()), copy.path()));
  while (true) {
    const int code = sqlite3_backup_step(backup.get(), kPagesPerStep);
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_OK) return fail(error_of(nullptr, code, copy.path()));
    const int n_pages = std::max(1, sqlite3_backup_pagecount(backup.get()));
    const double done = 1 - static_cast<double>(sqlite3_backup_remaining(backup.get())) / n_pages;
    if (progress && !progress(done)) return fail(ErrorCode::kInterrupted, "interrupted; nothing was written");
  }
}

Result<std::map<std::string, std::int64_t>> count_rows(Connection& connection) {
  std::map<std::string, std::int64_t> rows;
  GAUNTLET_TRY(Statement tables,
               connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name "
                                  "NOT LIKE 'sqlite_%'"));
  while (true) {
    GAUNTLET_TRY(const bool more, tables.step());
    if (!more) return rows;
    const std::string name(tables.text(0));
    GAUNTLET_TRY(Statement count, connection.prepare(fmt::format("SELECT count(*) FROM \"{}\"", name)));
    GAUNTLET_CHECK_OK(count.step());
    rows.emplace(name, count.integer(0));
  }
}

Status check_copy(const fs::path& path, const std::map<std::string, std::int64_t>& expected) {
  GAUNTLET_TRY(Connection copy, Connection::open_read_only(path));
  GAUNTLET_TRY(const std::string verdict, copy.text("PRAGMA integrity_check(1)"));
  if (verdict != "ok") return fail(ErrorCode::kCorrupt, "the copy {} is damaged: {}", path.string(), verdict);
  GAUNTLET_TRY(const auto rows, count_rows(copy));
  if (rows == expected) return {};
  return fail(ErrorCode::kCorrupt, "the copy {} has other rows than its source", path.string());
}

}  // namespace

Result<Backup> back_up(Connection& source, const fs::path& target, const BackupProgress& progress) {
  std::error_code error;
  if (fs::exists(target, error)) return DraftFile::exists(target);
  GAUNTLET_TRY(DraftFile draft, DraftFile::create(target));
  Backup backup;
  {
    GAUNTLET_TRY(const Snapshot snapshot, Snapshot::open(source));
    GAUNTLET_TRY(backup.rows, count_rows(source));
    GAUNTLET_TRY(Connection copy, Connection::open_file(draft.path()));
    GAUNTLET_CHECK_OK(copy.execute("PRAGMA synchronous = OFF"));  // it is synced as a whole at the end
    GAUNTLET_CHECK_OK(copy_pages(source, copy, progress));
    // The copied header says that there is a log beside the file.
    GAUNTLET_TRY(const std::string mode, copy.text("PRAGMA journal_mode = DELETE"));
    if (mode != "delete") {
      return fail(ErrorCode::kIo, "the copy {} cannot be made one file (journal mode stays '{}')",
                  draft.path().string(), mode);
    }
  }
  GAUNTLET_CHECK_OK(check_copy(draft.path(), backup.rows));
  backup.bytes = fs::file_size(draft.path(), error);
  GAUNTLET_CHECK_OK(draft.keep_as(target));
  return backup;
}

}  // namespace gauntlet::db
