#include "core/data/detail/array_roles.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/base/text.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::array kRoles = {Role::kImages, Role::kText,  Role::kLabels,
                               Role::kSplit,  Role::kNames, Role::kCaptions};

bool is_text_role(Role role) { return role == Role::kNames || role == Role::kCaptions; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return out;
}

/// The words that files of the field use as keys.
std::span<const std::string_view> words_of(Role role) {
  static constexpr std::array<std::string_view, 5> kImages = {"iall", "images", "image", "imgs",
                                                              "image_features"};
  static constexpr std::array<std::string_view, 6> kText = {"tall", "yall", "text", "texts", "tags", "tag"};
  static constexpr std::array<std::string_view, 4> kLabels = {"lall", "labels", "label", "category"};
  static constexpr std::array<std::string_view, 1> kSplit = {"split"};
  static constexpr std::array<std::string_view, 6> kNames = {"index",  "fall",    "imgs",
                                                             "images", "imglist", "path"};
  static constexpr std::array<std::string_view, 2> kCaptions = {"caption", "captions"};
  switch (role) {
    case Role::kImages:
      return kImages;
    case Role::kText:
      return kText;
    case Role::kLabels:
      return kLabels;
    case Role::kSplit:
      return kSplit;
    case Role::kNames:
      return kNames;
    case Role::kCaptions:
      return kCaptions;
  }
  return {};
}

/// The key, or the last part of one like "mirflickr25k-iall" or "data/images".
bool has_word(std::string_view key, std::span<const std::string_view> words) {
  const std::string whole = lower(key);
  const std::size_t cut = whole.find_last_of("-/.");
  const std::string last = cut == std::string::npos ? whole : whole.substr(cut + 1);
  return std::ranges::find(words, whole) != words.end() || std::ranges::find(words, last) != words.end();
}

std::vector<ArrayRef> all_arrays(const SourceFiles& sources) {
  std::vector<ArrayRef> all;
  for (std::size_t file = 0; file < sources.files.size(); ++file) {
    for (std::size_t array = 0; array < sources.files[file]->arrays().size(); ++array)
      all.push_back({file, array});
  }
  return all;
}

std::string list_of_arrays(const SourceFiles& sources) {
  std::vector<std::string> lines;
  for (const ArrayRef& ref : all_arrays(sources)) {
    if (lines.size() == 20) {
      lines.emplace_back("…");
      break;
    }
    const io::ArrayInfo& info = sources.info_of(ref);
    lines.push_back(fmt::format("{} ({} {})", sources.name_of(ref), info.type, io::shape_text(info.dims)));
  }
  return fmt::format("{}", fmt::join(lines, ", "));
}

bool can_be(const io::ArrayInfo& info, Role role) {
  if (is_text_role(role)) return info.content == io::Content::kTexts;
  if (info.content != io::Content::kNumbers) return false;
  if (role == Role::kImages) return info.dims.size() == 4 || info.dims.size() == 2;
  return role == Role::kSplit ? info.dims.size() <= 2 : info.dims.size() == 2;
}

/// The axis that counts items by the habits of whoever writes such files: MATLAB's matrices and a, b, 3, n
/// last, everything else first.
std::size_t usual_items_axis(const io::ArrayInfo& info) {
  const std::size_t last = info.dims.size() - 1;
  if (info.dims.size() == 4) return info.dims[2] == 3 && info.dims[1] != 3 && info.dims[3] != 3 ? last : 0;
  return info.is_matlab ? last : 0;
}

bool is_count_at_an_end(const io::ArrayInfo& info, std::int64_t n) {
  return !info.dims.empty() && (info.dims.front() == n || info.dims.back() == n);
}

/// Letters of an array with `n` items; empty when no end has n, or a picture has no 3 channels.
std::string guess_axes(const io::ArrayInfo& info, std::int64_t n) {
  if (!is_count_at_an_end(info, n)) return "";
  const std::size_t usual = usual_items_axis(info);
  const std::size_t items = info.dims[usual] == n ? usual : usual == 0 ? info.dims.size() - 1 : 0;
  if (info.dims.size() == 1) return "n";
  if (info.dims.size() == 2) return items == 0 ? "nd" : "dn";
  if (info.dims.size() != 4) return "";
  std::size_t channels = items == 0 ? 3 : 2;
  if (info.dims[channels] != 3) {
    channels = items == 0 ? 1 : 0;
    if (info.dims[channels] != 3) return "";
  }
  // MATLAB's H x W reads as W, H.
  std::string_view spatial = items != 0 || info.is_matlab ? "wh" : "hw";
  std::string axes(4, '?');
  axes[items] = 'n';
  axes[channels] = 'c';
  for (char& letter : axes) {
    if (letter != '?') continue;
    letter = spatial.front();
    spatial.remove_prefix(1);
  }
  return axes;
}

Status check_axes(const SourceFiles& sources, Role role, const ArrayRef& ref, const std::string& axes) {
  const io::ArrayInfo& info = sources.info_of(ref);
  std::string sorted = axes;
  std::ranges::sort(sorted);
  const bool is_known = role == Role::kImages && info.dims.size() == 4 ? sorted == "chnw" || sorted == "bhnw"
                        : info.dims.size() == 1                        ? sorted == "n"
                                                                       : sorted == "dn";
  const std::size_t items = axes.find('n');
  if (is_known && axes.size() == info.dims.size() && (items == 0 || items + 1 == axes.size())) {
    const std::size_t channels = axes.find_first_of("cb");
    if (channels == std::string::npos || info.dims[channels] == 3) return {};
  }
  return fail(
      ErrorCode::kInvalid,
      "map: '{}' are no axes of {} {}: one letter a side, n (items) first or last, h, w and c (RGB) or b "
      "(BGR) of 3 for pictures, d for the rest",
      axes, sources.name_of(ref), io::shape_text(info.dims));
}

Result<ArrayRef> find_array(const SourceFiles& sources, std::string_view name) {
  std::vector<ArrayRef> found;
  std::vector<std::string> known;
  for (const ArrayRef& ref : all_arrays(sources)) {
    known.push_back(name.find('#') == std::string_view::npos ? sources.info_of(ref).name
                                                             : sources.name_of(ref));
    if (sources.name_of(ref) == name || sources.info_of(ref).name == name) found.push_back(ref);
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1)
    return fail(ErrorCode::kInvalid, "map: '{}' is in several files; write FILE#{}", name, name);
  if (known.size() > 30) known.resize(30);
  return fail(ErrorCode::kInvalid, "map: {}", unknown_name_message("array", name, known));
}

/// The first array whose key says the role and whose type allows it.
std::optional<ArrayRef> find_role(const SourceFiles& sources, Role role) {
  for (const std::string_view word : words_of(role)) {
    for (const ArrayRef& ref : all_arrays(sources)) {
      const io::ArrayInfo& info = sources.info_of(ref);
      if (has_word(info.name, std::span(&word, 1)) && can_be(info, role)) return ref;
    }
  }
  return std::nullopt;
}

std::optional<ArrayRef> find_key(const SourceFiles& sources, std::string_view key) {
  for (const ArrayRef& ref : all_arrays(sources)) {
    if (lower(sources.info_of(ref).name) == key) return ref;
  }
  return std::nullopt;
}

/// Gives axes to every array of numbers that has none: those under which all have the same number of items.
Status complete_axes(const SourceFiles& sources, RoleMap& roles) {
  std::vector<std::int64_t> candidates;
  for (const auto& [role, binding] : roles) {
    const auto& dims = sources.info_of(binding.array).dims;
    if (is_text_role(role) || dims.empty()) continue;
    if (!binding.axes.empty()) {
      candidates = {rows_of(sources, binding)};
      break;
    }
    const std::size_t usual = usual_items_axis(sources.info_of(binding.array));
    for (const std::int64_t n : {dims[usual], dims[usual == 0 ? dims.size() - 1 : 0]})
      if (std::ranges::find(candidates, n) == candidates.end()) candidates.push_back(n);
  }
  for (const std::int64_t n : candidates) {
    RoleMap complete = roles;
    bool fits = true;
    for (auto& [role, binding] : complete) {
      if (is_text_role(role)) continue;
      if (binding.axes.empty()) binding.axes = guess_axes(sources.info_of(binding.array), n);
      fits = fits && !binding.axes.empty() && rows_of(sources, binding) == n;
    }
    if (!fits) continue;
    roles = std::move(complete);
    return {};
  }
  std::vector<std::string> found;
  for (const auto& [role, binding] : roles) {
    if (is_text_role(role)) continue;
    const io::ArrayInfo& info = sources.info_of(binding.array);
    const std::int64_t n = binding.axes.empty() ? (info.dims.empty() ? 0 : info.dims[usual_items_axis(info)])
                                                : rows_of(sources, binding);
    found.push_back(
        fmt::format("{} {} ({} items)", sources.name_of(binding.array), io::shape_text(info.dims), n));
  }
  return fail(ErrorCode::kInvalid,
              "the arrays do not have one number of items: {}; say with map what their axes are",
              fmt::join(found, ", "));
}

/// DAPH: three sets in one file.
Result<std::optional<Family>> detect_daph(const SourceFiles& sources) {
  const auto set_of = [&](std::string_view data, std::string_view text,
                          std::string_view labels) -> Result<std::optional<RoleMap>> {
    const auto image_ref = find_key(sources, data);
    const auto text_ref = find_key(sources, text);
    const auto label_ref = find_key(sources, labels);
    if (!image_ref || !text_ref || !label_ref) return std::optional<RoleMap>();
    RoleMap roles = {{Role::kImages, {*image_ref, "", false}},
                     {Role::kText, {*text_ref, "", false}},
                     {Role::kLabels, {*label_ref, "", false}}};
    GAUNTLET_CHECK_OK(complete_axes(sources, roles));
    return std::optional(roles);
  };
  GAUNTLET_TRY(auto query, set_of("test_data", "test_y", "test_l"));
  if (!query) return std::optional<Family>();
  GAUNTLET_TRY(auto train, set_of("train_data", "train_y", "train_l"));
  GAUNTLET_TRY(auto retrieval, set_of("data_set", "dataset_y", "dataset_l"));
  if (!train || !retrieval) return std::optional<Family>();
  return std::optional(Family{"DAPH (split in the file)", *retrieval, query, train});
}

std::string name_family(const SourceFiles& sources, const RoleMap& roles) {
  if (roles.contains(Role::kNames)) {
    const bool is_list = sources.files.front()->kind() == io::ContainerKind::kList;
    if (is_list) return "DeepHash lists";
    const bool has_captions =
        roles.contains(Role::kCaptions) || (!roles.contains(Role::kText) && !sources.captions.empty());
    return has_captions ? "DCHMT triple" : "torchcmh triple";
  }
  const Binding& images = roles.at(Role::kImages);
  const io::ArrayInfo& info = sources.info_of(images.array);
  const io::ContainerKind kind = sources.file_of(images.array).kind();
  const bool is_hdf5 = kind == io::ContainerKind::kHdf5;
  if (!is_picture(images)) {
    return std::string(kind == io::ContainerKind::kMat5 || info.is_matlab ? kFeatures : "image features");
  }
  const std::string split_up = sources.files.size() > 1 ? ", one variable per file" : "";
  if (images.axes.back() == 'n') return std::string(kNFastest) + split_up;
  if (is_hdf5 && find_key(sources, "index") && info.dtype == io::DType::kI32) return "COCO4CMH";
  if (info.is_matlab) return std::string(kDcmh) + split_up;
  return (is_hdf5 ? "WendellGul DCMH (n first)" : "plain arrays") + split_up;
}

}  // namespace

std::string_view name_of(Role role) {
  static constexpr std::string_view kNames[] = {"images", "text", "labels", "split", "names", "captions"};
  return kNames[static_cast<std::size_t>(role)];
}

Result<RoleMap> parse_map(const SourceFiles& sources, std::string_view text) {
  RoleMap roles;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = part.find('=');
    const auto role = std::ranges::find_if(kRoles, [&](Role known) {
      return equals != std::string_view::npos && name_of(known) == part.substr(0, equals);
    });
    if (role == kRoles.end()) {
      return fail(ErrorCode::kInvalid,
                  "map: '{}' is not ROLE=KEY[:AXES] with one of images, text, labels, split, names, captions",
                  part);
    }
    const std::string_view value = part.substr(equals + 1);
    const std::size_t colon = value.rfind(':');
    const std::string axes(colon == std::string_view::npos ? "" : value.substr(colon + 1));
    GAUNTLET_TRY(const ArrayRef ref, find_array(sources, value.substr(0, colon)));
    if (!can_be(sources.info_of(ref), *role)) {
      return fail(ErrorCode::kInvalid, "map: {} ({} {}) cannot be {}", sources.name_of(ref),
                  sources.info_of(ref).type, io::shape_text(sources.info_of(ref).dims), name_of(*role));
    }
    if (!axes.empty()) GAUNTLET_CHECK_OK(check_axes(sources, *role, ref, axes));
    roles[*role] = {ref, axes, !axes.empty()};
  }
  return roles;
}

Result<Family> detect_family(const SourceFiles& sources, const RoleMap& given) {
  if (given.empty()) {
    GAUNTLET_TRY(auto daph, detect_daph(sources));
    if (daph) return std::move(*daph);
  }
  RoleMap roles = given;
  for (const Role role : kRoles) {
    if (roles.contains(role) || (role == Role::kNames && roles.contains(Role::kImages))) continue;
    if (role == Role::kCaptions && roles.contains(Role::kText)) continue;
    if (const auto ref = find_role(sources, role)) roles[role] = {*ref, "", false};
  }
  const bool has_images = roles.contains(Role::kImages) || roles.contains(Role::kNames);
  if (!has_images || !roles.contains(Role::kLabels)) {
    return fail(ErrorCode::kInvalid,
                "no array is known as {} by its key; say which with map (images=KEY,text=KEY,labels=KEY); "
                "there are {}",
                has_images ? "labels" : "images", list_of_arrays(sources));
  }
  GAUNTLET_CHECK_OK(complete_axes(sources, roles));
  std::string name = name_family(sources, roles);
  if (name == "COCO4CMH" && !roles[Role::kImages].is_given) {
    std::ranges::replace(roles[Role::kImages].axes, 'c', 'b');
  }
  return Family{std::move(name), std::move(roles), std::nullopt, std::nullopt};
}

std::int64_t rows_of(const SourceFiles& sources, const Binding& binding) {
  const std::size_t items = binding.axes.find('n');
  return items == std::string::npos ? 0 : sources.info_of(binding.array).dims[items];
}

ItemAxes item_axes(const Binding& binding) {
  ItemAxes axes;
  axes.items = binding.axes.find('n');
  for (const std::string_view letter : {"h", "w", "cb", "d"}) {
    const std::size_t at = binding.axes.find_first_of(letter);
    if (at != std::string::npos) axes.order.push_back(at);
  }
  axes.reverse_last = binding.axes.find('b') != std::string::npos;
  return axes;
}

bool is_picture(const Binding& binding) { return binding.axes.find('h') != std::string::npos; }

}  // namespace gauntlet::data::detail
