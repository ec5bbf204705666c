// gauntlet complete: what may stand at the end of a line, for the scripts of gauntlet completion. One
// candidate a line, its meaning after a tab; ":files" where a path may stand.
#include <algorithm>
#include <set>

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/db/connection.hpp"
#include "results/query/text_table.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr int kMaxNames = 200;
constexpr int kPatienceMs = 200;  // a shell waits meanwhile

class Candidates {
 public:
  explicit Candidates(std::string prefix) : prefix_(std::move(prefix)) {}
  void add(const std::string& word, std::string_view meaning) {
    if (!word.starts_with(prefix_) || !known_.insert(word).second) return;
    text_ += fmt::format("{}\t{}\n", results::printable(word), results::printable(meaning));
  }
  void add_files() { text_ += ":files\n"; }
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string prefix_;
  std::string text_;
  std::set<std::string> known_;
};

/// The value that the line gives an option so far; "" = none.
std::string value_of(const Words& words, const std::string& option) {
  for (std::size_t at = 0; at + 1 < words.size(); ++at) {
    if (words[at] == option) return words[at + 1];
    if (words[at].starts_with(option + "=")) return words[at].substr(option.size() + 1);
  }
  return "";
}

fs::path database_of(const Words& words) {
  const std::string database = value_of(words, "--database");
  if (!database.empty()) return database;
  const std::string workdir = value_of(words, "--workdir");
  return (workdir.empty() ? default_workdir() : fs::path(workdir)) / "gauntlet.db";
}

/// Rows of (name, meaning); a database that cannot be read has no names.
void add_rows(const Words& words, std::string_view sql, Candidates& candidates) {
  Result<db::Connection> connection = db::Connection::open_read_only(database_of(words), kPatienceMs);
  if (!connection) return;
  Result<db::Statement> statement = connection->prepare(sql);
  if (!statement) return;
  while (true) {
    const Result<bool> row = statement->step();
    if (!row || !*row) return;
    candidates.add(std::string(statement->text(0)), statement->text(1));
  }
}

void add_sweeps(const Words& words, Candidates& candidates) {
  add_rows(
      words,
      fmt::format("SELECT name, 'sweep ' || sweep_id FROM sweeps ORDER BY sweep_id DESC LIMIT {}", kMaxNames),
      candidates);
}

/// Keys by the index of keys, from the digits typed so far.
void add_jobs(const Words& words, Candidates& candidates) {
  const std::string& digits = candidates.prefix();
  const bool is_hex =
      digits.size() <= 64 && std::all_of(digits.begin(), digits.end(), [](unsigned char letter) {
        return std::isdigit(letter) != 0 || (letter >= 'a' && letter <= 'f');
      });
  if (!is_hex) return;
  add_rows(
      words,
      fmt::format("SELECT lower(substr(hex(j.key), 1, {})), sp.title FROM jobs j JOIN job_specs sp ON "
                  "sp.job_id = j.job_id WHERE j.key BETWEEN x'{}' AND x'{}' LIMIT {}",
                  std::max<std::size_t>(12, digits.size()), digits + std::string(64 - digits.size(), '0'),
                  digits + std::string(64 - digits.size(), 'f'), kMaxNames),
      candidates);
}

void add_specs(const char* folder, std::string_view meaning, Candidates& candidates) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".yaml") candidates.add(at->path().string(), meaning);
  }
}

void add_options(const Arguments& arguments, Candidates& candidates) {
  for (const Argument& argument : arguments.all()) {
    if (argument.is_hidden()) continue;
    for (const std::string& name : argument.long_names()) candidates.add(name, argument.help());
  }
}

/// What a picture of this kind is made of.
void add_subjects(const std::string& kind, const Words& words, Candidates& candidates) {
  if (kind == "loss") return add_jobs(words, candidates);
  if (kind == "throughput" || kind == "retrieval" || kind == "heatmap") add_sweeps(words, candidates);
  if (kind != "throughput" && kind != "retrieval") {
    add_specs("results/tables", "table", candidates);
    add_specs("results/plots", "plot", candidates);
  }
  candidates.add_files();
}

/// What an option or a place on the line stands for, by what it takes or its name; `first`: the word in the
/// line's first place, "" where there is none yet.
void add_values(const std::string& verb, const Argument& argument, const std::string& first,
                const Words& words, Candidates& candidates) {
  const std::string name = argument.name();
  const std::vector<std::string> choices = argument.choices();
  for (const std::string& choice : choices) candidates.add(choice, "");
  if (!choices.empty()) return;
  if (name == "sweep") {
    add_sweeps(words, candidates);
  } else if (name == "key") {
    add_jobs(words, candidates);
  } else if (name == "shell") {
    for (const char* shell : {"bash", "zsh", "fish"}) candidates.add(shell, "");
  } else if (verb == "plot" && name == "subject") {
    add_subjects(first, words, candidates);
  } else if (verb == "compare" && (name == "a" || name == "b")) {
    add_sweeps(words, candidates);
    candidates.add_files();
  } else {
    if (name == "spec" && verb == "table") add_specs("results/tables", "table", candidates);
    candidates.add_files();
  }
}

std::optional<Argument> option_named(const Arguments& arguments, const std::string& word) {
  if (!word.starts_with("-") || word.size() == 1) return std::nullopt;
  return arguments.find(word);
}

void complete_line(const Verb& verb, const Words& words, Candidates& candidates) {
  Arguments arguments(fmt::format("gauntlet {}", verb.name));
  const Action unused = verb.declare(arguments);
  if (candidates.prefix().starts_with("-")) {
    add_options(arguments, candidates);
    return;
  }
  const auto takes_value = [](const std::optional<Argument>& option) {
    return option && option->takes_value();
  };
  Words places;
  for (std::size_t at = 0; at + 1 < words.size(); ++at) {
    const std::optional<Argument> option = option_named(arguments, words[at]);
    if (takes_value(option)) ++at;
    if (!option && !words[at].starts_with("-")) places.push_back(words[at]);
  }
  const std::string first = places.empty() ? "" : places.front();
  const std::optional<Argument> before =
      words.size() > 1 ? option_named(arguments, words[words.size() - 2]) : std::nullopt;
  if (takes_value(before)) {
    add_values(std::string(verb.name), *before, first, words, candidates);
    return;
  }
  std::size_t n_places = places.size();
  for (const Argument& argument : arguments.all()) {
    if (!argument.is_place()) continue;
    if (n_places == 0 || argument.takes_many()) {  // the last one may stand many times
      add_values(std::string(verb.name), argument, first, words, candidates);
      return;
    }
    --n_places;
  }
}

/// The first word, or the second of a group such as `data`.
void add_verbs(const std::string& group, Candidates& candidates) {
  for (const Verb* verb : verbs()) {
    if (verb->hidden) continue;
    const std::string name(verb->name);
    const std::size_t blank = name.find(' ');
    if (group.empty()) candidates.add(name.substr(0, blank), blank == std::string::npos ? verb->summary : "");
    if (!group.empty() && name.starts_with(group + " "))
      candidates.add(name.substr(blank + 1), verb->summary);
  }
}

std::string candidates_of(const Words& words) {
  Candidates candidates(words.empty() ? "" : words.back());
  if (words.size() <= 1) {
    add_verbs("", candidates);
    candidates.add("--help", "");
    candidates.add("--version", "");
    return candidates.text();
  }
  if (words.size() == 2) add_verbs(words[0], candidates);
  for (const Verb* verb : verbs()) {
    const std::string name(verb->name);
    const bool two = name.find(' ') != std::string::npos;
    if (verb->hidden || words.size() <= (two ? 2U : 1U)) continue;
    if (name != (two ? words[0] + " " + words[1] : words[0])) continue;
    complete_line(*verb, Words(words.begin() + (two ? 2 : 1), words.end()), candidates);
  }
  return candidates.text();
}

Action declare(Arguments& arguments) {
  const auto words = std::make_shared<Words>();
  arguments.add_option("words", *words, "The line after `gauntlet`, each word with a leading '='");
  return [words]() -> Result<int> {
    for (std::string& word : *words) {
      if (word.starts_with("=")) word.erase(0, 1);
    }
    GAUNTLET_CHECK_OK(print(candidates_of(*words)));
    return 0;
  };
}

}  // namespace

extern const Verb complete_verb;
constinit const Verb complete_verb{
    .name = "complete",
    .summary = "Candidates for the end of a line",
    .examples = "  gauntlet complete =status =quick\n",
    .declare = &declare,
    .hidden = true,
};

}  // namespace gauntlet::cli
