// Files that people pass around: MAT, HDF5, .npy, .safetensors and lists, of whatever family.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "core/base/hash.hpp"
#include "core/data/dataset.hpp"
#include "core/data/detail/custom_rows.hpp"
#include "core/data/detail/splits.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;

struct CustomConfig {
  std::string source;
  std::string map;
  std::string split = "auto";
  std::int64_t seed = 1;
  std::int64_t n_query = 0;
  std::int64_t n_train = -1;
  std::int64_t query_per_label = 100;
  std::int64_t train_per_label = 500;
  std::string queries_at = "auto";
  std::string expect;
  bool standardize = false;
  std::string text = "auto";
  std::int64_t n_words = 2000;
  std::string pictures;
  std::int64_t image_px = 224;
  std::string fit = "stretch";
  bool strict = false;

  static void fields(auto& self, auto& visit) {
    visit(
        "source", self.source,
        {.doc =
             "The file, or the folder of files: MAT v5 or v7.3, HDF5, .npy, .safetensors, lists of paths and "
             "labels.",
         .location = true});
    visit(
        "map", self.map,
        {.doc =
             "Which array is what, when its key does not say it: ROLE=[FILE#]KEY[:AXES] with commas between; "
             "roles images, text, labels, split, names, captions; axes as stored, e.g. images=IAll:whcn "
             "(n items, h, w, c RGB or b BGR), text=TAll:dn."});
    visit("split", self.split,
          {.doc = "auto: what the source says, else row_order for the field's known sets, else random; "
                  "per_class and "
                  "slots: so many per label.",
           .choices = {"auto", "row_order", "random", "per_class", "slots"}});
    visit("seed", self.seed, {.doc = "Draws the split.", .min = 0});
    visit(
        "n_query", self.n_query,
        {.doc =
             "Queries, for random and row_order; 0: the field's number for known sets, else a tenth, at most "
             "2,000.",
         .min = 0,
         .max = 1e8});
    visit("n_train", self.n_train,
          {.doc = "Training items, for random and row_order; -1: the field's number for known sets, else a "
                  "half, at "
                  "most 5,000.",
           .min = -1,
           .max = 1e8});
    visit("query_per_label", self.query_per_label,
          {.doc = "Queries of each label, for per_class and slots.", .min = 1, .max = 1e6});
    visit("train_per_label", self.train_per_label,
          {.doc = "Training items of each label, for per_class and slots.", .min = 0, .max = 1e6});
    visit("queries_at", self.queries_at,
          {.doc =
               "head: the first rows are queries, the next train; tail: the last rows are queries, the first "
               "train; auto: tail for 20,015 rows of features (DADH, CPAH), else head. For row_order.",
           .choices = {"auto", "head", "tail"}});
    visit(
        "expect", self.expect,
        {.doc =
             "What the source must hold, e.g. items=20015,text=1386,labels=24; anything else is an error."});
    visit("standardize", self.standardize,
          {.doc = "Features minus one mean, by one deviation, both over the whole matrix (DADH, CPAH)."});
    visit("text", self.text,
          {.doc = "auto: the text there is; labels: each item's labels as its text, for sets of pictures and "
                  "labels "
                  "alone.",
           .choices = {"auto", "labels"}});
    visit("n_words", self.n_words, {.doc = "Vocabulary made of captions.", .min = 1, .max = 65535});
    visit(
        "pictures", self.pictures,
        {.doc = "Folder that the names of picture files start from; empty: the source's.", .location = true});
    visit("image_px", self.image_px, {.doc = "Side of pictures read from files.", .min = 8, .max = 1024});
    visit("fit", self.fit,
          {.doc = "Of pictures read from files. stretch: both sides scaled, the aspect is lost; crop: the "
                  "shorter side "
                  "to 8/7 of the wanted one, then the centre.",
           .choices = {"stretch", "crop"}});
    visit("strict", self.strict,
          {.doc = "A picture that cannot be read is an error; else it is left out, listed and counted."});
  }
};

Result<CustomConfig> config_from(const Json& config) {
  GAUNTLET_TRY(const CustomConfig options, read_config<CustomConfig>(config, "custom"));
  if (options.source.empty())
    return fail(ErrorCode::kInvalid, "custom: 'source' is missing; give the file or the folder of files");
  return options;
}

detail::CustomLook look_of(const CustomConfig& config) {
  return {.map = config.map,
          .pictures = config.pictures,
          .text = config.text,
          .n_words = static_cast<std::size_t>(config.n_words),
          .scratch = {},
          .n_most = -1,
          .progress = {}};
}

/// The arrays by every byte; picture files by name and size: reading them all to plan a sweep takes too long.
Result<std::string> identity_of(const detail::CustomSet& set) {
  GAUNTLET_TRY(std::string lines, detail::hash_sources_of(set.sources));
  for (const detail::RowsPart& part : set.parts) {
    for (const std::string& name : part.pictures) {
      std::error_code unreadable;  // a picture that is not there counts by its name
      const std::uintmax_t size = std::filesystem::file_size(set.picture_root / name, unreadable);
      lines += fmt::format("\n{} {}", unreadable ? 0 : size, name);
    }
  }
  return set.holds_pictures && set.height == 0 ? to_hex(sha256(lines)) : lines;
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const CustomConfig options, config_from(config));
  GAUNTLET_TRY(const detail::SourceFiles sources, detail::open_sources(options.source, {}));
  const bool has_names = std::ranges::any_of(sources.files, [](const auto& file) {
    return std::ranges::any_of(
        file->arrays(), [](const io::ArrayInfo& array) { return array.content == io::Content::kTexts; });
  });
  if (!has_names) return detail::hash_sources_of(sources);
  detail::CustomLook look = look_of(options);
  look.n_most = 1;
  GAUNTLET_TRY(const detail::CustomSet set, detail::open_custom(options.source, look));
  return identity_of(set);
}

/// The sizes the field uses for sets of known length.
struct KnownSet {
  std::int64_t n_items;
  bool is_features;
  detail::SplitSizes sizes;
  detail::QueryPlace place;
};
constexpr KnownSet kKnownSets[] = {
    {20015, false, {2000, 5000}, detail::QueryPlace::kHead},
    {123287, false, {2000, 10000}, detail::QueryPlace::kHead},
    {195834, false, {2100, 10500}, detail::QueryPlace::kHead},
    {42500, false, {2500, 10000}, detail::QueryPlace::kHead},  // COCO4CMH
    {20015, true, {2000, 10000}, detail::QueryPlace::kTail},   // DADH, CPAH
    {195834, true, {2100, 10500}, detail::QueryPlace::kHead},
};

/// The split as it will be made.
struct SplitChoice {
  std::string kind;
  detail::SplitSizes sizes;
  detail::QueryPlace place = detail::QueryPlace::kHead;
};

SplitChoice choose_split(const CustomConfig& config, const detail::CustomSet& set,
                         const detail::CustomScan& scan) {
  const auto n = static_cast<std::int64_t>(scan.rows.size());
  const auto known = std::ranges::find_if(kKnownSets, [&](const KnownSet& each) {
    return each.n_items == n && each.is_features == !set.holds_pictures;
  });
  const bool is_known = known != std::end(kKnownSets);
  SplitChoice choice{.kind = config.split, .sizes = {config.n_query, config.n_train}};
  if (config.split == "auto")
    choice.kind = !scan.split.empty() ? "source" : is_known ? "row_order" : "random";
  if (choice.sizes.n_query == 0)
    choice.sizes.n_query = is_known ? known->sizes.n_query : std::clamp<std::int64_t>(n / 10, 1, 2000);
  if (choice.sizes.n_train < 0) {
    choice.sizes.n_train =
        is_known ? known->sizes.n_train : std::clamp<std::int64_t>((n - choice.sizes.n_query) / 2, 0, 5000);
  }
  if (is_known) choice.place = known->place;
  if (config.queries_at != "auto")
    choice.place = config.queries_at == "tail" ? detail::QueryPlace::kTail : detail::QueryPlace::kHead;
  return choice;
}

Json describe(const SplitChoice& choice, const CustomConfig& config) {
  Json facts = {{"split", choice.kind}};
  if (choice.kind == "random" || choice.kind == "row_order") {
    facts["n_query"] = choice.sizes.n_query;
    facts["n_train"] = choice.sizes.n_train;
  }
  if (choice.kind == "row_order")
    facts["queries_at"] = choice.place == detail::QueryPlace::kTail ? "tail" : "head";
  if (choice.kind == "per_class" || choice.kind == "slots") {
    facts["query_per_label"] = config.query_per_label;
    facts["train_per_label"] = config.train_per_label;
  }
  if (choice.kind != "row_order" && choice.kind != "source") facts["seed"] = config.seed;
  return facts;
}

Result<detail::Split> make_split(const detail::KeptRows& kept, const SplitChoice& choice,
                                 const CustomConfig& config, const detail::CustomScan& scan) {
  const auto seed = static_cast<std::uint64_t>(config.seed);
  if (choice.kind == "source") {
    detail::Split split;
    for (const std::int64_t row : kept.source_rows)
      split.push_back(scan.split[static_cast<std::size_t>(row)]);
    return split;
  }
  if (choice.kind == "row_order") return detail::row_order_split(kept.n_items(), choice.sizes, choice.place);
  if (choice.kind == "random") return detail::random_split(kept.n_items(), choice.sizes, seed);
  const auto labels = detail::ItemLabels::from_rows(kept.labels, kept.n_labels);
  const detail::SplitSizes per_label{config.query_per_label, config.train_per_label};
  return choice.kind == "slots" ? detail::slots_split(labels, per_label, seed)
                                : detail::per_class_split(labels, per_label, seed);
}

/// Refuses a split that no set of these rows has now, not after hours of pictures.
Status check_split(const CustomConfig& config, const detail::CustomSet& set, const detail::CustomScan& scan,
                   const SplitChoice& choice) {
  if (choice.kind == "source") return {};
  GAUNTLET_TRY(const std::vector<std::uint8_t> labels, detail::label_rows(set, scan));
  const detail::KeptRows all{.source_rows = scan.rows, .labels = labels, .n_labels = set.n_labels};
  GAUNTLET_CHECK_OK(make_split(all, choice, config, scan));
  return {};
}

/// "items=20015,text=1386,labels=24" against what was found.
Status check_expected(std::string_view expected, const detail::CustomSet& set, std::int64_t n_items) {
  const std::pair<std::string_view, std::int64_t> found[] = {
      {"items", n_items}, {"text", set.text_dim}, {"labels", set.n_labels}};
  while (!expected.empty()) {
    const std::size_t end = std::min(expected.find(','), expected.size());
    const std::string_view part = expected.substr(0, end);
    expected.remove_prefix(std::min(end + 1, expected.size()));
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view number = part.substr(std::min(equals + 1, part.size()));
    std::int64_t wanted = 0;
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), wanted);
    const auto what =
        std::ranges::find(found, part.substr(0, equals), &std::pair<std::string_view, std::int64_t>::first);
    if (what == std::end(found) || error != std::errc{} || stop != number.data() + number.size())
      return fail(ErrorCode::kInvalid, "expect: '{}' is not items=N, text=N or labels=N", part);
    if (what->second != wanted) {
      return fail(ErrorCode::kInvalid, "expect says {}={}, the source has {}", what->first, wanted,
                  what->second);
    }
  }
  return {};
}

Json about_of(const CustomConfig& config, const detail::CustomSet& set, const detail::CustomScan& scan,
              const SplitChoice& split, const std::string& source) {
  Json choices = describe(split, config);
  choices["arrays"] = set.roles_as_json();
  choices["map"] = config.map;
  if (set.axis_test.n_pictures > 0) choices["axis_test"] = set.axis_test.to_json();
  if (!set.holds_pictures) {
    choices["standardize"] = config.standardize;
    if (config.standardize) {
      choices["feature_mean"] = scan.feature_mean;
      choices["feature_std"] = scan.feature_std;
    }
  }
  if (set.holds_pictures && set.height == 0) {
    choices["image_px"] = config.image_px;
    choices["fit"] = config.fit;
  }
  if (set.text_is_labels) choices["text"] = "labels";
  Json about = {{"name", fmt::format("custom({})", source.substr(0, 12))},
                {"entry", "custom"},
                {"version", kVersion},
                {"family", set.family.name},
                {"choices", choices},
                {"source", source}};
  Json warnings = set.warnings;
  for (const std::string& warning : scan.warnings) warnings.push_back(warning);
  if (set.text_is_labels) warnings.push_back("the text of every item is its labels");
  about["warnings"] = warnings;
  if (!set.vocabulary.empty()) about["text_names"] = set.vocabulary;
  return about;
}

detail::PreparedLayout layout_of(const CustomConfig& config, const detail::CustomSet& set,
                                 const detail::CustomScan& scan) {
  const bool from_files = set.holds_pictures && set.height == 0;
  return {.n_items = static_cast<std::int64_t>(scan.rows.size()),
          .height = from_files ? config.image_px : set.height,
          .width = from_files ? config.image_px : set.width,
          .feature_dim = set.holds_pictures ? 0 : set.feature_dim,
          .text_dim = set.text_dim,
          .text_type = scan.text_is_binary ? io::DType::kU8 : io::DType::kF32,
          .n_labels = set.n_labels};
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const CustomConfig options, config_from(config));
  detail::CustomLook look = look_of(options);
  look.scratch = folder;
  look.progress = progress;
  GAUNTLET_TRY(const detail::CustomSet set, detail::open_custom(options.source, look));
  if (options.standardize && set.holds_pictures)
    return fail(ErrorCode::kInvalid, "custom: standardize is for features; the source holds pictures");
  GAUNTLET_TRY(const detail::CustomScan scan, detail::scan_rows(set, options.standardize, progress));
  GAUNTLET_CHECK_OK(check_expected(options.expect, set, static_cast<std::int64_t>(scan.rows.size())));
  GAUNTLET_TRY(const std::string source, identity_of(set));
  const SplitChoice split = choose_split(options, set, scan);
  GAUNTLET_CHECK_OK(check_split(options, set, scan, split));
  const detail::FillOptions fill = {
      .shape = {.height = options.image_px,
                .width = options.image_px,
                .fit = options.fit == "crop" ? io::Fit::kCrop : io::Fit::kStretch},
      .standardize = options.standardize};
  const detail::PreparedPlan plan = {
      .layout = layout_of(options, set, scan),
      .about = about_of(options, set, scan, split, source),
      .make_filler = [&] { return detail::custom_filler(set, scan, fill); },
      .make_split = [&](const detail::KeptRows& kept) { return make_split(kept, split, options, scan); },
      .complete_about = {},
      .image_steps = {},
      .strict = options.strict};
  return detail::write_prepared(folder, plan, n_threads, progress);
}

}  // namespace

extern const DatasetEntry custom_entry;
constinit const DatasetEntry custom_entry{
    .about = {.name = "custom",
              .version = kVersion,
              .summary =
                  "Files that people pass around (MAT, HDF5, .npy, .safetensors, lists), of any family",
              .reference = "docs/data.md lists the families",
              .fields = &describe_fields<CustomConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
