#include "core/run/self_test.hpp"

#include <torch/version.h>
#include <unistd.h>

#include <filesystem>
#include <future>

namespace gauntlet::run {
namespace {

constexpr int kTimeoutS = 60;
constexpr double kExpectedSum = 3;  // of 1 and 2

Result<double> sum_as_rank(const std::string& meeting, std::int64_t rank) {
  GAUNTLET_TRY(const auto communicator, collective::make_gloo_communicator(meeting, rank, 2, kTimeoutS));
  torch::Tensor own = torch::full({1}, rank + 1, torch::kFloat64);
  communicator->all_reduce_sum_(own);
  communicator->barrier();
  return own.item<double>();
}

Status check_gloo() {
  const auto meeting =
      std::filesystem::temp_directory_path() / fmt::format("gauntlet-self-test-{}", ::getpid());
  std::error_code ignored;
  std::filesystem::remove(meeting, ignored);
  auto other = std::async(std::launch::async, &sum_as_rank, meeting.string(), 1);
  const Result<double> own = sum_as_rank(meeting.string(), 0);
  const Result<double> theirs = other.get();
  std::filesystem::remove(meeting, ignored);
  for (const Result<double>* sum : {&own, &theirs}) {
    if (!*sum) return fail(sum->error());
    if (**sum != kExpectedSum)
      return fail(ErrorCode::kInternal, "Gloo sums 1 and 2 over two ranks to {}", **sum);
  }
  return {};
}

/// A product on the first device, and a sum over the one rank that is here.
Status check_device(collective::DeviceTransport& transport) {
  const torch::TensorOptions on_device(torch::Device(transport.device_type(), 0));
  const torch::Tensor ones = torch::ones({64, 64}, on_device);
  const double sum = ones.matmul(ones).sum().item<double>();
  if (sum != 64.0 * 64 * 64)
    return fail(ErrorCode::kInternal, "the device multiplies matrices of ones to {}", sum);
  const auto meeting =
      std::filesystem::temp_directory_path() / fmt::format("gauntlet-self-test-{}", ::getpid());
  std::error_code ignored;
  std::filesystem::remove(meeting, ignored);
  GAUNTLET_TRY(const auto communicator,
               collective::make_device_communicator(meeting.string(), 0, 1, kTimeoutS, transport));
  torch::Tensor own = torch::full({1}, kExpectedSum, on_device);
  communicator->all_reduce_sum_(own);
  std::filesystem::remove(meeting, ignored);
  if (own.item<double>() == kExpectedSum) return {};
  return fail(ErrorCode::kInternal, "{} sums one rank's {} to {}", transport.library(), kExpectedSum,
              own.item<double>());
}

}  // namespace

Result<Json> self_test(collective::DeviceTransport* transport) {
  Json found = {{"libtorch", TORCH_VERSION}};
  GAUNTLET_CHECK_OK(check_gloo());
  found["gloo"] = "ok";
  if (transport == nullptr) {
    found["devices"] = "none: built for processors";
    return found;
  }
  found[transport->library()] = transport->version();
  found["devices"] = transport->devices();
  found["environment"] = transport->environment();
  if (transport->n_devices() > 0) GAUNTLET_CHECK_OK(check_device(*transport));
  return found;
}

}  // namespace gauntlet::run
