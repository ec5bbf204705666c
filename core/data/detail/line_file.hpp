// Text files line by line, for lists of any length: a bounded buffer, and messages with file and line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/data/detail/growing_array.hpp"

namespace gauntlet::data::detail {

/// Name of a file relative to the folder the user gave, '?' for bytes that are not UTF-8.
[[nodiscard]] std::string printable_name(const std::filesystem::path& name);

/// Reads lines in order. Thread safety: one thread.
class LineFile {
 public:
  /// `name` is for messages; lines above `max_line_bytes` are refused. Errors: kNotFound, kIo.
  [[nodiscard]] static Result<LineFile> open(const std::filesystem::path& path, std::string name,
                                             std::size_t max_line_bytes = std::size_t{1} << 20);

  /// The next line without its line break (a carriage return before it goes too), valid until the next call;
  /// nothing at the end. A last line without a break counts. Errors: kIo, kInvalid.
  [[nodiscard]] Result<std::optional<std::string_view>> next();

  [[nodiscard]] std::int64_t line() const { return line_; }  ///< number of the last line, from 1
  /// "<name>: line <n>", for messages.
  [[nodiscard]] std::string place() const;
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  LineFile() = default;
  Status fill();

  OwnedDescriptor file_;
  std::filesystem::path path_;
  std::string name_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t max_line_bytes_ = 0;
  std::int64_t line_ = 0;
  bool is_at_end_ = false;
};

/// Lines of a short list: trimmed of blanks, empty ones left out, each UTF-8 and only once. Errors as
/// LineFile, and kInvalid for a repeated or undecodable line, with its place.
[[nodiscard]] Result<std::vector<std::string>> read_name_list(const std::filesystem::path& path,
                                                              const std::string& name);

/// Blanks and tabs cut off at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace gauntlet::data::detail
