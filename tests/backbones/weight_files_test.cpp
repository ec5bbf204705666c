// Published weight files: both layouts of MatConvNet, torchvision's formats, checksums, what is said about
// wrong ones.

#include "tests/backbones/weight_files.hpp"

#include "core/base/hash.hpp"
#include "core/base/md5.hpp"
#include "core/models/backbone_check.hpp"
#include "core/models/detail/published_weights.hpp"
#include "tests/support/parity.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kSmallAlexnet;
using testing::kSmallCnnf;
using testing_support::TempFolder;

void expect_same(const NamedTensors& read, const NamedTensors& written) {
  ASSERT_EQ(read.size(), written.size());
  for (const auto& [name, tensor] : written) {
    ASSERT_TRUE(read.contains(name)) << name;
    EXPECT_TRUE(read.at(name).equal(tensor)) << name;
  }
}

NamedTensors without_last(NamedTensors layers) {
  layers.erase("fc8.weight");
  layers.erase("fc8.bias");
  return layers;
}

TEST(MatConvNet, EveryLayoutReadsAsItWasWritten) {
  torch::manual_seed(1);
  const TempFolder folder;
  const NamedTensors layers = testing::random_layers(kSmallCnnf, true, 3);
  for (int variant = 0; variant < 8; ++variant) {
    SCOPED_TRACE(variant);
    const std::filesystem::path path = folder / fmt::format("{}.mat", variant);
    testing::write_matconvnet(path, layers, {"tench", "goldfish", "great white shark"},
                              {(variant & 1) != 0, (variant & 2) != 0, (variant & 4) != 0});
    const auto read = read_matconvnet(path);
    ASSERT_TRUE(read) << read.error().message;
    expect_same(read->layers, without_last(layers));
    EXPECT_TRUE(read->classifier.at("fc8.weight").equal(layers.at("fc8.weight")));
    EXPECT_TRUE(read->classifier.at("fc8.bias").equal(layers.at("fc8.bias")));
    EXPECT_THAT(read->class_names, ElementsAre("tench", "goldfish", "great white shark"));
  }
}

TEST(MatConvNet, AxesAreTurnedAsRecorded) {
  const testing::Fixture fixture("targets/cnnf_lrn_pool", torch::kFloat32);
  const TempFolder folder;
  const std::filesystem::path path = folder / "axes.mat";
  const torch::Tensor kernel = fixture.get("in.kernel_hwio").permute({3, 2, 0, 1});
  testing::write_matconvnet(path,
                            {{"conv1.weight", kernel},
                             {"conv1.bias", torch::zeros(kernel.size(0))},
                             {"mean", fixture.get("in.mean_hwc").permute({2, 0, 1})}},
                            {}, {});
  // What lies in the file is the recorded array, first axis fastest.
  mat_t* file = Mat_Open(path.c_str(), MAT_ACC_RDONLY);
  ASSERT_NE(file, nullptr);
  matvar_t* meta = Mat_VarRead(file, "meta");
  matvar_t* mean =
      Mat_VarGetStructFieldByName(Mat_VarGetStructFieldByName(meta, "normalization", 0), "averageImage", 0);
  EXPECT_EQ(static_cast<const float*>(mean->data)[1], fixture.get("in.mean_hwc")[1][0][0].item<float>());
  Mat_VarFree(meta);
  Mat_Close(file);

  const auto read = read_matconvnet(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->layers.at("conv1.weight").equal(fixture.get("out.kernel_recommended")));
  EXPECT_TRUE(read->layers.at("mean").equal(fixture.get("out.mean_recommended")));
}

TEST(MatConvNet, FilesThatHoldNoNetworkAreNamed) {
  const TempFolder folder;
  const auto garbage = read_matconvnet(folder.write("garbage.mat", "no MATLAB here"));
  ASSERT_FALSE(garbage);
  EXPECT_THAT(garbage.error().message, HasSubstr("garbage.mat is not a readable MATLAB file"));

  mat_t* file = Mat_CreateVer((folder / "other.mat").c_str(), nullptr, MAT_FT_MAT5);
  matvar_t* variable = testing::mat_array("x", torch::ones({2, 2}));
  Mat_VarWrite(file, variable, MAT_COMPRESSION_NONE);
  Mat_VarFree(variable);
  Mat_Close(file);
  const auto other = read_matconvnet(folder / "other.mat");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("it has no cells 'layers'"));
}

TEST(Torchvision, BothFormatsReadAsTheyWereWritten) {
  torch::manual_seed(2);
  const TempFolder folder;
  const NamedTensors layers = testing::random_layers(kSmallAlexnet, false, 4);
  testing::write_pickled(folder / "net.pt", testing::as_torchvision(layers));
  testing::write_safe(folder / "net.safetensors", testing::as_torchvision(layers));
  for (const char* name : {"net.pt", "net.safetensors"}) {
    const auto read = read_torchvision_alexnet(folder / name);
    ASSERT_TRUE(read) << read.error().message;
    expect_same(read->layers, without_last(layers));
    EXPECT_TRUE(read->classifier.at("fc8.weight").equal(layers.at("fc8.weight")));
  }
}

/// A state dict of small layers as Python's torch.save lays it out: an ordered dict with metadata, tensors n
/// of which hold 1000 n, 1000 n + 1, ….
TEST(Torchvision, AStateDictOfPythonIsRead) {
  const auto read = read_torchvision_alexnet(GAUNTLET_SOURCE_DIR "/tests/backbones/data/state_dict.pt");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->layers.size(), 14U);
  EXPECT_TRUE(read->layers.at("conv1.weight").equal(torch::arange(54.0F).view({2, 3, 3, 3})));
  EXPECT_TRUE(read->layers.at("conv2.bias").equal(3000 + torch::arange(2.0F)));
  EXPECT_TRUE(read->classifier.at("fc8.weight").equal(14000 + torch::arange(12.0F).view({4, 3})));
}

TEST(Torchvision, WrongFilesAreNamed) {
  const TempFolder folder;
  const auto old_format = read_torchvision_alexnet(folder.write("old.pth", "\x80\x02\x8a\nl\xfc"));
  ASSERT_FALSE(old_format);
  EXPECT_THAT(old_format.error().message,
              HasSubstr("old.pth is not in the zip format of PyTorch 1.6 and later; convert it once with"));
  const auto cut = read_torchvision_alexnet(folder.write("cut.pth", "PK\x03\x04 and no more"));
  ASSERT_FALSE(cut);
  EXPECT_THAT(cut.error().message, HasSubstr("cut.pth cannot be read"));
}

BackboneConfig frozen(const std::string& backbone, const std::filesystem::path& path = {},
                      const std::string& md5 = {}) {
  BackboneConfig config;
  config.backbone = backbone;
  config.backbone_weights = path.string();
  config.backbone_md5 = md5;
  return config;
}

std::string complaint(Backbone& trunk, const BackboneConfig& config) {
  const Status loaded = load_pretrained(trunk, config, "cpah");
  EXPECT_FALSE(loaded);
  if (loaded) return "";
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(loaded.error().message.find('\n'), std::string::npos);
  return loaded.error().message;
}

TEST(Loading, AFileThatIsNotGivenOrNotThereIsAskedForWithItsChecksum) {
  Cnnf cnnf(kSmallCnnf, false);
  EXPECT_EQ(complaint(cnnf, frozen("cnnf")),
            "cpah: backbone cnnf starts from published weights; set backbone_weights to the file, "
            "imagenet-vgg-f.mat with MD5 f666c61dc968c413ef664a7e17b01144 (nothing is downloaded)");
  EXPECT_EQ(complaint(cnnf, frozen("cnnf", "/nowhere/vgg.mat")),
            "cpah: backbone_weights is /nowhere/vgg.mat, where there is no file; backbone cnnf needs "
            "imagenet-vgg-f.mat with MD5 f666c61dc968c413ef664a7e17b01144");
  Alexnet alexnet(kSmallAlexnet);
  EXPECT_THAT(complaint(alexnet, frozen("alexnet")),
              HasSubstr("alexnet-owt-7be5be79.pth with a SHA-256 that starts with 7be5be79"));
}

TEST(Loading, AnotherFileThanThePublishedOneIsRefusedUnlessItsMd5IsGiven) {
  torch::manual_seed(4);
  const TempFolder folder;
  const NamedTensors layers = testing::random_layers(kSmallCnnf, true, 0);
  const std::filesystem::path path = folder / "own.mat";
  testing::write_matconvnet(path, layers, {}, {});
  const std::string md5 = md5_file(path).value();
  Cnnf net(kSmallCnnf, false);
  EXPECT_EQ(complaint(net, frozen("cnnf", path)),
            fmt::format("cpah: {} (backbone_weights) has MD5 {}; the published imagenet-vgg-f.mat has "
                        "f666c61dc968c413ef664a7e17b01144",
                        path.string(), md5));
  EXPECT_THAT(complaint(net, frozen("cnnf", path, std::string(32, '0'))),
              HasSubstr(md5 + "; the file that backbone_md5 asks for has 00000000000000000000000000000000"));
  const Status loaded = load_pretrained(net, frozen("cnnf", path, md5), "cpah");
  ASSERT_TRUE(loaded) << loaded.error().message;
  expect_same(state_of(net), layers);
}

TEST(Loading, AConvertedAlexnetNeedsItsOwnMd5) {
  torch::manual_seed(5);
  const TempFolder folder;
  const NamedTensors layers = testing::random_layers(kSmallAlexnet, false, 0);
  const std::filesystem::path path = folder / "net.safetensors";
  testing::write_safe(path, testing::as_torchvision(layers));
  const std::string md5 = md5_file(path).value();
  Alexnet net(kSmallAlexnet);
  EXPECT_EQ(complaint(net, frozen("alexnet", path)),
            fmt::format(
                "cpah: {} (backbone_weights) has SHA-256 {}…, and the published file starts with 7be5be79; a "
                "file converted from it needs backbone_md5: {}",
                path.string(), to_hex(sha256_file(path).value()).substr(0, 8), md5));
  ASSERT_TRUE(load_pretrained(net, frozen("alexnet", path, md5), "cpah"));
  expect_same(state_of(net), layers);
}

TEST(Loading, ALayerThatIsMissingOrOfAnotherShapeIsNamedAndNothingIsCopied) {
  torch::manual_seed(6);
  const TempFolder folder;
  NamedTensors layers = testing::random_layers(kSmallCnnf, true, 0);
  layers["conv3.weight"] = torch::zeros({5, 4, 3, 5});
  testing::write_matconvnet(folder / "shape.mat", layers, {}, {});
  Cnnf net(kSmallCnnf, false);
  const NamedTensors before = weights_of(net);
  EXPECT_THAT(
      complaint(net, frozen("cnnf", folder / "shape.mat", md5_file(folder / "shape.mat").value())),
      ::testing::AllOf(HasSubstr("'conv3.weight' of "),
                       HasSubstr("shape.mat has shape [5, 4, 3, 5]; the backbone needs [5, 4, 3, 3]")));
  layers.erase("conv3.weight");
  testing::write_matconvnet(folder / "missing.mat", layers, {}, {});
  EXPECT_THAT(
      complaint(net, frozen("cnnf", folder / "missing.mat", md5_file(folder / "missing.mat").value())),
      HasSubstr("missing.mat has no 'conv3.bias', which the backbone needs"));
  expect_same(state_of(net), before);
}

TEST(Loading, AFileOfAnotherKindIsRefusedByItsName) {
  const TempFolder folder;
  const std::filesystem::path path = folder.write("vgg.pt", "PK");
  Cnnf net(kSmallCnnf, false);
  EXPECT_THAT(complaint(net, frozen("cnnf", path, md5_file(path).value())),
              HasSubstr("ends in '.pt'; allowed for cnnf: .mat"));
}

TEST(SelfTest, ClassifiesAsTheNetworkOfTheFileDoes) {
  torch::manual_seed(7);
  const TempFolder folder;
  for (const bool cnnf : {true, false}) {
    const NetSizes sizes = cnnf ? kSmallCnnf : kSmallAlexnet;
    const NamedTensors layers = testing::random_layers(sizes, cnnf, 7);
    const std::vector<std::string> names = {"a", "b", "c", "d", "e", "f", "g"};
    const std::filesystem::path path = folder / (cnnf ? "net.mat" : "net.pt");
    if (cnnf) {
      testing::write_matconvnet(path, layers, names, {});
    } else {
      testing::write_pickled(path, testing::as_torchvision(layers));
    }
    std::shared_ptr<PublishedNet> net;
    if (cnnf) {
      net = std::make_shared<Cnnf>(sizes, false);
    } else {
      net = std::make_shared<Alexnet>(sizes);
    }
    ASSERT_TRUE(copy_layers({without_last(layers), {}, {}}, *net, path));
    const torch::Tensor picture = torch::rand({3, sizes.canvas, sizes.canvas});
    const torch::NoGradGuard no_grad;
    const torch::Tensor logits = torch::linear(net->forward(picture.unsqueeze(0)),
                                               layers.at("fc8.weight").flatten(1), layers.at("fc8.bias"));
    const torch::Tensor order = logits[0].argsort(0, /*descending=*/true);

    const auto guesses = guess_classes(path, {picture});
    ASSERT_TRUE(guesses) << guesses.error().message;
    ASSERT_EQ(guesses->at(0).size(), 5U);
    for (std::int64_t at = 0; at < 5; ++at) {
      const Guess& guess = guesses->at(0)[static_cast<std::size_t>(at)];
      EXPECT_EQ(guess.class_index, order[at].item<std::int64_t>());
      EXPECT_EQ(guess.name, cnnf ? names[static_cast<std::size_t>(guess.class_index)] : "");
    }
    EXPECT_THAT(describe_checksum(path).value(), HasSubstr(md5_file(path).value() + ", not "));
  }
}

TEST(SelfTest, WantsTheLastLayer) {
  const TempFolder folder;
  testing::write_matconvnet(folder / "net.mat", testing::random_layers(kSmallCnnf, true, 0), {}, {});
  const auto guesses = guess_classes(folder / "net.mat", {torch::rand({3, 96, 96})});
  ASSERT_FALSE(guesses);
  EXPECT_THAT(guesses.error().message, HasSubstr("has no layer 'fc8', without which it tells no classes"));
}

}  // namespace
}  // namespace gauntlet::models
