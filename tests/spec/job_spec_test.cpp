#include "core/spec/job_spec.hpp"

#include <limits>

#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::HasSubstr;

JobSpec some_job() {
  JobSpec job;
  job.kind = JobKind::kTrainModel;
  job.entry = "cpah";
  job.version = 2;
  job.config = {{"model", {{"lr", 1e-3}, {"name", "größe"}}}, {"bits", 32}};
  job.inputs = {{"data", JobKey{sha256("data")}}};
  job.seed = std::numeric_limits<std::uint64_t>::max();
  return job;
}

/// The key as text; the error's message when there is none.
std::string key_text(const JobSpec& job) {
  const auto key = key_of(job);
  return key ? key->hex() : key.error().message;
}

TEST(JobKinds, SurviveTheirNames) {
  for (int number = 0; number < kJobKindCount; ++number) {
    const auto kind = static_cast<JobKind>(number);
    EXPECT_EQ(job_kind_from(name_of(kind)).value(), kind);
  }
  EXPECT_THAT(job_kind_from("trian_model").error().message, HasSubstr("did you mean 'train_model'?"));
}

TEST(JobKinds, KnowWhetherTheyNeedTorch) {
  EXPECT_FALSE(needs_torch(JobKind::kPrepare));
  EXPECT_FALSE(needs_torch(JobKind::kEvaluate));
  EXPECT_TRUE(needs_torch(JobKind::kCraft));
}

TEST(JobKey, IsTheHashOfTheCanonicalForm) {
  const JobSpec job = some_job();
  const auto config = canonical_json(job.config);
  ASSERT_TRUE(config);
  const std::string text = canonical_text(job, *config, "fp32");
  EXPECT_EQ(canonical_text(job).value(), text);
  EXPECT_EQ(text, canonical_json(canonical_form(job)).value());
  EXPECT_EQ(key_text(job), to_hex(sha256(text)));
  EXPECT_EQ(key_text(job), "bcb2df0dbed0efbd804543cc3ce226a0cf784c28dd2b2e855e41aca0a83c546f");
}

TEST(JobKey, LeavesOutWhatDoesNotChangeTheResult) {
  JobSpec job = some_job();
  const std::string before = key_text(job);
  job.title = "another";
  job.resources.gpus = 8;
  job.locations = {{"root", "elsewhere"}};
  EXPECT_EQ(key_text(job), before);
}

TEST(JobKey, DependsOnEverythingElse) {
  const std::string before = key_text(some_job());
  const auto changed = [&](auto change) {
    JobSpec job = some_job();
    change(job);
    return key_text(job) != before;
  };
  EXPECT_TRUE(changed([](JobSpec& job) { job.kind = JobKind::kEncode; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.entry = "dadh"; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.version = 3; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.config["bits"] = 64; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.config["precision"] = "bf16"; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.config["model"]["precision"] = "bf16"; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.inputs[0].role = "features"; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.inputs[0].key = JobKey{sha256("other")}; }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.inputs.clear(); }));
  EXPECT_TRUE(changed([](JobSpec& job) { job.seed = 1; }));
}

TEST(CanonicalForm, HasThePrecisionOfTheConfigOrOfTheEntrysOptionsInIt) {
  const auto precision = [](Json config) {
    JobSpec job = some_job();
    job.config = std::move(config);
    return canonical_form(job).at("precision").get<std::string>();
  };
  EXPECT_EQ(precision(some_job().config), "fp32");
  EXPECT_EQ(precision({{"precision", "bf16"}}), "bf16");
  EXPECT_EQ(precision({{"precision", 16}}), "fp32");
  for (const char* member : {"attack", "defense", "model"}) {
    EXPECT_EQ(precision({{member, {{"lr", 1}, {"precision", "tf32"}}}, {"modality", "image"}}), "tf32")
        << member;
    EXPECT_EQ(precision({{member, nullptr}}), "fp32") << member;
  }
  // An adaptive craft job names the defense it goes through; the attack does the work.
  const Json through = {{"name", "drfgd"}, {"version", 1}, {"config", {{"precision", "bf16"}}}};
  EXPECT_EQ(precision({{"attack", {{"steps", 1}}}, {"defense", through}}), "fp32");
}

TEST(JobKey, RefusesNumbersThatAreNotFinite) {
  JobSpec job = some_job();
  job.config["lr"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(key_text(job), HasSubstr("not finite"));
}

TEST(CanonicalForm, IsReadBack) {
  const auto back = job_from_canonical(canonical_form(some_job()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(key_text(*back), key_text(some_job()));
  EXPECT_EQ(back->find_input("data")->key, some_job().inputs[0].key);
  EXPECT_EQ(back->find_input("model"), nullptr);
}

TEST(CanonicalForm, DamagedOnesAreRefused) {
  const auto refusal = [](auto change) {
    Json form = canonical_form(some_job());
    change(form);
    const auto back = job_from_canonical(form);
    return back ? std::string() : std::string(name_of(back.error().code)) + ": " + back.error().message;
  };
  EXPECT_THAT(refusal([](Json& form) { form.erase("seed"); }),
              HasSubstr("corrupt: a stored job is malformed"));
  EXPECT_THAT(refusal([](Json& form) { form["kind"] = "dance"; }),
              HasSubstr("corrupt: unknown kind of job 'dance'"));
  EXPECT_THAT(refusal([](Json& form) { form["inputs"]["data"] = "xyz"; }), HasSubstr("corrupt: "));
  EXPECT_THAT(refusal([](Json& form) { form["extra"] = 1; }),
              HasSubstr("corrupt: a stored job has fields that no train_model job has"));
  EXPECT_THAT(refusal([](Json& form) { form["seed"] = 1.5e19; }),
              HasSubstr("corrupt: a stored job's seed is 1.5e+19; it must be an integer"));
  EXPECT_THAT(refusal([](Json& form) { form = Json::array(); }), HasSubstr("corrupt: "));
}

TEST(Resources, SurviveJson) {
  const Resources resources{.cpus = 8, .gpus = 2, .ranks = 3, .memory_mb = 100, .time_s = 60};
  EXPECT_EQ(resources_from_json(to_json(resources)).value(), resources);
  EXPECT_EQ(resources.world_size(), 2);
  Resources varied = resources;
  varied.labels = {{"disk", "ssd"}};
  varied.or_else = {{.cpus = 16, .gpus = 0, .time_s = 60}};
  EXPECT_EQ(resources_from_json(to_json(varied)).value(), varied);
  varied.or_else.push_back(varied.or_else.front());
  EXPECT_THAT(resources_from_json(to_json(varied)).error().message, HasSubstr("two variants ask for 0 gpus"));
  EXPECT_EQ((Resources{.ranks = 3}).world_size(), 3);
  EXPECT_THAT(resources_from_json(Json{{"cpus", -1}}).error().message, HasSubstr("'cpus' is -1"));
  EXPECT_THAT(resources_from_json(Json::array()).error().message, HasSubstr("must be a mapping"));
}

}  // namespace
}  // namespace gauntlet::spec
