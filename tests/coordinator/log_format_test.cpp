// Lines of the log, for people and for programs.
#include "coordinator/net/log_format.hpp"

#include <gmock/gmock.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "core/base/json.hpp"

namespace gauntlet::coordinator {
namespace {

std::string logged(LogFormat format, const std::string& message) {
  std::ostringstream stream;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(stream));
  log.set_formatter(log_formatter(format, "worker"));
  log.warn("{}", message);
  return stream.str();
}

TEST(LogFormats, TextIsForPeople) {
  EXPECT_THAT(logged(LogFormat::kText, "all is well"),
              testing::MatchesRegex("[0-9-]+T[0-9:.]+ warning all is well\n"));
}

TEST(LogFormats, JsonIsOneObjectPerLineWhateverIsSaid) {
  for (const std::string message : {"plain", "two\nlines\tand \"quotes\" \\ \x01", "ünïcode", ""}) {
    const std::string line = logged(LogFormat::kJson, message);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const Json object = Json::parse(line);
    EXPECT_EQ(object["message"], message);
    EXPECT_EQ(object["level"], "warning");
    EXPECT_EQ(object["program"], "worker");
    EXPECT_THAT(object["at"].get<std::string>(),
                testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{3}Z"));
  }
  EXPECT_EQ(Json::parse(logged(LogFormat::kJson, "broken \xff byte"))["message"], "broken \xef\xbf\xbd byte");
}

TEST(LogFormats, AreChosenByName) {
  EXPECT_EQ(log_format_from("json").value(), LogFormat::kJson);
  EXPECT_EQ(log_format_from("text").value(), LogFormat::kText);
  EXPECT_EQ(log_format_from("xml").error().message, "'xml' is not a log format; allowed: text, json");
}

}  // namespace
}  // namespace gauntlet::coordinator
