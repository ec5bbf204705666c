#include "core/io/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "core/base/json.hpp"
#include "core/io/detail/atomic_file.hpp"

namespace gauntlet::io {
namespace {

constexpr std::string_view kMetadataName = "__metadata__";
constexpr std::size_t kLengthBytes = 8;
constexpr int kMaxDepth = 4;  // object of objects of arrays of numbers
constexpr std::size_t kMaxSides = 32;

constexpr std::pair<std::string_view, DType> kTypes[] = {
    {"BOOL", DType::kBool}, {"U8", DType::kU8},   {"I8", DType::kI8},     {"U16", DType::kU16},
    {"I16", DType::kI16},   {"U32", DType::kU32}, {"I32", DType::kI32},   {"U64", DType::kU64},
    {"I64", DType::kI64},   {"F16", DType::kF16}, {"BF16", DType::kBF16}, {"F32", DType::kF32},
    {"F64", DType::kF64}};

std::string_view type_name(DType dtype) {
  for (const auto& [name, each] : kTypes) {
    if (each == dtype) return name;
  }
  return "";
}

tl::unexpected<Error> corrupt(std::string_view what) { return fail(ErrorCode::kCorrupt, "{}", what); }

/// A non-negative integer that fits 63 bits.
std::optional<std::int64_t> natural(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  const auto number = value.get<std::int64_t>();
  return number < 0 ? std::nullopt : std::optional(number);
}

/// The header as JSON, refused when a name comes twice in one object or it nests deeper than the format does.
Result<Json> parse_header(std::string_view text) {
  std::vector<std::set<std::string>> names;  // of every object that is open
  std::string problem;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (!problem.empty()) return false;
    if (depth > kMaxDepth) problem = "its header is nested too deeply";
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end && !names.empty()) names.pop_back();
    if (event == Json::parse_event_t::key && !names.empty() &&
        !names.back().insert(parsed.get<std::string>()).second) {
      problem = fmt::format("its header has the name '{}' twice", parsed.get<std::string>());
    }
    return problem.empty();
  };
  Json header = Json::parse(text, watch, false);
  if (!problem.empty()) return corrupt(problem);
  if (header.is_discarded() || !header.is_object()) return corrupt("its header is not a JSON object");
  return header;
}

/// A tensor as the header describes it.
struct Described {
  TensorView view;
  std::size_t begin = 0;
  std::size_t end = 0;
};

Result<Described> describe_tensor(const Json& entry) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    return corrupt("it must have exactly dtype, shape and data_offsets");
  }
  Described tensor;
  const Json& type = entry["dtype"];
  const auto known = std::ranges::find_if(kTypes, [&](const auto& each) {
    return type.is_string() && type.get_ref<const std::string&>() == each.first;
  });
  if (known == std::end(kTypes)) {
    return corrupt(
        fmt::format("its dtype {} is unknown", type.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  tensor.view.dtype = known->second;
  const Json& shape = entry["shape"];
  if (!shape.is_array() || shape.size() > kMaxSides)
    return corrupt("its shape is not a list of at most 32 sizes");
  for (const Json& side : shape) {
    const auto size = natural(side);
    if (!size) return corrupt("its shape holds something other than a size");
    tensor.view.shape.push_back(*size);
  }
  const Json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) return corrupt("its data_offsets are not two numbers");
  const auto begin = natural(offsets[0]);
  const auto end = natural(offsets[1]);
  if (!begin || !end || *begin > *end) return corrupt("its data_offsets are no range");
  tensor.begin = static_cast<std::size_t>(*begin);
  tensor.end = static_cast<std::size_t>(*end);
  GAUNTLET_TRY(const std::size_t needed, checked_byte_count(tensor.view.dtype, tensor.view.shape));
  if (needed != tensor.end - tensor.begin) {
    return corrupt(fmt::format("{} {} needs {} bytes, its data_offsets span {}", name_of(tensor.view.dtype),
                               shape_text(tensor.view.shape), needed, tensor.end - tensor.begin));
  }
  return tensor;
}

Status read_metadata(const Json& object, MetadataMap& metadata) {
  if (!object.is_object()) return corrupt("its __metadata__ is not an object");
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) return corrupt(fmt::format("its metadata '{}' is not a text", key));
    metadata[key] = value.get<std::string>();
  }
  return {};
}

/// Ranges must follow one another from 0 to the end of the data.
Status check_coverage(const std::map<std::string, Described, std::less<>>& tensors, std::size_t data_size) {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const auto& [name, tensor] : tensors) ranges.emplace_back(tensor.begin, tensor.end);
  std::ranges::sort(ranges);
  std::size_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin < covered) return corrupt(fmt::format("two tensors overlap at byte {} of the data", begin));
    if (begin > covered) return corrupt(fmt::format("no tensor covers byte {} of the data", covered));
    covered = end;
  }
  if (covered != data_size) {
    return corrupt(fmt::format("its tensors span {} bytes, the file holds {}", covered, data_size));
  }
  return {};
}

Status read_into(SafeTensors& result) {
  const std::span<const std::byte> bytes = result.file.bytes();
  if (bytes.size() < kLengthBytes) return corrupt("it is too short for a header");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxSafetensorsHeader || length > bytes.size() - kLengthBytes) {
    return corrupt(fmt::format("its header of {} bytes does not fit", length));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  GAUNTLET_TRY(const Json header, parse_header(text));
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + length);
  std::map<std::string, Described, std::less<>> described;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataName) {
      GAUNTLET_CHECK_OK(read_metadata(entry, result.metadata));
      continue;
    }
    Result<Described> tensor = describe_tensor(entry);
    if (!tensor) return corrupt(fmt::format("tensor '{}': {}", name, tensor.error().message));
    described.emplace(name, std::move(*tensor));
  }
  GAUNTLET_CHECK_OK(check_coverage(described, data.size()));
  for (auto& [name, tensor] : described) {
    tensor.view.bytes = data.subspan(tensor.begin, tensor.end - tensor.begin);
    if (reinterpret_cast<std::uintptr_t>(tensor.view.bytes.data()) % size_of(tensor.view.dtype) != 0) {
      result.aligned_copies.emplace_back(tensor.view.bytes.begin(), tensor.view.bytes.end());
      tensor.view.bytes = result.aligned_copies.back();
    }
    result.tensors.emplace(name, std::move(tensor.view));
  }
  return {};
}

/// Tensors in file order: wide types first, then by name.
std::vector<TensorMap::const_iterator> file_order(const TensorMap& tensors) {
  std::vector<TensorMap::const_iterator> order;
  for (auto at = tensors.begin(); at != tensors.end(); ++at) order.push_back(at);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [](const auto& at) { return size_of(at->second.dtype); });
  return order;
}

Result<std::string> header_of(const std::vector<TensorMap::const_iterator>& order,
                              const MetadataMap& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kMetadataName)] = metadata;
  std::size_t offset = 0;
  for (const auto& at : order) {
    const auto& [name, tensor] = *at;
    if (name == kMetadataName)
      return fail(ErrorCode::kInvalid, "a tensor cannot be named '{}'", kMetadataName);
    GAUNTLET_TRY(const std::size_t needed, checked_byte_count(tensor.dtype, tensor.shape));
    if (needed != tensor.bytes.size()) {
      return fail(ErrorCode::kInvalid, "tensor '{}': {} {} needs {} bytes, {} were given", name,
                  name_of(tensor.dtype), shape_text(tensor.shape), needed, tensor.bytes.size());
    }
    header[name] = {{"dtype", type_name(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + needed}}};
    offset += needed;
  }
  GAUNTLET_TRY(std::string text, canonical_json(header));
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  if (text.size() > kMaxSafetensorsHeader) {
    return fail(ErrorCode::kInvalid, "a header of {} bytes; the format allows {}", text.size(),
                kMaxSafetensorsHeader);
  }
  return text;
}

}  // namespace

Result<const TensorView*> SafeTensors::at(std::string_view name) const {
  if (const TensorView* tensor = find(name)) return tensor;
  return fail(ErrorCode::kCorrupt, "{} has no tensor '{}'", path.string(), name);
}

Result<SafeTensors> read_safetensors(const std::filesystem::path& path) {
  SafeTensors result;
  result.path = path;
  GAUNTLET_TRY(result.file, MappedFile::open(path));
  if (const Status read = read_into(result); !read) {
    return fail(read.error().code, "{} is not a readable .safetensors file: {}", path.string(),
                read.error().message);
  }
  return result;
}

Status write_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                         const MetadataMap& metadata) {
  const auto order = file_order(tensors);
  const Result<std::string> header = header_of(order, metadata);
  if (!header) return fail(ErrorCode::kInvalid, "cannot write {}: {}", path.string(), header.error().message);
  GAUNTLET_TRY(detail::AtomicFile file, detail::AtomicFile::create(path));
  const std::uint64_t length = header->size();
  GAUNTLET_CHECK_OK(file.write(std::as_bytes(std::span(&length, 1))));
  GAUNTLET_CHECK_OK(file.write(std::as_bytes(std::span(*header))));
  for (const auto& at : order) GAUNTLET_CHECK_OK(file.write(at->second.bytes));
  return file.commit();
}

}  // namespace gauntlet::io
