// docs/protocol.md against schemas/protocol.proto: every message has its line on the page.
#include <gmock/gmock.h>

#include <fstream>
#include <set>
#include <sstream>

#include "schemas/protocol.pb.h"

namespace gauntlet::proto {
namespace {

std::string page() {
  std::ifstream file(GAUNTLET_SOURCE_DIR "/docs/protocol.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Names in backquotes at the start of a table's rows; a cell may hold several, as in "| `A`, `B` | …".
std::set<std::string> names_in_rows(const std::string& text) {
  std::set<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    std::istringstream cell(line.substr(1, line.find(" | ", 2) - 1));
    for (std::string name; cell >> name;) {
      while (!name.empty() && (name.back() == ',' || name.back() == '`')) name.pop_back();
      if (name.starts_with('`')) names.insert(name.substr(1));
    }
  }
  return names;
}

TEST(ProtocolPage, HasALineForEveryMessage) {
  const std::set<std::string> described = names_in_rows(page());
  const auto* file = Frame::descriptor()->file();
  ASSERT_GE(file->message_type_count(), 50);
  for (int at = 0; at < file->message_type_count(); ++at) {
    const std::string name = file->message_type(at)->name();
    EXPECT_TRUE(described.contains(name)) << name
                                          << " is in schemas/protocol.proto, but has no line of its own in "
                                             "a table of docs/protocol.md";
  }
}

TEST(ProtocolPage, DescribesNoMessageThatIsGone) {
  const auto* file = Frame::descriptor()->file();
  for (const std::string& name : names_in_rows(page())) {
    const bool looks_like_one = std::isupper(static_cast<unsigned char>(name.front())) != 0;
    EXPECT_TRUE(!looks_like_one || file->FindMessageTypeByName(name) != nullptr) << name;
  }
}

}  // namespace
}  // namespace gauntlet::proto
