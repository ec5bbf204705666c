// A target model made elsewhere: a TorchScript file with the methods encode_image and encode_text. It comes
// trained; gradients go through it to the input, so every attack works on it.
#include <c10/util/Exception.h>
#include <torch/script.h>

#include <cstring>
#include <sstream>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/models/hashing_model.hpp"

namespace gauntlet::models {
namespace {

constexpr std::string_view kName = "torchscript";

struct TorchScriptConfig {
  std::string path;
  std::string path_content;

  static void fields(auto& self, auto& visit) {
    visit(
        "path", self.path,
        {.doc = "File written by torch.jit.save, with encode_image and encode_text: batches of the dataset's "
                "inputs to [n, bits], positive for a bit of 1.",
         .location = true});
    visit("path_content", self.path_content,
          {.doc =
               "SHA-256 and bytes of the file, as <hexadecimal>/<bytes>: what a job's key knows it by. Found "
               "out when a sweep is read, unless it is given."});
  }
};

/// The bytes of the file are a buffer, so that a checkpoint holds all of the model; it is unpacked when it is
/// first used, which is after a checkpoint was put back.
class TorchScriptModel final : public HashingModel {
 public:
  TorchScriptModel(std::int64_t n_bytes, std::int64_t code_bits)
      : bytes_(register_buffer("file", torch::zeros({n_bytes}, torch::kUInt8))), code_bits_(code_bits) {}

  torch::Tensor encode_image(const torch::Tensor& images) override { return run("encode_image", images); }
  torch::Tensor encode_text(const torch::Tensor& text) override { return run("encode_text", text); }

  void set_file(std::string_view content) {
    std::memcpy(bytes_.mutable_data_ptr(), content.data(), content.size());
  }

 private:
  torch::Tensor run(const char* method, const torch::Tensor& input) {
    if (!module_) unpack(input.device());
    const torch::Tensor codes = module_->get_method(method)({input}).toTensor();
    TORCH_CHECK(codes.dim() == 2 && codes.size(0) == input.size(0) && codes.size(1) == code_bits_,
                "torchscript: ", method, " gives ", codes.sizes(), " for ", input.size(0), " inputs; ",
                code_bits_, " bits are asked for");
    return codes;
  }

  void unpack(torch::Device device) {
    const torch::Tensor bytes = bytes_.cpu().contiguous();
    std::istringstream file(std::string(static_cast<const char*>(bytes.const_data_ptr()),
                                        static_cast<std::size_t>(bytes.numel())));
    torch::jit::Module module = torch::jit::load(file, device);
    module.eval();
    for (torch::Tensor parameter : module.parameters()) parameter.requires_grad_(false);
    module_ = std::move(module);
  }

  torch::Tensor bytes_;
  std::int64_t code_bits_;
  std::optional<torch::jit::Module> module_;
};

Result<std::int64_t> bytes_from(const std::string& content) {
  const std::size_t slash = content.find('/');
  const std::int64_t n_bytes = slash == std::string::npos ? 0 : std::atoll(content.c_str() + slash + 1);
  if (n_bytes > 0) return n_bytes;
  return fail(
      ErrorCode::kInvalid,
      "{}: path_content is '{}'; allowed: <SHA-256>/<bytes> of the file, which a sweep that names `path` "
      "on its axis finds out by itself",
      kName, content);
}

/// That both methods are there and give codes of the asked length.
Status try_out(TorchScriptModel& model, const ModelShape& shape, const std::string& path) {
  const torch::NoGradGuard no_grad;
  try {
    const torch::Tensor images = shape.feature_dim > 0 ? torch::zeros({2, shape.feature_dim})
                                                       : torch::zeros({2, 3, shape.image_px, shape.image_px});
    static_cast<void>(model.encode_image(images));
    static_cast<void>(model.encode_text(torch::zeros({2, shape.text_dim})));
  } catch (const c10::Error& error) {  // what a person's file is wrong about is no fault of this program
    const std::string text = error.what_without_backtrace();
    return fail(ErrorCode::kInvalid, "{} is no TorchScript file of a target model for this dataset: {}", path,
                text.substr(0, text.find('\n')));
  }
  return {};
}

/// With `path` the file is read and checked; without, a checkpoint brings it.
Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* /*communicator*/) {
  GAUNTLET_TRY(const TorchScriptConfig read, read_config<TorchScriptConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  GAUNTLET_TRY(const std::int64_t n_bytes, bytes_from(read.path_content));
  if (read.path.empty()) return std::make_shared<TorchScriptModel>(n_bytes, shape.code_bits);
  GAUNTLET_TRY(const std::string content, read_file(read.path, std::size_t{16} << 30U));
  const std::string found = to_hex(sha256(content)) + "/" + std::to_string(content.size());
  if (found != read.path_content) {
    return fail(ErrorCode::kInvalid,
                "{} has the content {}; the job was planned for {}; submit the sweep again", read.path, found,
                read.path_content);
  }
  const auto model = std::make_shared<TorchScriptModel>(n_bytes, shape.code_bits);
  model->set_file(content);
  GAUNTLET_CHECK_OK(try_out(*model, shape, read.path));
  return model;
}

}  // namespace

extern const ModelEntry torchscript_entry;
constinit const ModelEntry torchscript_entry{
    .about = {.name = kName,
              .version = 1,
              .summary = "A trained model from a TorchScript file",
              .reference = "torch.jit; docs/external.md",
              .fields = &describe_fields<TorchScriptConfig>},
    .make = &make,
    .make_training = nullptr,
};

}  // namespace gauntlet::models
