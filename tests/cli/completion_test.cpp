// gauntlet completion and gauntlet man, as shells and man read them.
#include <regex>
#include <set>

#include "tests/cli/cli_test_base.hpp"
#include "tests/cli/made_folder.hpp"

namespace gauntlet::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::Finished;

class Completion : public CliTest {
 protected:
  /// Two sweeps, one of them hard to type.
  void make_names() const {
    MadeFolder made(workdir());
    made.add("data", spec::JobKind::kPrepare, {});
    made.submit("defense-comparison", {{"data"}});
    made.submit("it's a \"sweep\"", {{"data"}});
    key_ = made.key("data").hex();
  }
  [[nodiscard]] Finished bash(const std::string& line) const {
    return shell(
        "export PATH=\"$(dirname \"$GAUNTLET\"):$PATH\"\neval \"$(gauntlet completion bash)\"\n"
        "ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _gauntlet; printf '%s\\n' \"${COMPREPLY[@]}\"; "
        "}\n" +
        line);
  }
  mutable std::string key_;
};

TEST_F(Completion, BashKnowsVerbsAndTheirOptions) {
  EXPECT_EQ(bash("ask gauntlet qu").out, "query\n");
  EXPECT_EQ(bash("ask gauntlet data pr").out, "prepare\n");
  EXPECT_EQ(bash("ask gauntlet eval --retrieval-c").out, "--retrieval-codes\n");
  EXPECT_EQ(bash("ask gauntlet data prepare --thr").out, "--threads\n");
  EXPECT_THAT(bash("ask gauntlet ''").out,
              AllOf(HasSubstr("run\n"), HasSubstr("--help\n"), Not(HasSubstr("executor"))));
  EXPECT_EQ(bash("ask gauntlet completion z").out, "zsh\n");
  EXPECT_EQ(bash("ask gauntlet table spec.yaml --format l").out, "latex\n");
  EXPECT_EQ(bash("ask gauntlet plot pr spec.yaml --format ''").out, "svg\npdf\npng\npgf\n");
  EXPECT_EQ(bash("ask gauntlet nonsense x").out, "\n");
  EXPECT_EQ(bash("ask gauntlet coordinator --alloc-p").out, "\n") << "what --help does not show";
}

TEST_F(Completion, BashKnowsSweepsJobsAndTables) {
  make_names();
  const std::string at = " --workdir " + workdir().string() + " ";
  EXPECT_EQ(bash("ask gauntlet status" + at + "def").out, "defense-comparison\n");
  EXPECT_EQ(bash("ask gauntlet wait" + at + "it").out, "it\\'s\\ a\\ \\\"sweep\\\"\n");
  EXPECT_EQ(bash("ask gauntlet export" + at + "--sweep d").out, "defense-comparison\n");
  EXPECT_EQ(bash("ask gauntlet explain" + at + key_.substr(0, 3)).out, key_.substr(0, 12) + "\n");
  EXPECT_EQ(bash("ask gauntlet cancel" + at + "--key " + key_.substr(0, 20)).out, key_.substr(0, 20) + "\n");
  EXPECT_EQ(bash("ask gauntlet logs" + at + "xyz").out, "\n");
  std::filesystem::create_directories(folder() / "results" / "tables");
  write("results/tables/benign.yaml", "");
  write("sweep.yaml", "");
  EXPECT_THAT(bash("ask gauntlet table ''").out, HasSubstr("results/tables/benign.yaml\n"));
  EXPECT_EQ(bash("ask gauntlet run sw").out, "sweep.yaml\n");
  EXPECT_EQ(bash("ask gauntlet status --workdir nowhere d").out, "\n");
}

TEST_F(Completion, BashKnowsWhatAPictureIsMadeOf) {
  make_names();
  const std::string at = " --workdir " + workdir().string() + " ";
  std::filesystem::create_directories(folder() / "results" / "tables");
  write("results/tables/benign.yaml", "");
  EXPECT_EQ(bash("ask gauntlet plot c").out, "curve\n");
  EXPECT_EQ(bash("ask gauntlet plot loss" + at + key_.substr(0, 3)).out, key_.substr(0, 12) + "\n");
  EXPECT_EQ(bash("ask gauntlet plot loss" + at + "12ab " + key_.substr(0, 3)).out, key_.substr(0, 12) + "\n")
      << "of several jobs each";
  EXPECT_EQ(bash("ask gauntlet plot throughput" + at + "def").out, "defense-comparison\n");
  EXPECT_EQ(bash("ask gauntlet plot retrieval" + at + "def").out, "defense-comparison\n");
  EXPECT_EQ(bash("ask gauntlet plot" + at + "retrieval def").out, "defense-comparison\n") << "options first";
  EXPECT_THAT(bash("ask gauntlet plot bars" + at + "results/tables/b").out,
              StartsWith("results/tables/benign.yaml\n"));  // and once more as a file; readline shows it once
  EXPECT_EQ(bash("ask gauntlet plot pr" + at + "def").out, "\n") << "no sweep is a table spec";
  std::filesystem::create_directories(folder() / "results" / "plots");
  write("results/plots/curves.yaml", "");
  EXPECT_THAT(bash("ask gauntlet plot pr ''").out,
              AllOf(HasSubstr("results/plots/curves.yaml\n"), HasSubstr("results/tables/benign.yaml\n")));
  EXPECT_EQ(bash("ask gauntlet table x.yaml --paper d").out, "difference\n");
}

/// An interactive zsh on a terminal of its own: what it makes of each line and a Tab.
constexpr const char* kInteractiveZsh = R"zsh(
zmodload zsh/zpty
zpty z "PS1= TERM=dumb exec zsh -f -i"
zpty -w z "autoload -Uz compinit; compinit -u -d $PWD/zcompdump; eval \"\$(gauntlet completion zsh)\"; \
bindkey '^I' complete-word; show() { print -r -- \"<<\$BUFFER>>\"; BUFFER=; zle accept-line }; zle -N show; \
bindkey '^X' show; print -r -- RE''ADY"
while zpty -r z line; do [[ "$line" == *READY* ]] && break; done
for asked in "$@"; do
  zpty -w -n z "$asked"$'\t'$'\C-x'
  while zpty -r z line; do
    [[ "$line" == *'<<'*'>>'* ]] && { print -r -- "${${line#*<<}%%>>*}"; break; }
  done
done
zpty -d z
)zsh";

TEST_F(Completion, AnInteractiveZshCompletesTheLine) {
  if (!std::filesystem::exists("/usr/bin/zsh")) GTEST_SKIP() << "no zsh here: apt-get install zsh";
  make_names();
  write("ask.zsh", kInteractiveZsh);
  write("sweep.yaml", "");
  const std::string at = "--workdir " + workdir().string() + " ";
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"gauntlet qu", "gauntlet query "},
      {"gauntlet data pr", "gauntlet data prepare "},
      {"gauntlet eval --retrieval-c", "gauntlet eval --retrieval-codes "},
      {"gauntlet completion f", "gauntlet completion fish "},
      {"gauntlet nonsense x", "gauntlet nonsense x"},
      {"gauntlet run sw", "gauntlet run sweep.yaml "},
      {"gauntlet status " + at + "def", "gauntlet status " + at + "defense-comparison "},
      {"gauntlet wait " + at + "it", "gauntlet wait " + at + R"(it\'s\ a\ \"sweep\" )"},
      {"gauntlet explain " + at + key_.substr(0, 3), "gauntlet explain " + at + key_.substr(0, 12) + " "}};
  std::string script = "export PATH=\"$(dirname \"$GAUNTLET\"):$PATH\"\ntimeout 120 zsh -f ask.zsh";
  std::string expected;
  for (const auto& [asked, completed] : lines) {
    script += " '" + asked + "'";
    expected += completed + "\n";
  }
  const Finished zsh = shell(script);
  EXPECT_EQ(zsh.exit_code, 0) << zsh.err;
  EXPECT_EQ(zsh.out, expected);
}

TEST_F(Completion, FishAsksTheSame) {
  make_names();
  const Finished fish = shell(
      "export PATH=\"$(dirname \"$GAUNTLET\"):$PATH\"\n"
      "command -v fish >/dev/null || exit 77\ngauntlet completion fish > c.fish\nfish --no-config -c "
      "'source c.fish; complete -C \"gauntlet status --workdir " +
      workdir().string() + " def\"'");
  EXPECT_TRUE(fish.exit_code == 77 || fish.out == "defense-comparison\tsweep 1\n") << fish.out << fish.err;
}

TEST_F(Completion, TheManualPageHasEveryVerbAndIsClean) {
  const Finished man = gauntlet({"man"});
  ASSERT_EQ(man.exit_code, 0) << man.err;
  EXPECT_THAT(man.out, StartsWith(".TH GAUNTLET 1"));
  std::istringstream overview(gauntlet({"--help"}).out.substr(gauntlet({"--help"}).out.find("Commands (")));
  std::string line;
  std::getline(overview, line);
  int n_verbs = 0;
  for (; std::getline(overview, line) && line.starts_with("  "); ++n_verbs) {
    std::istringstream words(line);
    std::string verb, second;
    words >> verb >> second;
    EXPECT_THAT(man.out, AnyOf(HasSubstr(".SS \"gauntlet " + verb + "\"\n"),
                               HasSubstr(".SS \"gauntlet " + verb + " " + second + "\"\n")))
        << line;
  }
  EXPECT_GT(n_verbs, 25);
  EXPECT_THAT(man.out,
              AllOf(HasSubstr("\\fB\\-\\-where CONDITION\\fR"), HasSubstr("\\fB130\\fR\ninterrupted")));
  const Finished lint = shell(
      "command -v groff >/dev/null || exit 77\n\"$GAUNTLET\" man > page.1\n"
      "for columns in 60 80 200; do groff -man -ww -Tutf8 -z -rLL=${columns}n page.1 || exit 1; done");
  EXPECT_TRUE(lint.exit_code == 77 || (lint.exit_code == 0 && lint.err.empty())) << lint.err;
  const Finished mandoc =
      shell("command -v mandoc >/dev/null || exit 77\n\"$GAUNTLET\" man | mandoc -Tlint -Werror");
  EXPECT_TRUE(mandoc.exit_code == 77 || (mandoc.exit_code == 0 && mandoc.out.empty())) << mandoc.out;
}

/// Options in a text: "--where", "--json", ...
std::set<std::string> options_in(const std::string& text) {
  std::set<std::string> options;
  const std::regex form("--[a-z][-a-z]*");
  for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at)
    options.insert(at->str());
  return options;
}

TEST_F(Completion, TheManualPageHasTheOptionsOfHelp) {
  const std::string man = std::regex_replace(gauntlet({"man"}).out, std::regex(R"(\\-)"), "-");
  const std::string start = ".SS \"gauntlet ";
  std::size_t n_verbs = 0;
  for (std::size_t at = man.find(start); at != std::string::npos; ++n_verbs) {
    const std::size_t from = at + start.size();
    const std::string name = man.substr(from, man.find('"', from) - from);
    at = man.find(start, from);
    const std::string part = man.substr(from, std::min(at, man.find("\n.SH ", from)) - from);
    const Finished help = shell("\"$GAUNTLET\" " + name + " --help");
    ASSERT_EQ(help.exit_code, 0) << name << help.err;
    EXPECT_EQ(options_in(part), options_in(help.out)) << name;
  }
  EXPECT_GT(n_verbs, 25U);
}

}  // namespace
}  // namespace gauntlet::cli
