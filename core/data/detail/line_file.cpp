#include "core/data/detail/line_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "core/base/files.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 18;

}  // namespace

std::string printable_name(const std::filesystem::path& name) {
  std::string text = name.string();
  if (io::is_utf8(text)) return text;
  for (char& each : text) {
    if ((static_cast<unsigned char>(each) & 0x80U) != 0) each = '?';
  }
  return text;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Result<LineFile> LineFile::open(const std::filesystem::path& path, std::string name,
                                std::size_t max_line_bytes) {
  LineFile lines;
  lines.path_ = path;
  lines.name_ = std::move(name);
  lines.max_line_bytes_ = max_line_bytes;
  lines.file_ = OwnedDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (lines.file_.get() < 0) return fail(system_error(errno, "read", path));
  return lines;
}

std::string LineFile::place() const { return fmt::format("{}: line {}", name_, line_); }

Status LineFile::fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  ssize_t got = -1;
  do {
    got = ::read(file_.get(), buffer_.data() + before, kReadBytes);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return fail(system_error(errno, "read", path_));
  buffer_.resize(before + static_cast<std::size_t>(got));
  is_at_end_ = got == 0;
  return {};
}

Result<std::optional<std::string_view>> LineFile::next() {
  std::size_t searched = at_;
  while (true) {
    const std::size_t end = buffer_.find('\n', searched);
    const bool is_last = end == std::string::npos && is_at_end_;
    if (is_last && at_ == buffer_.size()) return std::optional<std::string_view>();
    const std::size_t length = (end == std::string::npos ? buffer_.size() : end) - at_;
    if (length > max_line_bytes_) {
      ++line_;
      return fail(ErrorCode::kInvalid, "{} is longer than {} bytes, the most that is read here", place(),
                  max_line_bytes_);
    }
    if (end != std::string::npos || is_last) {
      std::string_view text = std::string_view(buffer_).substr(at_, length);
      at_ = end == std::string::npos ? buffer_.size() : end + 1;
      ++line_;
      if (text.ends_with('\r')) text.remove_suffix(1);
      return std::optional(text);
    }
    searched = buffer_.size() - at_;
    GAUNTLET_CHECK_OK(fill());
  }
}

Result<std::vector<std::string>> read_name_list(const std::filesystem::path& path, const std::string& name) {
  GAUNTLET_TRY(LineFile lines, LineFile::open(path, name));
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  while (true) {
    GAUNTLET_TRY(const auto line, lines.next());
    if (!line) return names;
    const std::string_view text = trimmed(*line);
    if (text.empty()) continue;
    if (!io::is_utf8(text)) return fail(ErrorCode::kInvalid, "{} is not UTF-8", lines.place());
    if (!seen.emplace(text).second) return fail(ErrorCode::kInvalid, "{} repeats '{}'", lines.place(), text);
    names.emplace_back(text);
  }
}

}  // namespace gauntlet::data::detail
