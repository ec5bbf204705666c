// gauntlet completion: a shell's completion, written from the verbs' own declarations.
#include <fmt/format.h>

#include <map>
#include <set>

#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

std::string options_of(const Verb& verb) {
  CLI::App app;
  const Action unused = verb.declare(app);
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return fmt::format("{}", fmt::join(names, " "));
}

/// Completes verbs, sub-verbs and options; everything else as files.
std::string bash_script() {
  std::map<std::string, std::string> seconds;  // first word → second words
  std::vector<std::string> firsts;
  std::string cases;
  for (const Verb* verb : verbs()) {
    if (verb->hidden) continue;
    const std::string name(verb->name);
    const std::size_t blank = name.find(' ');
    const std::string first = name.substr(0, blank);
    if (std::find(firsts.begin(), firsts.end(), first) == firsts.end()) firsts.push_back(first);
    if (blank != std::string::npos)
      seconds[first] += (seconds[first].empty() ? "" : " ") + name.substr(blank + 1);
    cases += fmt::format("    '{}') options='{}' ;;\n", name, options_of(*verb));
  }
  std::string groups;
  for (const auto& [first, words] : seconds) groups += fmt::format("    {}) group='{}' ;;\n", first, words);
  // clang-format off
  static constexpr const char kScript[] = R"script(# bash completion of gauntlet; eval "$(gauntlet completion bash)"
_gauntlet() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" first="${{COMP_WORDS[1]}}" group='' options='' name
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$word"))
    return
  fi
  case "$first" in
{}  esac
  name="$first"
  if [ -n "$group" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "$group" -- "$word"))
      return
    fi
    name="$first ${{COMP_WORDS[2]}}"
  fi
  case "$name" in
{}  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _gauntlet gauntlet
)script";
  // clang-format on
  return fmt::format(kScript, fmt::join(firsts, " "), groups, cases);
}

Action declare(CLI::App& app) {
  const auto shell = std::make_shared<std::string>();
  app.add_option("shell", *shell, "bash")->required();
  return [shell]() -> Result<int> {
    if (*shell != "bash") return fail(ErrorCode::kInvalid, "no completion for '{}'; known: bash", *shell);
    GAUNTLET_CHECK_OK(print(bash_script()));
    return 0;
  };
}

}  // namespace

extern const Verb completion_verb;
constinit const Verb completion_verb{
    .name = "completion",
    .summary = "Print a completion script for a shell",
    .examples = "  eval \"$(gauntlet completion bash)\"\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
