#include "cli/support/logging.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace gauntlet::cli {

Status start_logging(const std::string& level) {
  const spdlog::level::level_enum chosen = spdlog::level::from_str(level);
  if (chosen == spdlog::level::off && level != "off") {
    return fail(ErrorCode::kInvalid, "'{}' is not a log level; allowed: debug, info, warn, error, off",
                level);
  }
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("gauntlet", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(chosen);
  spdlog::flush_on(spdlog::level::info);
  return {};
}

}  // namespace gauntlet::cli
