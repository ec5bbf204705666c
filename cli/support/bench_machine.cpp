#include "cli/support/bench_machine.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "cli/support/machine_checks.hpp"

namespace gauntlet::cli {
namespace {

/// What follows ": " in the first line of /proc/cpuinfo that starts with `key`; "" for none.
std::string cpu_info(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

/// The vector instructions that change how fast kernels are.
Json vector_features() {
  std::istringstream flags(cpu_info("flags"));
  Json features = Json::array();
  for (std::string flag; flags >> flag;) {
    const bool counts = flag == "avx2" || flag == "fma" || flag == "avx512f" || flag == "avx512_bf16" ||
                        flag == "avx512_vnni" || flag == "avx512_vpopcntdq" || flag == "amx_bf16";
    if (counts) features.push_back(flag);
  }
  return features;
}

}  // namespace

Json bench_machine(const std::filesystem::path& workdir) {
  Json machine = {{"cpu", cpu_info("model name")},
                  {"cores", std::thread::hardware_concurrency()},
                  {"features", vector_features()},
                  {"filesystem", nullptr},
                  {"fdatasync_us", nullptr}};
  for (const MachineCheck& check : check_disk(workdir)) {
    if (check.facts.contains("type")) machine["filesystem"] = check.facts["type"];
    if (check.facts.contains("fdatasync_us")) machine["fdatasync_us"] = check.facts["fdatasync_us"];
  }
  return machine;
}

}  // namespace gauntlet::cli
