// What the files under deploy/ and docker-compose.yml start, read from the files themselves.
#pragma once

#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace gauntlet::deploy {

/// One process that a file starts.
struct Member {
  std::vector<std::string> arguments;  ///< of `gauntlet`
  std::map<std::string, std::string> environment;
  std::vector<std::string> health;  ///< a whole command, empty without one
  std::string health_path;          ///< or a path asked for over HTTP
  double stop_seconds = 0;          ///< between SIGTERM and SIGKILL
};

struct Deployment {
  std::string name;
  bool in_container = true;  ///< started by the image's entry point
  Member coordinator;
  std::vector<Member> workers;
};

inline void PrintTo(const Deployment& deployment, std::ostream* out) { *out << deployment.name; }

[[nodiscard]] Deployment read_compose();
[[nodiscard]] Deployment read_kubernetes();
[[nodiscard]] Deployment read_systemd();

}  // namespace gauntlet::deploy
