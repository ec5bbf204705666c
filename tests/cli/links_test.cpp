// Links in the documents: the file is there, the heading too, and the README leads to every page.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = GAUNTLET_SOURCE_DIR;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<fs::path> pages() {
  std::vector<fs::path> found = {kSource / "README.md", kSource / "CONTRIBUTING.md"};
  for (const auto& entry : fs::directory_iterator(kSource / "docs"))
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  return found;
}

/// The name that Markdown renderers give a heading: lower case, blanks to hyphens, other signs left out.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char letter : heading) {
    if (letter == ' ') anchor += '-';
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '-' || letter == '_')
      anchor += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return anchor;
}

std::set<std::string> anchors_of(const fs::path& page) {
  std::set<std::string> anchors;
  std::istringstream lines(text_of(page));
  bool is_code = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) is_code = !is_code;
    const std::size_t level = line.find_first_not_of('#');
    if (is_code || level == 0 || level == std::string::npos || line[level] != ' ') continue;
    anchors.insert(anchor_of(line.substr(level + 1)));
  }
  return anchors;
}

/// Targets of `[text](target)`, without those outside the repository.
std::vector<std::string> links_of(const fs::path& page) {
  static const std::regex kLink(R"(\]\(([^)\s]+)\))");
  const std::string text = text_of(page);
  std::vector<std::string> links;
  for (std::sregex_iterator at(text.begin(), text.end(), kLink), end; at != end; ++at) {
    const std::string target = (*at)[1].str();
    if (target.find("://") == std::string::npos) links.push_back(target);
  }
  return links;
}

TEST(Links, LeadToFilesAndHeadings) {
  int n_links = 0, n_anchors = 0;
  for (const fs::path& page : pages()) {
    for (const std::string& link : links_of(page)) {
      const std::size_t hash = link.find('#');
      const std::string file = link.substr(0, hash);
      const fs::path target = file.empty() ? page : page.parent_path() / file;
      ++n_links;
      EXPECT_TRUE(fs::exists(target)) << page.filename() << ": " << link;
      if (hash == std::string::npos || !fs::exists(target)) continue;
      ++n_anchors;
      EXPECT_TRUE(anchors_of(target).contains(link.substr(hash + 1))) << page.filename() << ": " << link;
    }
  }
  EXPECT_GT(n_links, 50);
  EXPECT_GT(n_anchors, 20);
}

TEST(Links, TheReadmeLeadsToEveryPage) {
  std::set<fs::path> linked;
  for (const std::string& link : links_of(kSource / "README.md"))
    linked.insert((kSource / link.substr(0, link.find('#'))).lexically_normal());
  for (const fs::path& page : pages()) {
    if (page.filename() == "README.md") continue;
    EXPECT_TRUE(linked.contains(page.lexically_normal())) << page;
  }
}

}  // namespace
}  // namespace gauntlet::cli
