// Published numbers of the photo collections and of the files that people pass around: a table for
// known_sets.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/data/detail/array_roles.hpp"

namespace gauntlet::data::detail {

/// A number and how far from it another may lie.
struct Known {
  double value;
  double tolerance;
};

/// What is known of one collection kept in one way; what is not known is not set.
struct Published {
  std::string_view entry;
  /// Of "concepts" and "keep", joined by a blank; of `custom` how the family of its files begins.
  std::string_view choice;
  std::int64_t n_items;
  std::int64_t n_labels;
  std::int64_t text_dim;
  std::optional<std::int64_t> n_label_ones = std::nullopt;
  std::optional<std::int64_t> n_unlabelled = std::nullopt;
  std::optional<std::int64_t> n_empty_text = std::nullopt;
  std::optional<std::int64_t> n_source_items = std::nullopt;
  std::optional<std::int64_t> n_tag_ones = std::nullopt;  ///< of the kept items or of all that were found
  std::optional<Known> labels_per_item = std::nullopt;
  std::optional<Known> chance = std::nullopt;        ///< of a random split
  std::optional<Known> chance_least = std::nullopt;  ///< of a query
  std::optional<Known> chance_largest = std::nullopt;
  std::optional<Known> n_distinct_labels = std::nullopt;  ///< label vectors of the retrieval set
  std::optional<Known> n_unlabelled_queries = std::nullopt;
  std::optional<std::int64_t> n_query = std::nullopt;  ///< where the order of the rows is the split
  std::optional<std::int64_t> n_train = std::nullopt;
  std::optional<Known> mean_image[3] = {};  ///< mean, least, largest, at 224 px, stretched
};

// The mean pictures are of public files whose decoder and scaling differ a little: one grey level.
inline constexpr Published kPublished[] = {
    {.entry = "flickr25k",
     .choice = "tagged",
     .n_items = 20015,
     .n_labels = 24,
     .text_dim = 1386,
     .n_unlabelled = 0,
     .n_empty_text = 0,
     .n_source_items = 25000,
     .n_tag_ones = 94281,
     .mean_image = {Known{104.0, 1}, Known{70.2, 1}, Known{130.1, 1}}},
    {.entry = "flickr25k",
     .choice = "labelled",
     .n_items = 24581,
     .n_labels = 24,
     .text_dim = 1386,
     .n_label_ones = 92902,
     .n_unlabelled = 0,
     .n_source_items = 25000,
     .labels_per_item = Known{3.78, 0.005},
     .chance = Known{0.556, 0.02},
     .chance_least = Known{0.040, 0.03},
     .chance_largest = Known{0.968, 0.02},
     .n_distinct_labels = Known{2744, 60},
     .mean_image = {Known{104.0, 1}, Known{70.2, 1}, Known{130.1, 1}}},
    {.entry = "flickr25k",
     .choice = "all",
     .n_items = 25000,
     .n_labels = 24,
     .text_dim = 1386,
     .n_label_ones = 92902,
     .n_unlabelled = 419,
     .n_source_items = 25000,
     .chance = Known{0.539, 0.02},
     .n_unlabelled_queries = Known{36, 20},
     .mean_image = {Known{104.0, 1}, Known{70.2, 1}, Known{130.1, 1}}},
    {.entry = "mscoco",
     .choice = "all",
     .n_items = 123287,
     .n_labels = 80,
     .text_dim = 2000,
     .n_unlabelled = 1069,
     .mean_image = {Known{112.5, 1}, Known{87.9, 1}, Known{131.4, 1}}},
    {.entry = "mscoco",
     .choice = "labelled",
     .n_items = 122218,
     .n_labels = 80,
     .text_dim = 2000,
     .n_unlabelled = 0,
     .labels_per_item = Known{2.94, 0.05},
     .chance = Known{0.355, 0.02},
     .mean_image = {Known{112.5, 1}, Known{87.9, 1}, Known{131.4, 1}}},
    {.entry = "nuswide",
     .choice = "tc21 labelled",
     .n_items = 195834,
     .n_labels = 21,
     .text_dim = 1000,
     .n_label_ones = 411438,
     .n_unlabelled = 0,
     .n_empty_text = 5413,
     .n_source_items = 269648,
     .n_tag_ones = 1559464,
     .mean_image = {Known{106.6, 1}, Known{76.4, 1}, Known{130.4, 1}}},
    {.entry = "nuswide",
     .choice = "tc21 tagged",
     .n_items = 190421,
     .n_labels = 21,
     .text_dim = 1000,
     .n_unlabelled = 0,
     .n_empty_text = 0,
     .n_source_items = 269648,
     .n_tag_ones = 1559464},
    {.entry = "nuswide",
     .choice = "tc10 labelled",
     .n_items = 186577,
     .n_labels = 10,
     .text_dim = 1000,
     .n_label_ones = 332189,
     .n_unlabelled = 0,
     .n_empty_text = 186577 - 181365,
     .n_source_items = 269648,
     .n_tag_ones = 1559464},
    {.entry = "nuswide",
     .choice = "tc10 tagged",
     .n_items = 181365,
     .n_labels = 10,
     .text_dim = 1000,
     .n_unlabelled = 0,
     .n_empty_text = 0,
     .n_source_items = 269648,
     .n_tag_ones = 1559464},
    // The files that EQB2A, TA-DCH and their line share, whose row order is the split.
    {.entry = "custom",
     .choice = kNFastest,
     .n_items = 20015,
     .n_labels = 24,
     .text_dim = 1386,
     .n_unlabelled = 0,
     .n_empty_text = 0,
     .n_query = 2000,
     .n_train = 5000,
     .mean_image = {Known{104.0, 1}, Known{70.2, 1}, Known{130.1, 1}}},
    {.entry = "custom",
     .choice = kNFastest,
     .n_items = 123287,
     .n_labels = 80,
     .text_dim = 1024,
     .n_unlabelled = 1069,
     .n_query = 2000,
     .n_train = 10000,
     .mean_image = {Known{112.5, 1}, Known{87.9, 1}, Known{131.4, 1}}},
    {.entry = "custom",
     .choice = kNFastest,
     .n_items = 195834,
     .n_labels = 21,
     .text_dim = 1000,
     .n_label_ones = 411438,
     .n_unlabelled = 0,
     .n_empty_text = 5413,
     .n_query = 2100,
     .n_train = 10500,
     .mean_image = {Known{106.6, 1}, Known{76.4, 1}, Known{130.4, 1}}},
    // DADH and CPAH.
    {.entry = "custom",
     .choice = kFeatures,
     .n_items = 20015,
     .n_labels = 24,
     .text_dim = 1386,
     .n_unlabelled = 0,
     .n_empty_text = 0,
     .n_query = 2000,
     .n_train = 10000},
    {.entry = "custom",
     .choice = kFeatures,
     .n_items = 195834,
     .n_labels = 21,
     .text_dim = 1000,
     .n_label_ones = 411438,
     .n_unlabelled = 0,
     .n_empty_text = 5413,
     .n_query = 2100,
     .n_train = 10500},
    // DCMH and SSAH, which draw their splits.
    {.entry = "custom",
     .choice = kDcmh,
     .n_items = 20015,
     .n_labels = 24,
     .text_dim = 1386,
     .n_unlabelled = 0,
     .n_empty_text = 0},
    {.entry = "custom",
     .choice = kDcmh,
     .n_items = 195834,
     .n_labels = 21,
     .text_dim = 1000,
     .n_label_ones = 411438,
     .n_unlabelled = 0,
     .n_empty_text = 5413},
};

}  // namespace gauntlet::data::detail
