#include "worker/executor/light_runner.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <fstream>
#include <map>
#include <set>

#include "core/base/files.hpp"
#include "core/data/dataset.hpp"
#include "core/data/prepared_set.hpp"
#include "core/io/npy.hpp"
#include "core/spec/external.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/worker/processes.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using spec::JobKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NoProgress final : public ProgressSink {
 public:
  void update(const Progress&) override {}
};

template <class T>
void write(const fs::path& path, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
  ASSERT_TRUE(io::write_npy<T>(path, shape, std::span<const T>(values)));
}

class LightRunnerTest : public ::testing::Test {
 protected:
  [[nodiscard]] AttemptContext context(const spec::JobSpec& job) const {
    AttemptContext attempt;
    attempt.job = job;
    attempt.key = key_of(job).value();
    attempt.workdir = folder_.path();
    attempt.store = artifacts::ArtifactStore(folder_.path());
    return attempt;
  }
  Result<AttemptResult> run(const spec::JobSpec& job) {
    NoProgress progress;
    return LightRunner().run(context(job), progress);
  }
  /// Publishes the files that `fill` writes as the artifact of a job of this kind; its key.
  JobKey publish(JobKind kind, std::uint64_t seed, const Json& about,
                 const std::function<void(const fs::path&)>& fill) {
    spec::JobSpec job;
    job.kind = kind;
    job.seed = seed;
    const AttemptContext attempt = context(job);
    Result<artifacts::Draft> draft = attempt.store.begin(attempt.key);
    EXPECT_TRUE(draft);
    fill(draft->folder());
    EXPECT_TRUE(attempt.store.publish(std::move(*draft), job, attempt.key, about));
    return attempt.key;
  }
  /// Four items: 0 is the query, 1 to 3 are retrieved; labels A, A, B, A B.
  static void fill_dataset(const fs::path& folder) {
    write<std::uint8_t>(folder / "images.npy", {4, 2, 2, 3}, std::vector<std::uint8_t>(48, 7));
    write<std::uint8_t>(folder / "text.npy", {4, 2}, {1, 0, 1, 0, 0, 1, 1, 1});
    write<std::uint8_t>(folder / "labels.npy", {4, 2}, {1, 0, 1, 0, 0, 1, 1, 1});
    write<std::uint8_t>(folder / "split.npy", {4}, {0, 1, 2, 2});
    std::ofstream(folder / "dataset.json") << R"({"format":1,"name":"tiny","label_names":["a","b"]})";
  }
  JobKey publish_codes(std::uint64_t seed, const std::vector<std::uint8_t>& bytes,
                       const std::vector<std::int64_t>& rows) {
    const auto n = static_cast<std::int64_t>(rows.size());
    return publish(
        JobKind::kEncode, seed, {{"bits", 8}, {"n", n}, {"zeros", 0}}, [&](const fs::path& folder) {
          write<std::uint8_t>(folder / "codes.npy", {static_cast<std::int64_t>(bytes.size()), 1}, bytes);
          write<std::int64_t>(folder / "rows.npy", {n}, rows);
        });
  }
  spec::JobSpec evaluate_job(const std::vector<std::string>& metrics) {
    spec::JobSpec job;
    job.kind = JobKind::kEvaluate;
    job.version = 1;
    job.config = {{"metrics", metrics}, {"direction", "i2t"}};
    // Distances from the query: 0 to item 1 (relevant), 1 to item 2 (not), 2 to item 3 (relevant).
    job.inputs = {{"data", publish(JobKind::kPrepare, 1, Json::object(), fill_dataset)},
                  {"query_codes", publish_codes(2, {0b0000}, {0})},
                  {"retrieval_codes", publish_codes(3, {0b0000, 0b0001, 0b0011}, {1, 2, 3})}};
    return job;
  }

  testing_support::TempFolder folder_;
};

TEST_F(LightRunnerTest, SaysWhatItRunsOn) {
  const Json environment = parse_json(LightRunner().environment(), "environment").value();
  EXPECT_EQ(environment["program"], "gauntlet");
  EXPECT_EQ(environment["device"], "cpu");
  EXPECT_FALSE(environment["revision"].get<std::string>().empty());
  EXPECT_TRUE(environment["versions"].contains("gauntlet"));
}

TEST_F(LightRunnerTest, RefusesJobsThatNeedTorch) {
  spec::JobSpec job;
  job.kind = JobKind::kTrainModel;
  const Result<AttemptResult> result = run(job);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("this one is train_model"));
}

TEST_F(LightRunnerTest, ANoopGivesThreeRows) {
  spec::JobSpec job;
  job.config = {{"index", 5}, {"ms", 0}};
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->rows.size(), 3U);
  EXPECT_EQ(result->rows[2].metric, "noop_index");
  EXPECT_EQ(result->rows[2].value, 5);
  job.config["ms"] = -1;
  EXPECT_THAT(run(job).error().message, HasSubstr("-1"));
}

TEST_F(LightRunnerTest, ANoopTakesItsTime) {
  spec::JobSpec job;
  job.config = {{"index", 0}, {"ms", 30}};
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(run(job));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(30));
}

/// The numbers of a result by their names.
std::map<std::string, double> values_of(const AttemptResult& result) {
  std::map<std::string, double> values;
  for (const spec::ResultRow& row : result.rows) values.emplace(row.metric, row.value);
  return values;
}

TEST_F(LightRunnerTest, EvaluatesTheWorstOfSeveralAttacks) {
  spec::JobSpec job = evaluate_job({"map", "pr"});
  job.config["worst"] = {{"set", "tiny"}, {"version", 1}, {"members", {"weak", "strong"}}};
  job.inputs.push_back({"worst_of_000", publish_codes(4, {0b0000}, {0})});
  job.inputs.push_back({"worst_of_001", publish_codes(5, {0b0001}, {0})});  // the irrelevant item's code
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  std::map<std::string, double> values = values_of(*result);
  const double clean = 5.0 / 6;
  // After the irrelevant item, two relevant ones at distance 1 each, in any order: ranks 2 and 3.
  EXPECT_NEAR(values["map"], (1.0 / 2 + 2.0 / 3) / 2, 1e-12);
  EXPECT_NEAR(values["map:clean"], clean, 1e-12);
  EXPECT_NEAR(values["map:best_single"], values["map"], 1e-12);
  EXPECT_NEAR(values["member_map:weak"], clean, 1e-12);
  EXPECT_EQ(values["member_share:clean"], 0);
  EXPECT_EQ(values["member_share:strong"], 1);
  EXPECT_NEAR(values["member_rise:strong"], clean - values["map"], 1e-12);
  EXPECT_EQ(values["member_rise:weak"], 0);
  EXPECT_EQ(values["map:ci_low"], values["map"]);  // one query: every resample is the same
  // Three items, two of them relevant.
  EXPECT_NEAR(values["map:absolute_floor"], (1.0 / 2 + 2.0 / 3) / 2, 1e-12);
  EXPECT_NEAR(values["map:chance"], 0.5 + 0.5 * (1 + 0.5 + 1.0 / 3) / 3, 1e-12);
  EXPECT_NEAR(values["map:oracle_floor"], values["map:absolute_floor"], 1e-12);
  EXPECT_NEAR(values["kept_share"], (values["map"] - values["map:chance"]) / (clean - values["map:chance"]),
              1e-12);
  EXPECT_TRUE(values.contains("pr"));
  EXPECT_FALSE(result->curves.empty());
  const auto oracle = std::find_if(result->rows.begin(), result->rows.end(),
                                   [](const auto& row) { return row.metric == "map:oracle_floor"; });
  EXPECT_EQ(oracle->per_query.size(), 1U);
}

TEST_F(LightRunnerTest, ComparesTheWorstWithTheUndefendedModelWhereThereIsADefense) {
  spec::JobSpec job = evaluate_job({"map"});
  job.config["worst"] = {{"set", "tiny"}, {"version", 1}, {"members", {"strong"}}};
  job.inputs.insert(job.inputs.begin(), {"base_query_codes", publish_codes(6, {0b0001}, {0})});
  job.inputs.push_back({"worst_of_000", publish_codes(5, {0b0001}, {0})});
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  std::map<std::string, double> values = values_of(*result);
  EXPECT_NEAR(values["map:clean_undefended"], (1.0 / 2 + 2.0 / 3) / 2, 1e-12);
  EXPECT_NEAR(values["map:clean"], (1.0 + 2.0 / 3) / 2, 1e-12);
  EXPECT_FALSE(values.contains("kept_share")) << "of a model that is worse than chance";
}

TEST_F(LightRunnerTest, RefusesMembersThatAreNamedWrongOrOfOtherQueries) {
  spec::JobSpec job = evaluate_job({"map"});
  job.config["worst"] = {{"members", "strong"}};
  EXPECT_THAT(run(job).error().message, HasSubstr("'worst.members' is not a list"));
  job.config["worst"] = {{"members", {"strong"}}};
  EXPECT_THAT(run(job).error().message, HasSubstr("no input 'worst_of_000'"));
  job.inputs.push_back({"worst_of_000", publish_codes(7, {0b0001}, {1})});
  EXPECT_THAT(run(job).error().message, HasSubstr("codes of other queries"));
}

TEST_F(LightRunnerTest, SwapsInTheTrainingInputThatRetrievesLeast) {
  spec::JobSpec job = evaluate_job({"map", "pr"});
  job.config["swap"] = {{"inputs", 1000}, {"version", 1}};
  // The relevant item's code, the irrelevant one's, the other relevant one's.
  job.inputs.push_back({"worst_of_000", publish_codes(8, {0b0000, 0b0001, 0b0011}, {1, 2, 3})});
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  std::map<std::string, double> values = values_of(*result);
  EXPECT_NEAR(values["map"], (1.0 / 2 + 2.0 / 3) / 2, 1e-12);
  EXPECT_TRUE(values.contains("pr"));
  EXPECT_FALSE(result->curves.empty());

  job.config["swap"]["inputs"] = 1;  // drawn by the seed: over some of them each input turns up
  std::set<double> seen;
  for (job.seed = 0; job.seed < 40; ++job.seed) {
    const double map = values_of(run(job).value()).at("map");
    EXPECT_EQ(map, values_of(run(job).value()).at("map"));
    seen.insert(std::round(1e6 * map));
  }
  EXPECT_EQ(seen.size(), 2U);  // two of the three codes retrieve alike
}

/// Items 0 to 2 are queries of labels A, B, A; 3 and 4 are retrieved, A and B.
TEST_F(LightRunnerTest, CurvesAreOfTheQueriesThatAreAnswered) {
  const JobKey data = publish(JobKind::kPrepare, 20, Json::object(), [](const fs::path& folder) {
    write<std::uint8_t>(folder / "images.npy", {5, 2, 2, 3}, std::vector<std::uint8_t>(60, 7));
    write<std::uint8_t>(folder / "text.npy", {5, 2}, std::vector<std::uint8_t>(10, 1));
    write<std::uint8_t>(folder / "labels.npy", {5, 2}, {1, 0, 0, 1, 1, 0, 1, 0, 0, 1});
    write<std::uint8_t>(folder / "split.npy", {5}, {0, 0, 0, 1, 1});
    std::ofstream(folder / "dataset.json") << R"({"format":1,"name":"tiny","label_names":["a","b"]})";
  });
  const auto queries = [&](std::uint64_t seed, std::uint8_t code, const std::vector<float>& scores) {
    return publish(JobKind::kEncode, seed, {{"bits", 8}, {"n", 3}, {"zeros", 0}},
                   [&](const fs::path& folder) {
                     write<std::uint8_t>(folder / "codes.npy", {3, 1}, {code, code, code});
                     write<std::int64_t>(folder / "rows.npy", {3}, {0, 1, 2});
                     write<float>(folder / spec::kRefusalFile, {3}, scores);
                   });
  };
  const auto evaluated = [&](const JobKey& asked, std::optional<JobKey> clean) {
    spec::JobSpec job;
    job.kind = JobKind::kEvaluate;
    job.version = 1;
    job.config = {{"metrics", {"map", "pr"}}, {"direction", "i2t"}};
    if (clean) job.inputs.push_back({"clean_query_codes", *clean});
    job.inputs.push_back({"data", data});
    job.inputs.push_back({"query_codes", asked});
    job.inputs.push_back({"retrieval_codes", publish_codes(21, {0x00, 0xFF}, {3, 4})});
    std::map<std::string, std::pair<double, std::int64_t>> found;
    const Result<AttemptResult> result = run(job);
    EXPECT_TRUE(result) << result.error().message;
    for (const spec::ResultRow& row : result->rows) found[row.metric] = {row.value, row.n};
    return found;
  };
  const JobKey clean = queries(22, 0x00, {-1, -1, 1});
  auto found = evaluated(clean, std::nullopt);
  EXPECT_NEAR(found.at("map").first, (1 + 0.5 + 0) / 3, 1e-12);
  EXPECT_EQ(found.at("map").second, 3);
  EXPECT_EQ(found.at("pr").second, 2);
  // The second query is what it was without the attack; the third gets nothing whatever it sends.
  found = evaluated(queries(23, 0xFF, {-1, 1, 1}), clean);
  EXPECT_NEAR(found.at("map").first, (0.5 + 0.5 + 0) / 3, 1e-12);
  EXPECT_EQ(found.at("pr").second, 2);
  EXPECT_EQ(evaluated(queries(24, 0x00, {1, 1, 1}), std::nullopt).count("pr"), 0U) << "nobody is answered";
}

/// Three draws of one query: next to the relevant items, next to the irrelevant one, and in between.
TEST_F(LightRunnerTest, ARandomDefenseIsMeasuredByTheMeanOfItsDraws) {
  const double near = 5.0 / 6, far = 7.0 / 12;
  spec::JobSpec job = evaluate_job({"map", "pr"});
  job.config["draws"] = {{"reported", 3}, {"resubmitted", 2}};
  job.inputs.push_back({"worst_of_000", publish_codes(10, {0b0001}, {0})});
  job.inputs.push_back({"worst_of_001", publish_codes(11, {0b0001}, {0})});
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  std::map<std::string, double> values = values_of(*result);
  EXPECT_NEAR(values["map"], (near + 2 * far) / 3, 1e-12);
  EXPECT_NEAR(values["map:valid"], values["map"], 1e-12);
  EXPECT_NEAR(values["map:resubmit@2"], far, 1e-12);
  EXPECT_LT(values["map:resubmit@2"], values["map"]);  // on clean queries, too: these are no others
  EXPECT_FALSE(result->curves.empty());
  // The first draw alone may not be resubmitted.
  job.config["draws"] = {{"reported", 3}, {"resubmitted", 1}};
  EXPECT_NEAR(values_of(run(job).value()).at("map:resubmit@1"), near, 1e-12);

  job.config["draws"] = {{"reported", 2}, {"resubmitted", 3}};
  EXPECT_THAT(run(job).error().message, HasSubstr("1 <= resubmitted <= reported"));
  job.config["draws"] = {{"reported", 4}, {"resubmitted", 2}};
  EXPECT_THAT(run(job).error().message, HasSubstr("no input 'worst_of_002'"));
  job.inputs.push_back({"worst_of_002", publish_codes(12, {0b0001}, {1})});
  EXPECT_THAT(run(job).error().message, HasSubstr("codes of other queries"));
}

TEST_F(LightRunnerTest, RefusesSwapsWithoutInputsOrOfAnotherLength) {
  spec::JobSpec job = evaluate_job({"map"});
  job.config["swap"] = {{"inputs", 0}};
  EXPECT_THAT(run(job).error().message, HasSubstr("'swap.inputs' is 0; allowed: a whole number from 1 on"));
  job.config["swap"] = {{"inputs", 5}};
  EXPECT_THAT(run(job).error().message, HasSubstr("no input 'worst_of_000'"));
  job.inputs.push_back({"worst_of_000", publish_codes(9, {}, {})});
  EXPECT_THAT(run(job).error().message, HasSubstr("there are 0 training inputs"));
}

TEST_F(LightRunnerTest, EvaluatesCodes) {
  const Result<AttemptResult> result = run(evaluate_job({"map", "pr"}));
  ASSERT_TRUE(result) << result.error().message;
  const auto map = std::find_if(result->rows.begin(), result->rows.end(),
                                [](const auto& row) { return row.metric == "map"; });
  ASSERT_NE(map, result->rows.end());
  EXPECT_NEAR(map->value, (1.0 + 2.0 / 3.0) / 2, 1e-12);  // precision at the two relevant ranks
  EXPECT_EQ(map->n, 1);
  EXPECT_THAT(map->per_query, ElementsAre(::testing::FloatNear(5.0F / 6.0F, 1e-6F)));
  EXPECT_FALSE(result->curves.empty());
  EXPECT_THAT(result->manifest_hash, IsEmpty());
}

TEST_F(LightRunnerTest, EvaluatesTargets) {
  spec::JobSpec job = evaluate_job({"t_map"});
  const Result<AttemptResult> without = run(job);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, ErrorCode::kInvalid);
  const JobKey crafted = publish(JobKind::kCraft, 4, Json::object(), [](const fs::path& folder) {
    write<std::int64_t>(folder / "rows.npy", {1}, {0});
    write<std::uint8_t>(folder / "targets.npy", {1, 2}, {0, 1});
  });
  job.inputs.insert(job.inputs.begin(), {"crafted", crafted});
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->rows.front().value, (1.0 / 2.0 + 2.0 / 3.0) / 2, 1e-12);  // label b is at ranks 2 and 3
}

TEST_F(LightRunnerTest, RefusesInputsThatDoNotFitTogether) {
  spec::JobSpec job = evaluate_job({"map"});
  job.inputs[1].key = publish_codes(5, {0}, {9});
  EXPECT_THAT(run(job).error().message, HasSubstr("names item 9; the dataset has items 0 to 3"));
  job.inputs[1].key = publish_codes(6, {0}, {0, 1});
  EXPECT_THAT(run(job).error().message, HasSubstr("holds 1 codes, but 2 row numbers"));
  job.inputs.erase(job.inputs.begin() + 1);
  EXPECT_THAT(run(job).error().message, HasSubstr("has no input 'query_codes'"));
  job.config["metrics"] = "map";
  EXPECT_EQ(run(job).error().code, ErrorCode::kInvalid);
}

TEST_F(LightRunnerTest, RefusesTargetsOfOtherQueries) {
  spec::JobSpec job = evaluate_job({"t_map"});
  const JobKey crafted = publish(JobKind::kCraft, 7, Json::object(), [](const fs::path& folder) {
    write<std::int64_t>(folder / "rows.npy", {1}, {1});
    write<std::uint8_t>(folder / "targets.npy", {1, 2}, {0, 1});
  });
  job.inputs.insert(job.inputs.begin(), {"crafted", crafted});
  const Result<AttemptResult> result = run(job);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(result.error().message, HasSubstr("was crafted for other items than the query codes are of"));
}

class PrepareTest : public LightRunnerTest {
 protected:
  void SetUp() override {
    fs::create_directories(source_);
    fill_dataset(source_);
    const data::DatasetEntry* const entry = data::dataset_registry().find("prepared").value();
    job_.kind = JobKind::kPrepare;
    job_.entry = "prepared";
    job_.version = entry->about.version;
    job_.locations = {{"path", source_.string()}};
    job_.config = {{"source", entry->content_id(job_.locations).value()}};
  }
  fs::path source_ = folder_.path() / "source";
  spec::JobSpec job_;
};

TEST_F(PrepareTest, PublishesThePreparedFolder) {
  const Result<AttemptResult> first = run(job_);
  ASSERT_TRUE(first) << first.error().message;
  const auto artifact = context(job_).store.open(JobKind::kPrepare, key_of(job_).value());
  ASSERT_TRUE(artifact);
  EXPECT_EQ(first->manifest_hash, artifact->manifest_hash);
  EXPECT_EQ(data::PreparedSet::open(artifact->folder).value().n_items(), 4);
  fs::remove_all(source_);  // what is there already needs no source
  EXPECT_EQ(run(job_).value().manifest_hash, first->manifest_hash);
}

TEST_F(PrepareTest, RefusesSourcesThatChangedSincePlanning) {
  job_.config["source"] = "0123";
  const Result<AttemptResult> result = run(job_);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("are not those the job was planned for"));
}

TEST_F(PrepareTest, RefusesAnotherVersionOfTheEntry) {
  job_.version = 99;
  const Result<AttemptResult> result = run(job_);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("the job asks for version 99"));
}

}  // namespace
}  // namespace gauntlet::worker
