// Picture files: decoded and scaled into exactly the bytes asked for, or refused in words.
#include "core/io/picture.hpp"
#include "core/base/check.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {

void picture(Bytes bytes) {
  std::vector<std::uint8_t> out(7 * 7 * 3);
  for (const io::Fit fit : {io::Fit::kStretch, io::Fit::kCrop}) {
    const auto read =
        io::decode_picture(std::as_bytes(bytes), "a.jpg", {.height = 7, .width = 7, .fit = fit}, out);
    GAUNTLET_CHECK(read || read.error().message.starts_with("a.jpg"));
  }
}

}  // namespace gauntlet::fuzz
