// Which GPUs of the machine this process may use: CUDA_VISIBLE_DEVICES, as CUDA reads it.
// Thread safety: free functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "worker/agent/machine.hpp"

namespace gauntlet::worker {

/// A GPU with the name that no other has.
struct NamedGpu {
  AgentGpu gpu;
  std::string uuid;  ///< "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
};

/// Of `gpus`, those that `visible` names, in its order: their numbers, or UUIDs or beginnings of them, with
/// commas between. As CUDA has it, "" names none, and nothing is seen of what comes after the first word that
/// names no GPU, an ambiguous beginning, or one that was named before. Errors (kInvalid): a part of a GPU
/// (MIG), which no worker can offer.
[[nodiscard]] Result<std::vector<AgentGpu>> visible_gpus(const std::vector<NamedGpu>& gpus,
                                                         std::string_view visible);

/// Those of list_gpus() that the environment lets this process see. Errors: its own, and as above.
[[nodiscard]] Result<std::vector<AgentGpu>> usable_gpus();

}  // namespace gauntlet::worker
