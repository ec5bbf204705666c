// run_agent as a process of its own: test_agent WORKDIR EXECUTOR RANK CPUS EXIT_WITH_COORDINATOR_S (0 =
// never) [DRAIN_GRACE_S]
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>

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
  if (const std::filesystem::path root = options.workdir / "system"; std::filesystem::exists(root))
    options.system_root = root;
  if (std::atof(argv[5]) > 0) options.exit_with_coordinator_s = std::atof(argv[5]);
  const gauntlet::Result<int> left = gauntlet::worker::run_agent(options);
  if (left) return *left;
  std::cerr << left.error().message << '\n';
  return gauntlet::exit_code_of(left.error().code);
}
