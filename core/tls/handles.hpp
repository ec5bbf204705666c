// OpenSSL's objects with owners, and its words for what went wrong.
// Thread safety: as OpenSSL's own; one thread per object.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace gauntlet::tls {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <class Object>
using Owned = std::unique_ptr<Object, Free>;

/// The oldest error in this thread's queue, which is emptied; "" when there is none.
[[nodiscard]] std::string last_words();

}  // namespace gauntlet::tls
