// The build for GPUs: what can be seen without one, and what one is needed for.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "core/collective/device_transport.hpp"
#include "core/run/self_test.hpp"
#include "core/run/torch_runner.hpp"

namespace gauntlet::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class Silent final : public worker::ProgressSink {
 public:
  void update(const worker::Progress& /*progress*/) override {}
};

class Nccl : public ::testing::Test {
 protected:
  /// Ends the test where there is no GPU, with what CUDA says of it.
  void need_gpu() const {
    if (transport->n_devices() == 0) GTEST_SKIP() << "no GPU; " << transport->devices();
  }
  std::unique_ptr<collective::DeviceTransport> transport = collective::make_nccl_transport();
};

TEST_F(Nccl, SaysItsVersionAndWhichDevicesThereAre) {
  EXPECT_THAT(transport->version(), MatchesRegex("2\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(transport->devices().starts_with("none: "), transport->n_devices() == 0) << transport->devices();
}

TEST_F(Nccl, RecordsTheVariablesThatChangeIt) {
  ::setenv("NCCL_SOCKET_IFNAME", "lo", 1);
  const auto environment = transport->environment();
  ::unsetenv("NCCL_SOCKET_IFNAME");
  ASSERT_TRUE(environment.contains("NCCL_SOCKET_IFNAME"));
  EXPECT_EQ(environment.at("NCCL_SOCKET_IFNAME"), "lo");
  EXPECT_FALSE(environment.contains("PATH"));
  const Json reported = Json::parse(run::TorchRunner(transport.get()).environment());
  EXPECT_EQ(reported.at("versions").at("nccl"), transport->version());
  EXPECT_TRUE(reported.at("variables").is_object());
}

TEST_F(Nccl, SelfTestNamesEverything) {
  const Result<Json> found = run::self_test(transport.get());
  ASSERT_TRUE(found) << found.error().message;
  for (const char* name : {"libtorch", "nccl", "gloo", "devices"}) EXPECT_TRUE(found->contains(name)) << name;
}

worker::AttemptContext attempt_on_a_gpu() {
  worker::AttemptContext attempt;
  attempt.job.kind = spec::JobKind::kEncode;
  attempt.job.entry = "none";
  attempt.device = "cuda";
  return attempt;
}

TEST_F(Nccl, AttemptForAGpuThatIsNotThereIsRefused) {
  if (transport->n_devices() > 0) GTEST_SKIP() << "there is a GPU: " << transport->devices();
  Silent progress;
  const auto refused = run::TorchRunner(transport.get()).run(attempt_on_a_gpu(), progress);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
  EXPECT_THAT(refused.error().message, StartsWith("the attempt was given a cuda device; none: "));
  const auto by_the_other_build = run::TorchRunner().run(attempt_on_a_gpu(), progress);
  ASSERT_FALSE(by_the_other_build);
  EXPECT_THAT(by_the_other_build.error().message, HasSubstr("this gauntlet-rank is built for processors"));
}

TEST_F(Nccl, SumsAndGathersOnTheDevice_CUDA) {
  need_gpu();
  if (IsSkipped()) return;
  const auto meeting = std::filesystem::path(::testing::TempDir()) / fmt::format("nccl-{}", ::getpid());
  std::filesystem::remove(meeting);
  const auto ranks = collective::make_device_communicator(meeting.string(), 0, 1, 60, *transport);
  ASSERT_TRUE(ranks) << ranks.error().message;
  torch::Tensor rows =
      torch::arange(6, torch::TensorOptions(torch::kCUDA).dtype(torch::kFloat64)).view({2, 3});
  rows.requires_grad_();
  const torch::Tensor gathered = (*ranks)->gather_rows(rows);
  EXPECT_TRUE(gathered.is_cuda());
  EXPECT_TRUE(gathered.equal(rows));
  const torch::Tensor gradient = torch::autograd::grad({gathered.square().sum()}, {rows}).front();
  EXPECT_TRUE(gradient.equal(2 * rows));
  torch::Tensor on_host = torch::ones({2});
  (*ranks)->all_reduce_sum_(on_host);
  EXPECT_TRUE(on_host.equal(torch::ones({2})));
  std::filesystem::remove(meeting);
}

}  // namespace
}  // namespace gauntlet::testing
