// Command lines in the documents and in the programs' own examples: the verb, its options and the files of
// this repository that they name are there.
#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

const fs::path kSource = GAUNTLET_SOURCE_DIR;

/// Words as a shell would split them, up to the end of the command: a pipe, a comment, another command.
Words words_of(std::string_view line) {
  Words words;
  std::string word;
  char quote = 0;
  bool any = false;
  const auto end_word = [&] {
    if (any) words.push_back(word);
    word.clear();
    any = false;
  };
  for (std::size_t at = 0; at < line.size(); ++at) {
    const char letter = line[at];
    if (quote != 0) {
      if (letter == quote) quote = 0;
      if (letter != quote && quote != 0) word += letter;
      continue;
    }
    if (letter == '\'' || letter == '"') {
      quote = letter;
      any = true;
    } else if (letter == ' ' || letter == '\t' || letter == '\n') {
      // Three blanks set a remark off from a command.
      if (line.substr(at, 3) == "   ") break;
      end_word();
    } else if (letter == '|' || letter == '>' || letter == '<' || letter == ';' || letter == '&' ||
               letter == ')' || (letter == '#' && !any)) {
      break;
    } else {
      word += letter;
      any = true;
    }
  }
  end_word();
  return words;
}

/// What follows `gauntlet` in a line, if it calls the program.
std::vector<Words> calls_in(const std::string& text) {
  static const std::regex kCall(R"((^|[\s(`$])((build/)?bin/)?gauntlet (?=[a-z]))");
  std::vector<Words> calls;
  for (std::sregex_iterator at(text.begin(), text.end(), kCall), end; at != end; ++at) {
    const std::string before = at->prefix().str();
    if (before.ends_with("--namespace") || before.ends_with("-u")) continue;  // a name, not the program
    calls.push_back(
        words_of(std::string_view(text).substr(static_cast<std::size_t>(at->position() + at->length()))));
  }
  return calls;
}

/// Calls of a Markdown file: lines of its code blocks, and what stands between backticks in its text.
std::vector<Words> calls_of_document(const fs::path& path) {
  std::ifstream file(path);
  std::vector<Words> calls;
  const auto add = [&](const std::string& text) {
    for (Words& call : calls_in(text)) calls.push_back(std::move(call));
  };
  std::string prose;
  std::string command;  // lines that end in a backslash go on
  bool in_block = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      in_block = !in_block;
      continue;
    }
    if (!in_block) {
      prose += line + " ";
      continue;
    }
    const bool goes_on = line.ends_with("\\");
    command += goes_on ? line.substr(0, line.size() - 1) + " " : line;
    if (goes_on) continue;
    add(command.substr(0, command.find(" # ")));
    command.clear();
  }
  static const std::regex kCode("`([^`]+)`");
  for (std::sregex_iterator at(prose.begin(), prose.end(), kCode), end; at != end; ++at) {
    const std::string code = (*at)[1];
    // A span that begins with the program is a call; elsewhere its name is a path or another program's word.
    if (code.starts_with("gauntlet ")) add(code);
  }
  return calls;
}

class Documents : public CliTest {
 protected:
  void SetUp() override {
    for (const std::string& first : lines_of({"complete", "="})) {
      for (const std::string& second : verbs_of_group(first)) verbs_.insert(first + " " + second);
      verbs_.insert(first);
    }
    // Between our own processes: not completed, but drawn and described.
    verbs_.insert({"executor", "rank-guard"});
  }
  /// The candidates' words, one a line.
  [[nodiscard]] Words lines_of(const Words& words) const {
    std::istringstream out(gauntlet(words).out);
    Words first;
    for (std::string line; std::getline(out, line);) first.push_back(line.substr(0, line.find('\t')));
    return first;
  }
  /// "prepare", "inspect", … of "data"; none of a verb that is no group.
  [[nodiscard]] Words verbs_of_group(const std::string& group) const {
    static const std::set<std::string> kGroups = {"alloc", "data", "bench", "import", "board"};
    if (!kGroups.contains(group)) return {};
    Words verbs = lines_of({"complete", "=" + group, "="});
    std::erase_if(verbs,
                  [](const std::string& word) { return word.starts_with(":") || word.starts_with("-"); });
    return verbs;
  }

  /// "data prepare" or "run"; "" when it is no verb.
  [[nodiscard]] std::string verb_of(const Words& call) const {
    if (call.size() > 1 && verbs_.contains(call[0] + " " + call[1])) return call[0] + " " + call[1];
    return !call.empty() && verbs_.contains(call[0]) ? call[0] : "";
  }
  const std::set<std::string>& options_of(const std::string& verb) {
    const auto known = options_.find(verb);
    if (known != options_.end()) return known->second;
    Words words = {"complete"};
    std::istringstream parts(verb);
    for (std::string part; parts >> part;) words.push_back("=" + part);
    words.emplace_back("=--");
    const Words found = lines_of(words);
    return options_[verb] = std::set<std::string>(found.begin(), found.end());
  }

  void check(const Words& call, const std::string& where) {
    std::string text = "gauntlet";
    for (const std::string& word : call) text += " " + word;
    SCOPED_TRACE(where + ": " + text);
    const std::string verb = verb_of(call);
    ASSERT_NE(verb, "") << "no such verb";
    ++n_checked_;
    for (std::string word : call) {
      if (word == "--") break;  // what follows is for another program
      if (word.starts_with("[")) word.erase(0, 1);
      if (word.ends_with("]")) word.pop_back();
      if (word.starts_with("--") && word.size() > 2) {
        EXPECT_TRUE(options_of(verb).contains(word.substr(0, word.find('='))))
            << "'" << verb << "' has no " << word;
      }
      const bool is_ours =
          std::ranges::any_of(Words{"sweeps/", "results/", "examples/", "tests/", "schemas/"},
                              [&](const std::string& folder) { return word.starts_with(folder); });
      if (is_ours) {
        EXPECT_TRUE(fs::exists(kSource / word)) << word << " is not there";
      }
    }
  }

  std::set<std::string> verbs_;
  std::map<std::string, std::set<std::string>> options_;
  int n_checked_ = 0;
};

TEST_F(Documents, EveryCallNamesAVerbItsOptionsAndFilesThatAreThere) {
  std::vector<fs::path> pages = {kSource / "README.md", kSource / "CONTRIBUTING.md"};
  for (const auto& entry : fs::directory_iterator(kSource / "docs"))
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  for (const fs::path& page : pages) {
    for (const Words& call : calls_of_document(page)) check(call, page.filename().string());
  }
  EXPECT_GT(n_checked_, 120);
}

TEST_F(Documents, SoDoTheExamplesOfEveryVerb) {
  for (const std::string& verb : verbs_) {
    const bool is_group = verb == "alloc" || verb == "data" || verb == "bench" || verb == "board";
    if (verb.starts_with("--") || is_group || verb == "executor" || verb == "rank-guard") continue;
    Words words;
    std::istringstream parts(verb);
    for (std::string part; parts >> part;) words.push_back(part);
    words.emplace_back("--help");
    const std::string help = gauntlet(words).out;
    const std::size_t begin = help.find("Examples:\n");
    ASSERT_NE(begin, std::string::npos) << verb;
    const std::string examples = help.substr(begin, help.find("\n\n", begin) - begin);
    const int n_before = n_checked_;
    std::istringstream lines(examples);
    for (std::string line; std::getline(lines, line);) {
      for (const Words& call : calls_in(line)) check(call, verb);
    }
    EXPECT_GT(n_checked_, n_before) << verb << " shows no call\n" << examples;
  }
}

/// `./dev WORD` in the documents.
TEST_F(Documents, EveryCallOfDevIsInItsHelp) {
  const std::string help = shell("cd " + kSource.string() + " && ./dev help").out;
  static const std::regex kDev(R"(`\./dev ([a-z]+))");
  int n_found = 0;
  for (const auto& entry : fs::directory_iterator(kSource / "docs")) {
    const std::string text = read(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), kDev), end; at != end; ++at, ++n_found)
      EXPECT_NE(help.find("./dev " + (*at)[1].str()), std::string::npos) << entry.path() << (*at)[1].str();
  }
  EXPECT_GT(n_found, 0);
}

}  // namespace
}  // namespace gauntlet::cli
