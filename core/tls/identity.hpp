// What a server shows of itself: a certificate, its key, its fingerprint.
// Thread safety: free functions.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/result.hpp"
#include "core/tls/handles.hpp"

namespace gauntlet::tls {

struct Identity {
  std::filesystem::path certificate;  ///< PEM; a chain may follow
  std::filesystem::path key;          ///< PEM, readable by its owner only
  std::string fingerprint;            ///< SHA-256 of the certificate, 64 hexadecimal digits
};

/// Reads <folder>/tls.crt and tls.key, or makes them: P-256, signed by itself, for `host`, valid for ten
/// years. Errors: kRefused when others may read the key, kCorrupt, kIo, kNoSpace.
[[nodiscard]] Result<Identity> own_identity(const std::filesystem::path& folder, const std::string& host);
/// The same of given files. Errors: also kNotFound, and kInvalid when the key is another certificate's.
[[nodiscard]] Result<Identity> read_identity(const std::filesystem::path& certificate,
                                             const std::filesystem::path& key);
/// For a server: TLS 1.3 and nothing older. Errors as read_identity.
[[nodiscard]] Result<Owned<SSL_CTX>> server_context(const Identity& identity);

}  // namespace gauntlet::tls
