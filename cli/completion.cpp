// gauntlet completion: a shell's completion. The scripts ask the program itself (gauntlet complete), so they
// never know less than it does.
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

// Words are handed over with a leading "=", so that none of them is taken for an option of the asking.
constexpr std::string_view kBash = R"script(# bash completion of gauntlet; eval "$(gauntlet completion bash)"
_gauntlet() {
  local word="${COMP_WORDS[COMP_CWORD]}" line candidate
  local -a asked=("${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ":files" ]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "$word")
    else
      printf -v candidate '%q' "${line%%$'\t'*}"
      COMPREPLY+=("$candidate")
    fi
  done < <("${COMP_WORDS[0]}" complete "${asked[@]/#/=}" 2>/dev/null)
}
complete -F _gauntlet gauntlet
)script";

constexpr std::string_view kZsh = R"script(#compdef gauntlet
# zsh completion of gauntlet; eval "$(gauntlet completion zsh)", or keep it as _gauntlet in a folder of $fpath
_gauntlet() {
  local line files=0
  local -a asked=("${(@)words[2,CURRENT]}") found
  for line in "${(@f)$("${words[1]}" complete "${asked[@]/#/=}" 2>/dev/null)}"; do
    [[ -n "$line" ]] || continue
    if [[ "$line" == ":files" ]]; then files=1; continue; fi
    found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  (( $#found )) && _describe 'gauntlet' found
  (( files )) && _files
  return 0
}
if [[ "$funcstack[1]" == _gauntlet ]]; then _gauntlet "$@"; elif (( $+functions[compdef] )); then compdef _gauntlet gauntlet; fi
)script";

constexpr std::string_view kFish = R"script(# fish completion of gauntlet; gauntlet completion fish | source
function __gauntlet_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l asked
  for word in $words[2..-1]
    set -a asked "=$word"
  end
  for line in ($words[1] complete $asked 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c gauntlet -f -a '(__gauntlet_complete)'
)script";

Action declare(Arguments& arguments) {
  const auto shell = std::make_shared<std::string>();
  arguments.add_option("shell", *shell, "bash, zsh or fish").required();
  return [shell]() -> Result<int> {
    const std::vector<std::string> known = {"bash", "zsh", "fish"};
    if (std::find(known.begin(), known.end(), *shell) == known.end())
      return fail(ErrorCode::kInvalid, "{}", unknown_name_message("shell", *shell, known));
    GAUNTLET_CHECK_OK(print(*shell == "bash" ? kBash : *shell == "zsh" ? kZsh : kFish));
    return 0;
  };
}

}  // namespace

extern const Verb completion_verb;
constinit const Verb completion_verb{
    .name = "completion",
    .summary = "Print a completion script for a shell: verbs, options, names of sweeps, jobs and tables",
    .examples =
        "  eval \"$(gauntlet completion bash)\"\n"
        "  gauntlet completion zsh > ~/.zfunc/_gauntlet\n"
        "  gauntlet completion fish > ~/.config/fish/completions/gauntlet.fish\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
