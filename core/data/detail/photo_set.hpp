// What the photo collections share: options, the sparse table of their items, the identity of their files,
// and the way from there to a prepared folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/dataset.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/data/detail/splits.hpp"

namespace gauntlet::data::detail {

/// Options of every photo collection. A collection's own config holds one and visits it.
struct PhotoConfig {
  std::string source = {};
  std::int64_t image_px = 224;
  std::string fit = "stretch";
  std::string split = "random";
  std::int64_t seed = 1;
  std::int64_t n_query = 0;
  std::int64_t n_train = 0;
  std::int64_t query_per_label = 0;
  std::int64_t train_per_label = 0;
  std::string queries_at = "head";
  bool strict = false;

  static void fields(auto& self, auto& visit, std::string_view layout) {
    visit("source", self.source, {.doc = layout, .location = true});
    visit("image_px", self.image_px, {.doc = "Side of a picture, pixels.", .min = 8, .max = 1024});
    visit("fit", self.fit,
          {.doc =
               "stretch: both sides scaled, the aspect is lost (CNN-F); crop: the shorter side to 8/7 of the "
               "wanted one, then the centre (256 and 224 for AlexNet and ResNet).",
           .choices = {"stretch", "crop"}});
    visit("split", self.split,
          {.doc = "random: queries, then train, of a shuffled list; per_class and slots: so many per label; "
                  "row_order: the order of the files.",
           .choices = {"random", "per_class", "slots", "row_order"}});
    visit("seed", self.seed, {.doc = "Draws the split.", .min = 0});
    visit("n_query", self.n_query, {.doc = "Queries, for random and row_order.", .min = 1, .max = 1e8});
    visit("n_train", self.n_train,
          {.doc = "Training items, for random and row_order.", .min = 0, .max = 1e8});
    visit("query_per_label", self.query_per_label,
          {.doc = "Queries of each label, for per_class and slots.", .min = 1, .max = 1e6});
    visit("train_per_label", self.train_per_label,
          {.doc = "Training items of each label, for per_class and slots.", .min = 0, .max = 1e6});
    visit("queries_at", self.queries_at,
          {.doc =
               "head: the first rows are queries, the next train; tail: the last rows are queries, the first "
               "train. For row_order.",
           .choices = {"head", "tail"}});
    visit("strict", self.strict,
          {.doc = "A picture that cannot be read is an error; else it is left out, listed and counted."});
  }
};

/// Items with sparse texts and labels, before their pictures are read. Row i of everything is item i.
struct PhotoTable {
  std::vector<std::string> pictures;  ///< paths below `picture_root`, with '/'
  std::filesystem::path picture_root;
  std::vector<std::string> text_names;    ///< D
  std::vector<std::string> label_names;   ///< C
  std::vector<std::uint64_t> word_ends;   ///< per item, end of its words
  std::vector<std::uint16_t> words;       ///< text dimensions that are 1, per item
  std::vector<std::uint64_t> label_ends;  ///< likewise
  std::vector<std::uint16_t> labels;

  /// Appends an item.
  void add(std::string picture, std::span<const std::uint16_t> item_words,
           std::span<const std::uint16_t> item_labels);
  [[nodiscard]] std::int64_t n_items() const { return static_cast<std::int64_t>(pictures.size()); }
  [[nodiscard]] std::span<const std::uint16_t> words_of(std::int64_t item) const;
  [[nodiscard]] std::span<const std::uint16_t> labels_of(std::int64_t item) const;
};

/// Where the sources of a photo collection are; one of them for each part.
class SourceIdentity {
 public:
  /// A file whose every byte counts (annotations): its SHA-256, remembered by path, size and time.
  [[nodiscard]] Status add_file(const std::filesystem::path& path, const std::string& name);
  /// Every file of a folder of small text files, read in full, in order of name.
  [[nodiscard]] Status add_small_files(const std::filesystem::path& folder, const std::string& name);
  /// Pictures count by name and size: reading 30 GB to plan a sweep is no option, and a picture that is
  /// replaced by another of exactly its size is not what happens to archives. Folders below are looked into;
  /// links to folders are not followed.
  [[nodiscard]] Status add_pictures(const std::filesystem::path& folder, const std::string& name);
  /// SHA-256 over all that was added.
  [[nodiscard]] std::string content_id() const;

 private:
  std::string lines_;
};

/// The first of the candidates below `source` that exists; errors (kNotFound): `missing`, one sentence.
[[nodiscard]] Result<std::filesystem::path> find_below(const std::filesystem::path& source,
                                                       const std::vector<std::string>& candidates,
                                                       const std::string& missing);

/// Errors (kInvalid, kNotFound): 'source' is missing or no folder; `layout` says what is expected.
[[nodiscard]] Status check_source(std::string_view owner, const std::string& source, std::string_view layout);

/// How `split: per_class` is drawn.
enum class PerClassRule : std::uint8_t { kScarceFirst, kHalf };

/// Choices that every collection records.
[[nodiscard]] Json choices_of(const PhotoConfig& config);

/// Decodes the pictures and writes the folder. `about` has everything but "label_names", "text_names". Errors
/// (kInvalid): a split that even all items would not allow, before anything is written; those of
/// write_prepared.
[[nodiscard]] Status write_photos(const std::filesystem::path& folder, const PhotoTable& table,
                                  const PhotoConfig& config, PerClassRule rule, Json about, int n_threads,
                                  const ProgressFn& progress);

}  // namespace gauntlet::data::detail
