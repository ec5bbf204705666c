#include "coordinator/store/canonical_head.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
// Three times as fast as nlohmann's parser, which matters for a million jobs; here as source, so that no
// library has to be linked.
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <string>
#include <utility>

#include "core/spec/job_spec.hpp"

namespace gauntlet::store {
namespace {

// In the order of spec::JobKind; a test compares them with table job_kinds.
constexpr std::array<std::string_view, spec::kJobKindCount> kKinds = {
    "prepare", "features", "train_model", "train_attack", "craft", "train_defense",
    "encode",  "evaluate", "explain",     "command",      "noop"};

constexpr std::size_t kMaxDepth = 200;

/// Watches the events of a parse for the three members of the outermost object. Texts come in pieces.
class HeadReader {
 public:
  // NOLINTBEGIN(readability-identifier-naming): Boost.JSON looks for these names.
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  // NOLINTEND(readability-identifier-naming)
  using Code = boost::json::error_code;
  using Text = boost::json::string_view;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return enter(); }
  bool on_object_end(std::size_t, Code&) { return leave(); }
  bool on_array_begin(Code&) { return enter(); }
  bool on_array_end(std::size_t, Code&) { return leave(); }
  bool on_key_part(Text piece, std::size_t, Code&) { return add(key_, piece); }
  bool on_key(Text piece, std::size_t, Code&) {
    add(key_, piece);
    if (depth_ == 1) member_ = std::exchange(key_, {});
    return true;
  }
  bool on_string_part(Text piece, std::size_t, Code&) { return add(text_, piece); }
  bool on_string(Text piece, std::size_t, Code&) {
    add(text_, piece);
    if (depth_ != 1) return true;
    if (member_ == "kind") kind = text_;
    if (member_ == "entry") {
      head.entry = text_;
      has_entry = true;
    }
    text_.clear();
    return true;
  }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(std::int64_t value, Text, Code&) { return integer(value); }
  bool on_uint64(std::uint64_t value, Text, Code&) { return integer(static_cast<std::int64_t>(value)); }
  bool on_double(double, Text, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }

  CanonicalHead head;
  std::string kind;
  bool has_entry = false;
  bool has_version = false;

 private:
  bool enter() {
    ++depth_;
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  bool add(std::string& text, Text piece) const {
    if (depth_ == 1) text.append(piece.data(), piece.size());
    return true;
  }
  bool integer(std::int64_t value) {
    if (depth_ == 1 && member_ == "version") {
      head.version = value;
      has_version = true;
    }
    return true;
  }

  int depth_ = 0;
  std::string key_;     ///< as far as it has come
  std::string text_;    ///< likewise
  std::string member_;  ///< of the outermost object, whose value is read
};

bool parse(std::string_view text, boost::json::basic_parser<HeadReader>& parser) {
  boost::json::error_code error;
  return parser.write_some(false, text.data(), text.size(), error) == text.size() && !error;
}

}  // namespace

Result<CanonicalHead> read_canonical_head(std::string_view canonical) {
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::basic_parser<HeadReader> parser(options);
  if (!canonical.starts_with('{') || !parse(canonical, parser)) {
    return fail(ErrorCode::kInvalid, "its canonical text is not a JSON object");
  }
  HeadReader& reader = parser.handler();
  if (!reader.has_entry || !reader.has_version) {
    return fail(ErrorCode::kInvalid, "its canonical text has no text 'entry' or no integer 'version'");
  }
  const auto found = std::find(kKinds.begin(), kKinds.end(), reader.kind);
  if (found == kKinds.end()) {
    return fail(ErrorCode::kInvalid, "its kind '{}' is not one of {}", reader.kind, fmt::join(kKinds, ", "));
  }
  reader.head.kind = found - kKinds.begin();
  return std::move(reader.head);
}

}  // namespace gauntlet::store
