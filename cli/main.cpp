// gauntlet: the one program people type. Finds the verb, parses its options, runs it, turns its error into
// one sentence on stderr and an exit code.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "cli/support/exit_codes.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"

namespace gauntlet::cli {

#define GAUNTLET_VERB(stem) extern const Verb stem##_verb;
#include "cli/verbs.def"
#undef GAUNTLET_VERB

namespace {

constexpr std::array kVerbs = {
#define GAUNTLET_VERB(stem) &stem##_verb,
#include "cli/verbs.def"
#undef GAUNTLET_VERB
};

constexpr std::string_view kHead =
    "Examples:\n"
    "  gauntlet run sweeps/quickstart.yaml             run a sweep on this machine, print its tables\n"
    "  gauntlet plan sweeps/quickstart.yaml            what it would take, without running anything\n"
    "  gauntlet eval --query-codes q.npy --retrieval-codes r.npy --query-labels ql.npy --retrieval-labels "
    "rl.npy\n"
    "  gauntlet query --where \"defense=drfgd and bits=32\"\n"
    "\n"
    "Commands (gauntlet COMMAND --help says more):\n";

constexpr std::string_view kTail =
    "\n"
    "Common options:\n"
    "  --workdir DIR   work folder (default: $GAUNTLET_WORKDIR, else ./gauntlet-runs)\n"
    "  --json          one JSON document on stdout, where a command prints data\n"
    "  --version       print version and revision\n";

constexpr std::size_t kExitCodesPerLine = 5;

std::string overview() {
  std::string text(kHead);
  for (const Verb* verb : kVerbs) {
    if (!verb->hidden) text += fmt::format("  {:<14} {}\n", verb->name, verb->summary);
  }
  text += kTail;
  text += "\nExit codes:";
  for (std::size_t at = 0; at < kExitCodes.size(); ++at) {
    text += at == 0 ? " " : at % kExitCodesPerLine == 0 ? ",\n  " : ", ";
    text += fmt::format("{} {}", kExitCodes[at].number, kExitCodes[at].meaning);
  }
  return text + "\n";
}

std::string help_of(const Verb& verb, const Arguments& arguments) {
  return fmt::format("{}\n\nExamples:\n{}\n{}", verb.summary, verb.examples, arguments.help());
}

/// The verb that the first words name, and how many words that took; null when there is none.
const Verb* find_verb(const std::vector<std::string>& words, std::size_t& n_words) {
  for (n_words = std::min<std::size_t>(2, words.size()); n_words > 0; --n_words) {
    const std::string name = n_words == 2 ? words[0] + " " + words[1] : words[0];
    const auto found =
        std::find_if(kVerbs.begin(), kVerbs.end(), [&](const Verb* verb) { return verb->name == name; });
    if (found != kVerbs.end()) return *found;
  }
  return nullptr;
}

/// "alloc slurm", "alloc pbs", … with what each does; "" where the word is no first word of several verbs.
std::string help_of_group(const std::string& group) {
  std::string text;
  for (const Verb* verb : kVerbs) {
    const bool is_member = !verb->hidden && verb->name.starts_with(group + " ");
    if (is_member) text += fmt::format("  gauntlet {:<16} {}\n", verb->name, verb->summary);
  }
  if (text.empty()) return "";
  return fmt::format("Commands (gauntlet {} COMMAND --help says more):\n{}", group, text);
}

Error unknown_verb(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  std::string group = words[0] + " ";
  std::vector<std::string> members;
  for (const Verb* verb : kVerbs) {
    if (verb->hidden) continue;
    names.emplace_back(verb->name);
    if (verb->name.starts_with(group)) members.emplace_back(verb->name.substr(group.size()));
  }
  if (!members.empty()) {
    if (words.size() == 1) {
      return {ErrorCode::kInvalid,
              fmt::format("'{}' needs to know what to do: {}", words[0], fmt::join(members, ", "))};
    }
    return {ErrorCode::kInvalid, unknown_name_message(words[0] + " command", words[1], members)};
  }
  return {ErrorCode::kInvalid, unknown_name_message("command", words[0], names)};
}

/// Refuses an option the verb does not have before anything else is said about the line.
Status check_options(const Verb& verb, const Arguments& arguments, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") break;
    const bool is_option = word.size() > 2 && word.starts_with("--");
    if (!is_option) continue;
    const std::string name = word.substr(0, word.find('='));
    if (arguments.find(name)) continue;
    std::vector<std::string> known;
    for (const Argument& argument : arguments.all()) {
      for (std::string& long_name : argument.long_names()) known.push_back(std::move(long_name));
    }
    const std::optional<std::string> nearest = nearest_name(name, known);
    return fail(ErrorCode::kInvalid, "'gauntlet {}' has no option {}; {}", verb.name, name,
                nearest ? fmt::format("did you mean {}?", *nearest)
                        : fmt::format("gauntlet {} --help lists them", verb.name));
  }
  return {};
}

Result<int> run_verb(const Verb& verb, std::vector<std::string> words) {
  Arguments arguments(fmt::format("gauntlet {}", verb.name));
  const Action action = verb.declare(arguments);
  if (std::find(words.begin(), words.end(), "--help") != words.end() ||
      std::find(words.begin(), words.end(), "-h") != words.end()) {
    GAUNTLET_CHECK_OK(print(help_of(verb, arguments)));
    return 0;
  }
  GAUNTLET_CHECK_OK(check_options(verb, arguments, words));
  const Status parsed = arguments.parse(std::move(words));
  if (!parsed) {
    return fail(ErrorCode::kInvalid, "{} (gauntlet {} --help shows how it is used)", parsed.error().message,
                verb.name);
  }
  return action();
}

Result<int> run_line(std::vector<std::string> words) {
  if (words.empty()) {
    note(overview());
    return exit_code_of(ErrorCode::kInvalid);
  }
  if (words[0] == "--version") {
    GAUNTLET_CHECK_OK(print(fmt::format("gauntlet {} ({})\n", version(), revision())));
    return 0;
  }
  if (words[0] == "help" && words.size() > 1) {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    GAUNTLET_CHECK_OK(print(overview()));
    return 0;
  }
  std::size_t n_words = 0;
  const Verb* verb = find_verb(words, n_words);
  if (verb == nullptr) {
    const bool asks_for_help = words.size() == 2 && (words[1] == "--help" || words[1] == "-h");
    const std::string help = asks_for_help ? help_of_group(words[0]) : "";
    if (help.empty()) return fail(unknown_verb(words));
    GAUNTLET_CHECK_OK(print(help));
    return 0;
  }
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(n_words));
  return run_verb(*verb, std::move(words));
}

int finish(const Result<int>& result) {
  const Status flushed = flush_output();
  if (!result) {
    complain(result.error());
    return exit_code_of(result.error().code);
  }
  if (!flushed) {
    complain(flushed.error());
    return exit_code_of(flushed.error().code);
  }
  return *result;
}

}  // namespace

std::span<const Verb* const> verbs() { return kVerbs; }

}  // namespace gauntlet::cli

int main(int argc, char** argv) {
  using gauntlet::ErrorCode;
  // A reader that went away is an answer to a write, not a reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return gauntlet::cli::finish(gauntlet::cli::run_line(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::bad_alloc&) {
    return gauntlet::cli::finish(gauntlet::fail(ErrorCode::kOutOfMemory, "out of memory"));
  } catch (const std::exception& error) {
    return gauntlet::cli::finish(gauntlet::fail(ErrorCode::kInternal, "internal error: {}", error.what()));
  }
}
