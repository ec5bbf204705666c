// A TorchScript file as target model, through the jobs that everybody's models go through.

#include <gmock/gmock.h>
#include <torch/script.h>

#include "core/attacks/attack.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/models/hashing_model.hpp"
#include "core/run/job_run.hpp"
#include "tests/support/job_folder.hpp"

namespace gauntlet::run {
namespace {

using spec::JobKind;

constexpr std::int64_t kBits = 16;

/// Writes a linear model of 8 x 8 pictures and three words.
std::string save_model(const testing_support::TempFolder& folder) {
  torch::manual_seed(3);
  torch::jit::Module module("Target");
  module.register_parameter("image", torch::randn({192, kBits}), false);
  module.register_parameter("text", torch::randn({3, kBits}), false);
  module.define(
      "def encode_image(self, images):\n"
      "  return torch.tanh(torch.matmul(images.flatten(1) - 0.5, self.image))\n"
      "def encode_text(self, text):\n"
      "  return torch.tanh(torch.matmul(text - 0.5, self.text))\n");
  module.save(folder / "model.pt");
  return folder / "model.pt";
}

template <class Entry>
spec::JobSpec job_of(JobKind kind, const Entry& entry, std::vector<spec::JobInput> inputs) {
  spec::JobSpec job;
  job.kind = kind;
  job.entry = entry.about.name;
  job.version = entry.about.version;
  job.inputs = std::move(inputs);
  job.seed = 1;
  return job;
}

TEST(TorchScriptJobs, AreTakenOverEncodedAndAttackedByTheirGradients) {
  const testing_support::TempFolder files;
  const testing_support::JobFolder folder;
  const std::string path = save_model(files);
  const std::string bytes = read_file(path).value();
  const JobKey data = folder.add(data::SmallSet());

  const models::ModelEntry& entry = *models::model_registry().find("torchscript").value();
  spec::JobSpec training = job_of(JobKind::kTrainModel, entry, {{"data", data}});
  training.config = {{"model", {{"path_content", fmt::format("{}/{}", to_hex(sha256(bytes)), bytes.size())}}},
                     {"bits", kBits}};
  training.locations = {{"path", path}};
  const auto model = folder.run(training);
  ASSERT_TRUE(model) << model.error().message;
  std::filesystem::remove(path);  // the checkpoint holds all of it

  std::vector<spec::JobInput> inputs = {{"data", data}, {"model", *model}};
  for (const char* side : {"image", "text"}) {
    spec::JobSpec encode;
    encode.kind = JobKind::kEncode;
    encode.entry = "none";
    encode.version = 1;
    encode.config = {
        {"defense", Json::object()}, {"modality", side}, {"part", "retrieval"}, {"source", "clean"}};
    encode.inputs = {{"data", data}, {"model", *model}};
    encode.seed = 1;
    const auto codes = folder.run(encode);
    ASSERT_TRUE(codes) << codes.error().message;
    inputs.insert(inputs.begin(), {fmt::format("codes_{}", side), *codes});
  }
  std::ranges::sort(inputs, {}, &spec::JobInput::role);

  const attacks::AttackEntry& pgd = *attacks::attack_registry().find("pgd").value();
  spec::JobSpec craft = job_of(JobKind::kCraft, pgd, inputs);
  craft.config = {{"attack", complete_config(pgd.about.fields(), {{"steps", 3}}, "pgd").value()},
                  {"modality", "image"},
                  {"part", "query"},
                  {"limit", 0},
                  {"protocol", "static"},
                  {"defense", nullptr}};
  const auto crafted = folder.attempt(craft);
  ASSERT_TRUE(crafted) << crafted.error().message;
  const auto row = std::ranges::find(crafted->rows, "linf", &spec::ResultRow::metric);
  ASSERT_NE(row, crafted->rows.end());
  EXPECT_GT(row->value, 1);
}

}  // namespace
}  // namespace gauntlet::run
