// MIRFLICKR-25K from its two archives: 25,000 photos with tags, 24 labels.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/data/dataset.hpp"
#include "core/data/detail/flickr_files.hpp"
#include "core/data/detail/photo_set.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kName = "flickr25k";
constexpr std::string_view kLayout =
    "the folder that holds mirflickr/ (im1.jpg ..., doc/common_tags.txt, meta/tags/tags1.txt ...) and "
    "mirflickr25k_annotations_v080/ (animals.txt ...)";

struct FlickrConfig {
  detail::PhotoConfig photos{
      .n_query = 2000, .n_train = 5000, .query_per_label = 160, .train_per_label = 400};
  std::string keep = "tagged";
  bool relevant_labels = false;

  static void fields(auto& self, auto& visit) {
    detail::PhotoConfig::fields(self.photos, visit, kLayout);
    visit("keep", self.keep,
          {.doc =
               "tagged: items with a tag and a label (20,015); labelled: with a label (24,581); all: 25,000.",
           .choices = {"tagged", "labelled", "all"}});
    visit("relevant_labels", self.relevant_labels,
          {.doc = "Also the 14 lists <class>_r1.txt as labels of their own (38 in all); the field's 24 "
                  "otherwise."});
  }
};

struct Sources {
  std::filesystem::path pictures;
  std::filesystem::path annotations;
};

Result<Sources> find_sources(const FlickrConfig& config) {
  const std::string& source = config.photos.source;
  GAUNTLET_CHECK_OK(detail::check_source(kName, source, kLayout));
  const auto missing = [&](std::string_view what) {
    return fmt::format("{}: {} has no {}; give {}", kName, source, what, kLayout);
  };
  Sources found;
  GAUNTLET_TRY(const auto tags,
               detail::find_below(source,
                                  {"mirflickr/doc/common_tags.txt", "mirflickr25k/doc/common_tags.txt",
                                   "doc/common_tags.txt"},
                                  missing("mirflickr/doc/common_tags.txt")));
  found.pictures = tags.parent_path().parent_path();
  GAUNTLET_TRY(const auto animals, detail::find_below(source,
                                                      {"mirflickr25k_annotations_v080/animals.txt",
                                                       "mirflickr/mirflickr25k_annotations_v080/animals.txt",
                                                       "annotations/animals.txt", "animals.txt"},
                                                      missing("mirflickr25k_annotations_v080/animals.txt")));
  found.annotations = animals.parent_path();
  return found;
}

Result<std::string> identity_of(const Sources& sources) {
  detail::SourceIdentity identity;
  GAUNTLET_CHECK_OK(identity.add_file(sources.pictures / "doc" / "common_tags.txt", "doc/common_tags.txt"));
  GAUNTLET_CHECK_OK(identity.add_small_files(sources.pictures / "meta" / "tags", "meta/tags"));
  GAUNTLET_CHECK_OK(identity.add_small_files(sources.annotations, "annotations"));
  GAUNTLET_CHECK_OK(identity.add_pictures(sources.pictures, "pictures"));
  return identity.content_id();
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const FlickrConfig options, read_config<FlickrConfig>(config, kName));
  GAUNTLET_TRY(const Sources sources, find_sources(options));
  return identity_of(sources);
}

bool is_kept(const FlickrConfig& config, std::span<const std::uint16_t> words,
             std::span<const std::uint16_t> labels) {
  if (config.keep == "all") return true;
  return !labels.empty() && (config.keep == "labelled" || !words.empty());
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const FlickrConfig options, read_config<FlickrConfig>(config, kName));
  GAUNTLET_TRY(const Sources sources, find_sources(options));
  if (progress) progress(0.0, "reading tags and labels");
  GAUNTLET_TRY(const std::string identity, identity_of(sources));
  GAUNTLET_TRY(const detail::FlickrTags tags, detail::read_flickr_tags(sources.pictures));
  GAUNTLET_TRY(const detail::FlickrLabels labels,
               detail::read_flickr_labels(sources.annotations, tags.n_items(), options.relevant_labels));
  detail::PhotoTable table;
  table.picture_root = sources.pictures;
  table.text_names = tags.names;
  table.label_names = labels.names;
  std::int64_t n_tags = 0;
  for (std::int64_t item = 0; item < tags.n_items(); ++item) {
    const auto& words = tags.of_item[static_cast<std::size_t>(item)];
    const auto& own = labels.of_item[static_cast<std::size_t>(item)];
    n_tags += static_cast<std::int64_t>(words.size());
    if (is_kept(options, words, own)) table.add(fmt::format("im{}.jpg", item + 1), words, own);
  }
  Json choices = detail::choices_of(options.photos);
  choices["keep"] = options.keep;
  choices["relevant_labels"] = options.relevant_labels;
  const Json about = {{"name", "FLICKR-25K"},
                      {"entry", kName},
                      {"version", kVersion},
                      {"choices", choices},
                      {"source", identity},
                      {"found", {{"items", tags.n_items()}, {"tag_ones", n_tags}}},
                      {"warnings", Json::array()},
                      {"licence", "Creative Commons licences chosen by each photographer (meta/license)."}};
  return detail::write_photos(folder, table, options.photos, detail::PerClassRule::kHalf, about, n_threads,
                              progress);
}

}  // namespace

extern const DatasetEntry flickr25k_entry;
constinit const DatasetEntry flickr25k_entry{
    .about = {.name = kName,
              .version = kVersion,
              .summary = "MIRFLICKR-25K from its archives: photos, 1,386 tags, 24 labels; 20,015 pairs",
              .reference =
                  "Huiskes and Lew, The MIR Flickr Retrieval Evaluation, 2008; press.liacs.nl/mirflickr",
              .fields = &describe_fields<FlickrConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
