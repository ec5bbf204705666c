// The files under deploy/ before the tools that know their formats.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing_support::Finished;
using testing_support::TempFolder;

const fs::path kSource = GAUNTLET_SOURCE_DIR;
const fs::path kPython = kSource / ".deps/python";

std::string content_of(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Runs a command with the Python packages of `./dev test --full` at hand.
Finished run(const std::string& line, const fs::path& folder) {
  return testing_support::run(
      {"/bin/bash", "-c", line}, folder,
      {{"PYTHONPATH", kPython.string()}, {"SOURCE", kSource.string()}, {"PYTHON", kPython.string()}});
}

#define SKIP_WITHOUT(tool)                                                        \
  if (!fs::exists(tool)) {                                                        \
    GTEST_SKIP() << (tool) << " is not installed; ./dev test --full installs it"; \
  }

TEST(Validators, ComposeFile) {
  SKIP_WITHOUT("/usr/bin/docker-compose");
  const TempFolder folder;
  fs::copy(kSource / "docker-compose.yml", folder.path());
  std::ofstream(folder / "gauntlet-token") << "x";
  const Finished checked = run("docker-compose config --quiet", folder.path());
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
}

TEST(Validators, SystemdUnits) {
  SKIP_WITHOUT("/usr/bin/systemd-analyze");
  const TempFolder folder;
  for (const char* name : {"gauntlet-coordinator.service", "gauntlet-worker.service"}) {
    // The verifier wants programs to be there.
    std::ofstream(folder / name) << std::regex_replace(content_of(kSource / "deploy/systemd" / name),
                                                       std::regex("/opt/gauntlet/bin/"),
                                                       GAUNTLET_BINARY_DIR "/bin/");
  }
  const Finished checked = run("systemd-analyze verify ./*.service", folder.path());
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_EQ(checked.err, "");
}

TEST(Validators, Dockerfile) {
  SKIP_WITHOUT(kPython / "bin/hadolint");
  const TempFolder folder;
  const Finished checked = run("\"$PYTHON/bin/hadolint\" \"$SOURCE/Dockerfile\"", folder.path());
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
}

TEST(Validators, KubernetesManifests) {
  SKIP_WITHOUT(kPython / "bin/kubernetes-validate");
  const TempFolder folder;
  const Finished checked =
      run("python3 \"$PYTHON/bin/kubernetes-validate\" --strict "
          "\"$SOURCE\"/deploy/kubernetes/base/{storage,coordinator,"
          "worker}.yaml",
          folder.path());
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
}

TEST(Validators, ShellScripts) {
  const TempFolder folder;
  for (const char* script : {"deploy/package/start.sh", "deploy/container/entrypoint.sh"}) {
    EXPECT_EQ(run("sh -n \"$SOURCE\"/" + std::string(script), folder.path()).exit_code, 0) << script;
  }
}

/// Apptainer is no Debian package: what its manual says of definition files, by hand.
TEST(Validators, ApptainerDefinition) {
  const std::string text = content_of(kSource / "deploy/apptainer/gauntlet.def");
  const TempFolder folder;
  std::map<std::string, std::string> sections;
  std::istringstream lines(text);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("%")) {
      section = line.substr(1);
      EXPECT_TRUE(sections.try_emplace(section).second) << section << " twice";
    } else {
      sections[section] += line + "\n";
    }
  }
  EXPECT_TRUE(std::regex_search(sections[""], std::regex("(^|\n)Bootstrap: docker\nFrom: debian:12")));
  for (const auto& [name, script] : sections) {
    const bool is_script = name == "post" || name == "environment" || name == "runscript" || name == "test";
    const bool is_text = name.empty() || name == "arguments" || name == "files" || name == "help";
    EXPECT_TRUE(is_script || is_text) << "%" << name;
    if (!is_script) continue;
    std::ofstream(folder / name) << script;
    EXPECT_EQ(run("sh -n " + name, folder.path()).exit_code, 0) << name;
  }
  // Every {{ argument }} has a default.
  const std::regex argument(R"(\{\{\s*(\w+)\s*\}\})");
  for (std::sregex_iterator at(text.begin(), text.end(), argument), end; at != end; ++at)
    EXPECT_NE(sections["arguments"].find((*at)[1].str() + "="), std::string::npos) << (*at)[1];
  EXPECT_NE(sections["runscript"].find("exec /opt/gauntlet/bin/gauntlet \"$@\""), std::string::npos);
}

TEST(Dockerfile, CopiesAndNamesWhatThereIs) {
  const std::string text = content_of(kSource / "Dockerfile");
  const std::regex copied(R"(\nCOPY (?!--from)(\S+) )");
  for (std::sregex_iterator at(text.begin(), text.end(), copied), end; at != end; ++at) {
    EXPECT_TRUE(fs::exists(kSource / (*at)[1].str())) << (*at)[1];
  }
  const std::regex from(R"((?:FROM|--from=)\s*(\S+))");
  const std::regex stage(R"(FROM \S+ AS (\S+))");
  std::set<std::string> stages;
  for (std::sregex_iterator at(text.begin(), text.end(), stage), end; at != end; ++at)
    stages.insert((*at)[1]);
  for (std::sregex_iterator at(text.begin(), text.end(), from), end; at != end; ++at) {
    const std::string name = (*at)[1];
    EXPECT_TRUE(name.starts_with("debian:12") || stages.contains(name)) << name;
  }
  EXPECT_TRUE(stages.contains("cpu") && stages.contains("cuda"));
  EXPECT_NE(text.find("\nUSER 10001:10001\n"), std::string::npos) << "images must not run as root";
}

}  // namespace
}  // namespace gauntlet
