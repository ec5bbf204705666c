#include "core/tls/identity.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "core/base/files.hpp"
#include "core/tls/trust.hpp"

namespace gauntlet::tls {
namespace {

constexpr long kValidS = 10L * 365 * 24 * 3600;
constexpr int kSerialBytes = 16;

Error refused_by_openssl(std::string_view doing) {
  return {ErrorCode::kInternal, fmt::format("cannot {}: {}", doing, last_words())};
}

Result<std::string> text_of(BIO& bio) {
  char* bytes = nullptr;
  const long n_bytes = BIO_get_mem_data(&bio, &bytes);
  if (n_bytes <= 0) return fail(refused_by_openssl("write a certificate"));
  return std::string(bytes, static_cast<std::size_t>(n_bytes));
}

/// "DNS:localhost,IP:127.0.0.1,IP:::1,DNS:node0,IP:10.0.0.1": by which it may be called.
std::string names_of(const std::string& host) {
  std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
  std::array<char, 256> own{};
  const bool has_name = ::gethostname(own.data(), own.size() - 1) == 0 && own[0] != '\0';
  if (has_name) names += fmt::format(",DNS:{}", own.data());
  const bool is_address =
      host.find_first_not_of("0123456789.") == std::string::npos || host.find(':') != std::string::npos;
  if (!host.empty()) names += fmt::format(",{}:{}", is_address ? "IP" : "DNS", host);
  return names;
}

Status add_extension(X509& certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (extension == nullptr || X509_add_ext(&certificate, extension.get(), -1) != 1)
    return fail(refused_by_openssl("make a certificate"));
  return {};
}

Result<Owned<X509>> signed_by_itself(EVP_PKEY& key, const std::string& host) {
  Owned<X509> made(X509_new());
  std::array<unsigned char, kSerialBytes> serial{};
  if (made == nullptr || RAND_bytes(serial.data(), kSerialBytes) != 1)
    return fail(refused_by_openssl("make a certificate"));
  // Positive, and without a leading zero, which DER forbids and readers refuse.
  serial[0] = static_cast<unsigned char>((serial[0] & 0x3f) | 0x40);
  ASN1_INTEGER* number = X509_get_serialNumber(made.get());
  ASN1_STRING_set(number, serial.data(), kSerialBytes);
  X509_set_version(made.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);  // clocks differ
  X509_gmtime_adj(X509_getm_notAfter(made.get()), kValidS);
  X509_set_pubkey(made.get(), &key);
  X509_NAME* name = X509_get_subject_name(made.get());
  const auto* title = reinterpret_cast<const unsigned char*>("gauntlet coordinator");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, title, -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  GAUNTLET_CHECK_OK(add_extension(*made, NID_basic_constraints, "critical,CA:TRUE"));
  GAUNTLET_CHECK_OK(add_extension(*made, NID_subject_alt_name, names_of(host)));
  if (X509_sign(made.get(), &key, EVP_sha256()) == 0) return fail(refused_by_openssl("sign a certificate"));
  return made;
}

/// Readable by its owner from its first byte on.
Status write_private_file(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path draft = path.string() + ".new";
  std::error_code ignored;
  std::filesystem::remove(draft, ignored);
  const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return fail(system_error(errno, "create", draft));
  const bool written =
      ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
      ::fsync(file) == 0;
  const int error = written ? 0 : errno;
  ::close(file);
  if (!written) return fail(system_error(error, "write", draft));
  if (::rename(draft.c_str(), path.c_str()) != 0) return fail(system_error(errno, "create", path));
  return {};
}

Status make_identity(const std::filesystem::path& certificate, const std::filesystem::path& key_file,
                     const std::string& host) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  if (key == nullptr) return fail(refused_by_openssl("make a key"));
  GAUNTLET_TRY(const Owned<X509> made, signed_by_itself(*key, host));
  const Owned<BIO> key_text(BIO_new(BIO_s_mem()));
  const Owned<BIO> text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509(text.get(), made.get()) != 1) {
    return fail(refused_by_openssl("write a certificate"));
  }
  GAUNTLET_TRY(const std::string key_pem, text_of(*key_text));
  GAUNTLET_TRY(const std::string pem, text_of(*text));
  GAUNTLET_CHECK_OK(write_private_file(key_file, key_pem));
  return write_file_atomic(certificate, pem);
}

Status check_private(const std::filesystem::path& key) {
  struct ::stat facts {};
  if (::stat(key.c_str(), &facts) != 0) return fail(system_error(errno, "read", key));
  if ((facts.st_mode & 077) == 0) return {};
  return fail(ErrorCode::kRefused, "{} can be read by others (mode {:o}); run `chmod 600 {}`", key.string(),
              facts.st_mode & 0777, key.string());
}

}  // namespace

Result<Identity> read_identity(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  GAUNTLET_CHECK_OK(check_private(key));
  GAUNTLET_TRY(const std::string pem, read_file(certificate, std::size_t{1} << 20));
  const Owned<BIO> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Owned<X509> first(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  if (first == nullptr) {
    return fail(ErrorCode::kCorrupt, "{} holds no certificate in PEM form: {}", certificate.string(),
                last_words());
  }
  Identity identity{certificate, key, fingerprint_of(*first)};
  GAUNTLET_CHECK_OK(server_context(identity));
  return identity;
}

Result<Identity> own_identity(const std::filesystem::path& folder, const std::string& host) {
  const std::filesystem::path certificate = folder / "tls.crt";
  const std::filesystem::path key = folder / "tls.key";
  if (!std::filesystem::exists(certificate)) GAUNTLET_CHECK_OK(make_identity(certificate, key, host));
  return read_identity(certificate, key);
}

Result<Owned<SSL_CTX>> server_context(const Identity& identity) {
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return fail(refused_by_openssl("prepare TLS"));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  // The client's order does not matter: of these all are sound, and the first is the fastest on most
  // machines.
  SSL_CTX_set_ciphersuites(context.get(),
                           "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384");
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);  // nothing resumes; a ticket would be bytes nobody reads
  if (SSL_CTX_use_certificate_chain_file(context.get(), identity.certificate.c_str()) != 1) {
    return fail(ErrorCode::kCorrupt, "{} holds no certificate in PEM form: {}", identity.certificate.string(),
                last_words());
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), identity.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return fail(ErrorCode::kInvalid, "{} is not the key of {}: {}", identity.key.string(),
                identity.certificate.string(), last_words());
  }
  return context;
}

}  // namespace gauntlet::tls
