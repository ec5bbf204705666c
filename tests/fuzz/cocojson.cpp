// COCO's annotation files: every element is told whole, or the reading is refused in words.
#include "core/base/check.hpp"
#include "core/data/detail/coco_json.hpp"
#include "core/data/detail/coco_words.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {

void cocojson(Bytes bytes) {
  using data::detail::CocoAnnotation;
  using data::detail::CocoCategory;
  using data::detail::CocoImage;
  const auto taken = [](const auto&) { return Status(); };
  const Status instances = data::detail::parse_coco_json(
      text_of(bytes), "a.json",
      {.image = [&](const CocoImage& image) { return taken(image); },
       .category = [&](const CocoCategory& category) { return taken(category); },
       .instance = [&](const CocoAnnotation& instance) { return taken(instance); }});
  GAUNTLET_CHECK(instances || instances.error().message.starts_with("a.json"));
  data::detail::CaptionWords words;
  const Status captions = data::detail::parse_coco_json(
      text_of(bytes), "a.json", {.caption = [&](const CocoAnnotation& caption) {
        words.add(static_cast<std::uint32_t>(caption.image_id & 3), caption.caption);
        return Status();
      }});
  GAUNTLET_CHECK(captions || captions.error().message.starts_with("a.json"));
  const auto bag = std::move(words).finish(5, std::vector<bool>(4, true));
  for (const auto& item : bag.of_item) {
    for (const std::uint16_t word : item) GAUNTLET_CHECK(word < bag.vocabulary.size());
  }
}

}  // namespace gauntlet::fuzz
