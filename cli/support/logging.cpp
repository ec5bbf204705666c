#include "cli/support/logging.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "coordinator/net/log_format.hpp"

namespace gauntlet::cli {

void LogOptions::add_to(Arguments& arguments) {
  arguments.add_option("--log-level", level, "debug, info, warn, error or off");
  arguments.add_option("--log-format", format, "text, or json: one object per line (default text)");
}

Status start_logging(const LogOptions& options, std::string_view program) {
  const std::string& level = options.level;
  const spdlog::level::level_enum chosen = spdlog::level::from_str(level);
  if (chosen == spdlog::level::off && level != "off") {
    return fail(ErrorCode::kInvalid, "'{}' is not a log level; allowed: debug, info, warn, error, off",
                level);
  }
  GAUNTLET_TRY(const coordinator::LogFormat format, coordinator::log_format_from(options.format));
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("gauntlet", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_formatter(coordinator::log_formatter(format, program));
  spdlog::set_level(chosen);
  spdlog::flush_on(spdlog::level::info);
  return {};
}

}  // namespace gauntlet::cli
