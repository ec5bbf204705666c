#include "core/spec/detail/canonical_parts.hpp"

#include <array>
#include <charconv>

namespace gauntlet::spec::detail {
namespace {

template <class Number>
void append_number(Number number, std::string& text) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  text.append(digits.data(), end);
}

void append_hex(const Digest& digest, std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::array<char, 2 * sizeof(Digest)> hex{};
  for (std::size_t at = 0; at < digest.size(); ++at) {
    hex[2 * at] = kDigits[digest[at] >> 4];
    hex[2 * at + 1] = kDigits[digest[at] & 15];
  }
  text.append(hex.data(), hex.size());
}

}  // namespace

CanonicalWriter& CanonicalWriter::start(std::string_view config_text, std::string_view entry) {
  text_ = R"({"config":)";
  text_.append(config_text).append(R"(,"entry":")").append(entry).append(R"(","inputs":{)");
  has_inputs_ = false;
  return *this;
}

CanonicalWriter& CanonicalWriter::input(std::string_view role, const JobKey& key) {
  text_.append(has_inputs_ ? R"(,")" : R"(")").append(role).append(R"(":")");
  append_hex(key.digest, text_);
  text_.push_back('"');
  has_inputs_ = true;
  return *this;
}

const std::string& CanonicalWriter::finish(JobKind kind, std::string_view precision, std::uint64_t seed,
                                           std::int64_t version) {
  text_.append(R"(},"kind":")").append(name_of(kind)).append(R"(","precision":")").append(precision);
  text_.append(R"(","seed":)");
  append_number(seed, text_);
  text_.append(R"(,"version":)");
  append_number(version, text_);
  text_.push_back('}');
  return text_;
}

}  // namespace gauntlet::spec::detail
