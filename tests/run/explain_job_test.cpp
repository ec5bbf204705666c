// Explain jobs in a small work folder: heat maps against the chain rule written out by hand, their numbers
// against sorting and counting.
#include "core/run/explain_job.hpp"

#include <gmock/gmock.h>
#include <torch/script.h>

#include <cmath>
#include <map>
#include <numeric>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/defenses/detail/drfgd_generator.hpp"
#include "core/train/checkpoint.hpp"
#include "tests/support/job_folder.hpp"

namespace gauntlet::run {
namespace {

using spec::JobKind;
using testing::ElementsAre;
using testing::HasSubstr;
using torch::Tensor;

constexpr std::int64_t kBits = 16, kPx = 8, kLabels = 2, kWords = 3;

/// Six items of 8 x 8 pictures; a linear target model; crafted queries; DRFGD's networks with random weights.
class ExplainJob : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(3);
    data_ = folder_.add(data::SmallSet());
    train_model();
    crafted_[0] = craft("image", torch::rand({2, 3, kPx, kPx}));
    crafted_[1] = craft("text", torch::tensor({{1.F, 0.25F, 0.F}, {0.F, 0.5F, 0.25F}}));
  }

  void train_model() {
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
    spec::JobSpec job = job_of(JobKind::kTrainModel, "torchscript", {{"data", data_}});
    job.version = models::model_registry().find("torchscript").value()->about.version;
    job.config = {{"model", {{"path_content", fmt::format("{}/{}", to_hex(sha256(bytes)), bytes.size())}}},
                  {"bits", kBits}};
    job.locations = {{"path", (files / "model.pt").string()}};
    const auto key = folder_.run(job);
    ASSERT_TRUE(key) << key.error().message;
    model_ = *key;
  }

  static spec::JobSpec job_of(JobKind kind, std::string entry, std::vector<spec::JobInput> inputs) {
    spec::JobSpec job;
    job.kind = kind;
    job.entry = std::move(entry);
    job.version = 1;
    job.inputs = std::move(inputs);
    job.seed = 1;
    return job;
  }

  /// Publishes what a job would have made.
  template <class Fill>
  JobKey publish(const spec::JobSpec& job, const Fill& fill) {
    const JobKey key = spec::key_of(job).value();
    auto draft = folder_.store().begin(key);
    EXPECT_TRUE(draft);
    fill(draft->folder());
    EXPECT_TRUE(folder_.store().publish(std::move(*draft), job, key, Json::object()));
    return key;
  }

  JobKey craft(const std::string& side, const Tensor& inputs) {
    spec::JobSpec job = job_of(JobKind::kCraft, "pgd", {{"data", data_}, {"model", model_}});
    job.config = {{"modality", side}};
    return publish(job, [&](const std::filesystem::path& path) {
      EXPECT_TRUE(write_tensor(path / "inputs.npy", inputs));
      EXPECT_TRUE(write_tensor(path / "rows.npy", torch::tensor({0, 1}, torch::kInt64)));
    });
  }

  JobKey train_defense(const std::string& side, const defenses::Generator& generator) {
    spec::JobSpec job = job_of(JobKind::kTrainDefense, "drfgd", {{"data", data_}, {"model", model_}});
    job.config = {{"modality", side}};
    return publish(job, [&](const std::filesystem::path& path) {
      EXPECT_TRUE(train::save_tensors(path / "defense.safetensors", models::weights_of(generator)));
    });
  }

  spec::JobSpec explain(const std::string& defense, const Json& config, const std::string& side = "image",
                        const Json& queries = 2) {
    spec::JobSpec job =
        job_of(JobKind::kExplain, defense,
               {{"crafted", crafted_[side == "image" ? 0 : 1]}, {"data", data_}, {"model", model_}});
    job.config = {{"defense", config},
                  {"modality", side},
                  {"queries", queries},
                  {"stage", 0},
                  {"method", "grad_cam@1"}};
    return job;
  }

  static Json drfgd_config() {
    const defenses::DefenseEntry& entry = *defenses::defense_registry().find("drfgd").value();
    return complete_config(entry.about.fields(),
                           {{"width", 4},
                            {"disc_width", 4},
                            {"text_hidden", 8},
                            {"text_bottleneck", 4},
                            {"text_branch", 6}},
                           "drfgd")
        .value();
  }

  Tensor array(const JobKey& key, const std::string& name) {
    const auto read = read_tensor(folder_.file(JobKind::kExplain, key, name + ".npy"));
    EXPECT_TRUE(read) << read.error().message;
    return read ? *read : Tensor();
  }

  testing_support::JobFolder folder_;
  JobKey data_, model_, crafted_[2];
};

/// The map of one branch of the 8 px network (e1: 4 x 4 places, e2: the bottleneck) for one picture [3, 8, 8]
/// in [0,1], without autograd.
Tensor map_by_hand(const models::NamedTensors& w, const std::string& branch, const Tensor& picture,
                   const Tensor& labels) {
  const auto get = [&](const std::string& name) { return w.at(name).detach().to(torch::kFloat64); };
  const Tensor x = picture.to(torch::kFloat64).unsqueeze(0) * 2 - 1;
  Tensor a = torch::conv2d(x, get("e1.conv.weight"), get("e1.conv.bias"), 2, 1).squeeze(0);
  const auto per_channel = [](const Tensor& v) { return v.view({-1, 1, 1}); };
  a = (a - per_channel(get("e1.bn.running_mean"))) /
          torch::sqrt(per_channel(get("e1.bn.running_var")) + 1e-5) * per_channel(get("e1.bn.weight")) +
      per_channel(get("e1.bn.bias"));
  a = torch::where(a > 0, a, 0.2 * a);
  const Tensor w_f = get("e2.conv.weight").flatten(1);
  const Tensor f = w_f.mv(a.flatten()) + get("e2.conv.bias");
  const Tensor w_1 = get(branch + ".conv1.weight").flatten(1), w_2 = get(branch + ".conv2.weight").flatten(1);
  const Tensor h_1 = w_1.mv(f) + get(branch + ".conv1.bias");
  const Tensor h_2 = w_2.mv(h_1.clamp_min(0)) + get(branch + ".conv2.bias");
  const Tensor w_c = get("cls.fc.weight");
  const Tensor logits = w_c.mv(h_2.clamp_min(0)) + get("cls.fc.bias");
  Tensor counts = labels.to(torch::kFloat64);
  if (branch == "avf") {
    const auto n = counts.sum().item<std::int64_t>();
    counts = torch::zeros_like(counts).index_fill(0, std::get<1>(logits.topk(n)), 1);
  }
  const Tensor d_h2 = w_c.t().mv(counts) * (h_2 > 0);
  const Tensor d_h1 = w_2.t().mv(d_h2) * (h_1 > 0);
  const Tensor d_a = w_f.t().mv(w_1.t().mv(d_h1)).view(a.sizes());
  const Tensor raw = (d_a.mean({1, 2}, true) * a).sum(0);
  Tensor m = raw.clamp_min(0);
  if (m.max().item<double>() == 0) m = raw.abs();
  m = (m - m.min()) / (m.max() - m.min());
  Tensor large = torch::empty({kPx, kPx}, torch::kFloat64);
  const auto tap = [](std::int64_t at) {
    return std::clamp((static_cast<double>(at) + 0.5) / 2 - 0.5, 0.0, 3.0);
  };
  for (std::int64_t y = 0; y < kPx; ++y) {
    for (std::int64_t x_at = 0; x_at < kPx; ++x_at) {
      double sum = 0;
      for (std::int64_t i = 0; i < 4; ++i) {
        for (std::int64_t j = 0; j < 4; ++j) {
          const double near = std::max(0.0, 1 - std::abs(tap(y) - static_cast<double>(i))) *
                              std::max(0.0, 1 - std::abs(tap(x_at) - static_cast<double>(j)));
          sum += near * m[i][j].item<double>();
        }
      }
      large[y][x_at] = sum;
    }
  }
  return large;
}

std::vector<double> values_of(const Tensor& map) {
  const Tensor flat = map.flatten().to(torch::kFloat64).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

/// Places of the 20 % highest values, found by counting.
std::vector<bool> top_fifth(const std::vector<double>& values) {
  std::vector<bool> is_top;
  for (std::size_t at = 0; at < values.size(); ++at) {
    std::size_t n_before = 0;
    for (std::size_t other = 0; other < values.size(); ++other)
      n_before += values[other] > values[at] || (values[other] == values[at] && other < at) ? 1 : 0;
    is_top.push_back(values[at] > 0 &&
                     static_cast<double>(n_before) < 0.2 * static_cast<double>(values.size()));
  }
  return is_top;
}

double mean_of(const worker::AttemptResult& result, const std::string& metric) {
  const auto row = std::ranges::find(result.rows, metric, &spec::ResultRow::metric);
  EXPECT_NE(row, result.rows.end()) << metric;
  return row == result.rows.end() ? 0 : row->value;
}

TEST_F(ExplainJob, MapsAndNumbersOfPicturesAreThoseOfTheFormulas) {
  auto solo = collective::make_solo_communicator();
  const auto generator = defenses::make_image_generator(
      {.layout = defenses::image_layout(kPx).value(), .width = 4, .n_labels = kLabels}, solo.get());
  const JobKey defense = train_defense("image", *generator);
  spec::JobSpec job = explain("drfgd", drfgd_config());
  job.inputs.insert(job.inputs.begin() + 2, {"defense", defense});
  const auto result = folder_.attempt(job);
  ASSERT_TRUE(result) << result.error().message;
  const JobKey key = spec::key_of(job).value();

  const Json numbers = folder_.store().open(JobKind::kExplain, key).value().about.at("numbers");
  const Json& overlap = numbers.at("heat_iou");
  EXPECT_NEAR(mean_of(*result, "heat_iou"), (overlap.at(0).get<double>() + overlap.at(1).get<double>()) / 2,
              1e-9);

  const Tensor labels = torch::tensor({{1, 0}, {1, 1}});
  const Tensor change = array(key, "difference").abs().mean(1);
  for (std::int64_t query = 0; query < 2; ++query) {
    const auto at = static_cast<std::size_t>(query);
    std::map<std::string, std::vector<double>> attacked;
    for (const std::string branch : {"arf", "avf"}) {
      for (const auto& [file, inputs] :
           {std::pair(branch, "adversarial"), std::pair(branch + "_clean", "clean")}) {
        const Tensor map = array(key, file)[query];
        const Tensor wanted =
            map_by_hand(models::state_of(*generator), branch, array(key, inputs)[query], labels[query]);
        EXPECT_TRUE(torch::allclose(map.to(torch::kFloat64), wanted, 1e-3, 1e-4)) << file << "\n"
                                                                                  << map << wanted;
      }
      attacked[branch] = values_of(array(key, branch)[query]);
      const std::vector<double> clean = values_of(array(key, branch + "_clean")[query]);
      const double dot = std::inner_product(clean.begin(), clean.end(), attacked[branch].begin(), 0.0);
      const double norms = std::sqrt(std::inner_product(clean.begin(), clean.end(), clean.begin(), 0.0) *
                                     std::inner_product(attacked[branch].begin(), attacked[branch].end(),
                                                        attacked[branch].begin(), 0.0));
      EXPECT_NEAR(numbers.at("heat_cosine_" + branch).at(at).get<double>(), dot / norms, 1e-5);
    }
    const auto arf = top_fifth(attacked["arf"]), avf = top_fifth(attacked["avf"]);
    double n_both = 0, n_any = 0, mass = 0, whole = 0;
    std::vector<double> moved = values_of(change[query]);
    std::vector<double> sorted = moved;
    std::ranges::sort(sorted);
    const double median = (sorted[31] + sorted[32]) / 2;
    for (std::size_t place = 0; place < arf.size(); ++place) {
      n_both += arf[place] && avf[place] ? 1 : 0;
      n_any += arf[place] || avf[place] ? 1 : 0;
      whole += attacked["avf"][place];
      if (moved[place] > median) mass += attacked["avf"][place];
    }
    EXPECT_NEAR(numbers.at("heat_iou").at(at).get<double>(), n_both / n_any, 1e-6);
    EXPECT_NEAR(numbers.at("heat_avf_on_change").at(at).get<double>(), mass / whole, 1e-5);
  }
  EXPECT_TRUE(std::filesystem::exists(folder_.file(JobKind::kExplain, key, "purified.npy")));
}

TEST_F(ExplainJob, TextsHaveAValuePerWord) {
  const auto generator = defenses::make_text_generator(
      {.text_dim = kWords, .n_labels = kLabels, .hidden = 8, .bottleneck = 4, .branch = 6});
  const JobKey defense = train_defense("text", *generator);
  spec::JobSpec job = explain("drfgd", drfgd_config(), "text");
  job.inputs.insert(job.inputs.begin() + 2, {"defense", defense});
  const auto result = folder_.attempt(job);
  ASSERT_TRUE(result) << result.error().message;
  const JobKey key = spec::key_of(job).value();
  const Tensor map = array(key, "arf");
  EXPECT_THAT(map.sizes().vec(), ElementsAre(2, kWords));
  // Gradient x input: a word that is not there has no weight.
  EXPECT_EQ(map[0][2].item<float>(), 0);
  EXPECT_EQ(map[1][0].item<float>(), 0);
  EXPECT_THAT(array(key, "difference").sizes().vec(), ElementsAre(2, kWords));
}

TEST_F(ExplainJob, ADefenseWithoutBranchesShowsTheRest) {
  const spec::JobSpec job = explain("none", Json::object());
  const auto result = folder_.attempt(job);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->rows.size(), 1U);
  EXPECT_EQ(result->rows.front().metric, "bits_flipped");
  const JobKey key = spec::key_of(job).value();
  EXPECT_TRUE(torch::equal(array(key, "difference"), array(key, "adversarial") - array(key, "clean")));
  EXPECT_FALSE(std::filesystem::exists(folder_.file(JobKind::kExplain, key, "arf.npy")));
  const auto artifact = folder_.store().open(JobKind::kExplain, key);
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->about.at("maps"), Json::array());
  EXPECT_EQ(artifact->about.at("bits"), kBits);
}

TEST_F(ExplainJob, RowsThatAreNoQueriesAndStagesThatAreNotThereAreNamed) {
  const auto row = folder_.attempt(explain("none", Json::object(), "image", Json({1, 4})));
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(row.error().message, "row 4 is no query of the set; its 2 queries lie in rows 0 to 1");

  auto solo = collective::make_solo_communicator();
  const auto generator = defenses::make_image_generator(
      {.layout = defenses::image_layout(kPx).value(), .width = 4, .n_labels = kLabels}, solo.get());
  spec::JobSpec job = explain("drfgd", drfgd_config());
  job.inputs.insert(job.inputs.begin() + 2, {"defense", train_defense("image", *generator)});
  job.config["stage"] = 3;
  const auto stage = folder_.attempt(job);
  ASSERT_FALSE(stage);
  EXPECT_THAT(stage.error().message, HasSubstr("stage is 3; allowed: 1 to 2"));
}

}  // namespace
}  // namespace gauntlet::run
