// run_agent as a process of its own: transfer_agent WORKDIR EXECUTOR CACHE_MB
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>

#include "worker/agent/agent.hpp"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  spdlog::set_default_logger(spdlog::stderr_logger_mt("transfer_agent"));
  spdlog::set_level(spdlog::level::debug);
  gauntlet::worker::AgentOptions options;
  options.workdir = argv[1];
  options.gauntlet_program = argv[2];
  options.rank_program = argv[2];
  options.artifact_cache_mb = std::atoi(argv[3]);
  options.cpus = 1;  // one job at a time
  options.drain_grace_s = 20;
  const gauntlet::Result<int> left = gauntlet::worker::run_agent(options);
  if (left) return *left;
  std::cerr << left.error().message << '\n';
  return gauntlet::exit_code_of(left.error().code);
}
