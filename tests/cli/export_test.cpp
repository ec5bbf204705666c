// gauntlet export --db: copies of a database in use.
#include "tests/cli/cli_test_base.hpp"
#include "tests/cli/made_folder.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

class Export : public CliTest {
 protected:
  [[nodiscard]] Finished export_db(const fs::path& file, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"export", "--db", file.string(), "--workdir", workdir().string()});
    return gauntlet(more);
  }
};

TEST_F(Export, CopiesAnOpenDatabaseAndChecksTheCopy) {
  MadeFolder made(workdir());
  make_sweep(made);
  const fs::path copy = folder() / "copy.db";
  const Finished exported = export_db(copy, {"--json"});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const Json document = Json::parse(exported.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["what"], "db");
  EXPECT_EQ(document["rows"]["jobs"], 6);
  EXPECT_EQ(document["bytes"], fs::file_size(copy));
  const Finished query = gauntlet({"query", "SELECT count(*) FROM v_results", "--database", copy.string()});
  EXPECT_THAT(query.out, HasSubstr("6"));

  const Finished again = export_db(copy);
  EXPECT_EQ(again.exit_code, 6);
  EXPECT_THAT(again.err, HasSubstr("exists already and is not overwritten"));
  EXPECT_EQ(again.out, "");
}

TEST_F(Export, CopiesOfARunningSweepAreWhole) {
  const fs::path sweep = write("noops.yaml", "gauntlet: 1\nname: noops\nnoop: {jobs: 20000, ms: 0}\n");
  Process run({GAUNTLET_BINARY_DIR "/bin/gauntlet", "run", sweep.string(), "--workdir", workdir().string()},
              folder());
  ASSERT_TRUE(wait_until([&] {
    const Finished query = gauntlet({"query", "SELECT count(*) > 100 FROM attempts WHERE code = 0",
                                     "--workdir", workdir().string(), "--json"});
    return query.exit_code == 0 && Json::parse(query.out)["rows"][0][0] == 1;
  })) << run.err();
  for (int n = 0; n < 3; ++n) {
    const fs::path copy = folder() / fmt::format("copy{}.db", n);
    const Finished exported = export_db(copy);
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    const Finished verified = gauntlet({"verify", "--database", copy.string()});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }
  const Finished finished = run.wait();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
}

TEST_F(Export, MistakesAreOneSentence) {
  EXPECT_EQ(gauntlet({"export"}).exit_code, 2);
  EXPECT_THAT(gauntlet({"export"}).err,
              HasSubstr("'gauntlet export' needs to know what to write: --db FILE"));
  EXPECT_EQ(export_db(folder() / "copy.db").exit_code, 4) << "there is no database yet";
}

}  // namespace
}  // namespace gauntlet::cli
