// Collectives of ranks on one machine: through memory that all of them map instead of sockets. A training
// step of a small network asks for dozens of sums of a few hundred numbers, each of which costs a socket a
// thread switch or two.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <string>

namespace gauntlet::collective {

/// A backend for tensors in host memory (sum, gather, broadcast, barrier), or null on all ranks when one of
/// them has another `host` than rank 0 or does not see its memory. Sums add in rank order, so all ranks hold
/// the same bits. `meeting` is a backend over which the ranks already talk. A wait ends after `timeout`
/// (setTimeout changes it), or when the rank waited for is gone. Operations are over when they return, and
/// throw c10::DistError.
[[nodiscard]] c10::intrusive_ptr<c10d::Backend> share_memory(c10d::Backend& meeting, c10d::Store& store,
                                                             const std::string& host,
                                                             std::chrono::milliseconds timeout);

}  // namespace gauntlet::collective
