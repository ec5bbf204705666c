// NUS-WIDE from its original distribution: 269,648 photos of Flickr, 1,000 tags, 81 concepts of which the
// most frequent 21 (or 10) are the labels.
#include <fmt/core.h>

#include <algorithm>

#include "core/data/dataset.hpp"
#include "core/data/detail/line_file.hpp"
#include "core/data/detail/nus_files.hpp"
#include "core/data/detail/photo_set.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kName = "nuswide";
constexpr std::string_view kLayout =
    "the folder that holds ImageList/, ConceptsList/, Groundtruth/, NUS_WID_Tags/ and Flickr/ (the pictures)";

struct NusConfig {
  detail::PhotoConfig photos{.split = "per_class",
                             .n_query = 2100,
                             .n_train = 10500,
                             .query_per_label = 100,
                             .train_per_label = 500};
  std::string concepts = "tc21";
  std::string keep = "labelled";

  static void fields(auto& self, auto& visit) {
    detail::PhotoConfig::fields(self.photos, visit, kLayout);
    visit("concepts", self.concepts,
          {.doc = "tc21, tc10: the concepts with most photos are the labels; all: every concept.",
           .choices = {"tc21", "tc10", "all"}});
    visit("keep", self.keep,
          {.doc = "labelled: items with a label (195,834 for tc21, 186,577 for tc10); tagged: also with one "
                  "of the "
                  "1,000 tags (190,421, 181,365); all: 269,648.",
           .choices = {"labelled", "tagged", "all"}});
  }
};

/// The files that are read whole to know the set.
std::vector<std::string> annotation_files(const std::filesystem::path& root,
                                          const std::vector<std::string>& concepts) {
  std::vector<std::string> files = {"ImageList/Imagelist.txt", "ConceptsList/Concepts81.txt",
                                    "NUS_WID_Tags/TagList1k.txt", "NUS_WID_Tags/AllTags1k.txt"};
  std::error_code ignored;
  const bool has_all = std::filesystem::is_directory(root / "Groundtruth" / "AllLabels", ignored);
  if (!has_all) files.insert(files.end(), {"ImageList/TrainImagelist.txt", "ImageList/TestImagelist.txt"});
  for (const std::string& each : concepts) {
    if (has_all) files.push_back(fmt::format("Groundtruth/AllLabels/Labels_{}.txt", each));
    if (has_all) continue;
    files.push_back(fmt::format("Groundtruth/TrainTestLabels/Labels_{}_Train.txt", each));
    files.push_back(fmt::format("Groundtruth/TrainTestLabels/Labels_{}_Test.txt", each));
  }
  return files;
}

/// The pictures' folder; its usual names.
Result<std::filesystem::path> picture_folder(const std::filesystem::path& root) {
  return detail::find_below(root, {"Flickr", "images", "ImageData"},
                            fmt::format("{}: {} has no Flickr/; give {}", kName, root.string(), kLayout));
}

Result<std::string> identity_of(const std::filesystem::path& root) {
  GAUNTLET_TRY(const auto list,
               detail::find_below(root, {"ConceptsList/Concepts81.txt"},
                                  fmt::format("{}: {} has no ConceptsList/Concepts81.txt; give {}", kName,
                                              root.string(), kLayout)));
  GAUNTLET_TRY(const auto concepts, detail::read_name_list(list, "ConceptsList/Concepts81.txt"));
  detail::SourceIdentity identity;
  for (const std::string& file : annotation_files(root, concepts))
    GAUNTLET_CHECK_OK(identity.add_file(root / file, file));
  GAUNTLET_TRY(const auto pictures, picture_folder(root));
  GAUNTLET_CHECK_OK(identity.add_pictures(pictures, "pictures"));
  return identity.content_id();
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const NusConfig options, read_config<NusConfig>(config, kName));
  GAUNTLET_CHECK_OK(detail::check_source(kName, options.photos.source, kLayout));
  return identity_of(options.photos.source);
}

/// Labels of each image, as indices into `chosen`.
std::vector<std::vector<std::uint16_t>> labels_by_image(const detail::NusLabels& labels,
                                                        const std::vector<std::size_t>& chosen,
                                                        std::size_t n_images) {
  std::vector<std::vector<std::uint16_t>> by_image(n_images);
  for (std::size_t label = 0; label < chosen.size(); ++label) {
    for (const std::uint32_t image : labels.columns[chosen[label]]) {
      by_image[image].push_back(static_cast<std::uint16_t>(label));
    }
  }
  return by_image;
}

/// Everything but the pictures.
struct Annotations {
  detail::PhotoTable table;
  Json found;
  Json warnings = Json::array();
};

Result<Annotations> read_annotations(const NusConfig& options, const std::filesystem::path& root) {
  Annotations all;
  GAUNTLET_TRY(const auto images,
               detail::read_nus_images(root / "ImageList" / "Imagelist.txt", "ImageList/Imagelist.txt"));
  GAUNTLET_TRY(const detail::NusLabels labels, detail::read_nus_labels(root, images));
  const std::size_t n_labels = options.concepts == "tc21"   ? 21
                               : options.concepts == "tc10" ? 10
                                                            : labels.concepts.size();
  const std::vector<std::size_t> chosen = detail::largest_concepts(labels, n_labels);
  const auto by_image = labels_by_image(labels, chosen, images.size());
  detail::Ones wanted;
  for (std::size_t image = 0; image < images.size(); ++image) {
    if (options.keep == "all" || !by_image[image].empty())
      wanted.push_back(static_cast<std::uint32_t>(image));
  }
  GAUNTLET_TRY(all.table.text_names,
               detail::read_name_list(root / "NUS_WID_Tags" / "TagList1k.txt", "NUS_WID_Tags/TagList1k.txt"));
  if (all.table.text_names.empty() || all.table.text_names.size() > 65535) {
    return fail(ErrorCode::kInvalid, "NUS_WID_Tags/TagList1k.txt has {} tags; 1 to 65535 are read",
                all.table.text_names.size());
  }
  GAUNTLET_TRY(
      const detail::NusTags tags,
      detail::read_nus_tags(root / "NUS_WID_Tags" / "AllTags1k.txt", "NUS_WID_Tags/AllTags1k.txt",
                            static_cast<std::int64_t>(images.size()), all.table.text_names.size(), wanted));
  for (const std::size_t at : chosen) all.table.label_names.push_back(labels.concepts[at]);
  for (std::size_t at = 0; at < wanted.size(); ++at) {
    if (options.keep == "tagged" && tags.rows[at].empty()) continue;
    all.table.add(images[wanted[at]], tags.rows[at], by_image[wanted[at]]);
  }
  all.found = {{"items", images.size()}, {"tag_ones", tags.n_ones}};
  for (const std::string& warning : labels.warnings) all.warnings.push_back(warning);
  return all;
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const NusConfig options, read_config<NusConfig>(config, kName));
  GAUNTLET_CHECK_OK(detail::check_source(kName, options.photos.source, kLayout));
  const std::filesystem::path root = options.photos.source;
  if (progress) progress(0.0, "reading tags and labels");
  GAUNTLET_TRY(const std::string identity, identity_of(root));
  GAUNTLET_TRY(Annotations all, read_annotations(options, root));
  GAUNTLET_TRY(all.table.picture_root, picture_folder(root));
  Json choices = detail::choices_of(options.photos);
  choices["concepts"] = options.concepts;
  choices["keep"] = options.keep;
  const Json about = {
      {"name", options.concepts == "tc21" ? "NUS-WIDE" : "NUS-WIDE-" + options.concepts},
      {"entry", kName},
      {"version", kVersion},
      {"choices", choices},
      {"source", identity},
      {"found", all.found},
      {"warnings", all.warnings},
      {"licence", "Photos belong to their photographers on Flickr; annotations for research use."}};
  return detail::write_photos(folder, all.table, options.photos, detail::PerClassRule::kScarceFirst, about,
                              n_threads, progress);
}

}  // namespace

extern const DatasetEntry nuswide_entry;
constinit const DatasetEntry nuswide_entry{
    .about = {.name = kName,
              .version = kVersion,
              .summary = "NUS-WIDE from its original files: photos, 1,000 tags, 21 labels; 195,834 pairs",
              .reference = "Chua et al., NUS-WIDE: A Real-World Web Image Database, CIVR 2009",
              .fields = &describe_fields<NusConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
