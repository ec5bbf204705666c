// A target model from a TorchScript file: made here, read, attacked by its gradients, kept as a checkpoint.
#include <gmock/gmock.h>
#include <torch/script.h>

#include <fstream>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/weights.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::models {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kBits = 4;
const ModelShape kShape{.image_px = 2, .feature_dim = 0, .text_dim = 3, .n_labels = 2, .code_bits = kBits};

class TorchScript : public testing::Test {
 protected:
  /// Weights are parameters; the methods are `code`.
  std::string save(const std::string& name, const std::string& code) {
    torch::manual_seed(5);
    torch::jit::Module module("Target");
    module.register_parameter("image", torch::randn({12, kBits}), false);
    module.register_parameter("text", torch::randn({3, kBits}), false);
    module.define(code);
    module.save(folder_ / name);
    return folder_ / name;
  }
  std::string good() {
    return save(
        "good.pt",
        "def encode_image(self, images):\n  return torch.tanh(torch.matmul(images.flatten(1), self.image))\n"
        "def encode_text(self, text):\n  return torch.tanh(torch.matmul(text, self.text))\n");
  }
  static std::string content_of(const std::string& path) {
    const std::string bytes = read_file(path).value();
    return to_hex(sha256(bytes)) + "/" + std::to_string(bytes.size());
  }
  static Result<std::shared_ptr<HashingModel>> make(const std::string& path, const std::string& content) {
    return model_registry()
        .find("torchscript")
        .value()
        ->make({{"path", path}, {"path_content", content}}, kShape, nullptr);
  }

  testing_support::TempFolder folder_;
};

TEST_F(TorchScript, EncodesAndHasGradients) {
  const std::string path = good();
  const auto model = make(path, content_of(path));
  ASSERT_TRUE(model) << model.error().message;
  const torch::Tensor images = torch::rand({5, 3, 2, 2}).requires_grad_();
  const torch::Tensor codes = (*model)->encode_image(images);
  EXPECT_EQ(codes.sizes(), (std::vector<std::int64_t>{5, kBits}));
  codes.sum().backward();
  EXPECT_GT(images.grad().abs().sum().item<double>(), 0);
  const torch::Tensor text = torch::rand({2, 3}).requires_grad_();
  (*model)->encode_text(text).sum().backward();
  EXPECT_GT(text.grad().abs().sum().item<double>(), 0);
}

TEST_F(TorchScript, ComesBackFromItsCheckpointWithoutTheFile) {
  const std::string path = good();
  const std::string content = content_of(path);
  const auto model = make(path, content).value();
  const auto copy = make("", content).value();
  ASSERT_TRUE(restore(*copy, weights_of(*model)));
  const torch::Tensor images = torch::rand({5, 3, 2, 2});
  EXPECT_TRUE(copy->encode_image(images).equal(model->encode_image(images)));
}

TEST_F(TorchScript, RefusesOtherFiles) {
  const std::string path = good();
  EXPECT_THAT(make(path, "").error().message, HasSubstr("path_content is ''"));
  EXPECT_THAT(make(path, content_of(path) + "0").error().message, HasSubstr("the job was planned for"));
  const std::string junk = folder_ / "junk.pt";
  std::ofstream(junk) << "no model";
  EXPECT_EQ(make(junk, content_of(junk)).error().code, ErrorCode::kInvalid);
  const std::string half = save(
      "half.pt", "def encode_image(self, images):\n  return torch.matmul(images.flatten(1), self.image)\n");
  EXPECT_THAT(make(half, content_of(half)).error().message, HasSubstr("encode_text"));
  const std::string longer = save("long.pt",
                                  "def encode_image(self, images):\n  return images.flatten(1)\n"
                                  "def encode_text(self, text):\n  return torch.matmul(text, self.text)\n");
  EXPECT_THAT(make(longer, content_of(longer)).error().message, HasSubstr("4 bits are asked for"));
}

}  // namespace
}  // namespace gauntlet::models
