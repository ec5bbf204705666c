// What tensors on devices travel over, beside Gloo for those in host memory. A build for processors has none.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/torch.hpp"

namespace gauntlet::collective {

/// The devices of one kind that this process sees, and how ranks on them talk. Thread safety: none.
class DeviceTransport {
 public:
  virtual ~DeviceTransport() = default;
  [[nodiscard]] virtual std::string library() const = 0;  ///< "nccl"
  [[nodiscard]] virtual std::string version() const = 0;  ///< of that library, "2.30.7"
  [[nodiscard]] virtual torch::DeviceType device_type() const = 0;
  [[nodiscard]] virtual std::int64_t n_devices() const = 0;
  /// Names of the devices, or why there is none, in words.
  [[nodiscard]] virtual std::string devices() const = 0;
  /// Variables of the process's environment that change how it works, with their values.
  [[nodiscard]] virtual std::map<std::string, std::string> environment() const = 0;
  /// Meets the other ranks, each on the first device it sees. A thread watches for errors of what is under
  /// way and for operations older than `timeout`, and ends the process. Throws what the library throws.
  [[nodiscard]] virtual c10::intrusive_ptr<c10d::Backend> connect(
      const c10::intrusive_ptr<c10d::Store>& store, std::int64_t rank, std::int64_t world_size,
      std::chrono::milliseconds timeout) = 0;
};

/// NCCL over CUDA devices; linked into builds with CUDA only.
[[nodiscard]] std::unique_ptr<DeviceTransport> make_nccl_transport();

/// As make_gloo_communicator, with `transport` for tensors on its devices. The transport outlives it.
[[nodiscard]] Result<std::unique_ptr<Communicator>> make_device_communicator(
    const std::string& rendezvous_file, std::int64_t rank, std::int64_t world_size, int timeout_s,
    DeviceTransport& transport);

}  // namespace gauntlet::collective
