#include "cli/support/progress.hpp"

#include <cstdlib>
#include <numeric>

#include "cli/support/output.hpp"
#include "core/base/text.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::cli {
namespace {

constexpr int kMaxRunningShown = 8;
constexpr Milliseconds kFrame{100};
const SystemClock kClock;

std::uint64_t count_in(const proto::SweepStatus& sweep, const char* state) {
  const auto found = sweep.jobs().find(state);
  return found == sweep.jobs().end() ? 0 : found->second;
}

std::string bar(double fraction, std::size_t width = 12) {
  const auto filled = static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(width));
  return "[" + std::string(filled, '=') + std::string(width - filled, ' ') + "]";
}

/// ", about 3m left", or "": also while nothing of it can start.
std::string time_left(const proto::SweepStatus& sweep, const JobCounts& counts) {
  if (counts.open == 0 || sweep.eta_s() < 0) return "";
  if (sweep.paused() && counts.running == 0) return "";
  if (sweep.eta_s() < 1) return ", less than a second left";
  return fmt::format(", about {} left", human_duration(sweep.eta_s()));
}

/// ": 37 of 120 jobs done (12 reused), 4 running, 0 failed", what follows the sweep's name.
std::string counts_text(const proto::SweepStatus& sweep, const JobCounts& counts) {
  std::string line = fmt::format(": {} of {} done", counts.done, count_of(counts.total, "job"));
  if (counts.reused > 0) line += fmt::format(" ({} reused)", counts.reused);
  if (counts.running > 0) line += fmt::format(", {} running", counts.running);
  line += fmt::format(", {} failed", counts.failed);
  if (counts.blocked > 0) line += fmt::format(", {} blocked by them", counts.blocked);
  if (counts.cancelled > 0) line += fmt::format(", {} cancelled", counts.cancelled);
  if (sweep.paused()) line += ", paused";
  return line;
}

/// "[=====     ]  45 %, about 3m left" in a terminal of so many columns; the bar keeps its width whatever it
/// says.
std::string overall(const proto::SweepStatus& sweep, const JobCounts& counts, std::size_t columns) {
  constexpr std::size_t kLeast = 10, kMost = 60;
  constexpr std::size_t kTextRoom = std::string_view(" 100 %, less than a second left").size();
  const double fraction =
      counts.total == 0 ? 1 : static_cast<double>(counts.done) / static_cast<double>(counts.total);
  const std::string text = fmt::format(" {:3.0f} %{}", 100 * fraction, time_left(sweep, counts));
  const std::size_t room = columns > kTextRoom + 2 ? columns - kTextRoom - 2 : 0;
  return bar(fraction, std::clamp(room, kLeast, kMost)) + text;
}

std::string main_loss(const proto::AttemptProgress& progress) {
  if (progress.losses().empty()) return "";
  const auto total = progress.losses().find("total");
  const double loss = total != progress.losses().end() ? total->second : progress.losses().begin()->second;
  return fmt::format(", loss {:.4g}", loss);
}

bool starts_point(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

std::size_t columns_of(std::string_view line) {
  return static_cast<std::size_t>(std::ranges::count_if(line, starts_point));
}

/// Cut to the terminal's width, whole code points only.
std::string fitted(const std::string& line, std::size_t width) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (starts_point(line[at]) && ++columns > width) return line.substr(0, at);
  }
  return line;
}

/// Cut to so many columns, with a sign that it is.
std::string shortened(const std::string& text, std::size_t room) {
  return columns_of(text) <= room ? text : fitted(text, room - 1) + "…";
}

/// Lines of at most so many columns where its parts allow it: broken after commas, what follows indented.
std::vector<std::string> broken(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t comma = text.find(", ");
    const bool is_last = comma == std::string_view::npos;
    const std::string part(text.substr(0, comma));
    text.remove_prefix(is_last ? text.size() : comma + 2);
    const std::size_t taken = columns_of(part) + (is_last ? 0 : 1);
    if (lines.empty()) {
      lines.push_back(part);
    } else if (columns_of(lines.back()) + 2 + taken <= columns) {
      lines.back() += ", " + part;
    } else {
      lines.back() += ",";
      lines.push_back("  " + part);
    }
  }
  return lines;
}

std::string title_of(const proto::RunningJob& job) {
  return job.attempt() > 1 ? fmt::format("{} (attempt {})", job.title(), job.attempt()) : job.title();
}

/// ": epoch 3/10, loss 0.123, 410/s", or "".
std::string state_of(const proto::AttemptProgress& progress) {
  std::string text;
  if (progress.epochs() > 0) {
    text = fmt::format(": epoch {}/{}", progress.epoch(), progress.epochs());
  } else if (!progress.phase().empty()) {
    text = ": " + progress.phase();
  }
  text += main_loss(progress);
  if (progress.rate() > 0) text += fmt::format(", {:.0f}/s", progress.rate());
  return text;
}

/// Whether a terminal that becomes narrower breaks its long lines anew, as those of today do. xterm, the
/// console and screen cut them instead; to go up as many rows as they would have taken would erase what was
/// there before.
bool breaks_lines_anew() {
  const auto is_set = [](const char* name) { return std::getenv(name) != nullptr; };
  const char* term = std::getenv("TERM");
  const std::string_view kind = term == nullptr ? "" : term;
  const bool is_old = kind == "linux" || kind.starts_with("rxvt") || kind.starts_with("vt");
  return !is_old && !is_set("XTERM_VERSION") && (!is_set("STY") || is_set("TMUX"));
}

}  // namespace

JobCounts counts_of(const proto::SweepStatus& sweep) {
  JobCounts counts;
  for (const auto& [state, n] : sweep.jobs()) counts.total += n;
  counts.done = count_in(sweep, "done");
  counts.running = count_in(sweep, "leased");
  counts.open = count_in(sweep, "waiting") + count_in(sweep, "queued") + counts.running;
  counts.failed = count_in(sweep, "failed");
  counts.blocked = count_in(sweep, "blocked");
  counts.cancelled = count_in(sweep, "cancelled");
  counts.reused = sweep.reused();
  return counts;
}

std::string summary_of(const proto::SweepStatus& sweep) {
  const JobCounts counts = counts_of(sweep);
  return sweep.name() + counts_text(sweep, counts) + time_left(sweep, counts);
}

std::vector<std::string> lines_of(const proto::SweepStatus& sweep, std::size_t columns) {
  constexpr std::size_t kLeastName = 12;
  const JobCounts counts = counts_of(sweep);
  const std::string text = counts_text(sweep, counts);
  const std::size_t taken = columns_of(text);
  const std::size_t room = std::max(columns > taken ? columns - taken : 0, kLeastName);
  std::vector<std::string> lines = broken(shortened(sweep.name(), room) + text, columns);
  lines.push_back(overall(sweep, counts, columns));
  return lines;
}

std::string line_of(const proto::RunningJob& job) { return title_of(job) + state_of(job.progress()); }

std::string line_of(const proto::RunningJob& job, std::size_t columns) {
  constexpr std::size_t kLeastTitle = 12;
  const std::string state = state_of(job.progress());
  const std::size_t taken = columns_of(state);
  const std::size_t room = std::max(columns > taken ? columns - taken : 0, kLeastTitle);
  return shortened(title_of(job), room) + state;
}

ProgressView::ProgressView(bool animated, Milliseconds interval)
    : animated_(animated), interval_(animated ? kFrame : interval) {}

std::size_t ProgressView::rows_drawn() const {
  if (!breaks_lines_anew()) return drawn_.size();
  const std::size_t width = terminal_width();
  return std::accumulate(drawn_.begin(), drawn_.end(), std::size_t{0},
                         [&](std::size_t rows, std::size_t columns) {
                           return rows + std::max<std::size_t>(1, (columns + width - 1) / width);
                         });
}

void ProgressView::clear() {
  if (drawn_.empty()) return;
  note(fmt::format("\r\x1b[{}A\x1b[J", rows_drawn()));
  drawn_.clear();
}

void ProgressView::draw(const std::vector<std::string>& lines) {
  const std::size_t width = terminal_width();
  std::string text = drawn_.empty() ? "" : fmt::format("\r\x1b[{}A", rows_drawn());
  drawn_.clear();
  for (const std::string& line : lines) {
    const std::string shown = fitted(line, width - 1);
    text += shown + "\x1b[K\n";
    drawn_.push_back(columns_of(shown));
  }
  note(text + "\x1b[J");
}

void ProgressView::say(const std::string& line) {
  clear();
  note(line + "\n");
}

void ProgressView::say_failures(const proto::StatusReply& status) {
  for (const proto::FailedJob& job : status.failed()) {
    if (!failures_said_.insert(job.key()).second) continue;
    say(fmt::format("failed: {}: {} (log: {})", job.title(), io::harmless(job.message()), job.log()));
  }
}

void ProgressView::show(const proto::StatusReply& status, const proto::SweepStatus& sweep) {
  say_failures(status);
  const SteadyTime now = kClock.now();
  if (now < next_) return;
  next_ = now + interval_;
  if (!animated_) {
    std::string line = summary_of(sweep);
    if (!status.running().empty()) line += "; " + line_of(status.running(0));
    if (line != last_line_) note(line + "\n");
    last_line_ = line;
    return;
  }
  const std::size_t width = terminal_width();
  std::vector<std::string> lines = lines_of(sweep, width - 1);
  for (int at = 0; at < status.running_size() && at < kMaxRunningShown; ++at) {
    const std::string begin = fmt::format("  {} ", bar(status.running(at).progress().fraction()));
    const std::size_t room = width > begin.size() + 1 ? width - begin.size() - 1 : 0;
    lines.push_back(begin + line_of(status.running(at), room));
  }
  if (status.running_size() > kMaxRunningShown) {
    lines.push_back(fmt::format("  and {} more", status.running_size() - kMaxRunningShown));
  }
  draw(lines);
}

void ProgressView::finish(const proto::SweepStatus& sweep) {
  clear();
  const std::string line = summary_of(sweep);
  if (line != last_line_) note(line + "\n");
  last_line_ = line;
}

}  // namespace gauntlet::cli
