#include "results/board/about.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "results/table/spec_problems.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
const std::vector<std::string> kTexts = {"title", "link", "venue", "licence"};
const std::vector<std::string> kKeys = {"title", "link", "authors", "venue", "licence", "type", "reported"};
const std::vector<std::string> kTypes = {"a", "b", "c", "d", "e", "f"};

class AboutReader {
 public:
  explicit AboutReader(std::string_view source) : problems_(source) {}

  Json read(const YAML::Node& root) {
    Json about = Json::object();
    if (!problems_.is_map(root, "this file maps defenses to what is known of them")) return about;
    for (const auto& member : root) about[member.first.Scalar()] = read_entry(member.second);
    return about;
  }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_.list(); }

 private:
  Json read_entry(const YAML::Node& node) {
    Json entry = Json::object();
    if (!problems_.is_map(node, "a defense maps title, link, authors, … to values")) return entry;
    for (const auto& member : node) {
      const std::string key = member.first.Scalar();
      if (!problems_.is_known(key, kKeys, member.first, "key")) continue;
      if (key == "authors") {
        entry[key] = problems_.texts(member.second, key);
      } else if (key == "reported") {
        entry[key] = read_reported(member.second);
      } else {
        entry[key] = read_line(key, member.second);
      }
    }
    return entry;
  }

  std::string read_line(const std::string& key, const YAML::Node& node) {
    std::string text;
    problems_.read_text(node, key, text);
    if (key == "type" && std::find(kTypes.begin(), kTypes.end(), text) == kTypes.end())
      problems_.add(node, fmt::format("type is '{}'; allowed: {}", text, fmt::join(kTypes, ", ")));
    const bool is_web = text.starts_with("https://") || text.starts_with("http://");
    if (key == "link" && !is_web)
      problems_.add(
          node, fmt::format("link is '{}'; allowed: an address that begins with http:// or https://", text));
    return text;
  }

  Json read_reported(const YAML::Node& node) {
    Json reported = Json::object();
    if (!problems_.is_map(node, "reported has 'value' and 'source'")) return reported;
    for (const auto& member : node) {
      const std::string key = member.first.Scalar();
      if (!problems_.is_known(key, {"value", "source"}, member.first, "key")) continue;
      if (key == "source") {
        reported[key] = read_line(key, member.second);
      } else {
        double value = 0;
        problems_.read_real(member.second, "value", -1e-9, 1 + 1e-9, value);
        reported[key] = value;
      }
    }
    return reported;
  }

  SpecProblems problems_;
};

}  // namespace

Result<Json> parse_about(std::string_view text, std::string_view source) {
  if (text.size() > kMaxBytes)
    return fail(ErrorCode::kInvalid, "{} has {} bytes; allowed: {}", source, text.size(), kMaxBytes);
  try {
    AboutReader reader(source);
    Json about = reader.read(YAML::Load(std::string(text)));
    if (reader.problems().empty()) return about;
    return fail(ErrorCode::kInvalid, "{}", fmt::join(reader.problems(), "\n"));
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalid, "{}:{}:{}: {}", source, error.mark.line + 1, error.mark.column + 1,
                error.msg);
  }
}

}  // namespace gauntlet::results
