// The inputs of a prepared set on a device: bytes travel as bytes and become float there.
#pragma once

#include <memory>
#include <span>

#include "core/torch.hpp"
#include "core/train/batches.hpp"

namespace gauntlet::train {

/// inputs_of on `device`, the same values.
[[nodiscard]] torch::Tensor inputs_on(torch::Device device, const data::PreparedSet& set, Modality modality,
                                      std::span<const std::int64_t> items);

/// make_batch_source with every tensor of a batch on `device`.
[[nodiscard]] std::unique_ptr<BatchSource> make_device_batch_source(const data::PreparedSet& set,
                                                                    const BatchOptions& options,
                                                                    torch::Device device);

}  // namespace gauntlet::train
