// By what a client knows its server, checked before it says anything.
// Thread safety: free functions; plain values.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/tls/handles.hpp"

namespace gauntlet::tls {

/// Nothing set: no TLS. Both set: both must hold.
struct Trust {
  std::string fingerprint;        ///< SHA-256 of the server's certificate, 64 hexadecimal digits
  std::filesystem::path ca_file;  ///< PEM; the certificate must be signed by one of it and name the host

  [[nodiscard]] bool is_set() const { return !fingerprint.empty() || !ca_file.empty(); }
};

/// Reads a fingerprint as people write it: 64 hexadecimal digits of either case, colons between them or not.
/// Errors (kInvalid) show the text.
[[nodiscard]] Result<std::string> parse_fingerprint(std::string_view text);
/// Of a certificate, as Trust has it.
[[nodiscard]] std::string fingerprint_of(const X509& certificate);

/// For a client: TLS 1.3 and nothing older. Errors: kNotFound, kCorrupt (the CA file).
[[nodiscard]] Result<Owned<SSL_CTX>> client_context(const Trust& trust);
/// To be called before the handshake: the name that a CA's certificate has to have.
void expect_host(SSL& ssl, const Trust& trust, const std::string& host);
/// To be called after the handshake, before anything is sent. Errors (kRefused): the fingerprint is another.
/// `where` is the address, for the sentence.
[[nodiscard]] Status check_peer(const SSL& ssl, const Trust& trust, std::string_view where);
/// The sentence for a handshake that failed. `words`: what TLS says of it, "" when the peer hung up. Errors:
/// kRefused when the certificate is not signed by the CA, else kUnreachable.
[[nodiscard]] Error handshake_error(const SSL& ssl, std::string_view where, const std::string& words);

}  // namespace gauntlet::tls
