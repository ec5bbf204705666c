// Another machine on this one: a network namespace with a host name of its own, joined by a veth pair.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::testing_support {

/// A network namespace with its own host name beside this machine, 10.A.B.1 here and 10.A.B.2 there.
class SecondMachine {
 public:
  SecondMachine() {
    name_ = fmt::format("gt{}", ::getpid());
    net_ = fmt::format("10.{}.{}", 64 + ::getpid() / 250 % 128, 1 + ::getpid() % 250);
    std::ofstream(agent_) << fmt::format(
        "#!/bin/bash\n# Stands for ssh: HOST COMMAND…\nshift\n"
        "exec ip netns exec {0} unshare --uts bash -c 'hostname {0}; exec bash -c \"$*\"' - \"$@\"\n",
        name_);
    std::filesystem::permissions(agent_, std::filesystem::perms::owner_all);
    why_not_ =
        shell(fmt::format("ip netns add {0} && ip link add {0}a type veth peer name {0}b && "
                          "ip link set {0}b netns {0} && ip addr add {1}.1/24 dev {0}a && "
                          "ip link set {0}a up && ip -n {0} addr add {1}.2/24 dev {0}b && "
                          "ip -n {0} link set {0}b up && ip -n {0} link set lo up",
                          name_, net_));
  }
  /// What still runs there ends with it: a machine that lost its cable keeps its daemons.
  ~SecondMachine() {
    static_cast<void>(shell(
        fmt::format("ip netns pids {0} | xargs -r kill -9; ip link del {0}a; ip netns del {0}", name_)));
  }
  SecondMachine(const SecondMachine&) = delete;
  SecondMachine& operator=(const SecondMachine&) = delete;

  /// "" when it is there.
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string here() const { return net_ + ".1"; }
  [[nodiscard]] std::string there() const { return net_ + ".2"; }
  [[nodiscard]] std::string remote_shell() const { return agent_.string(); }
  [[nodiscard]] std::string network() const { return net_ + ".0/24"; }
  void cut_the_cable() const { EXPECT_EQ(shell(fmt::format("ip link set {}a down", name_)), ""); }

 private:
  [[nodiscard]] static std::string shell(const std::string& line) {
    const auto ended = run({"/bin/bash", "-c", line}, std::filesystem::temp_directory_path());
    return ended.exit_code == 0 ? "" : "no second network namespace here: " + ended.err;
  }

  TempFolder folder_;
  std::filesystem::path agent_ = folder_ / "remote-shell";
  std::string name_, net_, why_not_;
};

}  // namespace gauntlet::testing_support
