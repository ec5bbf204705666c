#include "core/data/detail/clipart.hpp"

#include <algorithm>
#include <array>

#include "core/base/check.hpp"
#include "core/base/files.hpp"
#include "core/data/detail/coco_words.hpp"
#include "core/data/detail/emoji_drawings.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxText = std::size_t{16} << 20;

struct FolderLabels {
  std::string_view folder;  ///< and all below it that have no line of their own
  std::string_view labels;  ///< "" = none: passed over
};

constexpr std::array kOpenclipart = {
    FolderLabels{"animals", "animal"},
    FolderLabels{"animals/mammals", "animal mammal"},
    FolderLabels{"animals/birds", "animal bird"},
    FolderLabels{"animals/bugs", "animal other_animal"},
    FolderLabels{"animals/fish", "animal other_animal"},
    FolderLabels{"animals/dinosaurs", "animal other_animal"},
    FolderLabels{"plants", "plant"},
    FolderLabels{"food", "food"},
    FolderLabels{"food/fruit", "plant food fruit_veg"},
    FolderLabels{"food/vegetables", "plant food fruit_veg"},
    FolderLabels{"food/desserts", "food sweet"},
    FolderLabels{"food/beverages", "food drink"},
    FolderLabels{"transportation", "transport"},
    FolderLabels{"transportation/roadsigns", "transport sign_symbol"},
    FolderLabels{"buildings", "building_place"},
    FolderLabels{"geography", "building_place"},
    FolderLabels{"people", "people"},
    FolderLabels{"people/clothing", "clothing"},
    FolderLabels{"people/smilies", "face"},
    FolderLabels{"people/bodypart", "hand_body"},
    FolderLabels{"recreation/games", "sport_game"},
    FolderLabels{"recreation/sports", "sport_game"},
    FolderLabels{"recreation/toys", "sport_game"},
    FolderLabels{"recreation/music", "music"},
    FolderLabels{"recreation/party", "celebration"},
    FolderLabels{"recreation/holiday", "celebration"},
    FolderLabels{"recreation/religion", "religion_zodiac"},
    FolderLabels{"signs_and_symbols", "sign_symbol"},
    FolderLabels{"signs_and_symbols/flags", "sign_symbol flag"},
    FolderLabels{"signs_and_symbols/weather", "sign_symbol weather_space"},
    FolderLabels{"signs_and_symbols/clocks", "sign_symbol time"},
    FolderLabels{"tools", "tool_household"},
    FolderLabels{"containers", "tool_household"},
    FolderLabels{"office", "office_paper_money"},
    FolderLabels{"education", "office_paper_money"},
    FolderLabels{"electronics", "electronics"},
    FolderLabels{"computer/hardware", "electronics"},
    FolderLabels{"science", "science_medical"},
    FolderLabels{"science/astronomy", "science_medical weather_space"},
    FolderLabels{"decorations", "celebration"},
    FolderLabels{"shapes/arrows", "arrow_shape"},
    FolderLabels{"shapes/flowchart", "arrow_shape"},
};

constexpr std::array kStamps = {
    FolderLabels{"animals", "animal other_animal"},
    FolderLabels{"animals/birds", "animal bird"},
    FolderLabels{"animals/mammals", "animal mammal"},
    FolderLabels{"animals/marsupials", "animal mammal"},
    FolderLabels{"clothes", "clothing"},
    FolderLabels{"food", "food"},
    FolderLabels{"food/fruit", "plant food fruit_veg"},
    FolderLabels{"food/vegetables", "plant food fruit_veg"},
    FolderLabels{"food/dessert", "food sweet"},
    FolderLabels{"hobbies/music", "music"},
    FolderLabels{"household", "tool_household"},
    FolderLabels{"medical", "science_medical"},
    FolderLabels{"military/vehicles", "transport"},
    FolderLabels{"naturalforces", "weather_space"},
    FolderLabels{"people", "people"},
    FolderLabels{"people/body_parts", "hand_body"},
    FolderLabels{"plants", "plant"},
    FolderLabels{"seasonal", "celebration"},
    FolderLabels{"space", "weather_space"},
    FolderLabels{"sports", "sport_game"},
    FolderLabels{"symbols", "sign_symbol"},
    FolderLabels{"symbols/alphabets", ""},
    FolderLabels{"town", "building_place"},
    FolderLabels{"vehicles", "transport"},
};

/// What programs and collections leave in descriptions, which says nothing of a picture.
constexpr std::array<std::string_view, 14> kTools = {
    "adobe", "art", "clip",     "clipart", "illustrator", "inkscape", "openclipart",
    "org",   "png", "sodipodi", "svg",     "unsorted",    "http",     "www"};

LabelMask mask_of(std::string_view labels) {
  const std::vector<std::string> names = xl_label_names();
  LabelMask mask = 0;
  while (!labels.empty()) {
    const std::string_view label = labels.substr(0, labels.find(' '));
    labels.remove_prefix(std::min(label.size() + 1, labels.size()));
    const auto found = std::ranges::find(names, label);
    GAUNTLET_CHECK(found != names.end());
    mask |= LabelMask{1} << (found - names.begin());
  }
  return mask;
}

/// By the longest line that names the folder or one above it.
LabelMask labels_of_folder(std::string_view folder, std::span<const FolderLabels> table) {
  const FolderLabels* best = nullptr;
  for (const FolderLabels& line : table) {
    const bool is_in = folder.starts_with(line.folder) &&
                       (folder.size() == line.folder.size() || folder[line.folder.size()] == '/');
    if (is_in && (best == nullptr || line.folder.size() > best->folder.size())) best = &line;
  }
  return best == nullptr ? 0 : mask_of(best->labels);
}

std::string stem_of(const fs::path& picture) {
  std::string stem;
  for (const std::string& token : tokens_of(picture.stem().string()))
    stem += (stem.empty() ? "" : "_") + token;
  return stem.empty() ? picture.stem().string() : stem;
}

Status check_folder(const fs::path& root, std::string_view packages) {
  std::error_code ignored;
  if (fs::is_directory(root, ignored)) return {};
  return fail(ErrorCode::kNotFound, "{} is missing; it comes with the Debian packages {}: apt-get install {}",
              root.string(), packages, packages);
}

/// Every PNG file below `root` whose folder has labels, by path. Errors: kIo.
Result<std::vector<Clipart>> list_pictures(const fs::path& root, std::span<const FolderLabels> table) {
  std::error_code error;
  std::vector<Clipart> found;
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->path().extension() != ".png" || at->is_symlink(ignored) || !at->is_regular_file(ignored))
      continue;
    const std::string folder = at->path().parent_path().lexically_relative(root).generic_string();
    const LabelMask labels = labels_of_folder(folder, table);
    if (labels != 0) found.push_back({at->path(), stem_of(at->path()), labels, {}});
  }
  if (error) return fail(system_error(error.value(), "read", root));
  std::ranges::sort(found, {}, &Clipart::picture);
  return found;
}

/// Text of the element that begins at or after `from`, up to its end; "" when there is none.
std::string_view element(std::string_view text, std::string_view name, std::size_t& from) {
  const std::size_t open = text.find("<" + std::string(name), from);
  const std::size_t begin = open == text.npos ? text.npos : text.find('>', open);
  const std::size_t end = begin == text.npos ? text.npos : text.find("</" + std::string(name), begin);
  if (end == text.npos) {
    from = text.size();
    return {};
  }
  from = end;
  return text.substr(begin + 1, end - begin - 1);
}

/// Marks and entities are no words.
std::string without_marks(std::string_view text) {
  std::string plain;
  char closes = 0;
  for (const char letter : text) {
    if (closes == 0 && (letter == '<' || letter == '&')) closes = letter == '<' ? '>' : ';';
    plain += closes == 0 ? letter : ' ';
    if (letter == closes || (closes == ';' && letter == ' ')) closes = 0;
  }
  return plain;
}

void add_words(std::string_view text, std::vector<std::string>& words) {
  for (std::string& word : tokens_of(without_marks(text))) {
    if (!is_stop_word(word) && std::ranges::find(kTools, word) == kTools.end())
      words.push_back(std::move(word));
  }
}

std::vector<std::string> each_once(std::vector<std::string> words) {
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

}  // namespace

std::vector<std::string> words_of_stamp(std::string_view text) {
  std::vector<std::string> words;
  add_words(text.substr(0, text.find('\n')), words);
  return each_once(std::move(words));
}

std::vector<std::string> words_of_svg(std::string_view text) {
  std::size_t at = 0;
  const std::string_view metadata = element(text, "metadata", at);
  std::vector<std::string> words;
  at = 0;
  // The work's own title comes first; those of its people are inside other elements.
  add_words(element(metadata, "dc:title", at), words);
  for (const char* name : {"dc:description", "dc:subject"}) {
    at = 0;
    add_words(element(metadata, name, at), words);
  }
  std::vector<std::string> people;
  for (const char* name : {"dc:creator", "dc:publisher", "dc:rights", "dc:contributor"}) {
    at = 0;
    add_words(element(metadata, name, at), people);
  }
  std::erase_if(words,
                [&](const std::string& word) { return std::ranges::find(people, word) != people.end(); });
  return each_once(std::move(words));
}

Status check_openclipart(const fs::path& root) {
  return check_folder(root / "png", "openclipart-png openclipart-svg");
}

Status check_stamps(const fs::path& root) { return check_folder(root, "tuxpaint-stamps-default"); }

Result<std::vector<Clipart>> read_openclipart(const fs::path& root) {
  GAUNTLET_CHECK_OK(check_openclipart(root));
  GAUNTLET_TRY(std::vector<Clipart> found, list_pictures(root / "png", kOpenclipart));
  for (Clipart& each : found) {
    fs::path twin = root / "svg" / each.picture.lexically_relative(root / "png");
    const auto text = read_file(twin.replace_extension(".svg"), kMaxText);
    if (text) each.words = words_of_svg(*text);
    if (!text && text.error().code != ErrorCode::kNotFound && text.error().code != ErrorCode::kInvalid)
      return fail(text.error());
  }
  return found;
}

Result<std::vector<Clipart>> read_stamps(const fs::path& root) {
  GAUNTLET_CHECK_OK(check_stamps(root));
  GAUNTLET_TRY(std::vector<Clipart> found, list_pictures(root, kStamps));
  for (Clipart& each : found) {
    const auto text = read_file(fs::path(each.picture).replace_extension(".txt"), kMaxText);
    if (text) each.words = words_of_stamp(*text);
    if (!text && text.error().code != ErrorCode::kNotFound) return fail(text.error());
  }
  return found;
}

}  // namespace gauntlet::data::detail
