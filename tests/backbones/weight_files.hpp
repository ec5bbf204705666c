// Small weight files in the formats of the published ones, written from random layers.
#pragma once

#include <gtest/gtest.h>
#include <matio.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/io/safetensors.hpp"
#include "core/models/detail/published_nets.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"

namespace gauntlet::testing {

inline const models::NetSizes kSmallCnnf = {
    .channels = {3, 4, 5, 4, 6}, .last_px = 2, .fc6 = 7, .fc7 = 8, .canvas = 96};
inline const models::NetSizes kSmallAlexnet = kSmallCnnf;

/// Random layers of a network, with a last layer of `n_classes`.
inline models::NamedTensors random_layers(const models::NetSizes& sizes, bool cnnf, std::int64_t n_classes) {
  std::shared_ptr<models::PublishedNet> net;
  if (cnnf) {
    net = std::make_shared<models::Cnnf>(sizes, false);
  } else {
    net = std::make_shared<models::Alexnet>(sizes);
  }
  models::NamedTensors layers = models::weights_of(*net);
  if (cnnf) layers["mean"] = 120 + 10 * torch::rand({3, sizes.canvas, sizes.canvas});
  if (n_classes > 0) {
    layers["fc8.weight"] =
        cnnf ? torch::randn({n_classes, sizes.fc7, 1, 1}) : torch::randn({n_classes, sizes.fc7});
    layers["fc8.bias"] = torch::randn({n_classes});
  }
  return layers;
}

/// A variable of MATLAB with the tensor's shape: first axis fastest.
inline matvar_t* mat_array(const char* name, const torch::Tensor& tensor) {
  std::vector<std::int64_t> reversed;
  for (std::int64_t axis = tensor.dim() - 1; axis >= 0; --axis) reversed.push_back(axis);
  const torch::Tensor columns = tensor.to(torch::kFloat32).permute(reversed).contiguous();
  std::vector<std::size_t> dims;
  for (const std::int64_t size : tensor.sizes()) dims.push_back(static_cast<std::size_t>(size));
  return Mat_VarCreate(name, MAT_C_SINGLE, MAT_T_SINGLE, static_cast<int>(dims.size()), dims.data(),
                       columns.data_ptr(), 0);
}

inline matvar_t* mat_text(const char* name, const std::string& text) {
  std::size_t dims[2] = {1, text.size()};
  return Mat_VarCreate(name, MAT_C_CHAR, MAT_T_UTF8, 2, dims, const_cast<char*>(text.data()), 0);
}

inline matvar_t* mat_cells(const char* name, std::vector<matvar_t*> cells) {
  std::size_t dims[2] = {1, cells.size()};
  return Mat_VarCreate(name, MAT_C_CELL, MAT_T_CELL, 2, dims, cells.data(), 0);
}

inline matvar_t* mat_struct(const char* name, const std::vector<std::pair<const char*, matvar_t*>>& members) {
  std::vector<const char*> names;
  for (const auto& [member, value] : members) names.push_back(member);
  std::size_t dims[2] = {1, 1};
  matvar_t* made = Mat_VarCreateStruct(name, 2, dims, names.data(), static_cast<unsigned>(names.size()));
  for (const auto& [member, value] : members) Mat_VarSetStructFieldByName(made, member, 0, value);
  return made;
}

struct MatLayout {
  bool pairs = true;    ///< layers with `weights` {filters, biases}; else `filters` and `biases`
  bool in_net = false;  ///< everything in a variable `net`
  bool in_meta = true;  ///< mean image and class names in `meta`
  bool compressed = true;
};

/// Layers as [out, in, H, W] into MatConvNet's file; ReLUs lie between them.
inline void write_matconvnet(const std::filesystem::path& path, const models::NamedTensors& layers,
                             const std::vector<std::string>& class_names, const MatLayout& layout) {
  std::vector<matvar_t*> cells;
  for (const char* name : {"conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"}) {
    const auto weight = layers.find(std::string(name) + ".weight");
    if (weight == layers.end()) continue;
    const torch::Tensor kernel = weight->second.permute({2, 3, 1, 0});
    const torch::Tensor bias = layers.at(std::string(name) + ".bias").unsqueeze(layout.pairs ? 1 : 0);
    std::vector<std::pair<const char*, matvar_t*>> members = {{"name", mat_text("name", name)},
                                                              {"type", mat_text("type", "conv")}};
    if (layout.pairs) {
      members.emplace_back("weights",
                           mat_cells("weights", {mat_array("filters", kernel), mat_array("biases", bias)}));
    } else {
      members.emplace_back("filters", mat_array("filters", kernel));
      members.emplace_back("biases", mat_array("biases", bias));
    }
    cells.push_back(mat_struct("layer", members));
    cells.push_back(
        mat_struct("layer", {{"name", mat_text("name", "relu")}, {"type", mat_text("type", "relu")}}));
  }
  std::vector<matvar_t*> described;
  for (const std::string& name : class_names) described.push_back(mat_text("description", name));
  const auto normalization = [&] {
    return mat_struct("normalization",
                      {{"averageImage", mat_array("averageImage", layers.at("mean").permute({1, 2, 0}))}});
  };
  const auto classes = [&] {
    return mat_struct("classes", {{"description", mat_cells("description", described)}});
  };
  std::vector<std::pair<const char*, matvar_t*>> top = {{"layers", mat_cells("layers", cells)}};
  if (layout.in_meta) {
    top.emplace_back("meta",
                     mat_struct("meta", {{"normalization", normalization()}, {"classes", classes()}}));
  } else {
    top.emplace_back("normalization", normalization());
    top.emplace_back("classes", classes());
  }
  mat_t* file = Mat_CreateVer(path.c_str(), nullptr, MAT_FT_MAT5);
  ASSERT_NE(file, nullptr) << path;
  if (layout.in_net) top = {{"net", mat_struct("net", top)}};
  for (const auto& [name, variable] : top) {
    EXPECT_EQ(Mat_VarWrite(file, variable, layout.compressed ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE),
              0)
        << name;
    Mat_VarFree(variable);
  }
  Mat_Close(file);
}

/// torchvision's names for AlexNet's layers.
inline models::NamedTensors as_torchvision(const models::NamedTensors& layers) {
  const std::pair<const char*, const char*> names[] = {
      {"conv1", "features.0"},  {"conv2", "features.3"}, {"conv3", "features.6"}, {"conv4", "features.8"},
      {"conv5", "features.10"}, {"fc6", "classifier.1"}, {"fc7", "classifier.4"}, {"fc8", "classifier.6"}};
  models::NamedTensors renamed;
  for (const auto& [ours, theirs] : names) {
    for (const char* part : {".weight", ".bias"}) {
      const auto found = layers.find(std::string(ours) + part);
      if (found != layers.end()) renamed[std::string(theirs) + part] = found->second;
    }
  }
  return renamed;
}

inline void write_pickled(const std::filesystem::path& path, const models::NamedTensors& tensors) {
  c10::Dict<std::string, torch::Tensor> dict;
  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor);
  const std::vector<char> bytes = torch::pickle_save(dict);
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline void write_safe(const std::filesystem::path& path, const models::NamedTensors& tensors) {
  io::TensorMap views;
  for (const auto& [name, tensor] : tensors) {
    views[name] = {io::DType::kF32,
                   tensor.sizes().vec(),
                   {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
  }
  EXPECT_TRUE(io::write_safetensors(path, views));
}

}  // namespace gauntlet::testing
