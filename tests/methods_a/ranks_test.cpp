// One rank and several take the same steps. Ranks are processes of this very program: a test starts itself
// once per rank, the copies run the body and leave their tensors in files that the starting process compares.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "core/attacks/attack.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/seeding.hpp"
#include "tests/methods_a/toys.hpp"

extern char** environ;

namespace gauntlet::testing {
namespace {

using collective::Communicator;
using train::NamedTensors;
using Body = std::function<NamedTensors(Communicator&)>;

constexpr int kTimeoutS = 60;
constexpr const char* kRankVariable = "GAUNTLET_TEST_RANK";      // "<rank>/<world size>"
constexpr const char* kFolderVariable = "GAUNTLET_TEST_FOLDER";  // where ranks meet and leave their results

std::filesystem::path result_path(const std::filesystem::path& folder, std::int64_t rank) {
  return folder / fmt::format("rank{}.safetensors", rank);
}

[[noreturn]] void run_as_rank(const std::string& place, const Body& body) {
  const std::filesystem::path folder = std::getenv(kFolderVariable);
  const std::int64_t rank = std::stoll(place);
  const std::int64_t world_size = std::stoll(place.substr(place.find('/') + 1));
  train::set_threads(1);
  auto communicator =
      collective::make_gloo_communicator((folder / "meet").string(), rank, world_size, kTimeoutS);
  if (!communicator) {
    fmt::print(stderr, "{}\n", communicator.error().message);
    std::_Exit(3);
  }
  const Status saved = train::save_tensors(result_path(folder, rank), body(**communicator));
  (*communicator)->barrier();
  std::_Exit(saved && !::testing::Test::HasFailure() ? 0 : 4);
}

pid_t start_rank(const std::filesystem::path& folder, std::int64_t rank, std::int64_t world_size) {
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string filter = fmt::format("--gtest_filter={}.{}", test->test_suite_name(), test->name());
  std::vector<std::string> variables = {fmt::format("{}={}/{}", kRankVariable, rank, world_size),
                                        fmt::format("{}={}", kFolderVariable, folder.string())};
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::string filter_argument = filter;
  char* arguments[] = {program.data(), filter_argument.data(), nullptr};
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environment.data()), 0);
  return pid;
}

/// What each of `world_size` ranks returns from `body`; world size 1 runs here, without Gloo.
std::vector<NamedTensors> on_ranks(std::int64_t world_size, const Body& body) {
  if (const char* place = std::getenv(kRankVariable)) run_as_rank(place, body);
  if (world_size == 1) return {body(*collective::make_solo_communicator())};
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / fmt::format("ranks-{}-{}", test->name(), getpid());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::vector<pid_t> ranks;
  for (std::int64_t rank = 0; rank < world_size; ++rank)
    ranks.push_back(start_rank(folder, rank, world_size));
  std::vector<NamedTensors> results;
  for (std::int64_t rank = 0; rank < world_size; ++rank) {
    int status = 0;
    waitpid(ranks[static_cast<std::size_t>(rank)], &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "rank " << rank << " ended with " << status;
    auto tensors = train::load_tensors(result_path(folder, rank));
    EXPECT_TRUE(tensors) << (tensors ? "" : tensors.error().message);
    results.push_back(tensors ? std::move(*tensors) : NamedTensors());
  }
  std::filesystem::remove_all(folder);
  return results;
}

/// Compares everything two runs returned.
void expect_close(const NamedTensors& actual, const NamedTensors& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    ASSERT_EQ(actual.at(name).sizes(), tensor.sizes()) << name;
    const double scale = std::max(1.0, tensor.abs().max().item<double>());
    EXPECT_LE((actual.at(name) - tensor).abs().max().item<double>(), tolerance * scale) << name;
  }
}

torch::Tensor numbers(torch::IntArrayRef shape, double scale) {
  std::int64_t n_values = 1;
  for (const std::int64_t size : shape) n_values *= size;
  return torch::sin(torch::arange(n_values, torch::kFloat64) * scale).view(shape);
}

torch::Tensor share(const torch::Tensor& all, Communicator& communicator) {
  const train::Slice slice = train::slice_of(all.size(0), communicator.rank(), communicator.world_size());
  return all.slice(0, slice.begin, slice.end).clone();
}

NamedTensors sums_and_rows(Communicator& communicator) {
  torch::Tensor local = share(numbers({5, 3}, 0.7), communicator).requires_grad_();
  const torch::Tensor gathered = communicator.gather_rows(local);
  const torch::Tensor total = communicator.all_reduce_sum(local.sum(0));
  const torch::Tensor loss = (gathered * numbers({5, 3}, 1.3)).square().sum() + (total * total).sum();
  const torch::Tensor gradient = torch::autograd::grad({loss}, {local}).front();
  torch::Tensor plain = torch::ones({2, 3}, torch::kFloat64).t();  // not contiguous
  communicator.all_reduce_sum_(plain);
  torch::Tensor origin = torch::full({2}, communicator.rank() + 5, torch::kFloat64);
  communicator.broadcast_(origin);
  communicator.barrier();
  const auto ranks = static_cast<double>(communicator.world_size());
  return {{"gathered", gathered.detach()},
          {"total", total.detach()},
          {"gradient",
           communicator.gather_rows(gradient) / ranks},  // every rank asked for the gradient of the same loss
          {"plain", plain / ranks},
          {"origin", origin},
          {"indices", communicator.gather_rows(share(torch::arange(7), communicator))}};
}

TEST(Ranks, SumAndGatherRowsWithTheirGradients) {
  const NamedTensors alone = on_ranks(1, sums_and_rows).front();
  for (const NamedTensors& rank : on_ranks(3, sums_and_rows)) expect_close(rank, alone, 1e-12);
}

struct NormCase {
  std::vector<std::int64_t> shape;
  torch::MemoryFormat order = torch::MemoryFormat::Contiguous;
};

/// Few and many channels, whole vectors and not, in several blocks of rows; memory orders with and without
/// loops of their own.
const std::vector<NormCase> kNormCases = {{{5, 4}},
                                          {{300, 77}},
                                          {{5, 4, 3, 2}},
                                          {{5, 4, 3, 2}, torch::MemoryFormat::ChannelsLast},
                                          {{9, 20, 13, 11}, torch::MemoryFormat::ChannelsLast},
                                          {{3, 3, 220, 220}, torch::MemoryFormat::ChannelsLast}};

Body normalised(torch::ScalarType type) {
  return [type](Communicator& communicator) {
    NamedTensors results;
    std::int64_t number = 0;
    for (const auto& [shape, order] : kNormCases) {
      const std::string prefix = fmt::format("case {}.", number++);
      const auto given = [&, &order = order, &shape = shape](double phase) {
        return numbers(shape, phase).to(type).contiguous(order);
      };
      collective::SyncBatchNorm norm(shape[1], &communicator);
      norm->to(type);
      const torch::NoGradGuard no_grad;
      norm->weight.copy_(numbers({shape[1]}, 0.9) + 1);
      norm->bias.copy_(numbers({shape[1]}, 0.3));
      const torch::AutoGradMode with_gradient(true);
      const auto reducer = communicator.make_reducer({norm->weight, norm->bias});
      for (int step = 0; step < 2; ++step) {
        norm->zero_grad();
        torch::Tensor input = share(3 + given(0.37 + step), communicator).requires_grad_();
        const torch::Tensor output = communicator.gather_rows(norm(input));
        reducer->backward((output * given(1.1)).square().sum());
        const std::string name = fmt::format("{}{}.", prefix, step);
        results[name + "output"] = output.detach().contiguous();
        results[name + "input"] =
            communicator.gather_rows(input.grad()) / static_cast<double>(communicator.world_size());
        results[name + "weight"] = norm->weight.grad().clone();
        results[name + "bias"] = norm->bias.grad().clone();
        results[name + "mean"] = norm->running_mean.clone();
        results[name + "var"] = norm->running_var.clone();
      }
      norm->eval();
      results[prefix + "eval"] = norm(given(2.1)).detach().contiguous();
    }
    return results;
  };
}

void expect_as_alone(torch::ScalarType type, double tolerance) {
  const NamedTensors alone = on_ranks(1, normalised(type)).front();
  for (const NamedTensors& rank : on_ranks(2, normalised(type))) expect_close(rank, alone, tolerance);
}

TEST(Ranks, NormaliseOverTheGlobalBatchAsTorchDoesAlone) { expect_as_alone(torch::kFloat64, 1e-11); }

TEST(Ranks, NormaliseOverTheGlobalBatchAsTorchDoesAloneInFloat) { expect_as_alone(torch::kFloat32, 1e-4); }

NamedTensors partly_used(Communicator& communicator) {
  torch::Tensor used = torch::ones({3}, torch::kFloat64).requires_grad_();
  torch::Tensor unused = torch::ones({2}, torch::kFloat64).requires_grad_();
  const auto reducer = communicator.make_reducer({used, unused});
  const auto rank = static_cast<double>(communicator.rank());
  NamedTensors results;
  for (int step = 0; step < 3; ++step) {
    used.mutable_grad() = torch::Tensor();
    reducer->backward((used * (1 + rank)).square().sum());
    results[fmt::format("grad{}", step)] = used.grad().clone();
    EXPECT_FALSE(unused.grad().defined());
  }
  return results;
}

TEST(Ranks, AverageGradientsAndSkipParametersNoRankUsed) {
  for (const NamedTensors& rank : on_ranks(2, partly_used)) {
    // 2 (1 + rank)^2 on each rank: 2 and 8.
    for (const auto& [name, gradient] : rank)
      EXPECT_TRUE(gradient.eq(5).all().item<bool>()) << name << gradient;
  }
}

NamedTensors attacked(Communicator& communicator) {
  const auto model = toy_model(*models::model_registry().find("cpah").value(), 1, &communicator);
  model->to(torch::kFloat64);
  model->eval();
  const models::TrainingBatch pairs = in_double(toy_pairs(30, 4));
  const models::TrainingBatch queries = in_double(toy_pairs(7, 5));
  attacks::AttackSurface surface{
      .modality = Modality::kImage,
      .encode = [&](const torch::Tensor& input) { return model->encode_image(input); },
      .train_codes_image = torch::where(numbers({30, kToyBits}, 0.8) > 0, 1.0, -1.0).to(torch::kFloat64),
      .train_codes_text = torch::where(numbers({30, kToyBits}, 1.7) > 0, 1.0, -1.0).to(torch::kFloat64),
      .train_labels = pairs.labels,
      .code_bits = kToyBits};
  const attacks::AttackEntry& entry = *attacks::attack_registry().find("pgd").value();
  const auto pgd = entry.make({{"steps", 5}}, surface, 3).value();
  const torch::Tensor rows = share(torch::arange(7) * 11, communicator);
  const torch::Tensor mine =
      pgd->perturb({share(queries.images, communicator),
                    share(queries.labels, communicator),
                    {rows.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(rows.size(0))}});
  return {{"adversarial", communicator.gather_rows(mine).contiguous()}};
}

TEST(Ranks, CraftTheSameInputsInShares) {
  const NamedTensors alone = on_ranks(1, attacked).front();
  for (const NamedTensors& rank : on_ranks(2, attacked)) expect_close(rank, alone, 1e-9);
}

NamedTensors left_alone(Communicator& communicator) {
  torch::Tensor tensor = torch::ones({4});
  communicator.all_reduce_sum_(tensor);  // both have met before one leaves
  torch::Tensor farewell = torch::ones({1});
  if (communicator.rank() == 1) {
    communicator.all_reduce_sum_(farewell);
    std::_Exit(0);
  }
  communicator.all_reduce_sum_(farewell);
  try {
    for (int round = 0; round < 100; ++round) communicator.all_reduce_sum_(tensor);
  } catch (const collective::CollectiveFailure& failure) {
    EXPECT_THAT(failure.what(), ::testing::HasSubstr("a sum over ranks failed"));
    std::_Exit(::testing::Test::HasFailure() ? 6 : 7);
  }
  std::_Exit(5);
}

TEST(Ranks, ReportWhenAnotherRankIsGone) {
  if (const char* place = std::getenv(kRankVariable)) run_as_rank(place, left_alone);
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / fmt::format("gone-{}", getpid());
  std::filesystem::create_directories(folder);
  const pid_t survivor = start_rank(folder, 0, 2);
  const pid_t leaver = start_rank(folder, 1, 2);
  int status = 0;
  waitpid(leaver, &status, 0);
  waitpid(survivor, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  std::filesystem::remove_all(folder);
}

TEST(Ranks, SayWhomTheyCouldNotMeet) {
  const std::string file =
      (std::filesystem::path(::testing::TempDir()) / fmt::format("alone-{}", getpid())).string();
  const auto alone = collective::make_gloo_communicator(file, 0, 2, 1);
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().code, ErrorCode::kTimedOut) << alone.error().message;
  EXPECT_THAT(alone.error().message,
              ::testing::HasSubstr("rank 0 of 2 could not meet the others through " + file));
  const auto outside = collective::make_gloo_communicator(file, 2, 2, 1);
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().message, "rank 2 of 2 does not exist; ranks count from 0");
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace gauntlet::testing
