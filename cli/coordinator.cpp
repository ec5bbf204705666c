// gauntlet coordinator: serves a work folder until it is stopped.
#include <charconv>

#include "cli/support/logging.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "coordinator/net/server.hpp"
#include "core/base/files.hpp"
#include "core/db/commit_delay.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  coordinator::ServeOptions serve;
  LogOptions log;
  std::string http;
  bool stop = false;
  std::int64_t commit_delay_ms = 0;
};

Result<int> stop_running(const Options& options) {
  GAUNTLET_TRY(client::Client client, client::Client::connect(options.folder.workdir));
  proto::Frame request;
  request.mutable_shutdown_request();
  GAUNTLET_CHECK_OK(client.request(std::move(request)));
  return 0;
}

/// "9100", "127.0.0.1:9100", "[::1]:9100"; a port alone is for this machine only.
Status read_http(const std::string& text, coordinator::ServeOptions& serve) {
  const std::size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), serve.http_port);
  if (error != std::errc{} || end != port.data() + port.size()) {
    return fail(ErrorCode::kInvalid, "--http: '{}' is not an address; write PORT, HOST:PORT or [V6]:PORT",
                text);
  }
  serve.http_address = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
  if (serve.http_address.starts_with('[') && serve.http_address.ends_with(']')) {
    serve.http_address = serve.http_address.substr(1, serve.http_address.size() - 2);
  }
  if (serve.http_address == "localhost") serve.http_address = "127.0.0.1";
  return {};
}

Status check_tls(coordinator::ServeOptions& serve) {
  if (serve.tls_certificate.empty() != serve.tls_key.empty()) {
    return fail(ErrorCode::kInvalid, "--tls-cert and --tls-key belong together; {} is missing",
                serve.tls_key.empty() ? "--tls-key" : "--tls-cert");
  }
  serve.tls = serve.tls || !serve.tls_certificate.empty();
  return {};
}

Result<int> run(Options& options) {
  if (options.stop) return stop_running(options);
  GAUNTLET_CHECK_OK(start_logging(options.log, "coordinator"));
  GAUNTLET_CHECK_OK(make_directories(options.folder.workdir));
  if (!options.http.empty()) GAUNTLET_CHECK_OK(read_http(options.http, options.serve));
  GAUNTLET_CHECK_OK(check_tls(options.serve));
  options.serve.notice = [](std::string_view said) { note(fmt::format("gauntlet: {}\n", said)); };
  GAUNTLET_TRY(options.serve.log_format, coordinator::log_format_from(options.log.format));
  if (options.commit_delay_ms > 0)
    GAUNTLET_CHECK_OK(db::delay_commits(Milliseconds(options.commit_delay_ms)));
  options.serve.workdir = options.folder.workdir;
  options.serve.database = options.folder.database;
  return coordinator::serve(options.serve);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--address,--bind", options->serve.address,
                       "Address to listen on (default: this machine only)");
  arguments
      .add_option("--port", options->serve.port,
                  "Port to listen on (default: any free one; coordinator.json says which)")
      .number_between(0, 65535);
  arguments
      .add_option("--heartbeat-ms", options->serve.heartbeat_ms,
                  "A worker silent for three of these is lost (default 5000)")
      .number_between(10, 3'600'000);
  arguments
      .add_option("--grace-ms", options->serve.grace_ms,
                  "Time a worker has to come back after its connection closed (default 800)")
      .number_between(0, 3'600'000);
  arguments.add_flag(
      "--tls", options->serve.tls,
      "Speak TLS 1.3 only; the certificate is tls.crt of the work folder, made when missing, and its "
      "fingerprint is printed and kept in coordinator.json");
  arguments.add_option("--tls-cert", options->serve.tls_certificate, "PEM file with another certificate")
      .type_name("FILE");
  arguments.add_option("--tls-key", options->serve.tls_key, "PEM file with its key").type_name("FILE");
  arguments
      .add_option(
          "--http", options->http,
          "Serve /metrics and /healthz there, read-only and without a token; a port alone is for this "
          "machine only (default: off)")
      .type_name("[HOST:]PORT");
  arguments.add_flag("--exit-when-unused", options->serve.exit_when_unused,
                     "End once no client is connected any more");
  options->log.add_to(arguments);
  arguments
      .add_option("--commit-delay-ms", options->commit_delay_ms,
                  "A slow disk, for gauntlet bench coordinator")
      .number_between(0, 10'000)
      .hidden();
  arguments
      .add_option("--alloc-poll-ms", options->serve.alloc_poll_ms,
                  "Between two questions to a batch system about its allocations; for tests (default 10000)")
      .number_between(10, 3'600'000)
      .hidden();
  arguments
      .add_option("--alloc-backoff-ms", options->serve.alloc_backoff_ms,
                  "Pause after the first trouble with a batch system; for tests (default 10000)")
      .number_between(1, 3'600'000)
      .hidden();
  arguments.add_flag("--stop", options->stop, "Stop the coordinator that serves the work folder");
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb coordinator_verb;
constinit const Verb coordinator_verb{
    .name = "coordinator",
    .summary = "Serve a work folder: keep its jobs and numbers, give work to workers",
    .examples =
        "  gauntlet coordinator --workdir /data/runs --bind 0.0.0.0 --port 7000 --tls\n"
        "  gauntlet coordinator --workdir /data/runs --http 9100\n"
        "  gauntlet coordinator --workdir /data/runs --stop\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
