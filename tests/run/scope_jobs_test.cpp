// Craft and encode jobs of attacks on the database, and on some of the queries, in a small work folder.
#include <gmock/gmock.h>
#include <torch/script.h>

#include <algorithm>
#include <numeric>

#include "core/attacks/attack.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/run/job_run.hpp"
#include "core/spec/attack_scope.hpp"
#include "tests/support/job_folder.hpp"

namespace gauntlet::run {
namespace {

using spec::JobKind;
using torch::Tensor;

constexpr std::int64_t kBits = 16, kPx = 8, kWords = 6;
constexpr std::size_t kItems = 60, kQueries = 20;

data::SmallSet sixty_items() {
  data::SmallSet set;
  set.split.assign(kItems, 0);
  set.text.resize(kItems * kWords);
  set.labels.resize(kItems * 2);
  for (std::size_t item = 0; item < kItems; ++item) {
    set.split[item] = static_cast<std::uint8_t>(item / kQueries);
    set.labels[2 * item + item % 2] = 1;
    for (std::size_t word = 0; word < kWords; ++word)
      set.text[item * kWords + word] = (item * 7 + word * word) % 3 == item % 2 ? 1 : 0;
  }
  set.fill_images();
  return set;
}

class ScopeJobs : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(3);
    data_ = folder_.add(sixty_items());
    const testing_support::TempFolder files;
    torch::jit::Module module("Target");
    module.register_parameter("image", torch::randn({3 * kPx * kPx, kBits}), false);
    module.register_parameter("text", torch::randn({kWords, kBits}), false);
    module.define(
        "def encode_image(self, images):\n"
        "  return torch.tanh(torch.matmul(images.flatten(1) - 0.5, self.image))\n"
        "def encode_text(self, text):\n"
        "  return torch.tanh(torch.matmul(text - 0.5, self.text))\n");
    module.save(files / "model.pt");
    const std::string bytes = read_file(files / "model.pt").value();
    spec::JobSpec job = job_of(JobKind::kTrainModel, "torchscript", Json(), {{"data", data_}});
    job.version = models::model_registry().find("torchscript").value()->about.version;
    job.config = {{"model", {{"path_content", fmt::format("{}/{}", to_hex(sha256(bytes)), bytes.size())}}},
                  {"bits", kBits}};
    job.locations = {{"path", (files / "model.pt").string()}};
    model_ = done(job);
    codes_image_ = encode("image", "retrieval", Json::object());
    codes_text_ = encode("text", "retrieval", Json::object());
  }

  static spec::JobSpec job_of(JobKind kind, std::string entry, Json config,
                              std::vector<spec::JobInput> inputs) {
    spec::JobSpec job;
    job.kind = kind;
    job.entry = std::move(entry);
    job.version = 1;
    job.config = std::move(config);
    job.inputs = std::move(inputs);
    job.seed = 1;
    return job;
  }
  JobKey done(const spec::JobSpec& job) {
    const auto key = folder_.run(job);
    EXPECT_TRUE(key) << (key ? "" : key.error().message);
    return key.value_or(JobKey{});
  }

  JobKey encode(const std::string& side, const std::string& part, const Json& more,
                std::optional<JobKey> crafted = std::nullopt) {
    Json config = {{"defense", Json::object()},
                   {"modality", side},
                   {"part", part},
                   {"source", crafted ? "crafted" : "clean"}};
    config.update(more);
    std::vector<spec::JobInput> inputs = {{"data", data_}, {"model", model_}};
    if (crafted) inputs.insert(inputs.begin(), {"crafted", *crafted});
    return done(job_of(JobKind::kEncode, "none", config, inputs));
  }

  [[nodiscard]] spec::JobSpec craft(const std::string& side, const std::string& part,
                                    const Json& more) const {
    const auto& entry = *attacks::attack_registry().find("pgd").value();
    Json config = {
        {"attack", complete_config(entry.about.fields(),
                                   {{"steps", 5}, {"epsilon_text", 0.8}, {"epsilon_image", 0.2}}, "pgd")
                       .value()},
        {"modality", side},
        {"part", part},
        {"limit", 0},
        {"protocol", "static"},
        {"defense", Json()}};
    config.update(more);
    return job_of(
        JobKind::kCraft, "pgd", config,
        {{"codes_image", codes_image_}, {"codes_text", codes_text_}, {"data", data_}, {"model", model_}});
  }

  [[nodiscard]] std::vector<std::int64_t> rows_of(JobKind kind, const JobKey& key) const {
    const Tensor rows = read_tensor(folder_.file(kind, key, "rows.npy")).value();
    return {rows.const_data_ptr<std::int64_t>(), rows.const_data_ptr<std::int64_t>() + rows.numel()};
  }
  [[nodiscard]] Tensor array(JobKind kind, const JobKey& key, const char* name) const {
    return read_tensor(folder_.file(kind, key, name)).value();
  }

  testing_support::JobFolder folder_;
  JobKey data_, model_, codes_image_, codes_text_;
};

TEST_F(ScopeJobs, AttackedItemsReplaceTheirsAndTheOthersKeepTheirCodes) {
  const spec::JobSpec job = craft("text", "retrieval", {{"database_fraction", 0.25}});
  const auto result = folder_.attempt(job);
  ASSERT_TRUE(result) << result.error().message;
  const JobKey crafted = spec::key_of(job).value();
  const std::vector<std::int64_t> attacked = rows_of(JobKind::kCraft, crafted);
  ASSERT_EQ(attacked.size(), 10U);  // of 40 that are no queries
  EXPECT_TRUE(std::ranges::is_sorted(attacked));
  EXPECT_GE(attacked.front(), 20);
  EXPECT_EQ(array(JobKind::kCraft, crafted, "inputs.npy").sizes(), (torch::IntArrayRef{10, kWords}));
  const auto illegal = std::ranges::find(result->rows, "illegal_inputs", &spec::ResultRow::metric);
  ASSERT_NE(illegal, result->rows.end());
  EXPECT_EQ(illegal->value, 0);
  EXPECT_EQ(illegal->n, 10);

  const JobKey after = encode("text", "retrieval", Json::object(), crafted);
  const std::vector<std::int64_t> rows = rows_of(JobKind::kEncode, after);
  ASSERT_EQ(rows, rows_of(JobKind::kEncode, codes_text_));
  const Tensor before = array(JobKind::kEncode, codes_text_, "codes.npy");
  const Tensor codes = array(JobKind::kEncode, after, "codes.npy");
  // Asked with, each of them has the code that it is retrieved by.
  const Tensor alone = array(JobKind::kEncode, encode("text", "query", Json::object(), crafted), "codes.npy");
  std::size_t n_changed = 0, n_attacked = 0;
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const auto item = static_cast<std::int64_t>(at);
    const bool is_same = codes[item].equal(before[item]);
    if (std::ranges::binary_search(attacked, rows[at])) {
      n_changed += is_same ? 0 : 1;
      EXPECT_TRUE(codes[item].equal(alone[static_cast<std::int64_t>(n_attacked++)])) << rows[at];
    } else {
      EXPECT_TRUE(is_same) << rows[at];
    }
  }
  EXPECT_GE(n_changed, 8U);  // 0.8 of the range turns some bit of nearly any item
}

TEST_F(ScopeJobs, AWholeDatabaseIsEveryItem) {
  const JobKey crafted = done(craft("image", "retrieval", {{"database_fraction", 1.0}}));
  EXPECT_EQ(rows_of(JobKind::kCraft, crafted), rows_of(JobKind::kEncode, codes_image_));
}

TEST_F(ScopeJobs, SomeQueriesAreAttackedAsAmongAll) {
  const JobKey all = done(craft("text", "query", Json::object()));
  const JobKey some = done(craft("text", "query", {{"on_queries", 5}}));
  const std::vector<std::int64_t> rows = rows_of(JobKind::kCraft, some);
  ASSERT_EQ(rows.size(), 5U);
  const Tensor wanted = array(JobKind::kCraft, all, "inputs.npy")
                            .index_select(0, torch::tensor(rows, torch::kInt64));  // queries are rows 0 to 19
  EXPECT_TRUE(torch::allclose(array(JobKind::kCraft, some, "inputs.npy"), wanted, 1e-4, 1e-4));

  const JobKey clean = encode("text", "query", {{"on_queries", 5}});
  EXPECT_EQ(rows_of(JobKind::kEncode, clean), rows);
  EXPECT_EQ(rows_of(JobKind::kEncode, encode("text", "query", Json::object(), some)), rows);
  EXPECT_EQ(rows_of(JobKind::kEncode, encode("text", "query", {{"on_queries", 500}})).size(), kQueries);
}

TEST_F(ScopeJobs, ItemsThatAreNotInTheDatabaseAreNamed) {
  const JobKey queries = done(craft("text", "query", {{"on_queries", 5}}));
  spec::JobSpec job = job_of(
      JobKind::kEncode, "none",
      {{"defense", Json::object()}, {"modality", "text"}, {"part", "retrieval"}, {"source", "crafted"}},
      {{"crafted", queries}, {"data", data_}, {"model", model_}});
  const auto result = folder_.attempt(job);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(result.error().message,
              testing::HasSubstr("holds 5 items, 0 of which are in the retrieval set"));
}

}  // namespace
}  // namespace gauntlet::run
