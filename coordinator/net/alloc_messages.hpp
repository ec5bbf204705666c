// Allocation queues as messages, for the coordinator and its clients. Thread safety: pure functions.
#pragma once

#include "coordinator/alloc/rows.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::coordinator {

[[nodiscard]] alloc::QueueSpec spec_from(const proto::AllocSpec& message);
/// Fills a message that is new.
void add_spec(const alloc::QueueSpec& spec, proto::AllocSpec& message);

}  // namespace gauntlet::coordinator
