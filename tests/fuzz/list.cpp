// A text list of pictures and labels.
#include "core/io/list_file.hpp"
#include "tests/fuzz/container.hpp"

namespace gauntlet::fuzz {

void list(Bytes bytes) {
  static_cast<void>(io::looks_like_list(text_of(bytes)));
  const MemoryFile file(bytes);
  const auto container = io::open_list(file.path());
  if (!container) return;
  const auto paths = (*container)->texts((*container)->arrays().front());
  GAUNTLET_CHECK(paths &&
                 static_cast<std::int64_t>(paths->size()) == (*container)->arrays().back().dims.front());
  read_everything(**container);
}

}  // namespace gauntlet::fuzz
