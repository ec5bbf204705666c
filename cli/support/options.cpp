#include "cli/support/options.hpp"

#include <charconv>
#include <cstdlib>

#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

constexpr const char* kWorkdirHelp = "Work folder (default: $GAUNTLET_WORKDIR, else ./gauntlet-runs)";

tl::unexpected<Error> unexpected_answer(const proto::Frame& frame) {
  return fail(ErrorCode::kInternal, "the coordinator answered with '{}', which was not asked for",
              proto::name_of(frame.body_case()));
}

}  // namespace

std::filesystem::path default_workdir() {
  const char* folder = std::getenv("GAUNTLET_WORKDIR");
  return folder != nullptr && *folder != '\0' ? folder : "gauntlet-runs";
}

void FolderOptions::add_to(Arguments& arguments) {
  workdir = default_workdir();
  arguments.add_option("--workdir", workdir, kWorkdirHelp).type_name("DIR");
  arguments.add_option("--database", database, "Database file (default: gauntlet.db in the work folder)")
      .type_name("FILE");
}

void ConnectOptions::add_to(Arguments& arguments) {
  workdir = default_workdir();
  arguments.add_option("--workdir", workdir, kWorkdirHelp).type_name("DIR");
  arguments
      .add_option(
          "--coordinator", address,
          "Address of the coordinator (default: the one of the work folder); the token is read from the work "
          "folder")
      .type_name("HOST:PORT");
  arguments
      .add_option("--tls-fingerprint", tls_fingerprint,
                  "Speak TLS, and only to the coordinator whose certificate has this SHA-256 (default: "
                  "$GAUNTLET_TLS_FINGERPRINT, else what coordinator.json says)")
      .from_environment("GAUNTLET_TLS_FINGERPRINT")
      .type_name("HEX");
  arguments
      .add_option(
          "--tls-ca", tls_ca,
          "Speak TLS, and only to a coordinator whose certificate is signed by one of this file and names "
          "its host (default: $GAUNTLET_TLS_CA)")
      .from_environment("GAUNTLET_TLS_CA")
      .type_name("FILE");
}

Result<tls::Trust> ConnectOptions::trust() const {
  tls::Trust trust;
  if (!tls_fingerprint.empty()) {
    GAUNTLET_TRY(trust.fingerprint, tls::parse_fingerprint(tls_fingerprint));
  }
  trust.ca_file = tls_ca;
  return trust;
}

Result<client::Client> ConnectOptions::connect() const {
  GAUNTLET_TRY(const tls::Trust given, trust());
  client::Endpoint endpoint;
  if (address.empty()) {
    GAUNTLET_TRY(endpoint, client::find_coordinator(workdir));
  } else {
    GAUNTLET_TRY(std::string token, client::read_token(workdir / "token"));
    GAUNTLET_TRY(endpoint, client::parse_endpoint(address, std::move(token)));
  }
  if (given.is_set()) endpoint.trust = given;
  return client::Client::connect(endpoint);
}

void add_json(Arguments& arguments, bool& json) {
  arguments.add_flag("--json", json, "One JSON document on stdout");
}

Result<proto::StatusReply> request_status(client::Client& client, std::uint64_t sweep_id) {
  proto::Frame frame;
  frame.mutable_status_request()->set_sweep_id(sweep_id);
  GAUNTLET_TRY(proto::Frame answer, client.request(std::move(frame)));
  if (!answer.has_status_reply()) return unexpected_answer(answer);
  return std::move(*answer.mutable_status_reply());
}

Result<std::uint64_t> request_change(client::Client& client, proto::Frame request) {
  GAUNTLET_TRY(const proto::Frame answer, client.request(std::move(request)));
  if (!answer.has_change_reply()) return unexpected_answer(answer);
  return answer.change_reply().n_jobs();
}

Result<std::uint64_t> resolve_sweep(client::Client& client, const std::string& sweep) {
  if (sweep.empty()) return std::uint64_t{0};
  GAUNTLET_TRY(const proto::StatusReply status, request_status(client, 0));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(sweep.data(), sweep.data() + sweep.size(), number);
  const bool is_number = error == std::errc{} && end == sweep.data() + sweep.size();
  std::vector<std::string> names;
  for (const proto::SweepStatus& known : status.sweeps()) {
    if (known.name() == sweep || (is_number && known.sweep_id() == number)) return known.sweep_id();
    names.push_back(known.name());
  }
  return fail(ErrorCode::kNotFound, "{}", unknown_name_message("sweep", sweep, names));
}

}  // namespace gauntlet::cli
