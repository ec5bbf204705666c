// `gauntlet-rank --self-test`: whether this build's libraries load, and what they find on this machine.
#pragma once

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/collective/device_transport.hpp"

namespace gauntlet::run {

/// {"libtorch", "devices", "gloo", and with a transport its library and "environment"}: versions, names of
/// devices or why there is none, "ok". Two ranks of this process sum a tensor over Gloo; a device multiplies
/// and sums. `transport` is null in builds for processors. Errors: what failed.
[[nodiscard]] Result<Json> self_test(collective::DeviceTransport* transport);

}  // namespace gauntlet::run
