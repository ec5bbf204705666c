#include "core/data/detail/item_array.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "core/data/detail/box_plan.hpp"
#include "core/data/detail/owned_file.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::int64_t kBoxBytes = std::int64_t{64} << 20;
constexpr std::int64_t kBlockBytes = std::int64_t{16} << 20;
constexpr std::size_t kTile = 64;

/// Whole items, elements in the order of `State::place`.
struct Block {
  std::int64_t first = 0;
  std::int64_t n_items = 0;
  std::vector<std::byte> bytes;
};

/// out[column][row] = in[row][column], in tiles that stay in the cache. `step`: from one row of `in` to the
/// next.
template <class T>
void transpose(const T* in, std::size_t step, std::size_t n_rows, std::size_t n_columns, T* out) {
  for (std::size_t row0 = 0; row0 < n_rows; row0 += kTile) {
    const std::size_t row1 = std::min(n_rows, row0 + kTile);
    for (std::size_t column0 = 0; column0 < n_columns; column0 += kTile) {
      const std::size_t column1 = std::min(n_columns, column0 + kTile);
      for (std::size_t column = column0; column < column1; ++column) {
        for (std::size_t row = row0; row < row1; ++row) out[column * n_rows + row] = in[row * step + column];
      }
    }
  }
}

std::vector<std::int64_t> strides_of(const std::vector<std::int64_t>& sides) {
  std::vector<std::int64_t> strides(sides.size(), 1);
  for (std::size_t axis = sides.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * sides[axis];
  return strides;
}

}  // namespace

struct ItemArray::State {
  io::Container& container;
  const io::ArrayInfo& array;
  ItemAxes axes;
  ItemArrayOptions options;
  std::int64_t n_items = 0;
  std::vector<std::int64_t> shape;
  std::int64_t item_size = 1;
  bool is_bytes = false;
  bool items_last = false;
  std::int64_t items_per_block = 1;
  std::vector<std::int64_t> sides;     ///< items_last: of the boxes
  std::vector<std::uint32_t> place;    ///< wanted position of the k-th element as it is kept
  std::vector<std::int64_t> box_size;  ///< items_last: elements of an item in each box, in order
  OwnedFile copy;                      ///< items_last: the transposed array
  std::mutex mutex;
  std::shared_ptr<const Block> recent[2];

  State(io::Container& from, const io::ArrayInfo& info) : container(from), array(info) {}

  [[nodiscard]] std::int64_t element_bytes() const { return is_bytes ? 1 : 4; }

  Status check_axes() const {
    std::vector<std::size_t> all = axes.order;
    all.push_back(axes.items);
    std::ranges::sort(all);
    bool fits = all.size() == array.dims.size() && (axes.items == 0 || axes.items + 1 == array.dims.size());
    for (std::size_t axis = 0; fits && axis < all.size(); ++axis) fits = all[axis] == axis;
    if (fits) return {};
    return fail(ErrorCode::kInvalid, "{}: {} of {} needs one axis of items, its first or its last",
                container.path().string(), array.name, io::shape_text(array.dims));
  }

  /// Strides, in a wanted item, of the array's own axes (0 for the items').
  [[nodiscard]] std::vector<std::int64_t> wanted_strides() const {
    const std::vector<std::int64_t> strides = strides_of(shape);
    std::vector<std::int64_t> of_axis(array.dims.size(), 0);
    for (std::size_t at = 0; at < axes.order.size(); ++at) of_axis[axes.order[at]] = strides[at];
    return of_axis;
  }

  /// Appends the places of a box's elements, in its own order.
  void add_places(const io::Slab& box) {
    const std::vector<std::int64_t> strides = wanted_strides();
    std::vector<std::int64_t> at = box.start;
    const std::size_t reversed = axes.order.empty() ? at.size() : axes.order.back();
    while (true) {
      std::int64_t wanted = 0;
      for (std::size_t axis = 0; axis < at.size(); ++axis) {
        if (axis == axes.items) continue;
        const bool backwards = axes.reverse_last && axis == reversed;
        wanted += (backwards ? array.dims[axis] - 1 - at[axis] : at[axis]) * strides[axis];
      }
      place.push_back(static_cast<std::uint32_t>(wanted));
      std::size_t axis = at.size();
      while (axis > 0) {
        if (axis - 1 == axes.items || ++at[axis - 1] == box.start[axis - 1] + box.count[axis - 1]) {
          at[axis - 1] = box.start[axis - 1];
          --axis;
        } else {
          break;
        }
      }
      if (axis == 0) return;
    }
  }

  /// Fills `place` and `box_size`.
  void find_places() {
    place.clear();
    box_size.clear();
    if (!items_last) return add_places({std::vector<std::int64_t>(array.dims.size(), 0), array.dims});
    for_each_box(array, sides, [&](const io::Slab& slab) {
      const std::size_t n_before = place.size();
      add_places(slab);
      box_size.push_back(static_cast<std::int64_t>(place.size() - n_before));
    });
  }

  template <class T>
  Status transpose_boxes() {
    const std::size_t last = array.dims.size() - 1;
    const std::int64_t n_total = item_size * n_items;
    std::vector<T> box;
    std::vector<T> piece;
    std::int64_t n_before = 0;  // elements of an item in the boxes before
    Status done;
    for_each_box(array, sides, [&](io::Slab slab) {
      if (!done) return;
      std::int64_t n_here = 1;
      for (std::size_t axis = 0; axis < last; ++axis) n_here *= slab.count[axis];
      for (std::int64_t item = 0; done && item < n_items; item += sides[last]) {
        slab.start[last] = options.first + item;
        slab.count[last] = std::min(sides[last], n_items - item);
        box.resize(static_cast<std::size_t>(n_here * slab.count[last]));
        done = container.read(array, slab, std::span<T>(box));
        if (done) done = write_pieces<T>(box, piece, item, slab.count[last], n_before, n_here);
        if (done && options.progress)
          options.progress(static_cast<double>(n_before * n_items + n_here * (item + slab.count[last])) /
                           static_cast<double>(n_total));
      }
      n_before += n_here;
    });
    return done;
  }

  /// `box`: [n_here][n items from `first` on]; in each block of the copy a box has its elements of all items
  /// behind those of the boxes before it.
  template <class T>
  Status write_pieces(const std::vector<T>& box, std::vector<T>& piece, std::int64_t first, std::int64_t n,
                      std::int64_t n_before, std::int64_t n_here) {
    for (std::int64_t item = first; item < first + n;) {
      const std::int64_t block_first = item / items_per_block * items_per_block;
      const std::int64_t n_in_block = std::min(items_per_block, n_items - block_first);
      const std::int64_t end = std::min(first + n, block_first + n_in_block);
      piece.resize(static_cast<std::size_t>((end - item) * n_here));
      transpose(box.data() + (item - first), static_cast<std::size_t>(n), static_cast<std::size_t>(n_here),
                static_cast<std::size_t>(end - item), piece.data());
      const std::int64_t at = block_first * item_size + n_in_block * n_before + (item - block_first) * n_here;
      GAUNTLET_CHECK_OK(copy.write_at(at * element_bytes(), std::as_bytes(std::span<const T>(piece))));
      item = end;
    }
    return {};
  }

  Result<std::shared_ptr<const Block>> block_of(std::int64_t item) {
    const std::lock_guard lock(mutex);
    for (const auto& block : recent) {
      if (block && item >= block->first && item < block->first + block->n_items) return block;
    }
    auto block = std::make_shared<Block>();
    block->first = item / items_per_block * items_per_block;
    block->n_items = std::min(items_per_block, n_items - block->first);
    block->bytes.resize(static_cast<std::size_t>(block->n_items * item_size * element_bytes()));
    if (items_last) {
      GAUNTLET_CHECK_OK(copy.read_at(block->first * item_size * element_bytes(), block->bytes));
    } else {
      GAUNTLET_CHECK_OK(read_rows(*block));
    }
    recent[1] = std::exchange(recent[0], block);
    return block;
  }

  Status read_rows(Block& block) {
    io::Slab slab{std::vector<std::int64_t>(array.dims.size(), 0), array.dims};
    slab.start[0] = options.first + block.first;
    slab.count[0] = block.n_items;
    const auto n = static_cast<std::size_t>(block.n_items * item_size);
    if (is_bytes)
      return container.read(array, slab, std::span(reinterpret_cast<std::uint8_t*>(block.bytes.data()), n));
    return container.read(array, slab, std::span(reinterpret_cast<float*>(block.bytes.data()), n));
  }

  /// Calls `take(wanted position, value)` for every element of an item.
  template <class T>
  void scatter(const Block& block, std::int64_t item, const auto& take) const {
    const auto* values = reinterpret_cast<const T*>(block.bytes.data());
    const std::int64_t at = item - block.first;
    if (!items_last) {
      const T* row = values + at * item_size;
      for (std::size_t k = 0; k < place.size(); ++k) take(place[k], row[k]);
      return;
    }
    std::size_t k = 0;
    for (const std::int64_t n_here : box_size) {
      const T* piece = values + static_cast<std::int64_t>(k) * block.n_items + at * n_here;
      for (std::int64_t element = 0; element < n_here; ++element) take(place[k++], piece[element]);
    }
  }
};

ItemArray::ItemArray(std::unique_ptr<State> state) : state_(std::move(state)) {}
ItemArray::ItemArray(ItemArray&&) noexcept = default;
ItemArray& ItemArray::operator=(ItemArray&&) noexcept = default;
ItemArray::~ItemArray() = default;

std::int64_t ItemArray::n_items() const { return state_->n_items; }
const std::vector<std::int64_t>& ItemArray::item_shape() const { return state_->shape; }
std::int64_t ItemArray::item_size() const { return state_->item_size; }

Result<ItemArray> ItemArray::open(io::Container& container, const io::ArrayInfo& array, const ItemAxes& axes,
                                  const ItemArrayOptions& options) {
  auto state = std::make_unique<State>(container, array);
  state->axes = axes;
  state->options = options;
  GAUNTLET_CHECK_OK(state->check_axes());
  const std::int64_t n_there = std::max<std::int64_t>(0, array.dims[axes.items] - options.first);
  state->n_items = options.n_most < 0 ? n_there : std::min(n_there, options.n_most);
  for (const std::size_t axis : axes.order) state->shape.push_back(array.dims[axis]);
  for (const std::int64_t side : state->shape) state->item_size *= side;
  if (state->item_size < 1 || state->item_size > kBlockBytes) {
    return fail(ErrorCode::kInvalid, "{}: {} has items of {} numbers; 1 to {} are read",
                container.path().string(), array.name, state->item_size, kBlockBytes);
  }
  state->is_bytes = array.dtype == io::DType::kU8 || array.dtype == io::DType::kBool;
  state->items_last = axes.items != 0;
  const std::int64_t unit = !state->items_last && !array.chunk.empty() ? array.chunk[0] : 1;
  const std::int64_t n_fit =
      std::max<std::int64_t>(1, kBlockBytes / (state->item_size * state->element_bytes()));
  state->items_per_block = n_fit >= unit ? n_fit / unit * unit : n_fit;
  state->place.reserve(static_cast<std::size_t>(state->item_size));
  if (!state->items_last) {
    state->find_places();
    return ItemArray(std::move(state));
  }
  const std::int64_t n_bytes = state->item_size * state->n_items * state->element_bytes();
  GAUNTLET_TRY(state->copy, OwnedFile::temporary(options.scratch, n_bytes));
  state->sides = box_sides(array, state->n_items, kBoxBytes / state->element_bytes());
  state->find_places();
  GAUNTLET_CHECK_OK(state->is_bytes ? state->transpose_boxes<std::uint8_t>()
                                    : state->transpose_boxes<float>());
  return ItemArray(std::move(state));
}

void ItemArray::swap_sides() {
  std::swap(state_->shape[0], state_->shape[1]);
  std::swap(state_->axes.order[0], state_->axes.order[1]);
  state_->find_places();
}

Status ItemArray::read(std::int64_t item, std::span<float> out) const {
  GAUNTLET_TRY(const auto block, state_->block_of(item));
  const auto take = [&](std::uint32_t at, auto value) { out[at] = static_cast<float>(value); };
  if (state_->is_bytes) {
    state_->scatter<std::uint8_t>(*block, item, take);
  } else {
    state_->scatter<float>(*block, item, take);
  }
  return {};
}

Status ItemArray::read(std::int64_t item, std::span<std::uint8_t> out) const {
  GAUNTLET_TRY(const auto block, state_->block_of(item));
  if (state_->is_bytes) {
    state_->scatter<std::uint8_t>(*block, item,
                                  [&](std::uint32_t at, std::uint8_t value) { out[at] = value; });
    return {};
  }
  float wrong = 0;
  bool all_fit = true;
  state_->scatter<float>(*block, item, [&](std::uint32_t at, float value) {
    const bool fits = value >= 0 && value <= 255 && value == std::floor(value);
    if (!fits && std::exchange(all_fit, false)) wrong = value;
    out[at] = fits ? static_cast<std::uint8_t>(value) : std::uint8_t{0};
  });
  if (all_fit) return {};
  return fail(ErrorCode::kInvalid, "{}: {} holds {} in item {}; pictures are whole numbers from 0 to 255",
              state_->container.path().string(), state_->array.name, wrong, state_->options.first + item);
}

}  // namespace gauntlet::data::detail
