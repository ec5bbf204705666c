#include <matio.h>

#include <memory>

#include "core/models/detail/published_weights.hpp"

namespace gauntlet::models {
namespace {

using MatFile = std::unique_ptr<mat_t, decltype(&Mat_Close)>;
using Variable = std::unique_ptr<matvar_t, decltype(&Mat_VarFree)>;

matvar_t* field_of(matvar_t* parent, const char* name) {
  if (parent == nullptr || parent->class_type != MAT_C_STRUCT) return nullptr;
  return Mat_VarGetStructFieldByName(parent, name, 0);
}

std::size_t n_elements(const matvar_t& variable) {
  std::size_t n = 1;
  for (int axis = 0; axis < variable.rank; ++axis) n *= variable.dims[axis];
  return variable.data == nullptr ? 0 : n;
}

matvar_t* cell_of(matvar_t* parent, std::size_t at) {
  if (parent == nullptr || parent->class_type != MAT_C_CELL || at >= n_elements(*parent)) return nullptr;
  return static_cast<matvar_t* const*>(parent->data)[at];
}

std::string text_of(const matvar_t* variable) {
  std::string text;
  if (variable == nullptr || variable->class_type != MAT_C_CHAR) return text;
  const std::size_t n = n_elements(*variable);
  for (std::size_t at = 0; at < n; ++at) {
    // Characters of 16 bits are cut to ASCII: names of layers and classes need no more.
    const char* bytes = static_cast<const char*>(variable->data);
    text += bytes[at * static_cast<std::size_t>(variable->data_size)];
  }
  return text;
}

/// An array of MATLAB, first axis fastest, with `rank` axes; those MATLAB dropped at the end are 1.
Result<torch::Tensor> array_of(const matvar_t* variable, int rank, const std::string& what) {
  const bool single = variable != nullptr && variable->data_type == MAT_T_SINGLE;
  const bool real = variable != nullptr && variable->isComplex == 0 && variable->data != nullptr &&
                    (single || variable->data_type == MAT_T_DOUBLE);
  if (!real || variable->rank > rank)
    return fail(ErrorCode::kInvalid, "{} is no array of at most {} axes of floating-point numbers", what,
                rank);
  std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 1);
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis < static_cast<std::size_t>(variable->rank))
      shape[axis] = static_cast<std::int64_t>(variable->dims[axis]);
    if (axis + 1 < shape.size()) strides[axis + 1] = strides[axis] * shape[axis];
  }
  return torch::from_blob(variable->data, shape, strides, single ? torch::kFloat32 : torch::kFloat64)
      .to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
}

/// The variables of the file, or the fields of its variable `net`.
class Contents {
 public:
  explicit Contents(mat_t* file) : file_(file), net_(read("net")) {}

  /// Lives as long as this object.
  matvar_t* find(const char* name) {
    if (net_ != nullptr) return field_of(net_.get(), name);
    variables_.push_back(read(name));
    return variables_.back().get();
  }

 private:
  [[nodiscard]] Variable read(const char* name) const { return {Mat_VarRead(file_, name), &Mat_VarFree}; }

  mat_t* file_;
  Variable net_;
  std::vector<Variable> variables_;
};

Status add_layer(matvar_t* layer, const std::string& file, PublishedWeights& weights) {
  const std::string name = text_of(field_of(layer, "name"));
  const bool convolves = name.starts_with("conv") || name.starts_with("fc");
  if (!convolves) return {};
  matvar_t* pair = field_of(layer, "weights");
  matvar_t* filters = pair != nullptr ? cell_of(pair, 0) : field_of(layer, "filters");
  matvar_t* biases = pair != nullptr ? cell_of(pair, 1) : field_of(layer, "biases");
  GAUNTLET_TRY(const torch::Tensor kernel,
               array_of(filters, 4, fmt::format("'{}' of {}", name + ".weight", file)));
  GAUNTLET_TRY(const torch::Tensor bias,
               array_of(biases, 2, fmt::format("'{}' of {}", name + ".bias", file)));
  NamedTensors& to = name == "fc8" ? weights.classifier : weights.layers;
  to[name + ".weight"] = kernel.permute({3, 2, 0, 1}).contiguous();
  to[name + ".bias"] = bias.flatten().contiguous();
  return {};
}

}  // namespace

Result<PublishedWeights> read_matconvnet(const std::filesystem::path& path) {
  const MatFile file(Mat_Open(path.c_str(), MAT_ACC_RDONLY), &Mat_Close);
  if (file == nullptr) return fail(ErrorCode::kInvalid, "{} is not a readable MATLAB file", path.string());
  Contents contents(file.get());
  matvar_t* layers = contents.find("layers");
  if (cell_of(layers, 0) == nullptr)
    return fail(ErrorCode::kInvalid, "{} holds no network of MatConvNet: it has no cells 'layers'",
                path.string());

  PublishedWeights weights;
  for (std::size_t at = 0; at < n_elements(*layers); ++at)
    GAUNTLET_CHECK_OK(add_layer(cell_of(layers, at), path.string(), weights));

  matvar_t* meta = contents.find("meta");
  const auto described = [&](const char* name) {
    return meta != nullptr ? field_of(meta, name) : contents.find(name);
  };
  GAUNTLET_TRY(const torch::Tensor mean, array_of(field_of(described("normalization"), "averageImage"), 3,
                                                  fmt::format("'averageImage' of {}", path.string())));
  weights.layers["mean"] = mean.permute({2, 0, 1}).contiguous();
  matvar_t* names = field_of(described("classes"), "description");
  for (std::size_t at = 0; cell_of(names, at) != nullptr; ++at)
    weights.class_names.push_back(text_of(cell_of(names, at)));
  return weights;
}

}  // namespace gauntlet::models
