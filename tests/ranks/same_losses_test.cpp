// Every registered entry that trains, at several world sizes: the losses of its first 20 or more steps are
// those of one rank, and all ranks of a gang end with the same bits, also when the gang was killed in the
// middle and another goes on from its checkpoint.
#include <cstdlib>

#include "core/attacks/attack.hpp"
#include "core/defenses/defense.hpp"
#include "core/models/state.hpp"
#include "core/models/trained_models.hpp"
#include "core/train/batches.hpp"
#include "core/train/file_checkpointer.hpp"
#include "tests/methods_a/attack_toy.hpp"
#include "tests/ranks/forked_ranks.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::testing {
namespace {

using collective::Communicator;
using train::NamedTensors;

/// Largest difference of a loss, over its size where that is above 1. What double leaves is 1e-15; but a
/// weight whose gradient is zero but for rounding (a bias before a normalisation) takes steps of that
/// rounding with Adam, and in these two they show in later losses.
double tolerance_of(std::string_view entry) {
  if (entry == "dadh") return 1e-5;
  return entry == "cpah" ? 1e-8 : 1e-12;
}

/// Losses in double by name, over steps (models) or epochs of three or four steps (attacks, defenses).
class LossLog {
 public:
  void add(const models::Losses& losses) {
    for (const auto& [name, value] : losses) values_[name].push_back(value);
  }
  void add_to(NamedTensors& results) const {
    for (const auto& [name, values] : values_)
      results["loss." + name] = torch::tensor(values, torch::kFloat64);
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

void add_state(NamedTensors& results, const NamedTensors& state) {
  for (const auto& [name, tensor] : state) results["state." + name] = tensor.detach().contiguous().clone();
}

/// Weights and curves of an attack or a defense.
template <class Trained>
void add_trained(NamedTensors& results, const Trained& trained) {
  add_state(results, trained.weights);
  for (const auto& [name, values] : trained.curves) results["curve." + name] = torch::tensor(values);
}

constexpr std::int64_t kBatch =
    13;  // 40 items: three batches and a rest of one, which most ranks have no part of
constexpr std::int64_t kEpochs = 7;

/// The entry's settings for small pictures, batches of kBatch and every part of its training so long.
Json config_of(const EntryInfo& about, std::int64_t n_epochs) {
  const std::map<std::string, Json> short_parts = {{"epochs", n_epochs},
                                                   {"at_epochs", n_epochs},
                                                   {"epochs_image", n_epochs},
                                                   {"epochs_text", n_epochs},
                                                   {"prototype_epochs", n_epochs},
                                                   {"epochs_knockoff", 2},
                                                   {"batch_size", kBatch},
                                                   {"epochs_perturbation", n_epochs},
                                                   {"epochs_generator", n_epochs},
                                                   {"steps_per_epoch", 3},
                                                   {"n_queries", 14},
                                                   {"batch", kBatch},
                                                   {"middle", 8},
                                                   {"pgd_iters", 3}};
  Json config = toy_config(about);
  for (const FieldInfo& field : about.fields()) {
    if (const auto value = short_parts.find(field.name); value != short_parts.end())
      config[field.name] = value->second;
  }
  return config;
}

struct Subject {
  const EntryInfo* about = nullptr;
  Modality modality = Modality::kImage;
  NamedTensors (*train)(const Subject& subject, Communicator& ranks) = nullptr;
  std::string side = {};  ///< part of the test's name
  std::int64_t n_epochs = kEpochs;
  models::Checkpointer* checkpointer = nullptr;

  friend void PrintTo(const Subject& subject, std::ostream* out) {
    *out << subject.about->name << subject.side;
  }
};

/// 20 steps with global batches of 7, 7 and 5 pairs.
NamedTensors train_a_model(const Subject& subject, Communicator& ranks) {
  constexpr std::int64_t kPairs = 19, kSteps = 20;
  const models::ModelEntry& entry = **models::model_registry().find(subject.about->name);
  const models::TrainingBatch pairs = in_double(toy_pairs(kPairs, 4));
  const auto model = toy_model(entry, 100 + static_cast<std::uint64_t>(ranks.rank()), &ranks);
  model->to(torch::kFloat64);
  const auto training = toy_training(entry, model, pairs, kSteps, &ranks);
  LossLog log;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    const std::int64_t first = 7 * (step % 3), size = std::min<std::int64_t>(7, kPairs - first);
    const train::Slice own = train::slice_of(size, ranks.rank(), ranks.world_size());
    log.add(training->step(rows_of(pairs, first + own.begin, first + own.end)));
    if (step % 3 == 2) training->end_epoch();
  }
  models::StateWriter state;
  training->visit_state(state);
  NamedTensors results;
  log.add_to(results);
  add_state(results, state.tensors);
  return results;
}

/// A target in double, as AttackToy makes it.
attacks::AttackToy target_in_double() {
  attacks::AttackToy toy;
  toy.model->to(torch::kFloat64);
  toy.train = in_double(toy.train);
  return toy;
}

template <class Setup>
void log_epochs(Setup& setup, LossLog& log) {
  setup.on_epoch = [&log](std::int64_t, std::int64_t, const models::Losses& losses, double) {
    log.add(losses);
  };
}

NamedTensors train_an_attack(const Subject& subject, Communicator& ranks) {
  const attacks::AttackEntry& entry = **attacks::attack_registry().find(subject.about->name);
  const attacks::AttackToy toy = target_in_double();
  attacks::AttackToy::Ranks lists(toy);
  attacks::AttackTraining setup;
  setup.surface = toy.surface_of(entry, subject.modality);
  if (entry.about.capabilities.black_box) setup.ranked_lists = &lists;
  setup.images = toy.train.images;
  setup.text = toy.train.text;
  setup.labels = toy.train.labels;
  setup.seed = 5;
  setup.communicator = &ranks;
  setup.checkpointer = subject.checkpointer;
  LossLog log;
  log_epochs(setup, log);
  const auto trained = entry.train(config_of(entry.about, subject.n_epochs), std::move(setup));
  EXPECT_TRUE(trained) << (trained ? "" : trained.error().message);
  NamedTensors results;
  log.add_to(results);
  if (trained) add_trained(results, *trained);
  return results;
}

defenses::TargetCopies copies_of(const attacks::AttackToy& toy, Communicator& ranks) {
  const models::ModelEntry& entry = *models::model_registry().entries().front();
  defenses::TargetCopies copies;
  copies.copy = [&]() -> Result<std::shared_ptr<models::HashingModel>> {
    auto copy = toy_model(entry, 1, &ranks);
    copy->to(torch::kFloat64);
    GAUNTLET_CHECK_OK(models::restore(*copy, models::state_of(*toy.model)));
    copy->eval();
    return copy;
  };
  copies.own_training = [&](std::shared_ptr<models::HashingModel> copy, const models::TrainingSetup& setup) {
    return entry.make_training(toy_config(entry.about), std::move(copy), setup);
  };
  return copies;
}

NamedTensors train_a_defense(const Subject& subject, Communicator& ranks) {
  const defenses::DefenseEntry& entry = **defenses::defense_registry().find(subject.about->name);
  const attacks::AttackToy toy = target_in_double();
  for (torch::Tensor& parameter : toy.model->parameters()) parameter.requires_grad_(false);
  const bool image = subject.modality == Modality::kImage;
  defenses::DefenseTraining setup;
  setup.modality = subject.modality;
  setup.model = toy.model;
  setup.shape = toy_shape();
  setup.images = toy.train.images;
  setup.text = toy.train.text;
  if (!entry.about.capabilities.joint) {
    setup.inputs = image ? toy.train.images : toy.train.text;
    torch::manual_seed(3);
    setup.crafted = torch::randint(-127, 128, setup.inputs.sizes(), torch::kChar);
    setup.crafted_scale = 8.0 / 255 / 127;
  }
  setup.labels = setup.train_labels = toy.train.labels;
  setup.train_codes_image = toy.codes(Modality::kImage);
  setup.train_codes_text = toy.codes(Modality::kText);
  setup.target = copies_of(toy, ranks);
  setup.seed = 5;
  setup.communicator = &ranks;
  setup.checkpointer = subject.checkpointer;
  LossLog log;
  log_epochs(setup, log);
  const auto trained = entry.train(config_of(entry.about, subject.n_epochs), std::move(setup));
  EXPECT_TRUE(trained) << (trained ? "" : trained.error().message);
  NamedTensors results;
  log.add_to(results);
  if (trained) add_trained(results, *trained);
  return results;
}

/// For each modality the entry serves.
template <class Train>
void add_sides(std::vector<Subject>& found, const EntryInfo& about, Train train) {
  if (about.capabilities.image) found.push_back({&about, Modality::kImage, train, "_image"});
  if (about.capabilities.text) found.push_back({&about, Modality::kText, train, "_text"});
}

std::vector<Subject> subjects() {
  std::vector<Subject> found;
  for (const models::ModelEntry* entry : models::trained_models())
    found.push_back({.about = &entry->about, .train = &train_a_model});
  for (const attacks::AttackEntry* entry : attacks::attack_registry().entries())
    if (entry->train != nullptr) add_sides(found, entry->about, &train_an_attack);
  for (const defenses::DefenseEntry* entry : defenses::defense_registry().entries()) {
    if (entry->train == nullptr) continue;
    if (entry->about.capabilities.joint) {
      found.push_back({.about = &entry->about, .train = &train_a_defense});
    } else {
      add_sides(found, entry->about, &train_a_defense);
    }
  }
  return found;
}

std::string name_of_subject(const ::testing::TestParamInfo<Subject>& tested) {
  return std::string(tested.param.about->name) + tested.param.side;
}

NamedTensors with_prefix(const NamedTensors& all, std::string_view prefix) {
  return models::with_prefix(all, prefix);
}

/// The largest difference of a loss between two runs, over the loss's own size.
double largest_difference(const NamedTensors& actual, const NamedTensors& expected) {
  double largest = 0;
  EXPECT_EQ(actual.size(), expected.size());
  for (const auto& [name, values] : expected) {
    if (!actual.contains(name) || actual.at(name).sizes() != values.sizes()) {
      ADD_FAILURE() << name << " is missing or has another number of values";
      continue;
    }
    const torch::Tensor scale = values.abs().clamp_min(1);
    const double difference = ((actual.at(name) - values).abs() / scale).max().item<double>();
    largest = std::max(largest, difference);
  }
  return largest;
}

class SameLosses : public ::testing::TestWithParam<Subject> {};

TEST_P(SameLosses, AtEveryWorldSize) {
  const RankBody body = [](Communicator& ranks) { return GetParam().train(GetParam(), ranks); };
  const char* wanted = std::getenv("GAUNTLET_RANKS");
  const std::int64_t world_size = wanted == nullptr ? 2 : std::atoll(wanted);
  const NamedTensors alone = on_forked_ranks(1, body).front();
  const NamedTensors expected = with_prefix(alone, "loss.");
  ASSERT_FALSE(expected.empty());
  const std::vector<NamedTensors> gang = on_forked_ranks(world_size, body);
  double largest = 0;
  for (const NamedTensors& rank : gang) {
    largest = std::max(largest, largest_difference(with_prefix(rank, "loss."), expected));
    for (const auto& [name, tensor] : with_prefix(gang.front(), "state.")) {
      ASSERT_TRUE(rank.contains("state." + name)) << name;
      EXPECT_TRUE(rank.at("state." + name).equal(tensor)) << name << " differs between ranks";
    }
  }
  fmt::print("world size {}: {} losses, largest difference {:.1e}\n", world_size, expected.size(), largest);
  EXPECT_LE(largest, tolerance_of(GetParam().about->name));
}

INSTANTIATE_TEST_SUITE_P(Registry, SameLosses, ::testing::ValuesIn(subjects()), name_of_subject);

/// Counts epochs over all stages; with a folder keeps a checkpoint after each and may kill rank 0 after one.
class EpochCounter final : public models::Checkpointer {
 public:
  EpochCounter(Communicator& ranks, const std::filesystem::path& folder, std::int64_t kill_after)
      : rank_(ranks.rank()), kill_after_(kill_after) {
    if (folder.empty()) return;
    files_.emplace(train::CheckpointOptions{.folder = folder / fmt::format("rank{}", rank_),
                                            .belongs_to = {{"job", "1"}},
                                            .minutes = 0,
                                            .communicator = &ranks});
  }
  Result<std::int64_t> resume(const models::Stage& stage) override {
    return files_ ? files_->resume(stage) : Result<std::int64_t>(0);
  }
  Status end_epoch(const models::Stage& stage, std::int64_t epoch) override {
    if (files_) GAUNTLET_CHECK_OK(files_->end_epoch(stage, epoch));
    if (++n_epochs_ == kill_after_ && rank_ == 0) ::raise(SIGKILL);
    return {};
  }
  [[nodiscard]] std::int64_t n_epochs() const { return n_epochs_; }

 private:
  std::int64_t rank_, kill_after_, n_epochs_ = 0;
  std::optional<train::FileCheckpointer> files_;
};

/// Trains on a gang; each rank has its own folder of checkpoints, as on machines that share none.
RankBody training_of(const Subject& subject, const std::filesystem::path& folder = {},
                     std::int64_t kill_after = 0) {
  return [=](Communicator& ranks) {
    EpochCounter counter(ranks, folder, kill_after);
    Subject watched = subject;
    watched.checkpointer = &counter;
    NamedTensors results = subject.train(watched, ranks);
    results["n_epochs"] = torch::tensor(counter.n_epochs());
    return results;
  };
}

class ResumedGang : public ::testing::TestWithParam<Subject> {};

TEST_P(ResumedGang, EndsAsAnUndisturbedOne) {
  Subject subject = GetParam();
  subject.n_epochs = 2;
  std::vector<NamedTensors> undisturbed = on_forked_ranks(2, training_of(subject));
  const auto n_epochs = undisturbed[0].at("n_epochs").item<std::int64_t>(), killed_after = n_epochs / 2;
  ASSERT_GT(killed_after, 0);
  const testing_support::TempFolder folder;
  kill_forked_ranks(2, training_of(subject, folder.path(), killed_after));
  std::vector<NamedTensors> resumed = on_forked_ranks(2, training_of(subject, folder.path()));
  for (std::size_t rank = 0; rank < resumed.size(); ++rank) {
    EXPECT_EQ(resumed[rank].at("n_epochs").item<std::int64_t>(), n_epochs - killed_after);
    for (const auto& [name, tensor] : undisturbed[rank]) {
      if (name == "n_epochs" || name.starts_with("loss.")) continue;  // of this attempt's epochs
      EXPECT_TRUE(resumed[rank].at(name).equal(tensor)) << name << " of rank " << rank;
    }
  }
}

/// Models are not here: that every rank holds the same state is seen above, that it is all a training needs,
/// in tests/run.
std::vector<Subject> attacks_and_defenses() {
  std::vector<Subject> found = subjects();
  std::erase_if(found, [](const Subject& subject) {
    return subject.train == &train_a_model || subject.side == "_text";  // as its twin for images
  });
  return found;
}

INSTANTIATE_TEST_SUITE_P(Registry, ResumedGang, ::testing::ValuesIn(attacks_and_defenses()), name_of_subject);

}  // namespace
}  // namespace gauntlet::testing
