#include "coordinator/store/canonical_head.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/base/json.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::store {
namespace {

// In the order of spec::JobKind; a test compares them with table job_kinds.
constexpr std::array<std::string_view, spec::kJobKindCount> kKinds = {
    "prepare", "features", "train_model", "train_attack", "craft", "train_defense",
    "encode",  "evaluate", "explain",     "command",      "noop"};

/// Watches the events of a parse for the three members of the outermost object.
class HeadReader : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override { return integer(value); }
  bool number_unsigned(number_unsigned_t value) override { return integer(static_cast<std::int64_t>(value)); }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool string(string_t& value) override {
    if (depth_ != 1) return true;
    if (key_ == "kind") kind = value;
    if (key_ == "entry") {
      head.entry = value;
      has_entry = true;
    }
    return true;
  }
  bool start_object(std::size_t) override { return ++depth_ < 200; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override { return ++depth_ < 200; }
  bool end_array() override { return --depth_ >= 0; }
  bool key(string_t& name) override {
    if (depth_ == 1) key_ = name;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

  CanonicalHead head;
  std::string kind;
  bool has_entry = false;
  bool has_version = false;

 private:
  bool integer(std::int64_t value) {
    if (depth_ == 1 && key_ == "version") {
      head.version = value;
      has_version = true;
    }
    return true;
  }

  int depth_ = 0;
  std::string key_;
};

}  // namespace

Result<CanonicalHead> read_canonical_head(std::string_view canonical) {
  HeadReader reader;
  if (!canonical.starts_with('{') || !Json::sax_parse(canonical, &reader)) {
    return fail(ErrorCode::kInvalid, "its canonical text is not a JSON object");
  }
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
