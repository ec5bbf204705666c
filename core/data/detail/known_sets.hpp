// Published numbers of the photo collections, and the comparison of a prepared folder with them.
#pragma once

#include <functional>
#include <string>

#include "core/base/json.hpp"
#include "core/data/prepared_set.hpp"

namespace gauntlet::data::detail {

/// Told every comparison: its name, whether it holds, and the value, or the value and what was expected.
using CheckSink = std::function<void(const std::string& name, bool ok, const std::string& detail)>;

/// Compares a set made by flickr25k, mscoco or nuswide with what is known of the collection under the choices
/// its dataset.json records: items, label counts and names, text dimensions and ones, empty texts, labels per
/// item, chance, the mean picture. A set of `custom` is compared when it has as many items as one of the
/// files that people pass around, with what is known of that file, its split included. Other sets are passed
/// over. Reads every picture once.
void compare_with_published(const PreparedSet& set, const CheckSink& check);

/// Mean over all pictures, per byte of a picture: its mean, least and largest value.
struct MeanImage {
  double mean = 0;
  double least = 0;
  double largest = 0;
};
[[nodiscard]] MeanImage mean_image(const PreparedSet& set);

}  // namespace gauntlet::data::detail
