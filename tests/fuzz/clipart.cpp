// Drawings of collections and their descriptions: read row by row into exactly the bytes asked for, or
// refused in words; descriptions become words of letters.
#include "core/data/detail/clipart.hpp"
#include "tests/fuzz/container.hpp"

namespace gauntlet::fuzz {

void clipart(Bytes bytes) {
  const MemoryFile file(bytes);
  std::vector<std::uint8_t> out(5 * 5 * 3);
  const Status drawn = data::detail::draw_clipart(file.path(), 5, out);
  GAUNTLET_CHECK(drawn || drawn.error().message.starts_with(file.path()) ||
                 drawn.error().message.starts_with("cannot read "));
  for (const auto& words :
       {data::detail::words_of_svg(text_of(bytes)), data::detail::words_of_stamp(text_of(bytes))}) {
    for (const std::string& word : words) {
      GAUNTLET_CHECK(word.size() >= 2);
      for (const char letter : word) GAUNTLET_CHECK(letter >= 'a' && letter <= 'z');
    }
  }
}

}  // namespace gauntlet::fuzz
