// The corpus of ./dev fuzz, and what once crashed, through the same functions without libFuzzer.
#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<std::uint8_t> bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> corpus_of(std::string_view target) {
  std::vector<fs::path> files;
  const fs::path folder = fs::path(GAUNTLET_SOURCE_DIR "/tests/fuzz/corpus") / target;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

class Corpus : public testing::TestWithParam<Target> {};

TEST_P(Corpus, RunsThrough) {
  google::protobuf::SetLogHandler(nullptr);  // every damaged text would be told to stderr
  const std::vector<fs::path> files = corpus_of(GetParam().name);
  EXPECT_GT(files.size(), 10U) << "the corpus is missing";
  GetParam().run({});
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.string());  // an abort says no more than this: run one file with build-fuzz/bin
    const std::vector<std::uint8_t> bytes = bytes_of(file);
    GetParam().run(bytes);
    GetParam().run(Bytes(bytes).first(bytes.size() / 2));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Corpus, testing::ValuesIn(kTargets),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(CorpusFolders, AreSmall) {
  std::uintmax_t n_bytes = 0;
  for (const Target& target : kTargets) {
    for (const fs::path& file : corpus_of(target.name)) n_bytes += fs::file_size(file);
  }
  EXPECT_LT(n_bytes, 600'000U) << "merge it anew; see ./dev help";
}

}  // namespace
}  // namespace gauntlet::fuzz
