// One layer as a target, pictures of a few classes and words, and attacks on it.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/code_ranks.hpp"
#include "core/models/objectives.hpp"

namespace gauntlet::attacks {

using models::signs;

/// tanh(scale W (flat(x) - 1/2)).
struct LinearHash {
  torch::Tensor weight;  ///< [K, D]
  double scale = 1;

  [[nodiscard]] torch::Tensor operator()(const torch::Tensor& input) const {
    return torch::tanh(scale * (input.flatten(1) - 0.5).matmul(weight.to(input.scalar_type()).t()));
  }
};

/// Items of classes around a prototype each; every class has one label of its own.
struct Items {
  torch::Tensor inputs, labels;
};

inline Items items_around(const torch::Tensor& prototypes, std::int64_t per_class, double noise) {
  const std::int64_t n_classes = prototypes.size(0);
  const torch::Tensor inputs = prototypes.repeat_interleave(per_class, 0);
  return {(inputs + noise * torch::randn_like(inputs)).clamp(0.02, 0.98),
          torch::eye(n_classes).repeat_interleave(per_class, 0)};
}

inline std::vector<std::int64_t> first_rows(std::int64_t n) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < n; ++row) rows.push_back(row);
  return rows;
}

/// A linear target with its database, of inputs [.., D] or pictures [.., 3, px, px].
struct Target {
  LinearHash hash;
  Items database, queries;

  Target(std::vector<std::int64_t> shape, std::int64_t bits, std::int64_t n_classes, std::int64_t per_class,
         std::int64_t n_queries_per_class, double noise, int seed = 5) {
    torch::manual_seed(seed);
    std::vector<std::int64_t> sizes = {n_classes};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    const torch::Tensor prototypes = 0.3 + 0.4 * torch::rand(sizes);
    hash.weight = torch::randn({bits, prototypes[0].numel()}) / 2;
    database = items_around(prototypes, per_class, noise);
    queries = items_around(prototypes, n_queries_per_class, noise);
  }

  /// What an attack on `encode` sees; the database is encoded by the target.
  [[nodiscard]] AttackSurface surface(std::function<torch::Tensor(const torch::Tensor&)> encode) const {
    AttackSurface surface;
    surface.modality = database.inputs.dim() == 4 ? Modality::kImage : Modality::kText;
    surface.encode = std::move(encode);
    surface.train_codes_image = surface.train_codes_text = codes();
    surface.train_labels = database.labels;
    surface.code_bits = hash.weight.size(0);
    surface.database = [data = Database{codes(), database.labels}]() -> Result<Database> { return data; };
    return surface;
  }
  [[nodiscard]] AttackSurface surface() const { return surface(hash); }
  [[nodiscard]] torch::Tensor codes() const { return signs(hash(database.inputs)); }

  /// [Q] double.
  [[nodiscard]] torch::Tensor ap(const torch::Tensor& query_codes) const {
    return CodeRanks::of({codes(), database.labels}).value()->ap(query_codes, queries.labels);
  }
  [[nodiscard]] double map(const torch::Tensor& query_codes) const {
    return ap(query_codes).mean().item<double>();
  }
};

struct Crafted {
  torch::Tensor inputs;
  std::map<std::string, torch::Tensor> observed;
};

inline Crafted crafted(const char* name, const Json& config, const AttackSurface& surface,
                       const Items& queries, std::uint64_t seed = 1) {
  auto attack = attack_registry().find(name).value()->make(config, surface, seed);
  EXPECT_TRUE(attack) << (attack ? "" : attack.error().message);
  if (!attack) return {queries.inputs, {}};
  const auto rows = first_rows(queries.inputs.size(0));
  AttackBatch batch{queries.inputs, queries.labels, rows};
  batch.target_labels = queries.labels.roll(1, 1);
  torch::Tensor inputs = (*attack)->perturb(batch);
  return {std::move(inputs), (*attack)->observed()};
}

}  // namespace gauntlet::attacks
