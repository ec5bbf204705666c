// GPUs, the program that computes, and the libraries it loads.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "cli/support/child_process.hpp"
#include "cli/support/machine_checks.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds kPatience{30'000};

struct Said {
  int exit_code = -1;
  std::string text;
};

/// Runs a program to its end; what it printed, on either stream.
Said ask(std::vector<std::string> command) {
  const fs::path log = fs::temp_directory_path() / fmt::format("gauntlet-doctor-{}", getpid());
  std::error_code ignored;
  fs::remove(log, ignored);
  Result<ChildProcess> child = ChildProcess::start({std::move(command), log, true});
  if (!child) return {-1, child.error().message};
  child->wait_or_kill(kPatience);
  Said said{child->exit_code(), read_file(log).value_or("")};
  fs::remove(log, ignored);
  return said;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// The program's path in $PATH; "" for none.
std::string in_path(const char* name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path candidate = fs::path(folder) / name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  return "";
}

struct Gpus {
  MachineCheck check;
  std::size_t n = 0;
};

Gpus check_gpus() {
  MachineCheck check{"gpus", CheckLevel::kOk, "none; jobs run on processors"};
  check.facts = {{"gpus", Json::array()}};
  std::error_code ignored;
  const bool has_driver = fs::exists("/proc/driver/nvidia/version", ignored);
  const std::string program = in_path("nvidia-smi");
  if (program.empty() && !has_driver) return {check, 0};
  const Said said = program.empty()
                        ? Said{-1, "nvidia-smi is not in PATH"}
                        : ask({program,
                               "--query-gpu=index,name,memory.total,memory.used,ecc.errors.uncorrected."
                               "volatile.total",
                               "--format=csv,noheader,nounits"});
  if (said.exit_code != 0) {
    if (!has_driver) return {check, 0};  // a tool without a driver: a machine without GPUs
    check.level = CheckLevel::kWarn;
    check.detail =
        fmt::format("there is an NVIDIA driver, but its GPUs cannot be listed: {}", first_line(said.text));
    check.remedy = "`nvidia-smi` must work; driver and library versions may differ until a restart";
    return {check, 0};
  }
  std::istringstream lines(said.text);
  std::string names;
  std::size_t n_gpus = 0;
  for (std::string line; std::getline(lines, line); ++n_gpus) {
    std::istringstream fields(line);
    std::string index, name, total, used, errors;
    for (std::string* field : {&index, &name, &total, &used, &errors}) {
      std::getline(fields >> std::ws, *field, ',');
    }
    names += fmt::format("{}{} ({} MiB, {} used)", names.empty() ? "" : "; ", name, total, used);
    check.facts["gpus"].push_back(
        {{"index", index}, {"name", name}, {"memory_mb", total}, {"used_mb", used}});
    if (std::strtoull(errors.c_str(), nullptr, 10) > 0) {
      check.level = CheckLevel::kWarn;
      check.remedy = fmt::format("GPU {} has counted {} uncorrected memory errors: its results are in doubt",
                                 index, errors);
    }
  }
  if (n_gpus > 0) check.detail = names;
  return {check, n_gpus};
}

/// The libraries a program would load: name → path, "" for those that are not found.
std::map<std::string, std::string> libraries_of(const fs::path& program) {
  std::map<std::string, std::string> libraries;
  std::vector<std::vector<std::string>> loaders = {loader_command()};
  if (loaders.front().empty()) loaders = {{"/lib64/ld-linux-x86-64.so.2"}, {"/lib/ld-linux-aarch64.so.1"}};
  for (std::vector<std::string> command : loaders) {
    if (access(command.front().c_str(), X_OK) != 0) continue;
    command.insert(command.end(), {"--list", program.string()});
    std::istringstream lines(ask(command).text);
    for (std::string line; std::getline(lines, line);) {  // "\tlibc10.so => /path/libc10.so (0x…)"
      const std::size_t arrow = line.find(" => ");
      if (arrow == std::string::npos) continue;
      const std::string name =
          line.substr(line.find_first_not_of("\t "), arrow - line.find_first_not_of("\t "));
      const std::string rest = line.substr(arrow + 4);
      libraries[name] = rest.starts_with("not found") ? "" : rest.substr(0, rest.rfind(" ("));
    }
  }
  return libraries;
}

MachineCheck check_rank_program(const fs::path& program) {
  const char* missing = "jobs that need torch are left to other workers; `./dev build` makes it";
  if (access(program.c_str(), X_OK) != 0) {
    return {"gauntlet-rank", CheckLevel::kWarn, fmt::format("{} is missing", program.string()), missing};
  }
  const Said said = ask({program.string(), "--version"});
  MachineCheck check{"gauntlet-rank", CheckLevel::kOk, first_line(said.text)};
  check.facts = {{"path", program.string()}};
  if (said.exit_code != 0) {
    check.level = CheckLevel::kFail;
    check.detail = fmt::format("{} does not start: {}", program.string(), first_line(said.text));
    check.remedy = "the next line names libraries that are not found; `./dev setup` fetches them";
  } else if (said.text.find(fmt::format("({})", revision())) == std::string::npos) {
    check.level = CheckLevel::kWarn;
    check.detail += fmt::format(", but gauntlet is of revision {}", revision());
    check.remedy = "build both together: `./dev build`";
  }
  return check;
}

MachineCheck check_libtorch(const std::map<std::string, std::string>& libraries, std::size_t n_gpus) {
  MachineCheck check{"LibTorch", CheckLevel::kOk, ""};
  std::string missing;
  for (const auto& [name, path] : libraries) {
    if (path.empty()) missing += (missing.empty() ? "" : ", ") + name;
  }
  const auto cpu = libraries.find("libtorch_cpu.so");
  const bool has_cuda = libraries.contains("libtorch_cuda.so");
  check.facts = {{"path", cpu == libraries.end() ? "" : cpu->second}, {"cuda", has_cuda}};
  if (!missing.empty()) {
    check.level = CheckLevel::kFail;
    check.detail = "gauntlet-rank needs libraries that are not found: " + missing;
    check.remedy = "`./dev setup` fetches them; GAUNTLET_TORCH names another LibTorch";
    return check;
  }
  check.detail = fmt::format("{}, {}", cpu == libraries.end() ? "linked in" : cpu->second,
                             has_cuda ? "with CUDA" : "for processors only");
  if (n_gpus > 0 && !has_cuda) {
    check.level = CheckLevel::kWarn;
    check.remedy = "the GPUs stay idle: `GAUNTLET_DEVICE=cuda ./dev build`";
  }
  return check;
}

MachineCheck check_nccl(const std::map<std::string, std::string>& libraries, std::size_t n_gpus) {
  const auto found = libraries.find("libnccl.so.2");
  const bool there = found != libraries.end() && !found->second.empty();
  if (!there) {
    MachineCheck check{"NCCL", CheckLevel::kOk, "not linked; ranks on processors talk over Gloo"};
    if (n_gpus > 1) {
      check.level = CheckLevel::kWarn;
      check.remedy = "jobs on several GPUs need it: `GAUNTLET_DEVICE=cuda ./dev build`";
    }
    return check;
  }
  void* library = ::dlopen(found->second.c_str(), RTLD_LAZY | RTLD_LOCAL);
  auto* version_of =
      library == nullptr ? nullptr : reinterpret_cast<int (*)(int*)>(::dlsym(library, "ncclGetVersion"));
  int version = 0;
  if (version_of == nullptr || version_of(&version) != 0) {
    const char* why = ::dlerror();
    return {"NCCL", CheckLevel::kFail,
            fmt::format("{} cannot be used: {}", found->second, why == nullptr ? "it names no version" : why),
            "`GAUNTLET_DEVICE=cuda ./dev setup` fetches another"};
  }
  MachineCheck check{"NCCL", CheckLevel::kOk,
                     fmt::format("version {}.{}.{}", version / 10000, version / 100 % 100, version % 100)};
  check.facts = {{"version", version}, {"path", found->second}};
  return check;
}

}  // namespace

std::vector<MachineCheck> check_compute() {
  const fs::path program = program_path().parent_path() / "gauntlet-rank";
  const Gpus gpus = check_gpus();
  std::vector<MachineCheck> checks = {gpus.check, check_rank_program(program)};
  if (access(program.c_str(), X_OK) != 0) return checks;
  const std::map<std::string, std::string> libraries = libraries_of(executable_of(program));
  checks.push_back(check_libtorch(libraries, gpus.n));
  checks.push_back(check_nccl(libraries, gpus.n));
  return checks;
}

}  // namespace gauntlet::cli
