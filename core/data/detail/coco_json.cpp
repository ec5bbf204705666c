#include "core/data/detail/coco_json.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <optional>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/data/detail/growing_array.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 18;
constexpr std::size_t kMaxDepth = 64;
constexpr std::int64_t kMaxTokenBytes = std::int64_t{1} << 20;

/// Bytes of a file or of a text, one after the other, with a limit on how many may pass between two events of
/// the parser: its memory is what it keeps of one token.
class ByteSource {
 public:
  explicit ByteSource(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}
  explicit ByteSource(OwnedDescriptor file) : file_(std::move(file)), buffer_(kReadBytes) {}

  [[nodiscard]] bool is_at_end() { return (at_ == end_ && !fill()) || since_event_ > kMaxTokenBytes; }
  [[nodiscard]] char front() const { return *at_; }
  void pop() {
    ++at_;
    ++since_event_;
  }
  void note_event() { since_event_ = 0; }
  [[nodiscard]] bool is_token_too_long() const { return since_event_ > kMaxTokenBytes; }
  [[nodiscard]] int error() const { return error_; }

 private:
  bool fill() {
    if (file_.get() < 0 || error_ != 0) return false;
    ssize_t got = -1;
    do {
      got = ::read(file_.get(), buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) error_ = errno;
    at_ = buffer_.data();
    end_ = at_ + std::max<ssize_t>(got, 0);
    return got > 0;
  }

  OwnedDescriptor file_;
  std::vector<char> buffer_;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::int64_t since_event_ = 0;
  int error_ = 0;
};

/// A ByteSource as the pair of input iterators that the parser takes.
class ByteIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  ByteIterator() = default;  ///< the end
  explicit ByteIterator(ByteSource& source) : source_(&source) {}
  char operator*() const { return source_->front(); }
  ByteIterator& operator++() {
    source_->pop();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(const ByteIterator& other) const { return is_at_end() == other.is_at_end(); }
  bool operator!=(const ByteIterator& other) const { return !(*this == other); }

 private:
  [[nodiscard]] bool is_at_end() const { return source_ == nullptr || source_->is_at_end(); }
  ByteSource* source_ = nullptr;
};

/// What was seen of the current element.
struct Fields {
  std::optional<std::int64_t> id, image_id, category_id;
  std::optional<std::string> file_name, name, caption;
};

/// Receives the parser's events. Depth 1 is the document's object, 2 one of its arrays, 3 an element.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(const std::string& name, const CocoHandler& handler, ByteSource& source)
      : name_(name), handler_(handler), source_(source) {}

  Status status;

  bool null() override { return event(); }
  bool boolean(bool) override { return event(); }
  bool number_integer(number_integer_t value) override { return number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return value > static_cast<number_unsigned_t>(INT64_MAX) ? event()
                                                             : number(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t, const string_t&) override { return event(); }
  bool binary(binary_t&) override { return event(); }

  bool string(string_t& value) override {
    if (depth_ == 3 && section_ != Section::kOther) {
      if (field_ == "file_name") fields_.file_name = std::move(value);
      if (field_ == "name") fields_.name = std::move(value);
      if (field_ == "caption") fields_.caption = std::move(value);
    }
    return event();
  }

  bool key(string_t& value) override {
    if (depth_ == 1) open_section(value);
    if (depth_ == 3) field_ = std::move(value);
    return event();
  }

  bool start_object(std::size_t) override {
    if (depth_ == 2) fields_ = {};
    return enter();
  }
  bool end_object() override {
    --depth_;
    return event() && (depth_ != 2 || end_element());
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) return refuse("the document is an array; an object is expected");
    return enter();
  }
  bool end_array() override {
    --depth_;
    return event();
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) override {
    if (source_.error() != 0) {
      status = fail(ErrorCode::kIo, "cannot read {}: {}", name_, std::strerror(source_.error()));
    } else if (source_.is_token_too_long()) {
      status = fail(ErrorCode::kCorrupt, "{}: byte {}: a text of more than {} bytes", name_, position,
                    kMaxTokenBytes);
    } else {
      status = fail(ErrorCode::kCorrupt, "{} is not readable JSON: {}", name_, own_words(error.what()));
    }
    return false;
  }

 private:
  enum class Section : std::uint8_t { kOther, kImages, kCategories, kAnnotations };

  /// The parser's message without its number: "[json.exception.parse_error.101] parse error at ...".
  static std::string own_words(std::string_view message) {
    const std::size_t end = message.find("] ");
    return std::string(end == std::string_view::npos ? message : message.substr(end + 2));
  }

  bool event() {
    source_.note_event();
    return true;
  }

  bool enter() {
    if (++depth_ <= kMaxDepth) return event();
    status = fail(ErrorCode::kCorrupt, "{} is nested deeper than {} levels", name_, kMaxDepth);
    return false;
  }

  bool refuse(std::string_view what) {
    status = fail(ErrorCode::kInvalid, "{}: {}", name_, what);
    return false;
  }

  bool number(std::int64_t value) {
    if (depth_ == 3 && section_ != Section::kOther) {
      if (field_ == "id") fields_.id = value;
      if (field_ == "image_id") fields_.image_id = value;
      if (field_ == "category_id") fields_.category_id = value;
    }
    return event();
  }

  void open_section(const std::string& key) {
    section_ = key == "images"        ? Section::kImages
               : key == "categories"  ? Section::kCategories
               : key == "annotations" ? Section::kAnnotations
                                      : Section::kOther;
    section_name_ = key;
    element_ = 0;
  }

  /// Whether the fields are there; else says which is not.
  bool needs(std::initializer_list<std::pair<const char*, bool>> wanted) {
    for (const auto& [field, is_there] : wanted) {
      if (is_there) continue;
      return refuse(fmt::format("{}[{}] has no {}", section_name_, element_, field));
    }
    return true;
  }

  bool tell(const Status& answer) {
    if (answer) return true;
    status =
        fail(answer.error().code, "{}: {}[{}]: {}", name_, section_name_, element_, answer.error().message);
    return false;
  }

  bool end_element() {
    bool goes_on = true;
    if (section_ == Section::kImages && handler_.image) goes_on = end_image();
    if (section_ == Section::kCategories && handler_.category) goes_on = end_category();
    if (section_ == Section::kAnnotations) goes_on = end_annotation();
    ++element_;
    return goes_on;
  }

  bool end_image() {
    if (!needs({{"id", fields_.id.has_value()}, {"file_name", fields_.file_name.has_value()}})) return false;
    return tell(handler_.image({*fields_.id, std::move(*fields_.file_name)}));
  }

  bool end_category() {
    if (!needs({{"id", fields_.id.has_value()}, {"name", fields_.name.has_value()}})) return false;
    return tell(handler_.category({*fields_.id, std::move(*fields_.name)}));
  }

  bool end_annotation() {
    const bool has_image = fields_.image_id.has_value();
    if (handler_.instance) {
      if (!needs({{"image_id", has_image}, {"category_id", fields_.category_id.has_value()}})) return false;
      if (!tell(handler_.instance({*fields_.image_id, *fields_.category_id, {}}))) return false;
    }
    if (handler_.caption) {
      if (!needs({{"image_id", has_image}, {"caption", fields_.caption.has_value()}})) return false;
      return tell(handler_.caption({*fields_.image_id, 0, std::move(*fields_.caption)}));
    }
    return true;
  }

  const std::string& name_;
  const CocoHandler& handler_;
  ByteSource& source_;
  std::size_t depth_ = 0;
  Section section_ = Section::kOther;
  std::string section_name_;
  std::string field_;
  std::size_t element_ = 0;
  Fields fields_;
};

Status read(ByteSource& source, const std::string& name, const CocoHandler& handler) {
  Reader reader(name, handler, source);
  const bool whole = Json::sax_parse(ByteIterator(source), ByteIterator(), &reader);
  if (!whole && reader.status) return fail(ErrorCode::kCorrupt, "{} is not readable JSON", name);
  return std::move(reader.status);
}

}  // namespace

Status read_coco_json(const std::filesystem::path& path, const std::string& name,
                      const CocoHandler& handler) {
  OwnedDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return fail(system_error(errno, "read", path));
  ByteSource source(std::move(file));
  return read(source, name, handler);
}

Status parse_coco_json(std::string_view text, const std::string& name, const CocoHandler& handler) {
  ByteSource source(text);
  return read(source, name, handler);
}

}  // namespace gauntlet::data::detail
