// Ranks on one machine talk through memory, others through sockets, with the same results; who leaves is
// noticed.
#include <gmock/gmock.h>
#include <signal.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <thread>

#include "core/base/check.hpp"
#include "core/collective/detail/shared_segment.hpp"
#include "core/collective/shared_memory.hpp"
#include "tests/ranks/forked_ranks.hpp"

namespace gauntlet::testing {
namespace {

using collective::Communicator;
using collective::SharedSegment;
using train::NamedTensors;

constexpr std::int64_t kFloatsOfABuffer = SharedSegment::kBufferBytes / sizeof(float);

torch::Tensor numbers(std::int64_t n, double phase, torch::ScalarType type) {
  const torch::Tensor values = torch::sin(torch::arange(n, torch::kFloat64) * 0.37 + phase) * 100;
  return values.to(type);
}

/// Sizes around one buffer and over several, types of all widths.
NamedTensors everything(Communicator& ranks) {
  NamedTensors results;
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{1}, std::int64_t{17}, kFloatsOfABuffer - 1,
                               kFloatsOfABuffer, kFloatsOfABuffer + 1, 3 * kFloatsOfABuffer + 5}) {
    for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kInt64, torch::kInt32}) {
      const auto key = fmt::format("{} {}", n, torch::toString(type));
      torch::Tensor sum = numbers(n, static_cast<double>(ranks.rank()), type);
      ranks.all_reduce_sum_(sum);
      results["sum " + key] = sum;
      torch::Tensor told = numbers(n, static_cast<double>(ranks.rank()), type);
      ranks.broadcast_(told);
      results["told " + key] = told;
    }
  }
  results["rows"] =
      ranks.gather_rows(numbers(3 + ranks.rank(), static_cast<double>(ranks.rank()), torch::kFloat32));
  for (int turn = 0; turn < 500; ++turn) {
    torch::Tensor one = torch::full({1}, turn, torch::kInt64);
    ranks.all_reduce_sum_(one);
    GAUNTLET_CHECK(one.item<std::int64_t>() == turn * ranks.world_size());
  }
  ranks.barrier();
  return results;
}

TEST(SharedMemory, SumsRowsAndBroadcastsAreExact) {
  for (const std::int64_t world_size : {2, 3}) {
    const std::vector<NamedTensors> ranks = on_forked_ranks(world_size, everything);
    for (const auto& [name, tensor] : ranks.front()) {
      for (const NamedTensors& rank : ranks) EXPECT_TRUE(torch::equal(rank.at(name), tensor)) << name;
      if (!name.starts_with("sum ") && !name.starts_with("told ")) continue;
      torch::Tensor expected = numbers(tensor.size(0), 0, tensor.scalar_type());
      for (std::int64_t rank = 1; rank < world_size && name.starts_with("sum "); ++rank)
        expected = expected + numbers(tensor.size(0), static_cast<double>(rank), tensor.scalar_type());
      EXPECT_TRUE(torch::equal(tensor, expected)) << name << " of " << world_size;
    }
    torch::Tensor rows = numbers(3, 0, torch::kFloat32);
    for (std::int64_t rank = 1; rank < world_size; ++rank)
      rows = torch::cat({rows, numbers(3 + rank, static_cast<double>(rank), torch::kFloat32)});
    EXPECT_TRUE(torch::equal(ranks.front().at("rows"), rows));
  }
}

/// What two ranks on `hosts` get from share_memory.
std::vector<bool> shared_by(const std::vector<std::string>& hosts) {
  const std::filesystem::path file =
      std::filesystem::path(::testing::TempDir()) / fmt::format("share-{}", ::getpid());
  std::filesystem::remove(file);
  std::vector<char> shares(hosts.size());
  std::vector<std::thread> ranks;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    ranks.emplace_back([&, rank] {
      const auto n = static_cast<int>(hosts.size()), self = static_cast<int>(rank);
      const auto store = c10::make_intrusive<c10d::FileStore>(file.string(), n);
      auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(60));
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1", false));
      const auto sockets = c10::make_intrusive<c10d::ProcessGroupGloo>(store, self, n, options);
      const auto memory = collective::share_memory(*sockets, *store, hosts[rank], std::chrono::seconds(60));
      shares[rank] = memory != nullptr ? 1 : 0;
      sockets->barrier()->wait();
    });
  }
  for (std::thread& rank : ranks) rank.join();
  std::filesystem::remove(file);
  return {shares.begin(), shares.end()};
}

TEST(SharedMemory, IsForRanksOfOneHost) {
  EXPECT_THAT(shared_by({"10.0.0.1", "10.0.0.1"}), ::testing::ElementsAre(true, true));
  EXPECT_THAT(shared_by({"10.0.0.1", "10.0.0.2"}), ::testing::ElementsAre(false, false));
  EXPECT_THAT(shared_by({"10.0.0.1", "10.0.0.1", "10.0.0.2"}), ::testing::ElementsAre(false, false, false));
}

TEST(SharedMemory, AnotherMachinesAddressIsRefused) {
  const auto own = SharedSegment::create(2).value();
  const std::string address = own->address();
  EXPECT_TRUE(SharedSegment::open(address, 1, 2));
  // The same process and descriptor mean something else there: another number, another size, no file.
  const std::string place = address.substr(0, address.rfind('/'));
  for (const std::string& wrong : {place + "/1", std::string("1/0/7"), fmt::format("{}/0/7", ::getpid()),
                                   std::string("none"), std::string("-1/-1/-1")}) {
    const auto refused = SharedSegment::open(wrong, 1, 2);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnreachable) << refused.error().message;
  }
  EXPECT_FALSE(SharedSegment::open(address, 1, 3)) << "made for two";
}

/// Rank 0's answer when rank 1, a process of its own, has done `leave`.
Error waiting_for(const std::function<void(std::unique_ptr<SharedSegment>)>& leave) {
  const auto own = SharedSegment::create(2).value();
  const std::string address = own->address();  // of this process, before there is another
  int ready[2];
  GAUNTLET_CHECK(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto other = SharedSegment::open(address, 1, 2).value();
    GAUNTLET_CHECK(::write(ready[1], "r", 1) == 1);
    leave(std::move(other));
    ::pause();
  }
  char told = 0;
  GAUNTLET_CHECK(::read(ready[0], &told, 1) == 1);
  own->watch_others();
  const Status waited = own->arrive_and_wait(std::chrono::seconds(60));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  return waited ? Error{} : waited.error();
}

TEST(SharedMemory, WhoEndsOrLeavesIsNoticed) {
  const Error killed = waiting_for([](auto) { ::raise(SIGKILL); });
  EXPECT_EQ(killed.code, ErrorCode::kCollective);
  EXPECT_EQ(killed.message, "rank 1 is gone");
  const Error left = waiting_for([](auto segment) { segment.reset(); });
  EXPECT_EQ(left.message, "rank 1 is gone");
  // Who has arrived before leaving was there.
  const Error arrived = waiting_for([](auto segment) {
    segment->watch_others();
    GAUNTLET_CHECK(segment->arrive_and_wait(std::chrono::seconds(60)));
    segment.reset();
  });
  EXPECT_EQ(arrived.message, "");
}

TEST(SharedMemory, WhoDoesNotComeIsNotWaitedForForever) {
  const auto own = SharedSegment::create(2).value();
  const auto other = SharedSegment::open(own->address(), 1, 2).value();
  own->watch_others();
  const Status waited = own->arrive_and_wait(std::chrono::milliseconds(1));
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ErrorCode::kTimedOut);
}

}  // namespace
}  // namespace gauntlet::testing
