// Looking at a set takes little memory, however large its arrays are.
#include <gtest/gtest.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/files.hpp"
#include "core/data/inspect.hpp"
#include "core/io/npy.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/thread_sanitizer.hpp"

namespace gauntlet::data {
namespace {

/// "VmHWM", "VmRSS": kilobytes of this process.
std::int64_t memory_kb(std::string_view what) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t value = 0;
    if (word == std::string(what) + ":" && status >> value) return value;
  }
  return -1;
}

/// The most memory that `work` had beyond what there was before, MB; negative where it cannot be measured.
double megabytes_of(const auto& work) {
  std::ofstream("/proc/self/clear_refs") << "5";
  const std::int64_t before = memory_kb("VmRSS");
  if (memory_kb("VmHWM") > before + 1024) return -1;
  work();
  return static_cast<double>(memory_kb("VmHWM") - before) / 1024;
}

/// A file of so many zeros, of which the disk holds none.
void write_zeros(const std::filesystem::path& path, io::DType dtype, const std::vector<std::int64_t>& shape) {
  const std::string header = io::npy_header(dtype, shape).value();
  std::ofstream(path, std::ios::binary) << header;
  std::uintmax_t n_bytes = io::size_of(dtype);
  for (const std::int64_t side : shape) n_bytes *= static_cast<std::uintmax_t>(side);
  std::filesystem::resize_file(path, header.size() + n_bytes);
}

TEST(LargeSet, RealTextsOfAnyNumberPassThrough) {
  constexpr std::int64_t kRows = 4000;
  const testing_support::TempFolder folder;
  write_zeros(folder / "images.npy", io::DType::kU8, {kRows, 8, 8, 3});
  write_zeros(folder / "text.npy", io::DType::kF32, {kRows, 16384});  // 262 MB
  write_zeros(folder / "labels.npy", io::DType::kU8, {kRows, 2});
  write_zeros(folder / "split.npy", io::DType::kU8, {kRows});
  folder.write("dataset.json", R"({"hashes": {"text": "not this"}})");
  Json report;
  const double verified = megabytes_of([&] { report = verify(folder.path()).value(); });
  EXPECT_EQ(report["ok"], false) << "the hash is another";
  const PreparedSet set = PreparedSet::open(folder.path()).value();
  Json numbers;
  const double counted = megabytes_of([&] { numbers = stats(set); });
  EXPECT_EQ(numbers["n_empty_text"], kRows);
  if (verified < 0 || counted < 0) GTEST_SKIP() << "the system does not tell the most memory again";
  if (testing_support::kMemoryIsMultiplied)
    GTEST_SKIP() << "the sanitizer's own memory counts as the program's";
  EXPECT_LT(verified, 150);
  EXPECT_LT(counted, 150);
}

}  // namespace
}  // namespace gauntlet::data
