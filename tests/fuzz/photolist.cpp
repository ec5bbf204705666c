// The lists of FLICKR-25K and NUS-WIDE: what is read keeps its promises, what is not is refused in words.
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/check.hpp"
#include "core/base/json.hpp"
#include "core/data/detail/flickr_files.hpp"
#include "core/data/detail/line_file.hpp"
#include "core/data/detail/nus_files.hpp"
#include "core/io/utf.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {
namespace {

constexpr std::int64_t kLines = 3;

/// A refusal is one sentence that JSON can hold.
template <class T>
bool is_sound(const Result<T>& result) {
  if (result) return true;
  GAUNTLET_CHECK(!result.error().message.empty());
  GAUNTLET_CHECK(canonical_json(Json(result.error().message)).has_value());
  return false;
}

void read_lists(const std::string& path) {
  if (const auto names = data::detail::read_name_list(path, "a"); is_sound(names)) {
    for (const std::string& name : *names) GAUNTLET_CHECK(io::is_utf8(name) && !name.empty());
  }
  static_cast<void>(is_sound(data::detail::read_flickr_tag_list(path)));
  if (const auto ids = data::detail::read_flickr_photo_list(path, "a", kLines); is_sound(ids)) {
    for (const std::int64_t id : *ids) GAUNTLET_CHECK(id >= 1 && id <= kLines);
  }
  if (const auto images = data::detail::read_nus_images(path, "a"); is_sound(images)) {
    for (const std::string& image : *images) {
      const auto normal = std::filesystem::path(image).lexically_normal();
      GAUNTLET_CHECK(!normal.empty() && !normal.has_root_path() && *normal.begin() != "..");
    }
  }
  if (const auto column = data::detail::read_nus_column(path, "a", kLines); is_sound(column)) {
    for (const std::uint32_t line : column->ones) GAUNTLET_CHECK(line < kLines);
  }
  if (const auto tags = data::detail::read_nus_tags(path, "a", kLines, 4, {0, 2}); is_sound(tags)) {
    GAUNTLET_CHECK(tags->rows.size() == 2);
  }
}

}  // namespace

void photolist(Bytes bytes) {
  const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  GAUNTLET_CHECK(descriptor >= 0);
  GAUNTLET_CHECK(::write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  read_lists(fmt::format("/proc/self/fd/{}", descriptor));
  ::close(descriptor);
}

}  // namespace gauntlet::fuzz
