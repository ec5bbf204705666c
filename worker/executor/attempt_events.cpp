#include "worker/executor/attempt_events.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cmath>

#include "core/base/clock.hpp"
#include "core/base/log_file.hpp"
#include "core/base/version.hpp"
#include "worker/executor/outcome.hpp"

namespace gauntlet::worker {
namespace {

constexpr std::chrono::seconds kInterval{10};
/// A day of progress every ten seconds is 2 MB; what comes after this is dropped, but for the end.
constexpr std::uint64_t kMaxBytes = std::uint64_t{16} << 20;

/// JSON has no NaN: null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

AttemptEvents::AttemptEvents(const AttemptContext& attempt) : attempt_(attempt) {
  if (attempt.rank != 0 || attempt.log.empty()) return;
  const std::filesystem::path path = events_beside(attempt.log);
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

AttemptEvents::~AttemptEvents() {
  if (file_ >= 0) ::close(file_);
}

void AttemptEvents::started(const std::string& program) {
  if (file_ < 0) return;
  const std::lock_guard lock(mutex_);
  write("start", {{"program", program},
                  {"revision", revision()},
                  {"key", attempt_.key.hex()},
                  {"title", valid_utf8(attempt_.job.title)},
                  {"attempt", attempt_.attempt.value},
                  {"device", attempt_.device},
                  {"world", attempt_.world},
                  {"threads", attempt_.threads}});
}

void AttemptEvents::progressed(const Progress& progress) {
  if (file_ < 0) return;
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  const bool is_new = progress.phase != phase_ || progress.epoch != epoch_;
  if (n_bytes_ > kMaxBytes || (!is_new && written_ && now - *written_ < kInterval)) return;
  written_ = now;
  phase_ = progress.phase;
  epoch_ = progress.epoch;
  Json losses = Json::object();
  for (const auto& [name, value] : progress.losses) losses[valid_utf8(name)] = number(value);
  write("progress", {{"phase", valid_utf8(progress.phase)},
                     {"epoch", progress.epoch},
                     {"epochs", progress.epochs},
                     {"fraction", number(progress.fraction)},
                     {"rate", number(progress.rate)},
                     {"losses", std::move(losses)}});
}

void AttemptEvents::ended(const Result<AttemptResult>& result) {
  if (file_ < 0) return;
  const std::lock_guard lock(mutex_);
  if (result) {
    write("end", {{"outcome", "done"}, {"rows", result->rows.size()}});
  } else {
    write("end",
          {{"outcome", name_of(result.error().code)}, {"message", valid_utf8(result.error().message)}});
  }
}

void AttemptEvents::write(const char* event, Json fields) {
  fields["at"] = iso8601_utc(SystemClock().wall_ms());
  fields["event"] = event;
  const std::string line = fields.dump() + '\n';
  const ssize_t written = ::write(file_, line.data(), line.size());  // whole lines, or none on a full disk
  if (written > 0) n_bytes_ += static_cast<std::uint64_t>(written);
}

}  // namespace gauntlet::worker
