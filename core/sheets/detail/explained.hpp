// An explain job's artifact, read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/artifacts/artifact_store.hpp"
#include "core/data/prepared_set.hpp"
#include "core/io/npy.hpp"
#include "core/sheets/detail/page.hpp"

namespace gauntlet::sheets::detail {

/// [n, …] floats in a mapped file.
struct Values {
  io::NpyArray file;
  std::span<const float> values;
  std::int64_t n_per_query = 0;

  [[nodiscard]] std::span<const float> of(std::size_t query) const {
    const auto n = static_cast<std::size_t>(n_per_query);
    return values.subspan(query * n, n);
  }
};

struct Explained {
  std::string defense;
  std::vector<std::int64_t> rows;        ///< of the data set
  std::vector<std::string> maps;         ///< "arf", "avf"
  std::map<std::string, Values> arrays;  ///< by file name without ending: clean, adversarial, arf, …
  std::int64_t height = 0, width = 0;    ///< of pictures; 0 of texts
  Json about;

  [[nodiscard]] const Values* find(const std::string& name) const {
    const auto found = arrays.find(name);
    return found == arrays.end() ? nullptr : &found->second;
  }
  /// Nothing where it was not measured or is not a number.
  [[nodiscard]] std::optional<double> number(const std::string& name, std::size_t query) const;
  [[nodiscard]] std::optional<double> mean(const std::string& name) const;
  /// The map shows magnitudes, since nothing was above 0.
  [[nodiscard]] bool is_absolute(const std::string& map, std::size_t query) const;
};

/// "row 17: animal, food"
[[nodiscard]] std::string heading_of(const data::PreparedSet& set, std::int64_t row);
/// "7 of 32 bits flipped"
[[nodiscard]] std::string flips_text(const Explained& explained, const std::string& number,
                                     std::size_t query);

/// "ARF"
[[nodiscard]] std::string upper(std::string_view name);

[[nodiscard]] draw::Sheet pictures_sheet(const Explained& explained, const data::PreparedSet& set,
                                         std::string title, const draw::Lettering& lettering);
[[nodiscard]] draw::Sheet words_sheet(const Explained& explained, const data::PreparedSet& set,
                                      std::string title, const draw::Lettering& lettering);

/// What the maps are, their means, and what can be said of them, under all queries.
void write_footer(const Explained& explained, Page& page);

}  // namespace gauntlet::sheets::detail
