#include "core/data/detail/custom_set.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/files.hpp"
#include "core/data/detail/coco_words.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::size_t kMaxCaptionBytes = std::size_t{64} << 20;
/// What some builders wrote for an empty caption.
constexpr std::string_view kEmptyCaption = "123456";

/// Without the blanks at its end: padding, and the carriage return of a file written on Windows.
std::string_view without_end(std::string_view caption) {
  return caption.substr(0, caption.find_last_not_of(" \t\r") + 1);
}

class Opener {
 public:
  Opener(CustomSet& set, const CustomLook& look) : set_(set), look_(look) {}

  Status run(const std::filesystem::path& source) {
    GAUNTLET_TRY(set_.sources, open_sources(source, look_.scratch));
    set_.picture_root = look_.pictures.empty() ? set_.sources.root : look_.pictures;
    if (set_.sources.files.front()->kind() == io::ContainerKind::kList) return open_lists();
    GAUNTLET_TRY(const RoleMap given, parse_map(set_.sources, look_.map));
    GAUNTLET_TRY(set_.family, detect_family(set_.sources, given));
    if (set_.family.query) {
      GAUNTLET_CHECK_OK(add_part(*set_.family.query, kSplitQuery));
      GAUNTLET_CHECK_OK(add_part(set_.family.roles, kSplitRetrieval));
      GAUNTLET_CHECK_OK(add_part(*set_.family.train, kSplitTrain));
    } else {
      GAUNTLET_CHECK_OK(add_part(set_.family.roles, std::nullopt));
    }
    return turn_pictures();
  }

 private:
  /// train.txt, test.txt, database.txt: which is which only the names say.
  Status open_lists() {
    set_.family.name = "DeepHash lists";
    for (std::size_t file = 0; file < set_.sources.files.size(); ++file) {
      io::Container& list = *set_.sources.files[file];
      if (list.kind() != io::ContainerKind::kList) {
        return fail(ErrorCode::kInvalid, "{} is {}, among lists of paths and labels", list.path().string(),
                    io::name_of(list.kind()));
      }
      RoleMap roles = {{Role::kNames, {{file, 0}, "", false}}, {Role::kLabels, {{file, 1}, "nd", false}}};
      std::optional<std::uint8_t> split;
      if (set_.sources.files.size() > 1) {
        const std::string name = list.path().stem().string();
        const auto is = [&](std::string_view word) { return name.find(word) != std::string::npos; };
        if (is("train")) split = kSplitTrain;
        if (is("test") || is("query")) split = kSplitQuery;
        if (is("database") || is("retrieval")) split = kSplitRetrieval;
        if (!split) {
          return fail(ErrorCode::kInvalid,
                      "{}: the name of a list says what it is: train, test (query) or database",
                      list.path().string());
        }
      }
      if (set_.family.roles.empty()) set_.family.roles = roles;
      GAUNTLET_CHECK_OK(add_part(roles, split));
    }
    return {};
  }

  Status add_part(const RoleMap& roles, std::optional<std::uint8_t> split) {
    RowsPart part;
    part.split = split;
    const Binding& labels = roles.at(Role::kLabels);
    part.label_name = set_.sources.name_of(labels.array);
    part.n_rows = rows_of(set_.sources, labels);
    GAUNTLET_TRY(part.labels, open_array(labels, "labels"));
    GAUNTLET_CHECK_OK(agree(part.labels->item_size(), set_.n_labels, part.label_name, "labels"));
    GAUNTLET_CHECK_OK(add_images(roles, part));
    GAUNTLET_CHECK_OK(add_text(roles, part));
    if (const auto found = roles.find(Role::kSplit); found != roles.end())
      GAUNTLET_CHECK_OK(add_split(found->second, part));
    if (part.n_rows < 1)
      return fail(ErrorCode::kInvalid, "{} has no rows", set_.sources.name_of(labels.array));
    set_.parts.push_back(std::move(part));
    return {};
  }

  Status add_split(const Binding& binding, RowsPart& part) const {
    GAUNTLET_TRY(const ItemArray array, open_array(binding, "split"));
    const std::string name = set_.sources.name_of(binding.array);
    if (array.item_size() != 1)
      return fail(ErrorCode::kInvalid, "{} has {} numbers a row; a split has one", name, array.item_size());
    for (std::int64_t row = 0; row < array.n_items(); ++row) {
      float value = 0;
      GAUNTLET_CHECK_OK(array.read(row, std::span(&value, 1)));
      if (value != kSplitQuery && value != kSplitTrain && value != kSplitRetrieval) {
        return fail(ErrorCode::kInvalid,
                    "{}: row {} holds {}; 0 is query, 1 train and retrieval, 2 retrieval only", name, row,
                    value);
      }
      part.row_split.push_back(static_cast<std::uint8_t>(value));
    }
    return {};
  }

  Result<ItemArray> open_array(const Binding& binding, std::string_view what) const {
    ItemArrayOptions options{.scratch = look_.scratch, .first = 0, .n_most = look_.n_most, .progress = {}};
    const std::string phase = fmt::format("reading {}", what);
    if (look_.progress) options.progress = [&, phase](double share) { look_.progress(share, phase); };
    return ItemArray::open(set_.sources.file_of(binding.array), set_.sources.info_of(binding.array),
                           item_axes(binding), options);
  }

  /// The first part says how many; every other must agree.
  static Status agree(std::int64_t found, std::int64_t& known, const std::string& name,
                      std::string_view what) {
    if (known == 0) known = found;
    if (known == found) return {};
    return fail(ErrorCode::kInvalid, "{} has {} {}, the arrays before have {}", name, found, what, known);
  }

  Status add_images(const RoleMap& roles, RowsPart& part) {
    const auto found = roles.find(Role::kImages);
    if (found == roles.end()) return add_pictures(roles.at(Role::kNames), part);
    GAUNTLET_TRY(part.images, open_array(found->second, "pictures"));
    const std::vector<std::int64_t>& shape = part.images->item_shape();
    const std::string name = set_.sources.name_of(found->second.array);
    set_.holds_pictures = is_picture(found->second);
    if (!set_.holds_pictures) return agree(shape[0], set_.feature_dim, name, "features");
    GAUNTLET_CHECK_OK(agree(shape[0], set_.height, name, "pixels down"));
    return agree(shape[1], set_.width, name, "pixels across");
  }

  Status add_pictures(const Binding& names, RowsPart& part) {
    const std::string name = set_.sources.name_of(names.array);
    GAUNTLET_TRY(const io::Texts texts,
                 set_.sources.file_of(names.array).texts(set_.sources.info_of(names.array)));
    GAUNTLET_CHECK_OK(same_rows(name, static_cast<std::int64_t>(texts.size()), part));
    for (std::size_t row = 0; row < texts.size(); ++row) {
      std::string path;
      for (const std::string& piece : texts[row]) path += path.empty() ? piece : "/" + piece;  // folder, file
      std::ranges::replace(path, '\\', '/');
      if (path.empty()) return fail(ErrorCode::kInvalid, "{}: the name of row {} is empty", name, row);
      if (!io::is_utf8(path)) {
        return fail(ErrorCode::kInvalid, "{}: the name of row {} is not UTF-8: '{}'", name, row,
                    io::printable(path));
      }
      part.pictures.push_back(std::move(path));
    }
    return {};
  }

  static Status same_rows(const std::string& name, std::int64_t n, const RowsPart& part) {
    if (n == part.n_rows) return {};
    return fail(ErrorCode::kInvalid, "{} has {} rows, {} has {}", name, n, part.label_name, part.n_rows);
  }

  Status add_text(const RoleMap& roles, RowsPart& part) {
    if (const auto found = roles.find(Role::kText); found != roles.end()) {
      part.text_name = set_.sources.name_of(found->second.array);
      GAUNTLET_TRY(part.text, open_array(found->second, "texts"));
      return agree(part.text->item_size(), set_.text_dim, part.text_name, "text dimensions");
    }
    if (const auto found = roles.find(Role::kCaptions); found != roles.end()) {
      const std::string name = set_.sources.name_of(found->second.array);
      GAUNTLET_TRY(
          const io::Texts texts,
          set_.sources.file_of(found->second.array).texts(set_.sources.info_of(found->second.array)));
      return add_captions(texts, name, part);
    }
    if (!set_.sources.captions.empty()) return read_caption_file(set_.sources.captions, part);
    if (look_.text == "labels") {
      set_.text_is_labels = true;
      set_.text_dim = set_.n_labels;
      return {};
    }
    return fail(ErrorCode::kInvalid,
                "there is no text here, only pictures and labels; text=labels takes each item's labels as "
                "its text too");
  }

  Status read_caption_file(const std::filesystem::path& path, RowsPart& part) {
    GAUNTLET_TRY(const std::string text, read_file(path, kMaxCaptionBytes));
    io::Texts lines;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      lines.push_back({text.substr(at, end - at)});
      at = end + 1;
    }
    return add_captions(lines, path.filename().string(), part);
  }

  Status add_captions(const io::Texts& texts, const std::string& name, RowsPart& part) {
    GAUNTLET_CHECK_OK(same_rows(name, static_cast<std::int64_t>(texts.size()), part));
    CaptionWords words;
    for (std::size_t item = 0; item < texts.size(); ++item) {
      for (const std::string& caption : texts[item]) {
        if (without_end(caption) != kEmptyCaption) words.add(static_cast<std::uint32_t>(item), caption);
      }
    }
    CaptionWords::Bag bag = std::move(words).finish(look_.n_words, std::vector<bool>(texts.size(), true));
    if (bag.vocabulary.empty()) return fail(ErrorCode::kInvalid, "{} has no words", name);
    set_.text_dim = static_cast<std::int64_t>(bag.vocabulary.size());
    set_.vocabulary = std::move(bag.vocabulary);
    part.words = std::move(bag.of_item);
    return {};
  }

  /// The test of many photos decides between the two readings of an axis map; what the user wrote stands, or
  /// fails.
  Status turn_pictures() {
    if (!set_.holds_pictures || set_.height == 0) return {};
    const auto largest = std::ranges::max_element(set_.parts, {}, &RowsPart::n_rows);
    GAUNTLET_TRY(set_.axis_test, test_axes(*largest->images));
    Binding& images = set_.family.roles.at(Role::kImages);
    if (set_.axis_test.verdict == Upright::kUnclear) {
      set_.warnings.push_back(
          fmt::format("axes '{}' of {} are {}: {}", images.axes, set_.sources.name_of(images.array),
                      images.is_given ? "taken from the map" : "the usual ones of such files",
                      set_.axis_test.n_pictures < kAxisTestPictures
                          ? fmt::format("fewer than {} pictures cannot be tested", kAxisTestPictures)
                          : set_.axis_test.in_words()));
      return {};
    }
    if (set_.axis_test.verdict == Upright::kUpright) return {};
    std::string swapped = images.axes;
    for (char& letter : swapped) letter = letter == 'h' ? 'w' : letter == 'w' ? 'h' : letter;
    if (images.is_given) {
      return fail(ErrorCode::kInvalid,
                  "map says that the axes of {} are '{}', but {}; leave the axes out, or write '{}'",
                  set_.sources.name_of(images.array), images.axes, set_.axis_test.in_words(), swapped);
    }
    set_.warnings.push_back(fmt::format("axes of {}: '{}' instead of the usual '{}', because {}",
                                        set_.sources.name_of(images.array), swapped, images.axes,
                                        set_.axis_test.in_words()));
    images.axes = swapped;
    for (RowsPart& part : set_.parts) part.images->swap_sides();
    std::swap(set_.height, set_.width);
    return {};
  }

  CustomSet& set_;
  const CustomLook& look_;
};

}  // namespace

std::int64_t CustomSet::n_rows() const {
  std::int64_t n = 0;
  for (const RowsPart& part : parts) n += part.n_rows;
  return n;
}

Json CustomSet::roles_as_json() const {
  Json all = Json::object();
  for (const auto& [role, binding] : family.roles) {
    Json one = {{"array", sources.name_of(binding.array)}};
    if (!binding.axes.empty()) one["axes"] = binding.axes;
    all[std::string(name_of(role))] = std::move(one);
  }
  if (!vocabulary.empty() && !family.roles.contains(Role::kCaptions))
    all["captions"] = {{"file", sources.captions.filename().string()}};
  return all;
}

Result<CustomSet> open_custom(const std::filesystem::path& source, const CustomLook& look) {
  CustomSet set;
  GAUNTLET_CHECK_OK(Opener(set, look).run(source));
  return set;
}

}  // namespace gauntlet::data::detail
