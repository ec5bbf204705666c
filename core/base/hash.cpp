#include "core/base/hash.hpp"

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "core/base/check.hpp"

namespace gauntlet {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  GAUNTLET_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  GAUNTLET_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest{};
  unsigned int size = 0;
  GAUNTLET_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1 && size == digest.size());
  return digest;
}

std::string to_hex(const Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

Result<Digest> digest_from_hex(std::string_view hex) {
  const auto value_of = [](char digit) -> int {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
  };
  Digest digest{};
  bool good = hex.size() == 2 * digest.size();
  for (std::size_t at = 0; good && at < digest.size(); ++at) {
    const int high = value_of(hex[2 * at]);
    const int low = value_of(hex[2 * at + 1]);
    good = high >= 0 && low >= 0;
    digest[at] = static_cast<std::uint8_t>(high * 16 + low);
  }
  if (!good) return fail(ErrorCode::kInvalid, "'{}' is not a key: 64 hexadecimal digits are expected", hex);
  return digest;
}

// Millions of short texts are hashed; finding the algorithm and making a context would take longer than that.
Digest sha256(std::span<const std::byte> bytes) {
  struct Free {
    void operator()(EVP_MD* algorithm) const { EVP_MD_free(algorithm); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  static const std::unique_ptr<EVP_MD, Free> algorithm{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
  Digest digest{};
  unsigned int size = 0;
  GAUNTLET_CHECK(EVP_DigestInit_ex2(context.get(), algorithm.get(), nullptr) == 1);
  GAUNTLET_CHECK(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
  GAUNTLET_CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1 && size == digest.size());
  return digest;
}

Digest sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text.data(), text.size()))); }

Result<Digest> sha256_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int reason = errno;
    return fail(reason == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "cannot read {}: {}", path.string(),
                std::strerror(reason));
  }
  constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
  std::vector<char> block(kBlockBytes);
  Sha256 hash;
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.update(std::as_bytes(std::span(block.data(), static_cast<std::size_t>(file.gcount()))));
  }
  if (file.bad()) return fail(ErrorCode::kIo, "cannot read {}: {}", path.string(), std::strerror(errno));
  return hash.finish();
}

}  // namespace gauntlet
