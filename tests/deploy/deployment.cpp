#include "tests/deploy/deployment.hpp"

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace gauntlet::deploy {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = GAUNTLET_SOURCE_DIR;

/// The value of a key, looked for in what is merged in (`<<`) too.
YAML::Node value_of(const YAML::Node& map, const std::string& key) {
  if (map[key]) return map[key];
  return map["<<"] ? value_of(map["<<"], key) : YAML::Node(YAML::NodeType::Undefined);
}

std::vector<std::string> words_of(const YAML::Node& list) { return list.as<std::vector<std::string>>(); }

double seconds_of(const std::string& text) {
  if (!text.ends_with("s")) throw std::runtime_error("a time without s: " + text);
  return std::stod(text);
}

Member member_of_service(const YAML::Node& service) {
  Member member;
  member.arguments = words_of(value_of(service, "command"));
  if (const YAML::Node environment = value_of(service, "environment")) {
    member.environment = environment.as<std::map<std::string, std::string>>();
  }
  member.health = words_of(value_of(service, "healthcheck")["test"]);
  if (member.health.at(0) != "CMD") throw std::runtime_error("a health check without CMD");
  member.health.erase(member.health.begin());
  if (member.health.at(0) == "curl") {
    const std::string address = member.health.back();
    member.health_path = address.substr(address.find('/', std::string("http://").size()));
    member.health.clear();
  }
  member.stop_seconds = seconds_of(value_of(service, "stop_grace_period").as<std::string>());
  return member;
}

Member member_of_pods(const YAML::Node& deployment) {
  const YAML::Node pod = deployment["spec"]["template"]["spec"];
  const YAML::Node container = pod["containers"][0];
  Member member;
  member.arguments = words_of(container["args"]);
  for (const YAML::Node& variable : container["env"]) {
    member.environment[variable["name"].as<std::string>()] = variable["value"].as<std::string>();
  }
  const YAML::Node probe = container["readinessProbe"];
  if (probe["exec"]) member.health = words_of(probe["exec"]["command"]);
  if (probe["httpGet"]) member.health_path = probe["httpGet"]["path"].as<std::string>();
  member.stop_seconds = pod["terminationGracePeriodSeconds"].as<double>();
  return member;
}

Member member_of_unit(const fs::path& unit) {
  std::ifstream file(unit);
  Member member;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("ExecStart=")) {
      std::istringstream words(line.substr(line.find(' ')));
      for (std::string word; words >> word;) {
        if (!word.starts_with('$')) member.arguments.push_back(word);
      }
    }
    if (line.starts_with("TimeoutStopSec=")) member.stop_seconds = std::stod(line.substr(line.find('=') + 1));
  }
  return member;
}

}  // namespace

Deployment read_compose() {
  const YAML::Node services = YAML::LoadFile((kSource / "docker-compose.yml").string())["services"];
  Deployment all{"compose", true, member_of_service(services["coordinator"]), {}};
  for (const auto& service : services) {
    if (service.first.as<std::string>().starts_with("worker")) {
      all.workers.push_back(member_of_service(service.second));
    }
  }
  return all;
}

Deployment read_kubernetes() {
  Deployment all{"kubernetes", true, {}, {}};
  for (const char* name : {"coordinator.yaml", "worker.yaml"}) {
    for (const YAML::Node& object :
         YAML::LoadAllFromFile((kSource / "deploy/kubernetes/base" / name).string())) {
      if (object["kind"].as<std::string>() != "Deployment") continue;
      const Member member = member_of_pods(object);
      if (object["metadata"]["name"].as<std::string>() == "coordinator")
        all.coordinator = member;
      else
        all.workers.assign(object["spec"]["replicas"].as<std::size_t>(), member);
    }
  }
  return all;
}

Deployment read_systemd() {
  const fs::path folder = kSource / "deploy/systemd";
  return {"systemd",
          false,
          member_of_unit(folder / "gauntlet-coordinator.service"),
          {member_of_unit(folder / "gauntlet-worker.service")}};
}

}  // namespace gauntlet::deploy
