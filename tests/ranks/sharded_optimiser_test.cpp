// An optimiser whose work ranks share out takes the steps, bit by bit, of one that every rank runs whole; its
// state is whole between steps, and goes on wherever it is put back.
#include "core/collective/sharded_optimiser.hpp"

#include <algorithm>
#include <numeric>

#include "core/collective/detail/parameter_shards.hpp"
#include "core/models/state.hpp"
#include "tests/ranks/forked_ranks.hpp"

namespace gauntlet::testing {
namespace {

using collective::Communicator;
using collective::ShardedOptimiser;
using collective::ShardPiece;
using torch::Tensor;
using torch::optim::AdamOptions;
using train::NamedTensors;

std::int64_t n_of(const std::vector<ShardPiece>& shard) {
  return std::accumulate(shard.begin(), shard.end(), std::int64_t{0},
                         [](std::int64_t sum, const ShardPiece& piece) { return sum + piece.n; });
}

TEST(ParameterShards, AreAllValuesOnceCutBetweenVectors) {
  const std::vector<std::vector<std::int64_t>> lists = {
      {}, {1}, {100'003}, {985 * 512, 512, 512 * 256, 256, 256 * 32, 32}, std::vector<std::int64_t>(50, 7)};
  for (const std::vector<std::int64_t>& sizes : lists) {
    for (const std::int64_t world_size : {1, 2, 3, 8}) {
      const auto shards = collective::shard_parameters(sizes, world_size);
      ASSERT_EQ(shards.size(), static_cast<std::size_t>(world_size));
      std::size_t parameter = 0;
      std::int64_t next = 0;  // value that the next piece begins with
      for (const auto& shard : shards) {
        for (const ShardPiece& piece : shard) {
          ASSERT_EQ(piece.parameter, parameter);
          ASSERT_EQ(piece.first, next);
          ASSERT_GT(piece.n, 0);
          ASSERT_EQ(piece.first % collective::kShardGrain, 0);
          next += piece.n;
          if (next < sizes[parameter]) continue;
          ++parameter;
          next = 0;
        }
      }
      EXPECT_EQ(parameter, sizes.size()) << world_size;
    }
  }
}

TEST(ParameterShards, AreAboutTheSameWork) {
  const std::vector<std::int64_t> sizes = {985 * 512, 512, 512 * 256, 256, 256 * 32, 32};
  const std::int64_t all = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  for (const std::int64_t world_size : {2, 3, 4}) {
    for (const auto& shard : collective::shard_parameters(sizes, world_size))
      EXPECT_NEAR(static_cast<double>(n_of(shard)),
                  static_cast<double>(all) / static_cast<double>(world_size), 40'000);
  }
  // Small ones go as wholes.
  const auto small = collective::shard_parameters(std::vector<std::int64_t>(10, 100), 2);
  EXPECT_EQ(small[0].size(), 5U);
  EXPECT_EQ(small[1].size(), 5U);
}

std::vector<Tensor> fresh_parameters(torch::ScalarType type) {
  torch::manual_seed(7);
  std::vector<Tensor> parameters = {
      torch::randn({300, 101}),
      torch::randn({101}),
      torch::randn({24, 16, 3, 3}).contiguous(torch::MemoryFormat::ChannelsLast),
      torch::randn({5}),
      torch::randn({7}),
      torch::randn({3})};
  for (Tensor& parameter : parameters) parameter = parameter.to(type).requires_grad_();
  return parameters;
}

/// Reaches the first three parameters in every step, the fourth in some, the fifth on every other rank only,
/// the last never.
Tensor loss_of(const std::vector<Tensor>& parameters, std::int64_t step, std::int64_t rank) {
  const auto noise = [&](torch::IntArrayRef shape, double phase) {
    const std::int64_t n = c10::multiply_integers(shape);
    const double start = phase + static_cast<double>(rank) + 10 * static_cast<double>(step);
    return torch::sin(torch::arange(n, parameters[0].options().requires_grad(false)) * 0.73 + start)
        .view(shape);
  };
  Tensor loss = torch::tanh(noise({6, 300}, 0.1).matmul(parameters[0]) + parameters[1]).square().mean();
  const Tensor picture = noise({2, 16, 5, 5}, 0.2).contiguous(torch::MemoryFormat::ChannelsLast);
  loss = loss + torch::conv2d(picture, parameters[2]).sigmoid().mean();
  if (step % 3 != 1) loss = loss + static_cast<double>(rank + 1) * parameters[3].square().sum();
  if ((step + rank) % 2 == 0) loss = loss + parameters[4].sin().sum();
  return loss;
}

enum class Kind : std::uint8_t { kAdam, kAmsgrad, kSgd };

/// Two groups: weight decay in one, other betas in the other.
std::unique_ptr<torch::optim::Optimizer> optimiser_of(Kind kind, const std::vector<Tensor>& parameters) {
  using torch::optim::OptimizerParamGroup;
  const std::vector<Tensor> first(parameters.begin(), parameters.begin() + 2),
      second(parameters.begin() + 2, parameters.end());
  std::vector<OptimizerParamGroup> groups;
  if (kind == Kind::kSgd) {
    const auto options = torch::optim::SGDOptions(0.1).momentum(0.9);
    groups.emplace_back(first, std::make_unique<torch::optim::SGDOptions>(options));
    groups.emplace_back(second, std::make_unique<torch::optim::SGDOptions>(options));
    return std::make_unique<torch::optim::SGD>(groups, options);
  }
  const auto options = AdamOptions(0.01).amsgrad(kind == Kind::kAmsgrad);
  groups.emplace_back(first, std::make_unique<AdamOptions>(AdamOptions(options).weight_decay(0.01)));
  groups.emplace_back(second, std::make_unique<AdamOptions>(AdamOptions(options).betas({0.5, 0.9})));
  return std::make_unique<torch::optim::Adam>(groups, options);
}

void set_rates(torch::optim::Optimizer& optimiser, std::int64_t step) {
  for (auto& group : optimiser.param_groups()) group.options().set_lr(0.01 / static_cast<double>(step + 1));
}

void step_sharded(ShardedOptimiser& optimiser, const std::vector<Tensor>& parameters, std::int64_t step,
                  Communicator& ranks) {
  set_rates(optimiser.optimiser(), step);
  optimiser.step(loss_of(parameters, step, ranks.rank()));
}

/// As every rank does it by itself.
void step_whole(torch::optim::Optimizer& optimiser, collective::GradientReducer& reducer,
                const std::vector<Tensor>& parameters, std::int64_t step, Communicator& ranks) {
  set_rates(optimiser, step);
  optimiser.zero_grad();
  reducer.backward(loss_of(parameters, step, ranks.rank()));
  optimiser.step();
}

/// Values and what the optimiser remembers, as copies.
void add_all(NamedTensors& results, const std::string& prefix, const std::vector<Tensor>& parameters,
             torch::optim::Optimizer& optimiser) {
  models::StateWriter state;
  state.optimiser("optimiser", optimiser);
  for (std::size_t at = 0; at < parameters.size(); ++at)
    state.tensors[fmt::format("parameter {}", at)] = parameters[at].detach();
  for (const auto& [name, tensor] : state.tensors) results[prefix + name] = tensor.contiguous().clone();
}

constexpr std::int64_t kSteps = 7;

RankBody both_ways(Kind kind, torch::ScalarType type) {
  return [=](Communicator& ranks) {
    const std::vector<Tensor> parameters = fresh_parameters(type), own = fresh_parameters(type);
    ShardedOptimiser sharded(optimiser_of(kind, parameters), ranks);
    const auto whole = optimiser_of(kind, own);
    const auto reducer = ranks.make_reducer(own);
    // One step right after the other, as nothing else keeps ranks together.
    for (std::int64_t step = 0; step < kSteps; ++step) step_sharded(sharded, parameters, step, ranks);
    for (std::int64_t step = 0; step < kSteps; ++step) step_whole(*whole, *reducer, own, step, ranks);
    NamedTensors results;
    if (kind != Kind::kAmsgrad) {
      add_all(results, "sharded ", parameters, sharded.optimiser());
      add_all(results, "whole ", own, *whole);
    } else {  // no part of a checkpoint
      for (std::size_t at = 0; at < own.size(); ++at) {
        results[fmt::format("sharded {}", at)] = parameters[at].detach().contiguous();
        results[fmt::format("whole {}", at)] = own[at].detach().contiguous();
      }
    }
    ranks.barrier();
    return results;
  };
}

void expect_same(const std::vector<NamedTensors>& ranks, const std::string& actual,
                 const std::string& expected) {
  std::int64_t n_compared = 0;
  for (const auto& [name, tensor] : ranks.front()) {
    if (!name.starts_with(expected)) continue;
    const std::string other = actual + name.substr(expected.size());
    for (const NamedTensors& rank : ranks) {
      ASSERT_TRUE(rank.contains(other)) << other;
      EXPECT_TRUE(torch::equal(rank.at(other), tensor)) << other;
    }
    ++n_compared;
  }
  EXPECT_GT(n_compared, 0);
}

TEST(ShardedOptimiser, TakesTheWholeOnesStepsBitByBit) {
  for (const std::int64_t world_size : {2, 3}) {
    for (const auto type : {torch::kFloat32, torch::kFloat64}) {
      SCOPED_TRACE(fmt::format("{} ranks, {}", world_size, torch::toString(type)));
      const auto ranks = on_forked_ranks(world_size, both_ways(Kind::kAdam, type));
      expect_same(ranks, "sharded ", "whole ");
      // Parameters of all kinds took part, or were left alone.
      const NamedTensors& first = ranks.front();
      EXPECT_EQ(first.at("sharded optimiser/group 0/0/step").item<std::int64_t>(), kSteps);
      EXPECT_EQ(first.at("sharded optimiser/group 1/1/step").item<std::int64_t>(), 5);
      EXPECT_EQ(first.at("sharded optimiser/group 1/2/step").item<std::int64_t>(), kSteps);
      EXPECT_EQ(first.at("sharded optimiser/group 1/3/has_any").item<std::int64_t>(), 0);
    }
  }
}

TEST(ShardedOptimiser, StepsWhatIsNotShared) {
  expect_same(on_forked_ranks(2, both_ways(Kind::kSgd, torch::kFloat32)), "sharded ", "whole ");
  expect_same(on_forked_ranks(2, both_ways(Kind::kAmsgrad, torch::kFloat32)), "sharded ", "whole ");
  expect_same(on_forked_ranks(1, both_ways(Kind::kAdam, torch::kFloat32)), "sharded ", "whole ");
}

NamedTensors put_back(Communicator& ranks) {
  constexpr std::int64_t kSaved = 3;
  const std::vector<Tensor> parameters = fresh_parameters(torch::kFloat32);
  ShardedOptimiser undisturbed(optimiser_of(Kind::kAdam, parameters), ranks);
  NamedTensors saved;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    // Of the rank that saves, while the others are where they like to be.
    if (step == kSaved) add_all(saved, "", parameters, undisturbed.optimiser());
    step_sharded(undisturbed, parameters, step, ranks);
  }
  const auto take_up = [&](const std::vector<Tensor>& fresh, torch::optim::Optimizer& optimiser) {
    NamedTensors state = saved;
    const torch::NoGradGuard no_grad;
    for (std::size_t at = 0; at < fresh.size(); ++at) {
      const std::string name = fmt::format("parameter {}", at);
      Tensor(fresh[at]).copy_(state.at(name));
      state.erase(name);
    }
    models::StateReader reader(state);
    reader.optimiser("optimiser", optimiser);
    EXPECT_TRUE(reader.finish());
  };
  const std::vector<Tensor> again = fresh_parameters(torch::kFloat32),
                            alone = fresh_parameters(torch::kFloat32);
  ShardedOptimiser sharded(optimiser_of(Kind::kAdam, again), ranks);
  step_sharded(sharded, again, 100, ranks);  // of which nothing may be left
  take_up(again, sharded.optimiser());
  const auto whole = optimiser_of(Kind::kAdam, alone);
  take_up(alone, *whole);
  const auto reducer = ranks.make_reducer(alone);
  for (std::int64_t step = kSaved; step < kSteps; ++step) {
    step_sharded(sharded, again, step, ranks);
    step_whole(*whole, *reducer, alone, step, ranks);
  }
  NamedTensors results;
  add_all(results, "undisturbed ", parameters, undisturbed.optimiser());
  add_all(results, "sharded ", again, sharded.optimiser());
  add_all(results, "whole ", alone, *whole);
  return results;
}

TEST(ShardedOptimiser, GoesOnFromItsStateHoweverItIsPutBack) {
  const auto ranks = on_forked_ranks(2, put_back);
  expect_same(ranks, "sharded ", "undisturbed ");
  expect_same(ranks, "whole ", "undisturbed ");
}

}  // namespace
}  // namespace gauntlet::testing
