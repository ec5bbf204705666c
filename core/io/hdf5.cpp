#include "core/io/hdf5.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "core/io/detail/char_rows.hpp"
#include "core/io/detail/hdf5_handle.hpp"
#include "core/io/detail/hdf5_types.hpp"
#include "core/io/detail/random_file.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::io {
namespace {

using detail::Hdf5Handle;

constexpr int kMaxDepth = 4;
/// A chunk is unpacked whole.
constexpr std::uint64_t kMaxChunkBytes = std::uint64_t{1} << 26;
constexpr std::size_t kChunkCacheBytes = std::size_t{16} << 20;
/// deflate's best case, with what a header takes.
constexpr std::uint64_t kMostPacking = 1032;
constexpr std::uint64_t kPackingSlack = std::uint64_t{1} << 20;

enum class TextForm : std::uint8_t { kNone, kChars, kCells, kStrings };

struct Entry {
  std::string path;  ///< inside the file
  TextForm text = TextForm::kNone;
};

/// What is known of a dataset before it is read.
struct Dataset {
  Hdf5Handle id;
  Hdf5Handle type;
  Hdf5Handle space;
};

class Hdf5 final : public Container {
 public:
  Hdf5(ContainerKind kind, const std::filesystem::path& path, std::uint64_t n_file_bytes)
      : Container(kind, path), n_file_bytes_(n_file_bytes) {}

  Status list() {
    const std::lock_guard lock(detail::hdf5_mutex());
    detail::start_hdf5();
    const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    H5Pset_file_locking(access.get(), 0, 1);  // reading needs no lock, and some file systems have none
    file_ = Hdf5Handle(H5Fopen(path().c_str(), H5F_ACC_RDONLY, access.get()), &H5Fclose);
    if (!file_) return corrupt("cannot be opened as HDF5");
    GAUNTLET_CHECK_OK(list_group("/", 0));
    return {};
  }

 private:
  [[nodiscard]] tl::unexpected<Error> corrupt(std::string_view what) const {
    return fail(ErrorCode::kCorrupt, "{} {}: {}", path().string(), what, detail::hdf5_words());
  }

  static herr_t add_name(hid_t, const char* name, const H5L_info_t* info, void* names) {
    auto& all = *static_cast<std::vector<std::string>*>(names);
    if (info->type == H5L_TYPE_HARD) all.emplace_back(name);  // other links may lead out of the file
    return all.size() > kMaxArrays ? 1 : 0;
  }

  Status list_group(const std::string& group, int depth) {
    const Hdf5Handle id(H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT), &H5Gclose);
    std::vector<std::string> names;
    if (!id || H5Literate(id.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, &add_name, &names) < 0)
      return corrupt(fmt::format("has a group {} that cannot be listed", printable(group)));
    for (const std::string& name : names) {
      if (!is_utf8(name)) {
        return fail(ErrorCode::kInvalid, "{}: the name '{}' is not UTF-8", path().string(), printable(name));
      }
      if (name.starts_with('#')) continue;  // MATLAB's own: what cells refer to
      if (arrays_.size() >= kMaxArrays)
        return fail(ErrorCode::kInvalid, "{} holds more than {} arrays", path().string(), kMaxArrays);
      GAUNTLET_CHECK_OK(list_object(group == "/" ? "/" + name : group + "/" + name, depth));
    }
    return {};
  }

  Status list_object(const std::string& where, int depth) {
    H5O_info_t info;
    if (H5Oget_info_by_name2(file_.get(), where.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
      return corrupt(fmt::format("has an object {} that cannot be read", where));
    if (info.type == H5O_TYPE_GROUP) {
      if (depth + 1 < kMaxDepth && groups_.insert(info.addr).second) return list_group(where, depth + 1);
      return {};
    }
    if (info.type != H5O_TYPE_DATASET) return {};
    GAUNTLET_TRY(const Dataset dataset, open(where));
    ArrayInfo array;
    array.name = where.substr(1);
    Entry entry{.path = where};
    describe(dataset, array, entry);
    arrays_.push_back(std::move(array));
    entries_.push_back(std::move(entry));
    return {};
  }

  Result<Dataset> open(const std::string& where) const {
    const Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), &H5Pclose);
    H5Pset_chunk_cache(access.get(), 521, kChunkCacheBytes, 1.0);
    Dataset dataset;
    dataset.id = Hdf5Handle(H5Dopen2(file_.get(), where.c_str(), access.get()), &H5Dclose);
    if (!dataset.id) return corrupt(fmt::format("has a dataset {} that cannot be opened", where));
    dataset.type = Hdf5Handle(H5Dget_type(dataset.id.get()), &H5Tclose);
    dataset.space = Hdf5Handle(H5Dget_space(dataset.id.get()), &H5Sclose);
    if (!dataset.type || !dataset.space)
      return corrupt(fmt::format("has a dataset {} of unreadable type", where));
    return dataset;
  }

  void describe(const Dataset& dataset, ArrayInfo& array, Entry& entry) const {
    const std::string matlab = detail::matlab_class(dataset.id.get());
    array.is_matlab = !matlab.empty();
    const H5T_class_t type_class = H5Tget_class(dataset.type.get());
    const auto dtype = detail::dtype_of_type(dataset.type.get());
    if (type_class == H5T_REFERENCE) {
      entry.text = TextForm::kCells;
      array.type = matlab.empty() ? "references" : matlab;
    } else if (type_class == H5T_STRING) {
      entry.text = TextForm::kStrings;
      array.type = "string";
    } else if (matlab == "char" && dtype) {
      entry.text = TextForm::kChars;
      array.type = "char";
    } else if (dtype) {
      array.dtype = *dtype;
      array.type = std::string(name_of(*dtype));
      if (matlab == "logical") array.type = "logical";
    } else {
      array.content = Content::kOther;
      array.type = matlab.empty() ? "records" : matlab;
      array.refusal = "holds neither numbers nor strings";
    }
    if (entry.text != TextForm::kNone) array.content = Content::kTexts;
    if (const Status sizes = read_sizes(dataset, array); !sizes) array.refusal = sizes.error().message;
  }

  /// Sides and chunks; errors say what is wrong with them, without the file's name.
  Status read_sizes(const Dataset& dataset, ArrayInfo& array) const {
    const int n_sides = H5Sget_simple_extent_ndims(dataset.space.get());
    if (H5Sget_simple_extent_type(dataset.space.get()) == H5S_NULL || n_sides < 0)
      return fail(ErrorCode::kInvalid, "is empty");
    if (static_cast<std::size_t>(n_sides) > kMaxArraySides)
      return fail(ErrorCode::kInvalid, "has {} sides; at most {} are read", n_sides, kMaxArraySides);
    std::array<hsize_t, kMaxArraySides> dims{};
    H5Sget_simple_extent_dims(dataset.space.get(), dims.data(), nullptr);
    std::uint64_t n_bytes = H5Tget_size(dataset.type.get());
    for (int side = 0; side < n_sides; ++side) {
      const hsize_t length = dims[static_cast<std::size_t>(side)];
      if (length != 0 && n_bytes > (std::uint64_t{1} << 62) / length)
        return fail(ErrorCode::kCorrupt, "declares more than 2^62 bytes");
      n_bytes *= length;
      array.dims.push_back(static_cast<std::int64_t>(length));
    }
    return check_storage(dataset, n_sides, n_bytes, array);
  }

  Status check_storage(const Dataset& dataset, int n_sides, std::uint64_t n_bytes, ArrayInfo& array) const {
    const Hdf5Handle creation(H5Dget_create_plist(dataset.id.get()), &H5Pclose);
    if (!creation) return fail(ErrorCode::kCorrupt, "has no readable layout");
    const H5D_layout_t layout = H5Pget_layout(creation.get());
    if (layout == H5D_VIRTUAL || H5Pget_external_count(creation.get()) > 0)
      return fail(ErrorCode::kInvalid, "keeps its data in other files, which are not opened");
    const std::uint64_t n_stored = H5Dget_storage_size(dataset.id.get());
    if (n_stored > n_file_bytes_) {
      return fail(ErrorCode::kCorrupt, "says that it stores {} bytes, in a file of {}", n_stored,
                  n_file_bytes_);
    }
    std::uint64_t n_most = n_stored;
    if (layout == H5D_CHUNKED) {
      std::array<hsize_t, kMaxArraySides> chunk{};
      const int n_chunk_sides = H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
      if (n_chunk_sides != n_sides) return fail(ErrorCode::kCorrupt, "has chunks of {} sides", n_chunk_sides);
      std::uint64_t n_chunk_bytes = H5Tget_size(dataset.type.get());
      for (int side = 0; side < n_sides; ++side) {
        const hsize_t length = chunk[static_cast<std::size_t>(side)];
        if (length == 0 || n_chunk_bytes > kMaxChunkBytes / length)
          return fail(ErrorCode::kInvalid, "has chunks of more than {} bytes", kMaxChunkBytes);
        n_chunk_bytes *= length;
        array.chunk.push_back(static_cast<std::int64_t>(length));
      }
      if (H5Pget_nfilters(creation.get()) > 0) n_most = n_stored * kMostPacking + kPackingSlack;
    }
    if (n_bytes <= n_most) return {};
    return fail(ErrorCode::kCorrupt,
                "declares {} bytes of data, but stores {}: it was never filled, is cut off, or is a bomb",
                n_bytes, n_stored);
  }

  Status read_as(std::size_t index, const Slab& slab, hid_t memory_type, void* out) const {
    const std::lock_guard lock(detail::hdf5_mutex());
    GAUNTLET_TRY(const Dataset dataset, open(entries_[index].path));
    const std::vector<hsize_t> start(slab.start.begin(), slab.start.end());
    const std::vector<hsize_t> count(slab.count.begin(), slab.count.end());
    hsize_t n = 1;
    for (const hsize_t side : count) n *= side;
    const Hdf5Handle memory(H5Screate_simple(1, &n, nullptr), &H5Sclose);
    const bool chosen =
        start.empty() || H5Sselect_hyperslab(dataset.space.get(), H5S_SELECT_SET, start.data(), nullptr,
                                             count.data(), nullptr) >= 0;
    if (!chosen ||
        H5Dread(dataset.id.get(), memory_type, memory.get(), dataset.space.get(), H5P_DEFAULT, out) < 0)
      return corrupt(fmt::format("has an array {} that cannot be read", arrays_[index].name));
    return {};
  }

  Status read_floats(std::size_t index, const Slab& slab, std::span<float> out) override {
    return read_as(index, slab, H5T_NATIVE_FLOAT, out.data());
  }
  Status read_bytes(std::size_t index, const Slab& slab, std::span<std::uint8_t> out) override {
    return read_as(index, slab, H5T_NATIVE_UINT8, out.data());
  }

  /// MATLAB's chars: u16 code units, sides reversed.
  Result<Texts> read_chars(const Dataset& dataset) const {
    ArrayInfo sizes;
    GAUNTLET_CHECK_OK(read_sizes(dataset, sizes));
    const std::int64_t n = sizes.n_elements();
    if (n > kMaxTextChars)
      return fail(ErrorCode::kInvalid, "{} characters; at most {} are read", n, kMaxTextChars);
    // An empty array is stored as the list of its sides.
    if (H5Aexists(dataset.id.get(), "MATLAB_empty") > 0) return Texts{{""}};
    std::vector<char32_t> units(static_cast<std::size_t>(n));
    if (n > 0 &&
        H5Dread(dataset.id.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, units.data()) < 0)
      return fail(ErrorCode::kCorrupt, "{}", detail::hdf5_words());
    const std::vector<std::int64_t> size(sizes.dims.rbegin(), sizes.dims.rend());
    return detail::strings_of_chars(units, size);
  }

  Result<Texts> read_cells(const Dataset& dataset, const ArrayInfo& array) const {
    const std::int64_t n = array.n_elements();
    if (array.dims.size() != 2 || n > kMaxTexts) {
      return fail(ErrorCode::kInvalid, "cells of size {} are not read; 2 sides and {} cells are",
                  shape_text(array.dims), kMaxTexts);
    }
    std::vector<hobj_ref_t> references(static_cast<std::size_t>(n));
    if (H5Tequal(dataset.type.get(), H5T_STD_REF_OBJ) <= 0)
      return fail(ErrorCode::kInvalid, "references to regions are not read");
    if (n > 0 &&
        H5Dread(dataset.id.get(), H5T_STD_REF_OBJ, H5S_ALL, H5S_ALL, H5P_DEFAULT, references.data()) < 0)
      return fail(ErrorCode::kCorrupt, "{}", detail::hdf5_words());
    const bool is_vector = array.dims[0] == 1 || array.dims[1] == 1;
    const auto n_items = static_cast<std::size_t>(is_vector ? n : array.dims[1]);
    Texts texts(n_items);
    std::int64_t n_chars = 0;
    std::int64_t n_strings = 0;
    for (std::size_t cell = 0; cell < references.size(); ++cell) {
      auto rows = read_cell(dataset.id.get(), references[cell]);
      if (!rows) return fail(rows.error().code, "cell {}: {}", cell + 1, rows.error().message);
      for (auto& row : *rows) {
        for (std::string& text : row) {
          n_chars += static_cast<std::int64_t>(text.size());
          if (n_chars > kMaxTextChars || ++n_strings > kMaxTexts)
            return fail(ErrorCode::kInvalid, "more than {} characters or {} strings", kMaxTextChars,
                        kMaxTexts);
          texts[cell % n_items].push_back(std::move(text));
        }
      }
    }
    return texts;
  }

  Result<Texts> read_cell(hid_t from, const hobj_ref_t& reference) const {
    H5O_type_t type = H5O_TYPE_UNKNOWN;
    if (H5Rget_obj_type2(from, H5R_OBJECT, &reference, &type) < 0 || type != H5O_TYPE_DATASET)
      return fail(ErrorCode::kCorrupt, "it refers to no array ({})", detail::hdf5_words());
    Dataset cell;
    cell.id = Hdf5Handle(H5Rdereference2(from, H5P_DEFAULT, H5R_OBJECT, &reference), &H5Dclose);
    if (!cell.id) return fail(ErrorCode::kCorrupt, "{}", detail::hdf5_words());
    cell.type = Hdf5Handle(H5Dget_type(cell.id.get()), &H5Tclose);
    cell.space = Hdf5Handle(H5Dget_space(cell.id.get()), &H5Sclose);
    if (!cell.type || !cell.space) return fail(ErrorCode::kCorrupt, "{}", detail::hdf5_words());
    if (H5Aexists(cell.id.get(), "MATLAB_empty") > 0) return Texts{{""}};
    if (detail::matlab_class(cell.id.get()) != "char" || !detail::dtype_of_type(cell.type.get()))
      return fail(ErrorCode::kInvalid, "it holds {}, not chars", detail::matlab_class(cell.id.get()));
    return read_chars(cell);
  }

  Result<Texts> read_strings(const Dataset& dataset, const ArrayInfo& array) const {
    const std::int64_t n = array.n_elements();
    if (array.dims.size() > 2 || n > kMaxTexts) {
      return fail(ErrorCode::kInvalid, "strings of shape {} are not read; up to 2 sides and {} strings are",
                  shape_text(array.dims), kMaxTexts);
    }
    const std::int64_t n_each = array.dims.size() == 2 ? array.dims[1] : 1;
    Texts texts(static_cast<std::size_t>(n_each > 0 ? n / n_each : 0));
    const auto take = [&](std::int64_t at, std::string text) -> Status {
      text = detail::trimmed_end(std::move(text));
      if (!is_utf8(text))
        return fail(ErrorCode::kInvalid, "string {} is not UTF-8: '{}'", at, printable(text));
      texts[static_cast<std::size_t>(at / n_each)].push_back(std::move(text));
      return {};
    };
    if (n == 0) return texts;
    GAUNTLET_CHECK_OK(H5Tis_variable_str(dataset.type.get()) > 0 ? read_variable(dataset, n, take)
                                                                 : read_fixed(dataset, n, take));
    return texts;
  }

  static Status read_fixed(const Dataset& dataset, std::int64_t n, const auto& take) {
    const std::size_t size = H5Tget_size(dataset.type.get());
    if (size == 0 || size > static_cast<std::size_t>(kMaxTextChars) / static_cast<std::size_t>(n))
      return fail(ErrorCode::kInvalid, "{} strings of {} bytes; at most {} in all are read", n, size,
                  kMaxTextChars);
    std::string bytes(static_cast<std::size_t>(n) * size, '\0');
    if (H5Dread(dataset.id.get(), dataset.type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0)
      return fail(ErrorCode::kCorrupt, "{}", detail::hdf5_words());
    for (std::int64_t at = 0; at < n; ++at) {
      const std::string text = bytes.substr(static_cast<std::size_t>(at) * size, size);
      GAUNTLET_CHECK_OK(take(at, text.substr(0, text.find('\0'))));
    }
    return {};
  }

  static Status read_variable(const Dataset& dataset, std::int64_t n, const auto& take) {
    std::vector<char*> strings(static_cast<std::size_t>(n), nullptr);
    if (H5Dread(dataset.id.get(), dataset.type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, strings.data()) < 0)
      return fail(ErrorCode::kCorrupt, "{}", detail::hdf5_words());
    Status all;
    for (std::int64_t at = 0; at < n && all; ++at) {
      const char* text = strings[static_cast<std::size_t>(at)];
      all = take(at, text == nullptr ? "" : text);
    }
    H5Dvlen_reclaim(dataset.type.get(), dataset.space.get(), H5P_DEFAULT, strings.data());
    return all;
  }

  Result<Texts> read_texts(std::size_t index) override {
    const std::lock_guard lock(detail::hdf5_mutex());
    const auto texts = [&]() -> Result<Texts> {
      GAUNTLET_TRY(const Dataset dataset, open(entries_[index].path));
      switch (entries_[index].text) {
        case TextForm::kChars:
          return read_chars(dataset);
        case TextForm::kCells:
          return read_cells(dataset, arrays_[index]);
        case TextForm::kStrings:
          return read_strings(dataset, arrays_[index]);
        case TextForm::kNone:
          break;
      }
      return fail(ErrorCode::kInvalid, "no strings");
    }();
    if (texts) return texts;
    return fail(texts.error().code, "{}: {}: {}", path().string(), arrays_[index].name,
                texts.error().message);
  }

  std::uint64_t n_file_bytes_;
  Hdf5Handle file_;
  std::vector<Entry> entries_;
  std::set<haddr_t> groups_;
};

}  // namespace

Result<std::unique_ptr<Container>> open_hdf5(const std::filesystem::path& path) {
  GAUNTLET_TRY(const ContainerKind kind, sniff(path));
  GAUNTLET_TRY(const detail::RandomFile file, detail::RandomFile::open(path));
  if (kind != ContainerKind::kHdf5 && kind != ContainerKind::kMat73) {
    return fail(ErrorCode::kInvalid, "{} is {}, not HDF5", path.string(), name_of(kind));
  }
  auto container = std::make_unique<Hdf5>(kind, path, file.size());
  GAUNTLET_CHECK_OK(container->list());
  return container;
}

}  // namespace gauntlet::io
