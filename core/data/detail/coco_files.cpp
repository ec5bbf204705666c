#include "core/data/detail/coco_files.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/data/detail/coco_json.hpp"
#include "core/data/detail/line_file.hpp"
#include "core/data/detail/photo_set.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCategories = 4096;

std::string annotation_name(std::string_view kind, std::string_view part, std::string_view year) {
  return fmt::format("{}_{}{}.json", kind, part, year);
}

/// Images of one part by rising id.
struct PartImages {
  std::vector<std::pair<std::int64_t, std::string>> images;  ///< (id, file name)
  std::uint32_t first_item = 0;

  /// Item of an image id; errors (kInvalid): not among the images.
  [[nodiscard]] Result<std::uint32_t> item_of(std::int64_t id) const {
    const auto at = std::ranges::lower_bound(images, id, {}, &std::pair<std::int64_t, std::string>::first);
    if (at == images.end() || at->first != id) {
      return fail(ErrorCode::kInvalid, "image_id {} is not among the images", id);
    }
    return first_item + static_cast<std::uint32_t>(at - images.begin());
  }
};

Status check_file_name(const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos || name == ".." || name == ".") {
    return fail(ErrorCode::kInvalid, "file_name is '{}'; the name of a file is expected",
                name.substr(0, 100));
  }
  return {};
}

class CocoReader {
 public:
  CocoReader(const CocoSources& sources, bool labels_by_name) : sources_(sources), by_name_(labels_by_name) {}

  Result<CocoItems> read() {
    for (const char* part : {"train", "val"}) {
      GAUNTLET_CHECK_OK(read_instances(part));
      GAUNTLET_CHECK_OK(read_captions(part));
    }
    GAUNTLET_CHECK_OK(set_labels());
    return std::move(items_);
  }

 private:
  struct Instance {
    std::uint32_t item;
    std::int64_t category;
    auto operator<=>(const Instance&) const = default;
  };

  /// Images, categories and instances may come in any order, so annotations wait until the file is read.
  Status read_instances(const std::string& part) {
    const std::string name = annotation_name("instances", part, sources_.year);
    PartImages images;
    std::map<std::int64_t, std::string> categories;
    std::vector<std::pair<std::int64_t, std::int64_t>> found;
    const CocoHandler handler = {.image = [&](const CocoImage& image) -> Status {
                                   GAUNTLET_CHECK_OK(check_file_name(image.file_name));
                                   images.images.emplace_back(image.id, image.file_name);
                                   return {};
                                 },
                                 .category = [&](const CocoCategory& category) -> Status {
                                   if (!categories.emplace(category.id, category.name).second) {
                                     return fail(ErrorCode::kInvalid, "id {} is given twice", category.id);
                                   }
                                   if (categories.size() <= kMaxCategories) return {};
                                   return fail(ErrorCode::kInvalid, "at most {} categories are read",
                                               kMaxCategories);
                                 },
                                 .instance = [&](const CocoAnnotation& instance) -> Status {
                                   found.emplace_back(instance.image_id, instance.category_id);
                                   return {};
                                 }};
    GAUNTLET_CHECK_OK(read_coco_json(sources_.annotations / name, name, handler));
    GAUNTLET_CHECK_OK(add_images(part, name, std::move(images)));
    GAUNTLET_CHECK_OK(add_categories(name, categories));
    items_.n_instances += static_cast<std::int64_t>(found.size());
    for (std::size_t at = 0; at < found.size(); ++at) {
      const auto item = images_.item_of(found[at].first);
      if (!item) return fail(ErrorCode::kInvalid, "{}: annotations[{}]: {}", name, at, item.error().message);
      if (!categories_.contains(found[at].second)) {
        return fail(ErrorCode::kInvalid, "{}: annotations[{}]: category_id {} is not among the categories",
                    name, at, found[at].second);
      }
      instances_.push_back({*item, found[at].second});
    }
    std::ranges::sort(instances_);
    instances_.erase(std::unique(instances_.begin(), instances_.end()), instances_.end());
    return {};
  }

  Status add_images(const std::string& part, const std::string& name, PartImages images) {
    std::ranges::sort(images.images);
    const auto twice =
        std::ranges::adjacent_find(images.images, {}, &std::pair<std::int64_t, std::string>::first);
    if (twice != images.images.end()) {
      return fail(ErrorCode::kInvalid, "{}: images: id {} is given twice", name, twice->first);
    }
    if (images.images.empty()) return fail(ErrorCode::kInvalid, "{} has no images", name);
    images.first_item = static_cast<std::uint32_t>(items_.pictures.size());
    for (const auto& [id, file] : images.images) {
      items_.pictures.push_back(fmt::format("{}{}/{}", part, sources_.year, file));
    }
    images_ = std::move(images);
    return {};
  }

  Status add_categories(const std::string& name, const std::map<std::int64_t, std::string>& categories) {
    if (categories.empty()) return fail(ErrorCode::kInvalid, "{} has no categories", name);
    if (categories_.empty()) categories_ = categories;
    if (categories_ == categories) return {};
    return fail(ErrorCode::kInvalid, "{} has other categories than the file of train", name);
  }

  Status read_captions(const std::string& part) {
    const std::string name = annotation_name("captions", part, sources_.year);
    const CocoHandler handler = {.caption = [&](const CocoAnnotation& caption) -> Status {
      GAUNTLET_TRY(const std::uint32_t item, images_.item_of(caption.image_id));
      items_.words.add(item, caption.caption);
      ++items_.n_captions;
      return {};
    }};
    return read_coco_json(sources_.annotations / name, name, handler);
  }

  Status set_labels() {
    std::vector<std::pair<std::string, std::int64_t>> order;  // (sort key, id)
    for (const auto& [id, name] : categories_) order.emplace_back(by_name_ ? name : std::string(), id);
    std::ranges::sort(order);
    std::map<std::int64_t, std::uint16_t> column;
    for (const auto& [key, id] : order) {
      column.emplace(id, static_cast<std::uint16_t>(items_.label_names.size()));
      items_.label_names.push_back(categories_.at(id));
    }
    items_.labels.resize(items_.pictures.size());
    for (const Instance& instance : instances_) {
      items_.labels[instance.item].push_back(column.at(instance.category));
    }
    for (auto& labels : items_.labels) std::ranges::sort(labels);
    return {};
  }

  const CocoSources& sources_;
  const bool by_name_;
  CocoItems items_;
  PartImages images_;  ///< of the part that is being read
  std::map<std::int64_t, std::string> categories_;
  std::vector<Instance> instances_;
};

}  // namespace

Result<CocoSources> find_coco(const fs::path& source, std::string_view owner, std::string_view layout) {
  CocoSources sources;
  std::error_code ignored;
  for (const char* year : {"2017", "2014"}) {
    for (const fs::path& folder : {source / "annotations", source}) {
      if (!sources.year.empty() || !fs::exists(folder / annotation_name("instances", "train", year), ignored))
        continue;
      sources.year = year;
      sources.annotations = folder;
    }
  }
  const std::string year = sources.year.empty() ? "2017" : sources.year;
  const auto missing = [&](const std::string& what) {
    return fail(ErrorCode::kNotFound, "{}: {} has no {}; give {}", owner, source.string(), what, layout);
  };
  if (sources.year.empty()) return missing("annotations/" + annotation_name("instances", "train", year));
  for (const char* kind : {"instances", "captions"}) {
    for (const char* part : {"train", "val"}) {
      const std::string name = annotation_name(kind, part, year);
      if (!fs::exists(sources.annotations / name, ignored)) return missing("annotations/" + name);
    }
  }
  for (const fs::path& root : {source, source / "images"}) {
    if (sources.picture_root.empty() && fs::is_directory(root / ("train" + year), ignored))
      sources.picture_root = root;
  }
  if (sources.picture_root.empty()) return missing("train" + year + "/");
  return sources;
}

Result<std::string> coco_identity(const CocoSources& sources) {
  SourceIdentity identity;
  for (const char* kind : {"instances", "captions"}) {
    for (const char* part : {"train", "val"}) {
      const std::string name = annotation_name(kind, part, sources.year);
      GAUNTLET_CHECK_OK(identity.add_file(sources.annotations / name, name));
    }
  }
  for (const char* part : {"train", "val"}) {
    const std::string name = part + sources.year;
    std::error_code ignored;
    if (!fs::is_directory(sources.picture_root / name, ignored))
      continue;  // its pictures are missing, one by one
    GAUNTLET_CHECK_OK(identity.add_pictures(sources.picture_root / name, name));
  }
  return identity.content_id();
}

Result<CocoItems> read_coco(const CocoSources& sources, bool labels_by_name) {
  return CocoReader(sources, labels_by_name).read();
}

}  // namespace gauntlet::data::detail
