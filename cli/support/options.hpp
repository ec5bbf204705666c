// Options that several verbs share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/support/arguments.hpp"
#include "coordinator/client/client.hpp"
#include "core/base/result.hpp"
#include "core/tls/trust.hpp"

namespace gauntlet::cli {

/// The work folder and its database.
struct FolderOptions {
  std::filesystem::path workdir;
  std::filesystem::path database;  ///< "" = <workdir>/gauntlet.db

  void add_to(Arguments& arguments);
  [[nodiscard]] std::filesystem::path database_path() const {
    return database.empty() ? workdir / "gauntlet.db" : database;
  }
};

/// Which coordinator a client talks to: the one of the work folder, or one named by address.
struct ConnectOptions {
  std::filesystem::path workdir;
  std::string address;           ///< "host:port"; "" = coordinator.json of the work folder
  std::string tls_fingerprint;   ///< GAUNTLET_TLS_FINGERPRINT where the option is not given
  std::filesystem::path tls_ca;  ///< GAUNTLET_TLS_CA likewise

  void add_to(Arguments& arguments);
  /// By what a coordinator is known; not set = by what coordinator.json says. Errors (kInvalid): not a
  /// fingerprint.
  [[nodiscard]] Result<tls::Trust> trust() const;
  /// Errors: kUnreachable (exit code 5), kRefused, kTimedOut.
  [[nodiscard]] Result<client::Client> connect() const;
};

/// --json, with what the document holds.
void add_json(Arguments& arguments, bool& json);

/// The id of a sweep given by name or number; 0 for "" (all). Errors (kNotFound): names the known ones.
[[nodiscard]] Result<std::uint64_t> resolve_sweep(client::Client& client, const std::string& sweep);

/// Asks and returns the answer's `Body`; any other answer is an internal error.
[[nodiscard]] Result<proto::StatusReply> request_status(client::Client& client, std::uint64_t sweep_id);
[[nodiscard]] Result<std::uint64_t> request_change(client::Client& client, proto::Frame request);

/// GAUNTLET_WORKDIR, or ./gauntlet-runs.
[[nodiscard]] std::filesystem::path default_workdir();

}  // namespace gauntlet::cli
