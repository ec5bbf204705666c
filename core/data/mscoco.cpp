// MS-COCO from its original files: 123,287 photos, 80 categories, captions as a bag of 2,000 words.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/data/dataset.hpp"
#include "core/data/detail/coco_files.hpp"
#include "core/data/detail/coco_words.hpp"
#include "core/data/detail/photo_set.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kName = "mscoco";
constexpr std::string_view kLayout =
    "the folder that holds annotations/ (instances_train2017.json, captions_train2017.json, the same of "
    "val2017), "
    "train2017/ and val2017/, or the same of 2014";

struct CocoConfig {
  detail::PhotoConfig photos{
      .n_query = 2000, .n_train = 10000, .query_per_label = 25, .train_per_label = 125};
  std::string keep = "all";
  std::string label_order = "id";
  std::int64_t n_words = 2000;

  static void fields(auto& self, auto& visit) {
    detail::PhotoConfig::fields(self.photos, visit, kLayout);
    visit("keep", self.keep,
          {.doc = "all: 123,287 items, 1,069 of them without a label; labelled: 122,218.",
           .choices = {"all", "labelled"}});
    visit("label_order", self.label_order,
          {.doc = "Columns of the labels by rising category id or by name.", .choices = {"id", "name"}});
    visit("n_words", self.n_words,
          {.doc = "Words of the vocabulary: those in the captions of most items.", .min = 1, .max = 65535});
  }
};

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const CocoConfig options, read_config<CocoConfig>(config, kName));
  GAUNTLET_CHECK_OK(detail::check_source(kName, options.photos.source, kLayout));
  GAUNTLET_TRY(const detail::CocoSources sources, detail::find_coco(options.photos.source, kName, kLayout));
  return detail::coco_identity(sources);
}

/// Everything but the pictures.
Result<detail::PhotoTable> table_of(const CocoConfig& options, detail::CocoItems& items) {
  detail::PhotoTable table;
  std::vector<bool> is_kept(items.pictures.size());
  for (std::size_t at = 0; at < is_kept.size(); ++at)
    is_kept[at] = options.keep == "all" || !items.labels[at].empty();
  auto bag = std::move(items.words).finish(static_cast<std::size_t>(options.n_words), is_kept);
  if (bag.vocabulary.empty()) return fail(ErrorCode::kInvalid, "{}: the captions hold no words", kName);
  table.text_names = std::move(bag.vocabulary);
  table.label_names = items.label_names;
  for (std::size_t at = 0; at < is_kept.size(); ++at) {
    if (is_kept[at]) table.add(std::move(items.pictures[at]), bag.of_item[at], items.labels[at]);
  }
  return table;
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const CocoConfig options, read_config<CocoConfig>(config, kName));
  GAUNTLET_CHECK_OK(detail::check_source(kName, options.photos.source, kLayout));
  GAUNTLET_TRY(const detail::CocoSources sources, detail::find_coco(options.photos.source, kName, kLayout));
  if (progress) progress(0.0, "reading captions and labels");
  GAUNTLET_TRY(const std::string identity, detail::coco_identity(sources));
  GAUNTLET_TRY(detail::CocoItems items, detail::read_coco(sources, options.label_order == "name"));
  const Json found = {
      {"items", items.pictures.size()}, {"instances", items.n_instances}, {"captions", items.n_captions}};
  GAUNTLET_TRY(detail::PhotoTable table, table_of(options, items));
  table.picture_root = sources.picture_root;
  Json choices = detail::choices_of(options.photos);
  choices["keep"] = options.keep;
  choices["label_order"] = options.label_order;
  choices["n_words"] = options.n_words;
  const Json about = {{"name", "MS-COCO"},
                      {"entry", kName},
                      {"version", kVersion},
                      {"choices", choices},
                      {"source", identity},
                      {"found", found},
                      {"partition", sources.year},
                      {"warnings", Json::array()},
                      {"licence", "Annotations: CC BY 4.0. Photos belong to their photographers on Flickr."}};
  return detail::write_photos(folder, table, options.photos, detail::PerClassRule::kScarceFirst, about,
                              n_threads, progress);
}

}  // namespace

extern const DatasetEntry mscoco_entry;
constinit const DatasetEntry mscoco_entry{
    .about =
        {.name = kName,
         .version = kVersion,
         .summary =
             "MS-COCO from its original files: photos, captions as 2,000 words, 80 labels; 123,287 pairs",
         .reference = "Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; cocodataset.org",
         .fields = &describe_fields<CocoConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
