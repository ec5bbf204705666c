// An array of a container, item by item, wherever the items' axis is.
//
// When the items are on the slowest axis, blocks of them are read as they are. When they are on the fastest
// one (n-fastest files: one picture is 150,528 scattered bytes), opening reads the array once, in boxes that
// respect its chunks, transposes them in tiles and keeps them in a file without a name whose blocks hold
// whole items. Memory: one box (64 MiB) while opening, two blocks (16 MiB each) after.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/io/container.hpp"

namespace gauntlet::data::detail {

struct ItemAxes {
  std::size_t items = 0;           ///< the array's axis that counts items: the first or the last
  std::vector<std::size_t> order;  ///< the other axes, in the order items are wanted in
  bool reverse_last = false;       ///< the last wanted axis backwards (BGR as RGB)
};

struct ItemArrayOptions {
  std::filesystem::path scratch;         ///< folder of the transposed copy
  std::int64_t first = 0;                ///< only items from here on …
  std::int64_t n_most = -1;              ///< … and only so many; -1: all
  std::function<void(double)> progress;  ///< told the share of the transposition; may be empty
};

/// Move-only. Thread safety: `read` from any thread, as long as nobody else uses the container.
class ItemArray {
 public:
  /// Errors: kInvalid (axes that do not fit), kNoSpace, and those of reading.
  [[nodiscard]] static Result<ItemArray> open(io::Container& container, const io::ArrayInfo& array,
                                              const ItemAxes& axes, const ItemArrayOptions& options);
  ItemArray(ItemArray&&) noexcept;
  ItemArray& operator=(ItemArray&&) noexcept;
  ~ItemArray();

  [[nodiscard]] std::int64_t n_items() const;
  /// Sides of an item, as wanted.
  [[nodiscard]] const std::vector<std::int64_t>& item_shape() const;
  [[nodiscard]] std::int64_t item_size() const;

  /// Swaps the first two sides of every item: pictures that lay on their sides stand up.
  void swap_sides();

  [[nodiscard]] Status read(std::int64_t item, std::span<float> out) const;
  /// Errors also (kInvalid): a value that is no whole number from 0 to 255, with the item.
  [[nodiscard]] Status read(std::int64_t item, std::span<std::uint8_t> out) const;

 private:
  struct State;
  explicit ItemArray(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gauntlet::data::detail
