#include "core/models/detail/state_dict.hpp"

#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <variant>

namespace gauntlet::models {
namespace {

using caffe2::serialize::PyTorchStreamReader;

/// What lies on the stack of a pickle, as far as state dicts need it.
struct Nothing {};
struct Mark {};
struct Global {
  std::string name;  ///< module and name with a blank between them
};
struct Storage {
  std::string key;
};
struct Object;
using Objects = std::vector<Object>;
struct Object {
  std::variant<Nothing, Mark, std::int64_t, std::string, Global, Storage, torch::Tensor, NamedTensors,
               Objects>
      value;

  template <class T>
  [[nodiscard]] const T* as() const {
    return std::get_if<T>(&value);
  }
};

// The instructions that pickle's protocol 2 uses for a state dict.
enum Instruction : char {
  kProtocol = '\x80',
  kGlobal = 'c',
  kPut = 'q',
  kLongPut = 'r',
  kGet = 'h',
  kLongGet = 'j',
  kMark = '(',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = '\x85',
  kTuple2 = '\x86',
  kTuple3 = '\x87',
  kEmptyDict = '}',
  kText = 'X',
  kInt = 'J',
  kByte = 'K',
  kShort = 'M',
  kTrue = '\x88',
  kFalse = '\x89',
  kNone = 'N',
  kPersistent = 'Q',
  kReduce = 'R',
  kBuild = 'b',
  kSetItem = 's',
  kSetItems = 'u',
  kStop = '.'
};

std::vector<std::int64_t> numbers_of(const Object& object) {
  std::vector<std::int64_t> numbers;
  const Objects* items = object.as<Objects>();
  if (items == nullptr) return numbers;
  for (const Object& item : *items) {
    const std::int64_t* number = item.as<std::int64_t>();
    numbers.push_back(number == nullptr ? -1 : *number);
  }
  return numbers;
}

class Unpickler {
 public:
  Unpickler(PyTorchStreamReader& archive, std::string_view code) : archive_(archive), code_(code) {}

  Result<NamedTensors> run() {
    while (true) {
      GAUNTLET_TRY(const std::string_view instruction, take(1));
      if (instruction.front() == kStop) break;
      GAUNTLET_CHECK_OK(step(instruction.front()));
    }
    if (stack_.empty() || stack_.back().as<NamedTensors>() == nullptr)
      return fail(ErrorCode::kInvalid, "it holds no state dict");
    return *stack_.back().as<NamedTensors>();
  }

 private:
  Result<std::string_view> take(std::size_t n) {
    if (n > code_.size()) return fail(ErrorCode::kInvalid, "its pickle ends too early");
    const std::string_view taken = code_.substr(0, n);
    code_.remove_prefix(n);
    return taken;
  }

  /// A little-endian number of so many bytes.
  template <class Number>
  Result<std::int64_t> number() {
    GAUNTLET_TRY(const std::string_view bytes, take(sizeof(Number)));
    Number value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return static_cast<std::int64_t>(value);
  }

  Result<std::string> line() {
    const std::size_t end = code_.find('\n');
    GAUNTLET_TRY(const std::string_view text, take(end == std::string_view::npos ? code_.size() + 1 : end));
    code_.remove_prefix(1);
    return std::string(text);
  }

  Result<Object> pop() {
    if (stack_.empty()) return fail(ErrorCode::kInvalid, "its pickle takes more than it made");
    Object top = std::move(stack_.back());
    stack_.pop_back();
    return top;
  }

  /// The topmost `n` objects; those above the last mark, and the mark, without a number.
  Result<Objects> pop_many(std::optional<std::size_t> n = std::nullopt) {
    const auto is_mark = [](const Object& object) { return object.as<Mark>() != nullptr; };
    if (!n) {
      const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), is_mark);
      n = static_cast<std::size_t>(mark - stack_.rbegin());
      if (*n < stack_.size()) stack_.erase(mark.base() - 1);
    }
    if (*n > stack_.size()) return fail(ErrorCode::kInvalid, "its pickle takes more than it made");
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(*n);
    Objects taken(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
    stack_.erase(first, stack_.end());
    return taken;
  }

  template <class Value>
  Status push(Result<Value> value) {
    if (!value) return fail(std::move(value.error()));
    stack_.push_back({std::move(*value)});
    return {};
  }
  template <class Value>
  Status push(Value value) {
    stack_.push_back({std::move(value)});
    return {};
  }

  Status step(char instruction) {
    switch (instruction) {
      case kProtocol:
        return take(1).map([](std::string_view) {});
      case kMark:
        return push(Mark{});
      case kNone:
        return push(Nothing{});
      case kTrue:
        return push(std::int64_t{1});
      case kFalse:
        return push(std::int64_t{0});
      case kInt:
        return push(number<std::int32_t>());
      case kByte:
        return push(number<std::uint8_t>());
      case kShort:
        return push(number<std::uint16_t>());
      case kText:
        return push(text());
      case kGlobal:
        return push(global());
      case kEmptyTuple:
        return push(Objects{});
      case kTuple:
        return push(pop_many());
      case kTuple1:
        return push(pop_many(1));
      case kTuple2:
        return push(pop_many(2));
      case kTuple3:
        return push(pop_many(3));
      case kEmptyDict:
        return push(NamedTensors{});
      case kPut:
        return number<std::uint8_t>().and_then([this](std::int64_t at) { return remember(at); });
      case kLongPut:
        return number<std::uint32_t>().and_then([this](std::int64_t at) { return remember(at); });
      case kGet:
        return number<std::uint8_t>().and_then([this](std::int64_t at) { return recall(at); });
      case kLongGet:
        return number<std::uint32_t>().and_then([this](std::int64_t at) { return recall(at); });
      case kPersistent:
        return push(storage());
      case kReduce:
        return reduce();
      case kBuild:
        return pop().map([](const Object&) {});  // attributes of the dict: versions of its layers
      case kSetItem:
        return set_items(2);
      case kSetItems:
        return set_items(std::nullopt);
      default:
        return fail(ErrorCode::kInvalid, "its pickle has instruction {:#04x}, which no state dict needs",
                    static_cast<unsigned char>(instruction));
    }
  }

  Result<std::string> text() {
    GAUNTLET_TRY(const std::int64_t n, number<std::uint32_t>());
    return take(static_cast<std::size_t>(n)).map([](std::string_view bytes) { return std::string(bytes); });
  }

  Result<Global> global() {
    GAUNTLET_TRY(const std::string module, line());
    GAUNTLET_TRY(const std::string name, line());
    return Global{module + " " + name};
  }

  Status remember(std::int64_t at) {
    if (stack_.empty()) return fail(ErrorCode::kInvalid, "its pickle takes more than it made");
    memory_[at] = stack_.back();
    return {};
  }

  Status recall(std::int64_t at) {
    const auto found = memory_.find(at);
    if (found == memory_.end()) return fail(ErrorCode::kInvalid, "its pickle recalls what it did not keep");
    return push(found->second.value);
  }

  /// ('storage', type, key, device, size)
  Result<Storage> storage() {
    GAUNTLET_TRY(const Object id, pop());
    const Objects* parts = id.as<Objects>();
    const bool whole =
        parts != nullptr && parts->size() == 5 && (*parts)[1].as<Global>() && (*parts)[2].as<std::string>();
    if (!whole) return fail(ErrorCode::kInvalid, "it refers to something else than a tensor's values");
    const std::string& type = (*parts)[1].as<Global>()->name;
    if (type != "torch FloatStorage")
      return fail(ErrorCode::kInvalid, "it holds values of type '{}'; allowed: torch FloatStorage", type);
    return Storage{*(*parts)[2].as<std::string>()};
  }

  Status reduce() {
    GAUNTLET_TRY(const Object arguments, pop());
    GAUNTLET_TRY(const Object callee, pop());
    const Global* function = callee.as<Global>();
    const Objects* given = arguments.as<Objects>();
    const std::string name = function == nullptr || given == nullptr ? "" : function->name;
    if (name == "collections OrderedDict") return push(NamedTensors{});
    if (name == "torch._utils _rebuild_tensor_v2" && given->size() >= 4) return push(tensor(*given));
    // What wraps a tensor or, written by torch's C++, the whole dict.
    const bool wraps =
        name == "torch._utils _rebuild_parameter" || name == "torch.jit._pickle restore_type_tag";
    if (wraps && !given->empty()) return push(given->front().value);
    return fail(ErrorCode::kInvalid, "it calls '{}', which no state dict needs", name);
  }

  /// (storage, offset, sizes, strides, …)
  Result<torch::Tensor> tensor(const Objects& given) {
    const Storage* storage = given[0].as<Storage>();
    const std::int64_t* offset = given[1].as<std::int64_t>();
    const std::vector<std::int64_t> sizes = numbers_of(given[2]);
    const std::vector<std::int64_t> strides = numbers_of(given[3]);
    const auto is_negative = [](std::int64_t n) { return n < 0; };
    const bool sane = storage != nullptr && offset != nullptr && *offset >= 0 &&
                      sizes.size() == strides.size() && std::ranges::none_of(sizes, is_negative) &&
                      std::ranges::none_of(strides, is_negative);
    if (!sane) return fail(ErrorCode::kInvalid, "it describes a tensor in a way that is not understood");
    const auto [bytes, n_bytes] = archive_.getRecord("data/" + storage->key);
    auto last = static_cast<double>(*offset);  // sizes and strides of the file may overflow integers
    for (std::size_t axis = 0; axis < sizes.size(); ++axis)
      last += static_cast<double>(sizes[axis] - 1) * static_cast<double>(strides[axis]);
    if (last >= static_cast<double>(n_bytes / sizeof(float)))
      return fail(ErrorCode::kInvalid, "a tensor reaches beyond its {} bytes of values", n_bytes);
    float* first = static_cast<float*>(bytes.get()) + *offset;
    return torch::from_blob(first, sizes, strides, torch::kFloat32).clone(torch::MemoryFormat::Contiguous);
  }

  Status set_items(std::optional<std::size_t> n) {
    GAUNTLET_TRY(const Objects items, pop_many(n));
    GAUNTLET_TRY(Object dict, pop());
    auto* tensors = std::get_if<NamedTensors>(&dict.value);
    if (tensors == nullptr || items.size() % 2 != 0)
      return fail(ErrorCode::kInvalid, "its pickle adds items to no dict");
    for (std::size_t at = 0; at < items.size(); at += 2) {
      const std::string* name = items[at].as<std::string>();
      const torch::Tensor* value = items[at + 1].as<torch::Tensor>();
      if (name != nullptr && value != nullptr) tensors->insert_or_assign(*name, *value);
    }
    return push(std::move(dict.value));
  }

  PyTorchStreamReader& archive_;
  std::string_view code_;
  Objects stack_;
  std::map<std::int64_t, Object> memory_;
};

Result<NamedTensors> unpickled(const std::filesystem::path& path) {
  // torch throws on everything it does not like about an archive.
  try {
    PyTorchStreamReader archive(path.string());
    const auto [code, n_bytes] = archive.getRecord("data.pkl");
    return Unpickler(archive, {static_cast<const char*>(code.get()), n_bytes}).run();
  } catch (const c10::Error& error) {
    return fail(ErrorCode::kInvalid, "{}", error.what_without_backtrace());
  }
}

}  // namespace

Result<NamedTensors> read_state_dict(const std::filesystem::path& path) {
  std::array<char, 2> start{};
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, "cannot read {}", path.string());
  file.read(start.data(), start.size());
  if (std::string_view(start.data(), start.size()) != "PK") {
    return fail(ErrorCode::kInvalid,
                "{} is not in the zip format of PyTorch 1.6 and later; convert it once with python3 -c "
                "\"import torch; "
                "torch.save(torch.load('{}'), 'new.pt')\" and give the MD5 of the new file as backbone_md5",
                path.string(), path.filename().string());
  }
  return unpickled(path).map_error([&](const Error& error) {
    return Error{error.code, fmt::format("{} cannot be read: {}", path.string(), error.message)};
  });
}

}  // namespace gauntlet::models
