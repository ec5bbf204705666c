// What a person sees before anything runs: help, suggestions, exit codes, streams.
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::Finished;

class Help : public CliTest {};

TEST_F(Help, OverviewStartsWithExamplesAndListsEveryVerbOnce) {
  const Finished help = gauntlet({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(help.err, "");
  EXPECT_THAT(help.out, StartsWith("Examples:\n  gauntlet run sweeps/quickstart.yaml"));
  for (const char* verb :
       {"run",         "plan",   "submit",    "status",       "watch",        "wait",
        "explain",     "logs",   "cancel",    "retry",        "pause",        "resume",
        "coordinator", "worker", "data list", "data inspect", "data prepare", "data verify",
        "data stats",  "eval",   "query",     "table",        "export",       "verify",
        "gc",          "doctor", "catalog",   "completion"}) {
    EXPECT_THAT(help.out, HasSubstr("\n  " + std::string(verb) + " ")) << verb;
  }
  EXPECT_THAT(help.out, Not(HasSubstr("executor"))) << "a verb between our own processes";
}

TEST_F(Help, EveryVerbShowsExamplesBeforeOptions) {
  for (const char* verb :
       {"run",    "plan",    "submit", "status",      "watch",  "wait",   "explain", "logs",      "cancel",
        "retry",  "pause",   "resume", "coordinator", "worker", "eval",   "query",   "table",     "export",
        "import", "compare", "man",    "verify",      "gc",     "doctor", "catalog", "completion"}) {
    const Finished help = gauntlet({verb, "--help"});
    EXPECT_EQ(help.exit_code, 0) << verb;
    const std::size_t examples = help.out.find("Examples:\n  ");
    const std::size_t options = help.out.find("Options:");
    EXPECT_LT(examples, options) << verb << "\n" << help.out;
    EXPECT_EQ(help.err, "") << verb;
  }
  EXPECT_EQ(gauntlet({"help", "data", "prepare"}).out, gauntlet({"data", "prepare", "--help"}).out);
}

TEST_F(Help, AGroupOfVerbsShowsItsMembers) {
  for (const std::string group : {"alloc", "data", "bench", "board"}) {
    const Finished shown = gauntlet({group, "--help"});
    EXPECT_EQ(shown.exit_code, 0) << group;
    EXPECT_THAT(shown.out, HasSubstr("gauntlet " + group + " ")) << group;
    EXPECT_EQ(gauntlet({"help", group}).out, shown.out);
  }
}

TEST_F(Help, VersionNamesVersionAndRevision) {
  const Finished version = gauntlet({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, testing::MatchesRegex("gauntlet [0-9.]+ \\(.+\\)\n"));
}

TEST_F(Help, NothingTypedIsAUsageError) {
  const Finished nothing = gauntlet({});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_EQ(nothing.out, "");
  EXPECT_THAT(nothing.err, HasSubstr("gauntlet run"));
}

struct Mistake {
  std::vector<std::string> words;
  std::string sentence;
};

TEST_F(Help, MistakesGetOneSentenceAndASuggestion) {
  const Mistake mistakes[] = {
      {{"rnu"}, "unknown command 'rnu'; did you mean 'run'?"},
      {{"statsu", "--json"}, "did you mean 'status'?"},
      {{"data"}, "'data' needs to know what to do: list, inspect, prepare, verify, stats"},
      {{"data", "lsit"}, "unknown data command 'lsit'; did you mean 'list'?"},
      {{"status", "--jsn"}, "'gauntlet status' has no option --jsn; did you mean --json?"},
      {{"eval", "--query-code", "q.npy"},
       "'gauntlet eval' has no option --query-code; did you mean --query-codes?"},
      {{"plan", "--zzzzzz"}, "'gauntlet plan' has no option --zzzzzz; gauntlet plan --help lists them"},
      {{"plan"}, "spec is required"},
      {{"wait", "x", "--timeout", "soon"}, "--timeout"},
      {{"completion", "tcsh"}, "unknown shell 'tcsh'"},
      {{"query"}, "'gauntlet query' takes either one SELECT or --where CONDITION"},
      {{"cancel"}, "'gauntlet cancel' needs a sweep, --key or --where: it never cancels everything"},
      {{"logs", "ab"}, "'ab' is too short; give at least 4 digits of the job's key"},
      {{"coordinator", "--log-level", "loud"},
       "'loud' is not a log level; allowed: debug, info, warn, error, off"},
      {{"worker", "--log-format", "xml"}, "'xml' is not a log format; allowed: text, json"},
      {{"coordinator", "--http", "here"},
       "--http: 'here' is not an address; write PORT, HOST:PORT or [V6]:PORT"},
      {{"run", "x.yaml", "--cpus", "0"}, "--cpus"},
  };
  for (const Mistake& mistake : mistakes) {
    const Finished finished = gauntlet(mistake.words);
    EXPECT_EQ(finished.exit_code, 2) << mistake.sentence << finished.err;
    EXPECT_EQ(finished.out, "") << mistake.sentence;
    EXPECT_THAT(finished.err, AllOf(StartsWith("gauntlet: "), HasSubstr(mistake.sentence)));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
  }
}

TEST_F(Help, ExitCodesOfTheWorld) {
  EXPECT_EQ(gauntlet({"plan", "nowhere.yaml"}).exit_code, 4);
  EXPECT_EQ(gauntlet({"catalog", "nobody"}).exit_code, 4);
  EXPECT_EQ(gauntlet({"status", "--workdir", workdir().string()}).exit_code, 5);
  EXPECT_EQ(gauntlet({"query", "SELECT 1", "--workdir", workdir().string()}).exit_code, 4);
  EXPECT_EQ(gauntlet({"data", "verify", "nowhere"}).exit_code, 4);
  EXPECT_EQ(gauntlet({"logs", "abcdef", "--workdir", workdir().string()}).exit_code, 4);
}

TEST_F(Help, AnUnreachableCoordinatorIsNamed) {
  const Finished status = gauntlet({"status", "--workdir", workdir().string()});
  EXPECT_EQ(status.exit_code, 5);
  EXPECT_THAT(status.err, HasSubstr(workdir().string()));
}

TEST_F(Help, AReaderThatGoesAwayIsNoError) {
  const Finished piped = shell("\"$GAUNTLET\" catalog --json | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}");
  EXPECT_EQ(piped.out, "0\n") << piped.err;
  EXPECT_EQ(piped.err, "");
}

TEST_F(Help, AFullOutputIsOneSentence) {
  const Finished full = shell("\"$GAUNTLET\" catalog --json >/dev/full");
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(full.err, "gauntlet: cannot write to standard output: No space left on device\n");
}

TEST_F(Help, CatalogIsOneDocument) {
  const Finished catalog = gauntlet({"catalog", "--json"});
  ASSERT_EQ(catalog.exit_code, 0) << catalog.err;
  const Json document = Json::parse(catalog.out);
  EXPECT_EQ(document["format"], 1);
  for (const char* kind : {"datasets", "models", "attacks", "defenses", "metrics"}) {
    ASSERT_TRUE(document[kind].is_array()) << kind;
    EXPECT_FALSE(document[kind].empty()) << kind;
    for (const Json& entry : document[kind]) {
      EXPECT_TRUE(entry.contains("name") && entry.contains("version") && entry.contains("fields")) << entry;
    }
  }
  const Finished pgd = gauntlet({"catalog", "pgd"});
  EXPECT_EQ(pgd.exit_code, 0);
  EXPECT_THAT(pgd.out, HasSubstr("epsilon_image"));
}

/// The libraries that the program itself asks the loader for.
TEST_F(Help, TheProgramLinksNeitherTorchNorCuda) {
  const Finished dynamic = shell("ldd \"$GAUNTLET\"");
  ASSERT_EQ(dynamic.exit_code, 0) << dynamic.err;
  ASSERT_THAT(dynamic.out, HasSubstr("libsqlite3")) << "the list is not what it should be";
  for (const char* library : {"torch", "c10", "cuda", "cudnn", "nccl", "gloo", "mkl"}) {
    EXPECT_THAT(dynamic.out, Not(HasSubstr(std::string("lib") + library)));
  }
}

}  // namespace
}  // namespace gauntlet::cli
