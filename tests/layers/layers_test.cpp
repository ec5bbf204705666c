// The architecture as a test: which box may include which, read from the #include lines of the sources.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

const fs::path kRoot = GAUNTLET_SOURCE_DIR;

/// Box → boxes it may include directly, besides itself. See docs/architecture.md.
const std::map<std::string, Names> kMayInclude = {
    {"core/base", {}},
    {"core/registry", {"core/base"}},
    {"core/spec", {"core/base"}},
    {"core/proto", {"core/base", "core/spec"}},
    {"core/tls", {"core/base"}},
    {"core/db", {"core/base"}},
    {"core/io", {"core/base"}},
    {"core/artifacts", {"core/base", "core/spec"}},
    {"core/transfer", {"core/base", "core/spec", "core/proto", "core/artifacts"}},
    {"core/draw", {"core/base", "core/io"}},
    {"core/data", {"core/base", "core/registry", "core/io", "core/draw"}},
    {"core/sheets",
     {"core/base", "core/registry", "core/spec", "core/io", "core/draw", "core/artifacts", "core/data",
      "core/metrics"}},
    {"core/metrics", {"core/base", "core/registry", "core/spec", "core/io"}},
    {"core/robustness", {"core/base", "core/metrics"}},
    {"core/collective", {"core/base"}},
    {"core/models", {"core/base", "core/registry", "core/io", "core/collective"}},
    {"core/attacks", {"core/base", "core/registry", "core/metrics", "core/collective", "core/models"}},
    {"core/defenses", {"core/base", "core/registry", "core/collective", "core/models", "core/attacks"}},
    {"core/train", {"core/base", "core/io", "core/data", "core/collective", "core/models", "core/defenses"}},
    {"core/run",
     {"core/base", "core/registry", "core/spec", "core/io", "core/data", "core/artifacts", "core/metrics",
      "core/collective", "core/models", "core/attacks", "core/defenses", "core/train", "worker/executor"}},
    {"results", {"core/base", "core/spec", "core/db", "core/robustness"}},
    {"coordinator/engine", {"core/base", "core/spec"}},
    {"coordinator/alloc", {"core/base", "core/spec"}},
    {"coordinator/store",
     {"core/base", "core/spec", "core/db", "results", "coordinator/engine", "coordinator/alloc"}},
    {"coordinator/net",
     {"core/base", "core/spec", "core/proto", "core/db", "core/tls", "core/transfer", "results",
      "coordinator/engine", "coordinator/alloc", "coordinator/store"}},
    {"coordinator/client", {"core/base", "core/proto", "core/tls"}},
    {"worker/launch", {"core/base", "core/proto", "core/tls"}},
    {"worker/external", {"core/base", "core/spec", "core/io", "core/artifacts", "core/data", "core/metrics"}},
    {"worker/executor",
     {"core/base", "core/registry", "core/spec", "core/proto", "core/io", "core/artifacts", "core/data",
      "core/metrics", "worker/external"}},
    {"worker/agent",
     {"core/base", "core/spec", "core/proto", "core/tls", "core/artifacts", "core/transfer", "worker/launch",
      "worker/executor", "worker/transfer"}},
    {"worker/transfer", {"core/base", "core/proto", "core/artifacts", "core/transfer", "coordinator/client"}},
    {"worker/rank",
     {"core/base", "core/collective", "core/registry", "core/spec", "core/data", "core/metrics",
      "core/models", "core/attacks", "core/defenses", "core/run", "worker/executor"}},
    {"cli",
     {"core/base",
      "core/registry",
      "core/spec",
      "core/proto",
      "core/tls",
      "core/db",
      "core/io",
      "core/artifacts",
      "core/draw",
      "core/sheets",
      "core/data",
      "core/metrics",
      "core/robustness",
      "results",
      "coordinator/engine",
      "coordinator/alloc",
      "coordinator/store",
      "coordinator/net",
      "coordinator/client",
      "worker/launch",
      "worker/external",
      "worker/executor",
      "worker/transfer",
      "worker/agent"}},
};

const Names kTorchBoxes = {"core/collective", "core/models", "core/attacks", "core/defenses",
                           "core/train",      "core/run",    "worker/rank"};

/// Headers beside the boxes.
const Names kOfEveryBox = {"core/pch.hpp", "core/torch.hpp"};

std::string box_of(const fs::path& relative) {
  const std::string top = relative.begin()->string();
  if (top == "cli" || top == "results") return top;
  auto part = relative.begin();
  return top + "/" + (++part)->string();
}

struct Include {
  fs::path file;  ///< relative to the root
  std::string target;
};

/// Every #include of every source in a box; files directly in a top folder (precompiled headers) belong to
/// none.
std::vector<Include> all_includes() {
  static const std::regex kInclude(R"(^\s*#\s*include\s*["<]([^">]+)[">])");
  std::vector<Include> includes;
  for (const char* top : {"core", "coordinator", "worker", "results", "cli"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".cpp" && extension != ".hpp") continue;
      const fs::path relative = entry.path().lexically_relative(kRoot);
      if (std::string(top) == "core" && std::distance(relative.begin(), relative.end()) < 3) continue;
      std::ifstream file(entry.path());
      std::string line;
      std::smatch match;
      while (std::getline(file, line)) {
        if (std::regex_search(line, match, kInclude)) includes.push_back({relative, match[1]});
      }
    }
  }
  return includes;
}

bool is_ours(const std::string& target) {
  static const std::regex kOurs(R"(^(core|coordinator|worker|results|cli|tests)/)");
  return std::regex_search(target, kOurs);
}

TEST(Layers, DependenciesPointOneWay) {
  for (const Include& include : all_includes()) {
    if (!is_ours(include.target) || kOfEveryBox.count(include.target) == 1) continue;
    const std::string from = box_of(include.file);
    const std::string to = box_of(include.target);
    const auto rule = kMayInclude.find(from);
    ASSERT_NE(rule, kMayInclude.end()) << include.file << " is in a folder the architecture does not know";
    EXPECT_TRUE(from == to || rule->second.count(to) == 1) << include.file << " includes " << include.target;
  }
}

TEST(Layers, OnlyItsOwnFolderIncludesADetail) {
  for (const Include& include : all_includes()) {
    if (!is_ours(include.target) || include.target.find("/detail/") == std::string::npos) continue;
    EXPECT_EQ(box_of(include.file), box_of(include.target)) << include.file << " includes " << include.target;
  }
}

TEST(Layers, TorchStaysInItsBoxes) {
  for (const Include& include : all_includes()) {
    const bool is_torch = include.target.rfind("torch/", 0) == 0 || include.target.rfind("c10/", 0) == 0 ||
                          include.target.rfind("ATen/", 0) == 0 || include.target == "core/torch.hpp";
    if (is_torch) {
      EXPECT_EQ(kTorchBoxes.count(box_of(include.file)), 1U)
          << include.file << " includes " << include.target;
    }
  }
}

TEST(Layers, LibrariesStayWhereTheyBelong) {
  const std::vector<std::pair<std::string, Names>> homes = {
      {"sqlite3.h", {"core/db"}},
      {"yaml-cpp/", {"core/spec", "results"}},
      {"torch/torch.h", {}},  // core/torch.hpp takes a quarter less time to compile
      {"boost/asio",
       {"coordinator/net", "coordinator/client", "worker/agent", "worker/launch", "worker/executor", "cli"}},
      {"hb", {"core/data"}},
      {"ft2build.h", {"core/draw"}},
      {"png.h", {"core/io"}},
  };
  for (const Include& include : all_includes()) {
    for (const auto& [prefix, boxes] : homes) {
      const bool matches = prefix == "hb" ? std::regex_match(include.target, std::regex("hb(-ft)?\\.h"))
                                          : include.target.rfind(prefix, 0) == 0;
      if (matches) {
        EXPECT_EQ(boxes.count(box_of(include.file)), 1U) << include.file << " includes " << include.target;
      }
    }
  }
}

TEST(Layers, OneFileIncludesTheParserOfOptions) {  // each that does takes six times as long to compile
  for (const Include& include : all_includes()) {
    if (include.target.rfind("CLI/", 0) != 0) continue;
    EXPECT_EQ(include.file, "cli/support/arguments.cpp") << include.target;
  }
}

/// Stems listed in a .def file.
Names listed(const fs::path& def) {
  static const std::regex kLine(R"(^GAUNTLET_[A-Z]+\(([a-z0-9_]+)\)$)");
  Names stems;
  std::ifstream file(def);
  std::string line;
  std::smatch match;
  while (std::getline(file, line)) {
    if (!std::regex_match(line, match, kLine)) continue;
    EXPECT_TRUE(stems.insert(match[1]).second) << def << " lists " << match[1] << " twice";
  }
  return stems;
}

TEST(Lists, EveryEntryFileIsListed) {
  for (const auto& [folder, list] :
       std::vector<std::pair<std::string, std::string>>{{"core/data", "datasets.def"},
                                                        {"core/metrics", "metrics.def"},
                                                        {"core/models", "models.def"},
                                                        {"core/attacks", "attacks.def"},
                                                        {"core/defenses", "defenses.def"}}) {
    const Names stems = listed(kRoot / folder / list);
    EXPECT_FALSE(stems.empty()) << folder << "/" << list;
    for (const auto& entry : fs::directory_iterator(kRoot / folder)) {
      if (entry.path().extension() != ".cpp") continue;
      std::ifstream file(entry.path());
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      const std::string stem = entry.path().stem().string();
      const bool is_entry = text.find("Entry " + stem + "_entry") != std::string::npos;
      EXPECT_EQ(is_entry, stems.count(stem) == 1) << entry.path() << " and " << list << " disagree";
    }
  }
}

TEST(Texts, NoSourceNamesAPathOfOneMachine) {
  static const std::regex kPath(R"((^|[^A-Za-z0-9_.])/(root|home|work)/)");
  for (const char* top :
       {"core", "coordinator", "worker", "results", "cli", "tests", "docs", "sweeps", "schemas"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      if (!entry.is_regular_file() || entry.path().filename() == "layers_test.cpp") continue;
      std::ifstream file(entry.path());
      std::string line;
      while (std::getline(file, line)) {
        EXPECT_FALSE(std::regex_search(line, kPath)) << entry.path() << ": " << line;
      }
    }
  }
}

}  // namespace
}  // namespace gauntlet
