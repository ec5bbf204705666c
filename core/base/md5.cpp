#include "core/base/md5.hpp"

#include <openssl/evp.h>

#include <array>

#include "core/base/check.hpp"
#include "core/base/files.hpp"

namespace gauntlet {

Result<std::string> md5_file(const std::filesystem::path& path) {
  GAUNTLET_TRY(const MappedFile file, MappedFile::open(path));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  GAUNTLET_CHECK(
      EVP_Digest(file.bytes().data(), file.bytes().size(), digest.data(), &size, EVP_md5(), nullptr) == 1);
  std::string hex;
  for (unsigned int at = 0; at < size; ++at) hex += fmt::format("{:02x}", digest[at]);
  return hex;
}

}  // namespace gauntlet
