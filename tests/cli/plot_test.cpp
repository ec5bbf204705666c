// gauntlet plot with the real gnuplot.
#include <algorithm>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing_support::Finished;

bool has_gnuplot() { return std::filesystem::exists("/usr/bin/gnuplot"); }

class Plot : public CliTest {
 protected:
  void run_sweep() {
    write("noop.yaml", "gauntlet: 1\nname: noop\nnoop: {jobs: 20, ms: 0}\n");
    const Finished ran = gauntlet({"run", "noop.yaml", "--workdir", workdir().string()});
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
  }
  Finished plot(std::vector<std::string> words) const {
    words.insert(words.begin(), "plot");
    words.insert(words.end(), {"--workdir", workdir().string()});
    return gauntlet(words);
  }
};

TEST_F(Plot, WritesTheSameSvgTwiceAndSaysWhere) {
  if (!has_gnuplot())
    GTEST_SKIP() << "no gnuplot here: apt-get install -y --no-install-recommends gnuplot-nox";
  run_sweep();
  const Finished first = plot({"throughput", "--output", "a.svg"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, "a.svg\n");
  ASSERT_EQ(plot({"throughput", "--output", "b.svg"}).exit_code, 0);
  const std::string svg = read(folder() / "a.svg");
  EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_EQ(svg, read(folder() / "b.svg"));
  const Finished named = plot({"throughput", "noop"});
  ASSERT_EQ(named.exit_code, 0) << named.err;
  EXPECT_EQ(named.out, (workdir() / "plots" / "noop_throughput.svg").string() + "\n");
  EXPECT_THAT(read(workdir() / "plots" / "noop_throughput.svg"), HasSubstr("Jobs finished: noop"));
}

TEST_F(Plot, WritesPngAndPdfByTheEndOfTheName) {
  if (!has_gnuplot())
    GTEST_SKIP() << "no gnuplot here: apt-get install -y --no-install-recommends gnuplot-nox";
  run_sweep();
  ASSERT_EQ(plot({"throughput", "--output", "t.png"}).exit_code, 0);
  EXPECT_THAT(read(folder() / "t.png"), StartsWith("\x89PNG"));
  ASSERT_EQ(plot({"throughput", "--output", "t.pdf"}).exit_code, 0);
  EXPECT_THAT(read(folder() / "t.pdf"), StartsWith("%PDF"));
}

TEST_F(Plot, WithoutGnuplotSaysHowToGetItAndStillWritesLatex) {
  run_sweep();
  const Finished missing =
      shell("GAUNTLET_GNUPLOT=/nowhere/gnuplot $GAUNTLET plot throughput --output t.svg --workdir " +
            workdir().string());
  EXPECT_EQ(missing.exit_code, 4);
  EXPECT_THAT(missing.err, AllOf(HasSubstr("'/nowhere/gnuplot' is not installed"),
                                 HasSubstr("apt-get install -y --no-install-recommends gnuplot-nox")));
  EXPECT_EQ(std::count(missing.err.begin(), missing.err.end(), '\n'), 1);
  EXPECT_FALSE(std::filesystem::exists(folder() / "t.svg"));
  const Finished latex =
      shell("GAUNTLET_GNUPLOT=/nowhere/gnuplot $GAUNTLET plot throughput --output t.tex --workdir " +
            workdir().string());
  EXPECT_EQ(latex.exit_code, 0) << latex.err;
  EXPECT_THAT(read(folder() / "t.tex"), HasSubstr("\\begin{tikzpicture}"));
}

TEST_F(Plot, RefusesWhatItCannotDraw) {
  run_sweep();
  EXPECT_EQ(plot({"pie", "x.yaml"}).exit_code, 2);
  EXPECT_THAT(plot({"pr"}).err, HasSubstr("plot pr takes one table spec, not 0"));
  EXPECT_THAT(plot({"throughput", "--format", "gif"}).err, HasSubstr("gif not in {svg,pdf,png,pgf}"));
  EXPECT_THAT(plot({"throughput", "--output", "t.gif"}).err, HasSubstr("unknown format 'gif'"));
  EXPECT_EQ(plot({"loss", "abcd1234abcd1234"}).exit_code, 4);
  EXPECT_EQ(plot({"throughput", "nothing"}).exit_code, 4);
}

}  // namespace
}  // namespace gauntlet::cli
