// Every training of every registered entry, stopped after each of its epochs and gone on with by another
// attempt: what it leaves is what an undisturbed run leaves, to the last bit.

#include <gmock/gmock.h>

#include <set>

#include "core/attacks/attack.hpp"
#include "core/defenses/defense.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/trained_models.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/file_checkpointer.hpp"
#include "tests/methods_a/toys.hpp"
#include "tests/support/job_folder.hpp"

namespace gauntlet::run {
namespace {

using ::testing::HasSubstr;

/// 40 items of 16 px, 32 of them for training; label and words of item i follow from i.
data::SmallSet forty_items() {
  data::SmallSet set;
  set.side_px = 16;
  set.split.assign(40, 1);
  std::fill_n(set.split.begin(), 8, std::uint8_t{0});
  set.fill_images();
  set.text.clear();
  set.labels.clear();
  for (std::size_t item = 0; item < set.split.size(); ++item) {
    const auto odd = static_cast<std::uint8_t>(item % 2), even = static_cast<std::uint8_t>(1 - odd);
    set.labels.insert(set.labels.end(), {even, odd});
    set.text.insert(set.text.end(), {even, odd, static_cast<std::uint8_t>(item % 3 == 0)});
  }
  return set;
}

/// One training: an entry, what it is trained for, and options that matter to what it remembers.
struct Subject {
  spec::JobKind kind = spec::JobKind::kTrainModel;
  const EntryInfo* about = nullptr;
  std::string modality;
  Json changes;
  std::string note;
};

class Subjects {
 public:
  void add(spec::JobKind kind, const EntryInfo& about, std::string modality, Json changes = Json::object(),
           std::string note = "") {
    all.push_back({kind, &about, std::move(modality), std::move(changes), std::move(note)});
  }
  /// For each modality the entry serves.
  void add_sides(spec::JobKind kind, const EntryInfo& about) {
    if (about.capabilities.image) add(kind, about, "image");
    if (about.capabilities.text) add(kind, about, "text");
  }
  std::vector<Subject> all;
};

void add_models(Subjects& subjects) {
  constexpr auto kKind = spec::JobKind::kTrainModel;
  const auto& registry = models::model_registry();
  for (const models::ModelEntry* entry : models::trained_models()) subjects.add(kKind, entry->about, "");
  subjects.add(kKind, (*registry.find("dcmh"))->about, "",
               {{"optimiser", "sgd"}, {"momentum", 0.9}, {"schedule", "stage"}, {"stage_epochs", 2}},
               "momentum");
  subjects.add(kKind, (*registry.find("daph"))->about, "", {{"export_dropout", true}, {"proxy_epochs", 2}},
               "export_dropout");
}

void add_defenses(Subjects& subjects) {
  constexpr auto kKind = spec::JobKind::kTrainDefense;
  const auto& registry = defenses::defense_registry();
  for (const defenses::DefenseEntry* entry : registry.entries()) {
    if (entry->train == nullptr) continue;
    const bool joint = entry->about.capabilities.joint;
    joint ? subjects.add(kKind, entry->about, "both") : subjects.add_sides(kKind, entry->about);
  }
  subjects.add(kKind, (*registry.find("saat"))->about, "both",
               {{"at_optimiser", "sgd"}, {"at_momentum", 0.9}, {"at_lr", 0.01}}, "momentum");
  subjects.add(kKind, (*registry.find("rocmr"))->about, "both", {{"ben_loss", "target"}}, "own_training");
  subjects.add(
      kKind, (*registry.find("drfgd"))->about, "image",
      {{"frozen_generator", true}, {"ae_refresh", 2}, {"epochs_image", 4}, {"autoencoder_epochs", 2}},
      "two_parts");
}

void add_attacks(Subjects& subjects) {
  constexpr auto kKind = spec::JobKind::kTrainAttack;
  const auto& registry = attacks::attack_registry();
  for (const attacks::AttackEntry* entry : registry.entries()) {
    if (entry->train != nullptr) subjects.add_sides(kKind, entry->about);
  }
  subjects.add(kKind, (*registry.find("eqb2a"))->about, "image", {{"redraw", true}}, "redraw");
}

std::vector<Subject> subjects() {
  Subjects found;
  add_models(found);
  add_defenses(found);
  add_attacks(found);
  return found.all;
}

std::string name_of_subject(const ::testing::TestParamInfo<Subject>& tested) {
  std::string name = std::string(tested.param.about->name);
  if (!tested.param.modality.empty()) name += "_" + tested.param.modality;
  if (!tested.param.note.empty()) name += "_" + tested.param.note;
  return name;
}

/// The entry's settings for small pictures with few epochs.
Json small_config(const EntryInfo& about) {
  Json config = testing::toy_config(about);
  static const std::map<std::string, Json> kFew = {{"epochs", 3},
                                                   {"at_epochs", 3},
                                                   {"epochs_image", 3},
                                                   {"epochs_text", 3},
                                                   {"prototype_epochs", 2},
                                                   {"epochs_knockoff", 2},
                                                   {"epochs_perturbation", 2},
                                                   {"epochs_generator", 2},
                                                   {"steps_per_epoch", 3},
                                                   {"n_queries", 8},
                                                   {"batch", 8},
                                                   {"middle", 8}};
  for (const FieldInfo& field : about.fields()) {
    if (const auto few = kFew.find(field.name); few != kFew.end()) config[field.name] = few->second;
  }
  return config;
}

/// Keeps what is told; asks to stop once an epoch of training is told.
class Watcher final : public worker::ProgressSink {
 public:
  void update(const worker::Progress& progress) override {
    phases.push_back(progress.phase);
    if (progress.phase != "train") return;
    n_epochs = progress.epochs;
    epochs.push_back(progress.epoch);
    if (stops) stop = true;
  }
  bool stops = false;
  std::atomic<bool> stop = false;
  std::int64_t n_epochs = 0;
  std::vector<std::int64_t> epochs;
  std::vector<std::string> phases;
};

/// What a training leaves, without its time.
struct Left {
  std::string weights, about;
  std::vector<spec::ResultRow> rows;
  std::vector<spec::Curve> curves;
};

void expect_same(const Left& left, const Left& right) {
  EXPECT_TRUE(left.weights == right.weights) << "weights differ";
  EXPECT_EQ(left.about, right.about);
  ASSERT_EQ(left.rows.size(), right.rows.size());
  for (std::size_t at = 0; at < left.rows.size(); ++at) {
    EXPECT_EQ(left.rows[at].metric, right.rows[at].metric);
    if (left.rows[at].metric != "training_time") {
      EXPECT_EQ(left.rows[at].value, right.rows[at].value);
    }
  }
  ASSERT_EQ(left.curves.size(), right.curves.size());
  for (std::size_t at = 0; at < left.curves.size(); ++at) {
    EXPECT_EQ(left.curves[at].name, right.curves[at].name);
    EXPECT_EQ(left.curves[at].x, right.curves[at].x);
    EXPECT_EQ(left.curves[at].y, right.curves[at].y) << left.curves[at].name;
  }
}

double training_time(const Left& left) {
  return std::ranges::find(left.rows, "training_time", &spec::ResultRow::metric)->value;
}

/// A work folder with a data set, a target model and its codes; shared by all tests.
class Workplace {
 public:
  Workplace() {
    data_ = folder_.add(forty_items());
    spec::JobSpec target = model_job("cpah", small_config((*models::model_registry().find("cpah"))->about));
    target.seed = 2;  // not one of those that are stopped
    model_ = done(target);
    codes_image_ = done(encoding("image"));
    codes_text_ = done(encoding("text"));
  }

  [[nodiscard]] spec::JobSpec model_job(std::string_view entry, const Json& config) const {
    spec::JobSpec job;
    job.kind = spec::JobKind::kTrainModel;
    job.entry = entry;
    job.version = (*models::model_registry().find(entry))->about.version;
    job.config = {{"model", config}, {"bits", 16}};
    job.inputs = {{"data", data_}};
    job.seed = 1;
    return job;
  }

  [[nodiscard]] spec::JobSpec job(const Subject& subject) const {
    Json config = small_config(*subject.about);
    config.update(subject.changes);
    if (subject.kind == spec::JobKind::kTrainModel) return model_job(subject.about->name, config);
    spec::JobSpec job;
    job.kind = subject.kind;
    job.entry = subject.about->name;
    job.version = subject.about->version;
    const bool is_attack = subject.kind == spec::JobKind::kTrainAttack;
    job.config = {{is_attack ? "attack" : "defense", config}, {"modality", subject.modality}};
    job.inputs = {
        {"data", data_}, {"model", model_}, {"codes_image", codes_image_}, {"codes_text", codes_text_}};
    if (!subject.about->capabilities.crafts_with.empty()) {
      job.inputs.push_back({"crafted", crafted(subject, config)});
    }
    job.seed = 1;
    return job;
  }

  /// Runs the job to its end, takes what it leaves, and makes it new again.
  [[nodiscard]] Left finish(const spec::JobSpec& job, Watcher& watcher) const {
    auto result = folder_.attempt(job, watcher, &watcher.stop);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    if (!result) return {};
    const JobKey key = spec::key_of(job).value();
    const artifacts::Artifact artifact = folder_.store().open(job.kind, key).value();
    Left left{.weights = {}, .about = artifact.about.dump(), .rows = result->rows, .curves = result->curves};
    for (const char* name : {"model", "defense", "attack"}) {
      const auto file = artifact.folder / (std::string(name) + ".safetensors");
      if (std::filesystem::exists(file)) left.weights = read_file(file).value();
    }
    EXPECT_FALSE(left.weights.empty());
    EXPECT_FALSE(std::filesystem::exists(folder_.checkpoint_of(key).parent_path()));
    EXPECT_TRUE(folder_.store().remove(job.kind, key));
    return left;
  }

  /// One epoch more, then a stop.
  void run_one_epoch(const spec::JobSpec& job, Watcher& watcher) const {
    watcher.stops = true;
    const auto stopped = folder_.attempt(job, watcher, &watcher.stop);
    ASSERT_FALSE(stopped);
    ASSERT_EQ(stopped.error().code, ErrorCode::kInterrupted) << stopped.error().message;
    ASSERT_EQ(watcher.epochs.size(), 1U);
    EXPECT_TRUE(std::filesystem::exists(checkpoint_of(job)));
  }

  [[nodiscard]] std::filesystem::path checkpoint_of(const spec::JobSpec& job) const {
    return folder_.checkpoint_of(spec::key_of(job).value());
  }

 private:
  [[nodiscard]] JobKey done(const spec::JobSpec& job) const {
    const auto key = folder_.run(job);
    EXPECT_TRUE(key) << (key ? "" : key.error().message);
    return *key;
  }

  [[nodiscard]] spec::JobSpec encoding(const char* modality) const {
    spec::JobSpec job;
    job.kind = spec::JobKind::kEncode;
    job.entry = "none";
    job.version = 1;
    job.config = {
        {"defense", Json::object()}, {"modality", modality}, {"part", "retrieval"}, {"source", "clean"}};
    job.inputs = {{"data", data_}, {"model", model_}};
    job.seed = 1;
    return job;
  }

  [[nodiscard]] JobKey crafted(const Subject& subject, const Json& config) const {
    spec::JobSpec job;
    job.kind = spec::JobKind::kCraft;
    job.entry = subject.about->capabilities.crafts_with;
    job.version = (*attacks::attack_registry().find(job.entry))->about.version;
    job.config = {{"attack", {{"steps", 2}}}, {"modality", subject.modality},
                  {"part", "train"},          {"limit", config.value("n_train", 0)},
                  {"protocol", "static"},     {"defense", Json()}};
    job.inputs = {
        {"data", data_}, {"model", model_}, {"codes_image", codes_image_}, {"codes_text", codes_text_}};
    job.seed = 1;
    if (folder_.store().contains(job.kind, spec::key_of(job).value())) return spec::key_of(job).value();
    return done(job);
  }

  testing_support::JobFolder folder_;
  JobKey data_, model_, codes_image_, codes_text_;
};

const Workplace& workplace() {
  static const Workplace place;
  return place;
}

class ResumedTraining : public ::testing::TestWithParam<Subject> {};

TEST_P(ResumedTraining, EndsAsAnUndisturbedOneWhereverItWasStopped) {
  const spec::JobSpec job = workplace().job(GetParam());
  Watcher undisturbed;
  const Left expected = workplace().finish(job, undisturbed);
  ASSERT_GE(undisturbed.n_epochs, 3);
  for (std::int64_t epoch = 1; epoch < undisturbed.n_epochs; ++epoch) {
    Watcher watcher;
    torch::manual_seed(977);  // another process has another history
    workplace().run_one_epoch(job, watcher);
    if (HasFatalFailure()) return;
    EXPECT_EQ(watcher.epochs.front(), epoch);
  }
  Watcher last;
  last.stops = true;  // comes too late to be worth a stop
  torch::manual_seed(978);
  const Left resumed = workplace().finish(job, last);
  EXPECT_THAT(last.epochs, ::testing::ElementsAre(undisturbed.n_epochs));
  const std::string told = fmt::format("resumed at epoch {}", undisturbed.n_epochs);
  EXPECT_EQ(std::ranges::count(last.phases, told), 1);
  expect_same(expected, resumed);
  EXPECT_EQ(undisturbed.epochs.size(), static_cast<std::size_t>(undisturbed.n_epochs));
}

INSTANTIATE_TEST_SUITE_P(Registry, ResumedTraining, ::testing::ValuesIn(subjects()), name_of_subject);

/// One job whose checkpoint something happens to.
class Checkpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto& about = (*models::model_registry().find("dcmh"))->about;
    job_ = workplace().job({spec::JobKind::kTrainModel, &about, "", {{"gamma", 0.5}}, ""});
    Watcher watcher;
    expected_ = workplace().finish(job_, watcher);
    for (int epoch = 1; epoch <= 2; ++epoch) {
      Watcher stopped;
      workplace().run_one_epoch(job_, stopped);
    }
    path_ = workplace().checkpoint_of(job_);
  }

  /// Finishes the job, which must not have gone on from what is there; its log.
  std::string finish_from_the_start() {
    Watcher watcher;
    ::testing::internal::CaptureStdout();
    const Left left = workplace().finish(job_, watcher);
    std::string log = ::testing::internal::GetCapturedStdout();
    EXPECT_THAT(watcher.epochs, ::testing::ElementsAre(1, 2, 3));
    expect_same(expected_, left);
    return log;
  }

  /// What the checkpoint says it is of.
  [[nodiscard]] std::map<std::string, std::string> belongs_to() const {
    auto metadata = train::load_tensor_file(path_).value().metadata;
    for (const char* own : {"epoch", "seconds", "sha256"}) metadata.erase(own);
    return metadata;
  }
  /// Puts a sound checkpoint of another training in its place.
  void write_toy(const std::map<std::string, std::string>& belongs_to) const {
    const auto solo = collective::make_solo_communicator();
    train::FileCheckpointer writer(
        {.folder = path_.parent_path(), .belongs_to = belongs_to, .minutes = 0, .communicator = solo.get()},
        true);
    torch::Tensor other = torch::ones({2});
    ASSERT_TRUE(
        writer.end_epoch({.n_epochs = 3,
                          .n_in_all = 3,
                          .state = [&](models::StateVisitor& visitor) { visitor.tensor("other", other); }},
                         1));
  }

  spec::JobSpec job_;
  Left expected_;
  std::filesystem::path path_;
};

TEST_F(Checkpoint, ThatIsDamagedAnywhereIsIgnored) {
  const std::string good = read_file(path_).value();
  for (const double place : {0.001, 0.3, 0.6, 0.999}) {
    SCOPED_TRACE(place);
    std::filesystem::create_directories(path_.parent_path());
    std::string bad = good;
    bad[static_cast<std::size_t>(place * static_cast<double>(good.size()))] ^= 0x10;
    ASSERT_TRUE(write_file_atomic(path_, bad));
    EXPECT_THAT(finish_from_the_start(),
                HasSubstr("checkpoint " + path_.string() + " is damaged: starting from epoch 1\n"));
  }
}

TEST_F(Checkpoint, OfSomethingElseIsIgnored) {
  const auto own = belongs_to();
  for (const char* what : {"job", "entry", "version", "world size"}) {
    auto others = own;
    others[what] = "another";
    write_toy(others);
    EXPECT_THAT(finish_from_the_start(),
                ::testing::AllOf(HasSubstr(fmt::format("is of another {} (another, where ", what)),
                                 HasSubstr("is needed): starting from epoch 1\n")));
  }
}

TEST_F(Checkpoint, ThatDoesNotFitTheProgramIsLeftBehind) {
  write_toy(belongs_to());
  EXPECT_THAT(finish_from_the_start(), ::testing::AllOf(HasSubstr("does not fit this program: it has no '"),
                                                        HasSubstr(": starting from epoch 1\n")));
}

TEST_F(Checkpoint, CountsTheTimeOfEarlierAttempts) {
  train::TensorFile file = train::load_tensor_file(path_).value();
  EXPECT_GT(std::stod(file.metadata.at("seconds")), 0);
  Watcher watcher;
  const double seconds = training_time(workplace().finish(job_, watcher));
  EXPECT_THAT(watcher.epochs, ::testing::ElementsAre(3));
  EXPECT_GT(seconds, std::stod(file.metadata.at("seconds")));
}

}  // namespace
}  // namespace gauntlet::run
