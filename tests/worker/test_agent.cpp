// run_agent as a process of its own: test_agent WORKDIR EXECUTOR RANK CPUS EXIT_WITH_COORDINATOR_S (0 =
// never) [DRAIN_GRACE_S]; how it starts gangs is in the environment: GAUNTLET_TEST_LAUNCHER, _PROGRAM,
// _ARGUMENTS, _ADDRESS
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "worker/agent/agent.hpp"

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) return 2;
  spdlog::set_default_logger(spdlog::stderr_logger_mt("test_agent"));
  spdlog::set_level(spdlog::level::debug);
  gauntlet::worker::AgentOptions options;
  options.workdir = argv[1];
  options.gauntlet_program = argv[2];
  options.rank_program = argv[3];
  options.cpus = std::atoi(argv[4]);
  options.name = "agent under test";
  options.log_limit_mb = 1;
  options.drain_grace_s = argc == 7 ? std::atof(argv[6]) : 0;
  const auto from_environment = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string launcher = from_environment("GAUNTLET_TEST_LAUNCHER"); !launcher.empty()) {
    options.launcher = launcher;
    options.launcher_settings.program = from_environment("GAUNTLET_TEST_PROGRAM");
    options.address = from_environment("GAUNTLET_TEST_ADDRESS");
    std::istringstream words(from_environment("GAUNTLET_TEST_ARGUMENTS"));
    for (std::string word; words >> word;) options.launcher_settings.arguments.push_back(word);
  }
  if (const std::filesystem::path root = options.workdir / "system"; std::filesystem::exists(root))
    options.system_root = root;
  if (std::atof(argv[5]) > 0) options.exit_with_coordinator_s = std::atof(argv[5]);
  const gauntlet::Result<int> left = gauntlet::worker::run_agent(options);
  if (left) return *left;
  std::cerr << left.error().message << '\n';
  return gauntlet::exit_code_of(left.error().code);
}
