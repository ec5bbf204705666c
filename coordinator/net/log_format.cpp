#include "coordinator/net/log_format.hpp"

#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>

#include <chrono>
#include <string>

#include "core/base/clock.hpp"
#include "core/base/json.hpp"

namespace gauntlet::coordinator {
namespace {

/// "2026-01-31T12:00:00.123Z"
std::string utc_with_ms(std::chrono::system_clock::time_point time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  std::string text = iso8601_utc(ms);
  text.insert(text.size() - 1, fmt::format(".{:03}", ms % 1000));
  return text;
}

class JsonFormatter final : public spdlog::formatter {
 public:
  explicit JsonFormatter(std::string program) : program_(std::move(program)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const auto text_of = [](spdlog::string_view_t view) { return std::string(view.data(), view.size()); };
    const nlohmann::ordered_json object = {{"at", utc_with_ms(message.time)},
                                           {"level", text_of(spdlog::level::to_string_view(message.level))},
                                           {"program", program_},
                                           {"message", text_of(message.payload)}};
    const std::string text =
        object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
    line.append(text.data(), text.data() + text.size());
  }

  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(program_);
  }

 private:
  std::string program_;
};

}  // namespace

Result<LogFormat> log_format_from(std::string_view name) {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return fail(ErrorCode::kInvalid, "'{}' is not a log format; allowed: text, json", name);
}

std::unique_ptr<spdlog::formatter> log_formatter(LogFormat format, std::string_view program) {
  if (format == LogFormat::kJson) return std::make_unique<JsonFormatter>(std::string(program));
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%e %l %v");
}

}  // namespace gauntlet::coordinator
