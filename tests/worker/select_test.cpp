// Selection in the executor: evaluations on validation items, and the choice they lead to.
#include "worker/executor/select.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "core/artifacts/stand_in.hpp"
#include "core/base/files.hpp"
#include "core/data/validation_split.hpp"
#include "core/io/npy.hpp"
#include "tests/support/temp_folder.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using spec::JobKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NoProgress final : public ProgressSink {
 public:
  void update(const Progress&) override {}
};

class SelectTest : public ::testing::Test {
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
  JobKey publish(JobKind kind, const Json& config, const Json& about,
                 const std::function<void(const fs::path&)>& fill) {
    spec::JobSpec job;
    job.kind = kind;
    job.config = config;
    const AttemptContext attempt = context(job);
    Result<artifacts::Draft> draft = attempt.store.begin(attempt.key);
    EXPECT_TRUE(draft);
    fill(draft->folder());
    EXPECT_TRUE(attempt.store.publish(std::move(*draft), job, attempt.key, about));
    return attempt.key;
  }
  /// An evaluation's artifact with one row.
  JobKey score(const Json& value, bool higher_is_better = true,
               const std::string& metric = "validation_map") {
    const Json rows = {{{"metric", metric}, {"value", value}, {"higher_is_better", higher_is_better}}};
    return publish(JobKind::kEvaluate, {{"n", n_++}}, Json::object(), [&](const fs::path& folder) {
      std::ofstream(folder / "rows.json") << Json{{"format", 1}, {"rows", rows}};
    });
  }
  JobKey checkpoint(const std::string& weights) {
    return publish(JobKind::kTrainDefense, {{"n", n_++}}, {{"shape", weights}},
                   [&](const fs::path& folder) { std::ofstream(folder / "defense.safetensors") << weights; });
  }
  /// A job that chooses alpha among as many candidates as there are lists of scores.
  spec::JobSpec select_job(const std::vector<std::vector<JobKey>>& scores, bool trained = true) {
    spec::JobSpec job;
    job.kind = JobKind::kEvaluate;
    job.entry = "drfgd";
    Json candidates = Json::array();
    std::size_t n_scores = 0;
    for (std::size_t at = 0; at < scores.size(); ++at) {
      const Json values = {{"alpha", 10.0 * static_cast<double>(at)}, {"gan", at == 0 ? "bce" : "lsgan"}};
      candidates.push_back({{"values", values}, {"config", {{"alpha", values["alpha"]}, {"width", 12}}}});
      if (trained) {
        job.inputs.push_back({fmt::format("candidate_{:03}", at), checkpoint(fmt::format("weights {}", at))});
      }
    }
    for (const auto& list : scores) {
      for (const JobKey& key : list) job.inputs.push_back({fmt::format("score_{:04}", n_scores++), key});
    }
    job.config = {{"select",
                   {{"kind", "defense"},
                    {"metric", "map"},
                    {"candidates", candidates},
                    {"n_scores", scores.front().size()}}}};
    return job;
  }
  std::map<std::string, double> values_of(const spec::JobSpec& job) {
    const Result<AttemptResult> result = run(job);
    EXPECT_TRUE(result) << result.error().message;
    std::map<std::string, double> values;
    if (result) {
      for (const spec::ResultRow& row : result->rows) values.emplace(row.metric, row.value);
    }
    return values;
  }

  testing_support::TempFolder folder_;
  int n_ = 0;
};

TEST_F(SelectTest, TheBestMeanWinsAndStandsInForItsTraining) {
  // 0.5 on average, 0.55, 0.5.
  const spec::JobSpec job =
      select_job({{score(0.9), score(0.1)}, {score(0.5), score(0.6)}, {score(0.2), score(0.8)}});
  auto values = values_of(job);
  EXPECT_NEAR(values["selected_defense:validation_map"], 0.55, 1e-12);
  EXPECT_EQ(values["selected_defense:candidate"], 1);
  EXPECT_EQ(values["selected_defense:alpha"], 10);
  EXPECT_EQ(values["selected_defense:gan"], 1) << "the second of the texts tried";
  const auto made = artifacts::open_made(context(job).store, JobKind::kTrainDefense, key_of(job).value());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(read_file(made->file("defense.safetensors")).value(), "weights 1");
  EXPECT_EQ(made->about.at("shape"), "weights 1") << "what its training wrote down";
  EXPECT_TRUE(artifacts::is_chosen(*made));
  EXPECT_EQ(artifacts::options_of(*made, "defense"), (Json{{"alpha", 10.0}, {"width", 12}}));
  const Json stored = parse_json(read_file(made->file("selection.json")).value(), "selection.json").value();
  EXPECT_EQ(stored.at("chosen"), 1);
  ASSERT_EQ(stored.at("candidates").size(), 3U) << "all candidates are kept";
  EXPECT_EQ(stored.at("candidates").at(2).at("scores"), (Json{0.2, 0.8}));
}

TEST_F(SelectTest, OfEqualsTheFirstWins) {
  EXPECT_EQ(values_of(select_job({{score(0.1)}, {score(0.4)}, {score(0.4)}}))["selected_defense:candidate"],
            1);
}

TEST_F(SelectTest, AMetricThatIsBetterLowerIsMinimised) {
  EXPECT_EQ(
      values_of(select_job(
          {{score(0.3, false)}, {score(0.2, false)}, {score(0.4, false)}}))["selected_defense:candidate"],
      1);
}

TEST_F(SelectTest, WithoutTrainingTheOptionsAloneAreChosen) {
  const spec::JobSpec job = select_job({{score(0.1)}, {score(0.4)}}, false);
  EXPECT_EQ(values_of(job)["selected_defense:candidate"], 1);
  const auto made = artifacts::open_made(context(job).store, JobKind::kTrainDefense, key_of(job).value());
  ASSERT_TRUE(made);
  EXPECT_EQ(artifacts::options_of(*made, "defense").at("alpha"), 10.0);
}

TEST_F(SelectTest, AScoreThatIsMissingOrMeasuredOnQueriesIsRefused) {
  EXPECT_THAT(run(select_job({{score(0.1)}, {score(Json())}})).error().message,
              HasSubstr("has no value of validation_map"));
  EXPECT_THAT(run(select_job({{score(0.1)}, {score(0.2, true, "map")}})).error().message,
              HasSubstr("has no row validation_map: it was not measured on validation items"));
  spec::JobSpec job = select_job({{score(0.1)}, {score(0.2)}});
  job.config["select"].erase("candidates");
  EXPECT_THAT(run(job).error().message, HasSubstr("'select' names no candidates"));
}

/// Evaluations read their items' labels; four items, of which 0 is the query.
class ValidationEvaluation : public SelectTest {
 protected:
  template <class T>
  static void write(const fs::path& path, const std::vector<std::int64_t>& shape,
                    const std::vector<T>& values) {
    ASSERT_TRUE(io::write_npy<T>(path, shape, std::span<const T>(values)));
  }
  JobKey data() {
    return publish(JobKind::kPrepare, {{"n", n_++}}, Json::object(), [](const fs::path& folder) {
      write<std::uint8_t>(folder / "images.npy", {4, 2, 2, 3}, std::vector<std::uint8_t>(48, 7));
      write<std::uint8_t>(folder / "text.npy", {4, 2}, {1, 0, 1, 0, 0, 1, 1, 1});
      write<std::uint8_t>(folder / "labels.npy", {4, 2}, {1, 0, 1, 0, 0, 1, 1, 1});
      write<std::uint8_t>(folder / "split.npy", {4}, {0, 1, 2, 1});
      std::ofstream(folder / "dataset.json") << R"({"format":1,"name":"tiny","label_names":["a","b"]})";
    });
  }
  JobKey codes(const std::vector<std::uint8_t>& bytes, const std::vector<std::int64_t>& rows) {
    const auto n = static_cast<std::int64_t>(rows.size());
    return publish(JobKind::kEncode, {{"n", n_++}}, {{"bits", 8}, {"n", n}}, [&](const fs::path& folder) {
      write<std::uint8_t>(folder / "codes.npy", {n, 1}, bytes);
      write<std::int64_t>(folder / "rows.npy", {n}, rows);
    });
  }
  /// Item 2 asks; item 3, which shares a label, is nearer than item 1.
  spec::JobSpec evaluate_job(const JobKey& set) {
    spec::JobSpec job;
    job.kind = JobKind::kEvaluate;
    job.config = {{"metrics", {"map"}}, {"direction", "i2t"}, {"part", "validation"}};
    job.inputs = {
        {"data", set}, {"query_codes", codes({0}, {2})}, {"retrieval_codes", codes({7, 1}, {1, 3})}};
    return job;
  }
};

TEST_F(ValidationEvaluation, ItsRowsHaveNamesOfTheirOwnAndAreKept) {
  spec::JobSpec split;
  split.kind = JobKind::kPrepare;
  split.version = 1;
  split.config = {{"validation", {{"items", 1}, {"seed", 1}}}};
  split.inputs = {{"data", data()}};
  ASSERT_TRUE(run(split));
  const spec::JobSpec job = evaluate_job(key_of(split).value());
  const Result<AttemptResult> result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  for (const spec::ResultRow& row : result->rows) EXPECT_THAT(row.metric, HasSubstr("validation_"));
  EXPECT_EQ(result->rows.front().metric, "validation_map");
  EXPECT_EQ(result->rows.front().value, 1);
  const auto made = context(job).store.open(JobKind::kEvaluate, key_of(job).value());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->manifest_hash, result->manifest_hash);
  const Json rows = parse_json(read_file(made->file("rows.json")).value(), "rows.json").value();
  EXPECT_EQ(rows.at("rows").at(0).at("metric"), "validation_map");
}

TEST_F(ValidationEvaluation, OnQueriesItIsRefused) {
  EXPECT_THAT(run(evaluate_job(data())).error().message, HasSubstr("is no validation split"));
}

TEST_F(ValidationEvaluation, ASplitLargerThanTheSetAllowsIsRefused) {
  spec::JobSpec split;
  split.kind = JobKind::kPrepare;
  split.config = {{"validation", {{"items", 2}, {"seed", 1}}}};
  split.inputs = {{"data", data()}};
  EXPECT_THAT(run(split).error().message, HasSubstr("allowed: 1 to 1"));
}

}  // namespace
}  // namespace gauntlet::worker
