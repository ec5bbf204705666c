#include "core/tls/trust.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cctype>

#include "core/base/check.hpp"
#include "core/base/hash.hpp"

namespace gauntlet::tls {

std::string last_words() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("OpenSSL error {:x}", code);
}

Result<std::string> parse_fingerprint(std::string_view text) {
  std::string digits;
  for (const char letter : text) {
    if (letter != ':') digits += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  if (!digest_from_hex(digits)) {
    return fail(ErrorCode::kInvalid,
                "'{}' is not a fingerprint; write the SHA-256 of the certificate, 64 hexadecimal digits",
                text.substr(0, 100));
  }
  return digits;
}

std::string fingerprint_of(const X509& certificate) {
  Digest digest{};
  unsigned n_bytes = 0;
  GAUNTLET_CHECK(X509_digest(&certificate, EVP_sha256(), digest.data(), &n_bytes) == 1 &&
                 n_bytes == digest.size());
  return to_hex(digest);
}

Result<Owned<SSL_CTX>> client_context(const Trust& trust) {
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return fail(ErrorCode::kInternal, "cannot prepare TLS: {}", last_words());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (trust.ca_file.empty()) return context;
  if (!std::filesystem::exists(trust.ca_file))
    return fail(ErrorCode::kNotFound, "there is no CA file {}", trust.ca_file.string());
  if (SSL_CTX_load_verify_locations(context.get(), trust.ca_file.c_str(), nullptr) != 1) {
    return fail(ErrorCode::kCorrupt, "{} holds no certificates in PEM form: {}", trust.ca_file.string(),
                last_words());
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

void expect_host(SSL& ssl, const Trust& trust, const std::string& host) {
  X509_VERIFY_PARAM* wanted = SSL_get0_param(&ssl);
  const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
  if (is_address) return;
  SSL_set_tlsext_host_name(&ssl, host.c_str());
  if (!trust.ca_file.empty()) SSL_set1_host(&ssl, host.c_str());
}

Status check_peer(const SSL& ssl, const Trust& trust, std::string_view where) {
  if (trust.fingerprint.empty()) return {};
  const Owned<X509> certificate(SSL_get1_peer_certificate(&ssl));
  const std::string seen = certificate == nullptr ? "" : fingerprint_of(*certificate);
  if (seen == trust.fingerprint) return {};
  return fail(ErrorCode::kRefused,
              "the certificate of the coordinator at {} has the fingerprint {}, not {} by which it is known; "
              "nothing was said to it",
              where, seen, trust.fingerprint);
}

Error handshake_error(const SSL& ssl, std::string_view where, const std::string& words) {
  if (const long verdict = SSL_get_verify_result(&ssl); verdict != X509_V_OK) {
    return {ErrorCode::kRefused, fmt::format("the certificate of the coordinator at {} is not trusted: {}",
                                             where, X509_verify_cert_error_string(verdict))};
  }
  return {ErrorCode::kUnreachable,
          fmt::format("what listens at {} does not speak TLS 1.3 ({}); a coordinator does when started with "
                      "--tls",
                      where, words.empty() ? "it hung up" : words)};
}

}  // namespace gauntlet::tls
