#include "core/proto/address.hpp"

#include <unistd.h>

#include <array>

namespace gauntlet::proto {

std::string machine_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data())
                                                          : std::string("localhost");
}

std::string coordinator_host(const Json& address) {
  const auto machine = address.find("machine");
  if (machine != address.end() && machine->is_string() && machine->get<std::string>() != machine_name()) {
    return machine->get<std::string>();
  }
  return address["host"].get<std::string>();
}

}  // namespace gauntlet::proto
