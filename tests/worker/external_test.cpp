// External entries run as command jobs: what they get, what becomes of what they leave, and what is refused.
#include <signal.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "core/base/files.hpp"
#include "tests/worker/external_fixture.hpp"
#include "worker/external/process.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(External, WhatAnAttackLeavesBecomesACraftedSet) {
  const spec::JobSpec job = attack(kCopy + "echo hello; cat inputs/job.json");
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(printed_,
              AllOf(HasSubstr("hello"), HasSubstr("\"does\": \"craft\""), HasSubstr("\"epsilon\": 0.5")));
  const auto artifact = context(job).store.open(JobKind::kCommand, key_of(job).value());
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->manifest_hash, result->manifest_hash);
  const auto inputs = io::read_npy(artifact->file("inputs.npy"));
  EXPECT_EQ(inputs->shape, (std::vector<std::int64_t>{2, 3, 2, 2}));
  // Colour 1 of pixel 2 of the second query: byte 12 + 2 * 3 + 1, times 3.
  EXPECT_FLOAT_EQ(inputs->as<float>().value()[12 + 4 + 2], 57.0F / 255.0F);
  EXPECT_EQ(io::read_npy(artifact->file("rows.npy"))->as<std::int64_t>().value()[1], 1);
  std::vector<std::string> metrics;
  for (const auto& row : result->rows) metrics.push_back(row.metric);
  EXPECT_THAT(metrics, testing::ElementsAre("perceptibility", "linf", "l2"));
  EXPECT_EQ(result->rows[1].value, 0);
}

/// Inputs that were made elsewhere, of some queries.
class Given : public External {
 protected:
  /// Of query 1: its clean values, of which `index` is moved by `levels` grey levels.
  spec::JobSpec given(std::size_t index, float levels, std::vector<std::int64_t> items = {1},
                      const std::string& budget = "{linf: 8/255, grid: 255}") {
    std::vector<float> values(12);
    for (std::size_t at = 0; at < 12; ++at) {
      const std::size_t pixel = at % 4, colour = at / 4;  // [3, 2, 2] out of [2, 2, 3]
      values[at] = static_cast<float>((12 + pixel * 3 + colour) * 3) / 255.0F;
    }
    values[index] += levels / 255.0F;
    const auto n = static_cast<std::int64_t>(items.size());
    std::vector<float> all;
    for (std::int64_t item = 0; item < n; ++item) all.insert(all.end(), values.begin(), values.end());
    EXPECT_TRUE(
        io::write_npy<float>(entry_folder_ / "inputs.npy", {n, 3, 2, 2}, std::span<const float>(all)));
    EXPECT_TRUE(
        io::write_npy<std::int64_t>(entry_folder_ / "items.npy", {n}, std::span<const std::int64_t>(items)));
    const fs::path path = entry_folder_ / "entry.yaml";
    std::ofstream(path) << fmt::format(
        "gauntlet_external: 1\nkind: attack\nname: sent\nsummary: by hand\ngiven: {{inputs: inputs.npy, "
        "items: "
        "items.npy}}\ncapabilities: {{text: false}}\nbudget: {}\n",
        budget);
    const auto read = spec::read_external(path);
    EXPECT_TRUE(read) << read.error().message;
    spec::JobSpec job;
    job.kind = JobKind::kCommand;
    job.entry = "sent";
    job.version = spec::to_catalog_entry(*read).version;
    job.seed = 1;
    job.config = {{"does", "craft"},          {"descriptor", (*read)->hash},
                  {"attack", Json::object()}, {"modality", "image"},
                  {"part", "query"},          {"source", "clean"}};
    job.locations = {{"descriptor", path.string()}};
    job.inputs = {{"data", data_}};
    return job;
  }
};

TEST_F(Given, InputsBecomeACraftedSetAndCleanOnesFillInForTheRest) {
  const spec::JobSpec job = given(5, 8);
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  const auto artifact = context(job).store.open(JobKind::kCommand, key_of(job).value());
  ASSERT_TRUE(artifact);
  const auto inputs = io::read_npy(artifact->file("inputs.npy"));
  EXPECT_EQ(inputs->shape, (std::vector<std::int64_t>{2, 3, 2, 2}));
  const auto values = inputs->as<float>().value();
  EXPECT_FLOAT_EQ(values[5], 12.0F / 255.0F) << "query 0 was not given: colour 1 of its pixel 1, byte 4";
  EXPECT_FLOAT_EQ(values[12 + 5], (48.0F + 8.0F) / 255.0F);
  ASSERT_EQ(result->rows.size(), 4U);
  EXPECT_EQ(result->rows[0].metric, "sent:given");
  EXPECT_EQ(result->rows[0].value, 1);
  EXPECT_NEAR(result->rows[2].value, 8, 1e-3) << result->rows[2].metric;
}

TEST_F(Given, OnePixelOverTheBudgetIsRefusedWithItsItem) {
  EXPECT_THAT(refusal(given(5, 9)),
              AllOf(HasSubstr("attack sent: inputs.npy: item 1 is 0.0352941 from the clean one (linf)"),
                    HasSubstr("its budget is 0.0313725")));
  EXPECT_THAT(refusal(given(5, 7.5F)), AllOf(HasSubstr("value 5 of item 1 is 0.2176"),
                                             HasSubstr("; allowed: whole multiples of 1/255")));
  EXPECT_THAT(refusal(given(5, -200)), HasSubstr("value 5 of item 1 is -0."));
  EXPECT_THAT(refusal(given(5, std::nanf(""))), HasSubstr("value 5 of item 1 is nan"));
  EXPECT_THAT(refusal(given(5, 0, {4})), HasSubstr("items.npy: item 4 is no query of this dataset"));
  EXPECT_THAT(refusal(given(5, 0, {1, 1})), HasSubstr("items.npy: item 1 is there twice"));
  EXPECT_THAT(refusal(given(5, 0, {0, 1})), AllOf(HasSubstr("item 0 is"), Not(HasSubstr("also"))))
      << "those of query 1 are far from query 0";
  EXPECT_THAT(refusal(given(5, 9, {0, 1})), HasSubstr("2 of 2 items are not allowed, also 1"));
  ASSERT_TRUE(run(given(5, 7.5F, {1}, "{linf: 8/255}"))) << "off the grid is fine where no grid is asked for";
}

TEST_F(Given, FilesThatChangedOrDoNotFitAreRefused) {
  const spec::JobSpec job = given(5, 8);
  static_cast<void>(given(5, 7));
  EXPECT_THAT(refusal(job), HasSubstr("has changed since the sweep was planned"));
  const spec::JobSpec other = [&] {
    static_cast<void>(given(5, 8));
    const std::vector<float> values(12);
    EXPECT_TRUE(io::write_npy<float>(entry_folder_ / "inputs.npy", {1, 12}, std::span<const float>(values)));
    spec::JobSpec changed = job;
    changed.config["descriptor"] = spec::read_external(entry_folder_ / "entry.yaml").value()->hash;
    return changed;
  }();
  EXPECT_THAT(refusal(other),
              HasSubstr("inputs.npy is f32 of shape [1, 12]; allowed: f32 of shape [1, 3, 2, 2]"));
}

TEST_F(External, ADefenseGetsWhatAnAttackLeft) {
  const spec::JobSpec craft = attack(kCopy);
  ASSERT_TRUE(run(craft));
  spec::JobSpec purify = entry("defense", "inputs.npy", kCopy, "");
  purify.config["source"] = "crafted";
  purify.inputs.insert(purify.inputs.begin(), {"crafted", key_of(craft).value()});
  const auto result = run(purify);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->rows.front().metric, "purification_time");
}

TEST_F(External, EveryDrawOfARandomDefenseHasASeedOfItsOwn) {
  spec::JobSpec job =
      entry("defense", "inputs.npy", "grep seed inputs/job.json\ncp inputs/inputs.npy outputs/inputs.npy\n",
            "random: true");
  std::set<std::string> seeds;
  for (const int draw : {0, 1, 2}) {
    if (draw > 0) job.config["draw"] = draw;
    const auto result = run(job);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_THAT(printed_, HasSubstr("\"seed\": "));
    seeds.insert(printed_);
  }
  EXPECT_EQ(seeds.size(), 3U);
}

TEST_F(External, AMetricGivesRows) {
  const auto codes = [&](std::vector<std::int64_t> rows) {
    return publish(JobKind::kEncode,
                   [&](const fs::path& folder) {
                     const std::vector<std::uint8_t> bytes(rows.size(), 0b0101);
                     const auto n = static_cast<std::int64_t>(rows.size());
                     EXPECT_TRUE(io::write_npy<std::uint8_t>(folder / "codes.npy", {n, 1},
                                                             std::span<const std::uint8_t>(bytes)));
                     EXPECT_TRUE(io::write_npy<std::int64_t>(folder / "rows.npy", {n},
                                                             std::span<const std::int64_t>(rows)));
                   },
                   {{"bits", 4}});
  };
  const auto job_with = [&](const std::string& rows) {
    spec::JobSpec job =
        entry("metric", "rows.json",
              "test -f inputs/query_labels.npy && echo '" + rows + "' > outputs/rows.json", "unit: ms");
    job.inputs.push_back({"query_codes", codes({0, 1})});
    job.inputs.push_back({"retrieval_codes", codes({2, 3, 4, 5})});
    return job;
  };
  const auto result = run(job_with(R"([{"metric": "mine", "value": 2.5, "per_query": [1, 4]}])"));
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->rows.size(), 1U);
  EXPECT_EQ(result->rows[0].value, 2.5);
  EXPECT_EQ(result->rows[0].unit, "ms");
  EXPECT_EQ(result->rows[0].n, 2);
  EXPECT_THAT(refusal(job_with(R"([{"metric": "map", "value": 1}])")), HasSubstr("a row is called 'map'"));
  EXPECT_THAT(refusal(job_with("[]")), HasSubstr("has no row 'mine'"));
  EXPECT_THAT(refusal(job_with(R"([{"metric": "mine", "value": 1, "per_query": [1]}])")),
              HasSubstr("has 1 values"));
  EXPECT_THAT(refusal(job_with("{")), HasSubstr("outputs/rows.json"));
}

TEST_F(External, RefusesOutputsOfTheWrongForm) {
  const auto python_free = [](const std::string& shape, const std::string& dtype, std::size_t n_bytes) {
    std::string header = "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': " + shape + ", }";
    header.resize(117, ' ');
    return fmt::format(
        "printf '\\223NUMPY\\001\\000\\166\\000%s\\n' \"{}\" > outputs/inputs.npy\nhead -c {} /dev/zero >> "
        "outputs/inputs.npy\n",
        header, n_bytes);
  };
  EXPECT_TRUE(run(attack(python_free("(2, 3, 2, 2)", "<f4", 96)))) << "the header above is a good one";
  EXPECT_THAT(refusal(attack(python_free("(2, 3, 4)", "<f4", 96))),
              HasSubstr("is f32 of shape [2, 3, 4]; allowed: f32 of shape [2, 3, 2, 2]"));
  EXPECT_THAT(refusal(attack(python_free("(2, 3, 2, 2)", "<f8", 192))), HasSubstr("is f64"));
  EXPECT_THAT(refusal(attack(python_free("(2, 3, 2, 2)", "<f4", 40))), HasSubstr("cannot be read"));
  EXPECT_THAT(refusal(attack("true")), HasSubstr("outputs do not hold 'inputs.npy'"));
  EXPECT_THAT(refusal(attack(kCopy + "touch outputs/extra")),
              HasSubstr("outputs hold 'extra'; declared: inputs.npy"));
  // The last four bytes are the last value.
  const auto with_last = [](const std::string& bytes) {
    return kCopy + "printf '" + bytes +
           "' | dd of=outputs/inputs.npy bs=1 seek=220 conv=notrunc status=none\n";
  };
  EXPECT_THAT(refusal(attack(with_last("\\000\\000\\300\\177"))),
              HasSubstr("value 11 of item 1 is nan; allowed: 0 to 1"));
  EXPECT_THAT(refusal(attack(with_last("\\000\\000\\200\\100"))), HasSubstr("is 4; allowed: 0 to 1"));
  EXPECT_THAT(refusal(attack(with_last("\\000\\000\\200\\077"))), HasSubstr("its budget is 0.5"));
}

TEST_F(External, RefusesLinksAndOtherThingsAmongTheOutputs) {
  EXPECT_THAT(refusal(attack("ln -s ../inputs/inputs.npy outputs/inputs.npy")),
              HasSubstr("is no ordinary file"));
  EXPECT_THAT(refusal(attack("ln inputs/inputs.npy outputs/inputs.npy")),
              HasSubstr("a second name of a file elsewhere"));
  EXPECT_THAT(refusal(attack("mkfifo outputs/inputs.npy")), HasSubstr("is no ordinary file"));
  EXPECT_THAT(refusal(attack("mkdir outputs/inputs.npy")), HasSubstr("is no ordinary file"));
  EXPECT_THAT(refusal(attack("rmdir outputs; ln -s inputs outputs")),
              HasSubstr("was taken away or replaced"));
}

TEST_F(External, AChangedInputDoesNotWidenTheBudget) {
  const std::string white =
      "printf '\\000\\000\\200\\077' | dd of=$f bs=1 seek=220 conv=notrunc status=none\n";
  EXPECT_THAT(refusal(attack("f=inputs/inputs.npy; " + white + kCopy)), HasSubstr("its budget is 0.5"));
}

TEST_F(External, EndsWhatPrintsOrWritesWithoutEnd) {
  EXPECT_THAT(refusal(attack("yes", "limits: {log: 1MB}")),
              AllOf(HasSubstr("printed more than"), HasSubstr("printed last:\ny\n")));
  EXPECT_LE(printed_.size(), 1'000'000U);
  EXPECT_THAT(refusal(attack("yes > outputs/inputs.npy", "limits: {disk: 2MB}")),
              HasSubstr("wrote more than 2 MB"));
  EXPECT_THAT(refusal(attack("n=0; while :; do head -c 500000 /dev/zero > f$n; n=$((n+1)); done",
                             "limits: {disk: 2MB}")),
              HasSubstr("wrote more than 2 MB"));
}

TEST_F(External, EndsWhatTakesTooLongOrTooMuchMemory) {
  const auto late = run(attack("echo started; sleep 1000", "limits: {time: 1s}"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimedOut);
  EXPECT_THAT(late.error().message, AllOf(HasSubstr("ran for longer than 1"), HasSubstr("started")));
  EXPECT_THAT(refusal(attack("cat /dev/zero | tail -c 400000000", "limits: {memory: 100MB}")),
              HasSubstr("ended with exit code"));
}

TEST_F(External, WhatItLeavesRunningIsEnded) {
  const fs::path pid_file = folder_ / "pid";
  ASSERT_TRUE(run(attack(kCopy + "setsid sh -c 'echo $$ > " + pid_file.string() +
                         "; exec sleep 1000' > /dev/null 2>&1 &\nwhile ! test -s " + pid_file.string() +
                         "; do sleep 0.01; done")));
  pid_t pid = 0;
  std::ifstream(pid_file) >> pid;
  ASSERT_GT(pid, 1);
  EXPECT_EQ(::kill(pid, 0), -1) << "process " << pid << " is still there";
}

TEST_F(External, FailuresShowTheLastWordsAndTheProgram) {
  EXPECT_THAT(refusal(attack("for i in $(seq 100); do echo line $i; done; echo no such thing >&2; exit 3")),
              AllOf(HasSubstr("attack mine: 'sh' ended with exit code 3"),
                    HasSubstr("line 100\nno such thing"), Not(HasSubstr("line 5\n"))));
  EXPECT_THAT(refusal(attack("kill -SEGV $$")), HasSubstr("SIGSEGV"));
  spec::JobSpec job = attack(kCopy);
  std::ofstream(entry_folder_ / "run.sh") << "true";
  EXPECT_THAT(refusal(job), HasSubstr("has changed since the sweep was planned"));
}

TEST_F(External, TheEnvironmentIsTheDescriptors) {
  const fs::path venv = entry_folder_ / "venv/bin";
  fs::create_directories(venv);
  std::ofstream(venv / "sh")
      << "#!/bin/sh\necho from the venv $GREETING $OMP_NUM_THREADS $VIRTUAL_ENV\nexec /bin/sh $*\n";
  fs::permissions(venv / "sh", fs::perms::owner_all);
  ASSERT_TRUE(run(attack(kCopy, "environment: {GREETING: hi, OMP_NUM_THREADS: \"7\"}\nvenv: venv")));
  EXPECT_THAT(printed_, HasSubstr("from the venv hi 7 " + (entry_folder_ / "venv").string()));
}

TEST_F(External, APlainCommandIsAProcess) {
  spec::JobSpec job;
  job.kind = JobKind::kCommand;
  job.version = 1;
  job.config = {{"index", 0}, {"run", {"sh", "-c", "echo here; exit 0"}}};
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->rows.front().metric, "run_time");
  EXPECT_EQ(printed_, "here\n");
  job.config["run"] = {"sh", "-c", "exit 4"};
  EXPECT_THAT(refusal(job), HasSubstr("exit code 4"));
  job.config["run"] = {"no-such-program-anywhere"};
  EXPECT_THAT(refusal(job), HasSubstr("there is no program 'no-such-program-anywhere'"));
  job.config["run"] = Json::array();
  EXPECT_THAT(refusal(job), HasSubstr("does not say what to run"));
}

}  // namespace
}  // namespace gauntlet::worker
