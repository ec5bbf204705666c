#include <ATen/cuda/CUDAContext.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "core/collective/device_transport.hpp"

namespace gauntlet::collective {
namespace {

class Nccl final : public DeviceTransport {
 public:
  [[nodiscard]] std::string library() const override { return "nccl"; }

  /// Of the library that is loaded, which need not be that of the header.
  [[nodiscard]] std::string version() const override {
    int version = 0;
    if (ncclGetVersion(&version) != ncclSuccess) return "unknown";
    return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  }

  [[nodiscard]] torch::DeviceType device_type() const override { return torch::kCUDA; }
  [[nodiscard]] std::int64_t n_devices() const override { return at::cuda::device_count(); }

  [[nodiscard]] std::string devices() const override {
    int n = 0;
    const cudaError_t error = cudaGetDeviceCount(&n);
    if (error != cudaSuccess) {
      static_cast<void>(cudaGetLastError());  // asking leaves no error behind
      return fmt::format("none: {}", cudaGetErrorString(error));
    }
    std::string names;
    for (c10::DeviceIndex device = 0; device < n; ++device) {
      names += (names.empty() ? "" : ", ") + std::string(at::cuda::getDeviceProperties(device)->name);
    }
    return names.empty() ? "none: CUDA_VISIBLE_DEVICES hides all" : names;
  }

  [[nodiscard]] std::map<std::string, std::string> environment() const override {
    std::map<std::string, std::string> found;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string_view text = *variable;
      const bool counts = text.starts_with("NCCL_") || text.starts_with("TORCH_NCCL_");
      const std::size_t equals = text.find('=');
      if (counts && equals != std::string_view::npos)
        found.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return found;
  }

  [[nodiscard]] c10::intrusive_ptr<c10d::Backend> connect(const c10::intrusive_ptr<c10d::Store>& store,
                                                          std::int64_t rank, std::int64_t world_size,
                                                          std::chrono::milliseconds timeout) override {
    const torch::Device device(torch::kCUDA, 0);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        store, static_cast<int>(rank), static_cast<int>(world_size), std::move(options));
    backend->setBoundDeviceId(device);
    backend->eagerConnectSingleDevice(device);  // a rank that cannot talk says so here, not in its first step
    return backend;
  }
};

}  // namespace

std::unique_ptr<DeviceTransport> make_nccl_transport() { return std::make_unique<Nccl>(); }

}  // namespace gauntlet::collective
