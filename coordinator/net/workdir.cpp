#include "coordinator/net/workdir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/proto/address.hpp"

namespace gauntlet::coordinator {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr int kLooks = 5;
constexpr std::chrono::milliseconds kLookPause{10};

/// A descriptor closed at the end of its scope.
class File {
 public:
  explicit File(int file) : file_(file) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const { return file_; }
  [[nodiscard]] int release() { return std::exchange(file_, -1); }

 private:
  int file_;
};

Status write_all(int file, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const ssize_t n_written = ::write(file, text.data(), text.size());
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written <= 0) return fail(system_error(errno, "write", path));
    text.remove_prefix(static_cast<std::size_t>(n_written));
  }
  return {};
}

Result<std::string> random_token() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail(ErrorCode::kIo, "the system gave no random bytes for the token");
  }
  std::string token;
  for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

Result<std::string> read_own(const std::filesystem::path& path, int file) {
  struct ::stat facts {};
  if (::fstat(file, &facts) != 0) return fail(system_error(errno, "look at", path));
  if ((facts.st_mode & 077) != 0) {
    return fail(ErrorCode::kRefused, "{} can be read by others (mode {:o}); run `chmod 600 {}`",
                path.string(), facts.st_mode & 0777, path.string());
  }
  GAUNTLET_TRY(std::string token, read_file(path, 4096));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.empty())
    return fail(ErrorCode::kCorrupt, "{} is empty; remove it, and a new one is made", path.string());
  return token;
}

std::string holder_of(const std::filesystem::path& lock) {
  const Result<std::string> holder = read_file(lock, 256);
  return holder && !holder->empty() ? fmt::format("process {}", *holder) : std::string("an unknown process");
}

/// Takes a lock file, which says who holds it, and leaves it open. `subject`: what it stands for.
Result<int> take_lock(const std::filesystem::path& path, std::string_view purpose,
                      const std::filesystem::path& subject) {
  File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) return fail(system_error(errno, "open", path));
  int locked = ::flock(file.get(), LOCK_EX | LOCK_NB);
  // Somebody who only looks whether the folder is served holds the lock for an instant.
  for (int look = 0; look < kLooks && locked != 0 && errno == EWOULDBLOCK; ++look) {
    std::this_thread::sleep_for(kLookPause);
    locked = ::flock(file.get(), LOCK_EX | LOCK_NB);
  }
  if (locked != 0) {
    if (errno != EWOULDBLOCK) return fail(system_error(errno, "lock", path));
    return fail(ErrorCode::kRefused, "{} is in use already ({})", subject.string(), holder_of(path));
  }
  if (::ftruncate(file.get(), 0) != 0) return fail(system_error(errno, "write", path));
  GAUNTLET_CHECK_OK(write_all(file.get(), fmt::format("{}, {}", ::getpid(), purpose), path));
  return file.release();
}

}  // namespace

std::optional<std::string> holder_of_workdir(const std::filesystem::path& workdir) {
  const std::filesystem::path path = workdir / "coordinator.lock";
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  return holder_of(path);
}

Result<WorkdirLock> WorkdirLock::take(const std::filesystem::path& workdir, std::string_view purpose,
                                      const std::filesystem::path& database) {
  GAUNTLET_TRY(const int folder_lock, take_lock(workdir / "coordinator.lock", purpose, workdir));
  WorkdirLock lock(folder_lock, -1);
  std::error_code error;  // by whatever links the file is reached, it is one file
  const std::filesystem::path file = database.empty() ? workdir / "gauntlet.db" : database;
  std::filesystem::path real = std::filesystem::weakly_canonical(file, error);
  if (error) real = file;
  const Result<int> database_lock = take_lock(real.concat(".lock"), purpose, file);
  if (database_lock) {
    lock.database_ = *database_lock;
    return lock;
  }
  // Its folder is not there: opening the database says so.
  if (database_lock.error().code == ErrorCode::kNotFound) return lock;
  return fail(database_lock.error());
}

WorkdirLock::WorkdirLock(WorkdirLock&& other) noexcept
    : folder_(std::exchange(other.folder_, -1)), database_(std::exchange(other.database_, -1)) {}
WorkdirLock& WorkdirLock::operator=(WorkdirLock&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(database_, other.database_);
  return *this;
}
WorkdirLock::~WorkdirLock() {
  for (const int file : {database_, folder_}) {
    if (file >= 0) ::close(file);
  }
}

Result<std::string> own_token(const std::filesystem::path& workdir) {
  const std::filesystem::path path = workdir / "token";
  const File known(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (known.get() >= 0) return read_own(path, known.get());
  if (errno != ENOENT) return fail(system_error(errno, "read", path));
  GAUNTLET_TRY(std::string token, random_token());
  const std::filesystem::path draft = workdir / "token.new";
  const File file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.get() < 0) return fail(system_error(errno, "create", draft));
  GAUNTLET_CHECK_OK(write_all(file.get(), token + "\n", draft));
  if (::fsync(file.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
    return fail(system_error(errno, "create", path));
  }
  return token;
}

Result<std::string> mark_folder(const std::filesystem::path& workdir) {
  const std::string prefix = "work-folder-";
  GAUNTLET_CHECK_OK(make_directories(workdir / "tmp"));
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(workdir / "tmp", error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (it->path().filename().string().starts_with(prefix)) std::filesystem::remove(it->path(), ignored);
  }
  GAUNTLET_TRY(const std::string random, random_token());
  const std::string name = "tmp/" + prefix + random.substr(0, 32);
  GAUNTLET_CHECK_OK(write_file_atomic(workdir / name, ""));
  return name;
}

Status write_address(const std::filesystem::path& workdir, const std::string& host, std::uint16_t port,
                     const std::string& http, const std::string& tls_fingerprint, bool everywhere) {
  Json address = {{"host", host}, {"port", port}, {"pid", ::getpid()}};
  if (everywhere) address["machine"] = proto::machine_name();
  if (!http.empty()) address["http"] = http;
  if (!tls_fingerprint.empty()) address["tls_fingerprint"] = tls_fingerprint;
  return write_file_atomic(workdir / "coordinator.json", address.dump() + "\n");
}

void remove_address(const std::filesystem::path& workdir) {
  std::error_code ignored;
  std::filesystem::remove(workdir / "coordinator.json", ignored);
}

}  // namespace gauntlet::coordinator
