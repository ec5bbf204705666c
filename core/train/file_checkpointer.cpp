#include "core/train/file_checkpointer.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <charconv>
#include <cstdio>
#include <mutex>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/json.hpp"

namespace gauntlet::train {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

const std::string kGenerator = "#generator";  // no state starts so
const std::string kDigest = "sha256";
const std::string kEpoch = "epoch";
const std::string kSeconds = "seconds";

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

torch::Tensor generator_state() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::scoped_lock lock(generator.mutex());
  return generator.get_state();
}

void set_generator_state(const torch::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::scoped_lock lock(generator.mutex());
  generator.set_state(state);
}

void update(Sha256& hash, std::string_view text) { hash.update(std::as_bytes(std::span(text))); }

/// Of everything the file says but the digest itself.
std::string digest_of(const TensorFile& file) {
  Sha256 hash;
  for (const auto& [name, value] : file.metadata) {
    if (name != kDigest) update(hash, fmt::format("{}={}\n", name, value));
  }
  for (const auto& [name, tensor] : file.tensors) {
    const torch::Tensor dense = tensor.contiguous();
    update(hash, fmt::format("{} {} {}\n", name, c10::toString(dense.scalar_type()), dense.nbytes()));
    hash.update({static_cast<const std::byte*>(dense.const_data_ptr()), dense.nbytes()});
  }
  return to_hex(hash.finish());
}

template <class Number>
Number number_in(const std::map<std::string, std::string>& metadata, const std::string& name) {
  Number number = 0;
  const auto found = metadata.find(name);
  if (found == metadata.end()) return number;
  std::from_chars(found->second.data(), found->second.data() + found->second.size(), number);
  return number;
}

/// Bytes of rank 0 on every rank, in place.
void broadcast_bytes(void* data, std::size_t size, collective::Communicator& communicator) {
  if (size == 0) return;
  torch::Tensor bytes = torch::from_blob(data, {static_cast<std::int64_t>(size)}, torch::kUInt8);
  communicator.broadcast_(bytes);
}

/// Every rank has the file of rank 0 afterwards.
void take_from_main_rank(TensorFile& file, collective::Communicator& communicator) {
  const bool is_main_rank = communicator.rank() == 0;
  Json outline = {{"metadata", file.metadata}, {"tensors", Json::array()}};
  for (const auto& [name, tensor] : file.tensors)
    outline["tensors"].push_back(
        Json::array({name, static_cast<int>(tensor.scalar_type()), tensor.sizes().vec()}));
  std::string text = outline.dump();
  std::uint64_t size = text.size();
  broadcast_bytes(&size, sizeof(size), communicator);
  text.resize(size);
  broadcast_bytes(text.data(), text.size(), communicator);
  if (!is_main_rank) {
    outline = Json::parse(text);
    file = {.tensors = {}, .metadata = outline.at("metadata")};
  }
  for (const Json& about : outline.at("tensors")) {
    torch::Tensor& tensor = file.tensors[about.at(0)];
    if (!is_main_rank) {
      const auto type = static_cast<torch::ScalarType>(about.at(1).get<int>());
      tensor = torch::empty(about.at(2).get<std::vector<std::int64_t>>(), type);
    }
    broadcast_bytes(tensor.mutable_data_ptr(), tensor.nbytes(), communicator);
  }
}

/// Files that an attempt left which was killed while it wrote.
void remove_unfinished(const fs::path& folder) {
  std::error_code error;
  for (auto file = fs::directory_iterator(folder, error); !error && file != fs::directory_iterator();
       file.increment(error)) {
    std::error_code ignored;
    if (file->path().filename() != kCheckpointFile) fs::remove(file->path(), ignored);
  }
}

}  // namespace

FileCheckpointer::FileCheckpointer(CheckpointOptions options, bool ignores_old)
    : options_(std::move(options)), started_(SteadyClock::now()), saved_(started_) {
  if (is_main_rank()) remove_unfinished(options_.folder);
  if (!ignores_old) {
    const Status read = load();
    if (!read) {
      loaded_epoch_ = 0;
      const bool is_main_news = is_main_rank() && read.error().code != ErrorCode::kNotFound;
      if (is_main_news) say(fmt::format("{}: starting from epoch 1", read.error().message));
    }
  }
  agree_over_ranks();
  if (loaded_epoch_ == 0) loaded_ = {};
  seconds_before_ = number_in<double>(loaded_.metadata, kSeconds);
  started_ = saved_ = SteadyClock::now();
}

Status FileCheckpointer::load() {
  Result<TensorFile> file = load_tensor_file(path());
  if (!file && file.error().code != ErrorCode::kCorrupt) return fail(file.error());
  if (!file) return fail(ErrorCode::kCorrupt, "checkpoint {} is damaged", path().string());
  const auto epoch = number_in<std::int64_t>(file->metadata, kEpoch);
  const auto digest = file->metadata.find(kDigest);
  if (epoch < 1 || digest == file->metadata.end() || digest->second != digest_of(*file)) {
    return fail(ErrorCode::kCorrupt, "checkpoint {} is damaged", path().string());
  }
  for (const auto& [name, value] : options_.belongs_to) {
    const auto found = file->metadata.find(name);
    if (found != file->metadata.end() && found->second == value) continue;
    return fail(ErrorCode::kInvalid, "checkpoint {} is of another {} ({}, where {} is needed)",
                path().string(), name, found == file->metadata.end() ? "unknown" : found->second, value);
  }
  loaded_epoch_ = epoch;
  loaded_ = std::move(*file);
  return {};
}

/// Ranks on machines that share no folder may have different files, or none: what rank 0 has counts.
void FileCheckpointer::agree_over_ranks() {
  if (options_.communicator->world_size() == 1) return;
  // Epoch and the head of the digest: the file may have been replaced between two reads.
  std::int64_t head = 0;
  if (loaded_epoch_ > 0)
    std::from_chars(loaded_.metadata.at(kDigest).data(), loaded_.metadata.at(kDigest).data() + 15, head, 16);
  const torch::Tensor all =
      options_.communicator->gather_rows(torch::tensor({loaded_epoch_, head}, torch::kInt64).view({1, 2}));
  if (all.eq(all[0]).all().item<bool>()) return;
  loaded_epoch_ = all[0][0].item<std::int64_t>();
  if (loaded_epoch_ > 0) {
    take_from_main_rank(loaded_, *options_.communicator);
  } else if (is_main_rank()) {
    say("rank 0 has no checkpoint, though another rank has: starting from epoch 1");
  }
}

double FileCheckpointer::seconds() const {
  return seconds_before_ + std::chrono::duration<double>(SteadyClock::now() - started_).count();
}

Result<std::int64_t> FileCheckpointer::resume(const models::Stage& stage) {
  if (loaded_epoch_ <= stage.n_before) return 0;
  if (loaded_epoch_ > stage.n_before + stage.n_epochs) return stage.n_epochs;
  const std::int64_t epoch = std::exchange(loaded_epoch_, 0);
  const TensorFile file = std::exchange(loaded_, {});
  NamedTensors state = file.tensors;
  state.erase(kGenerator);
  models::StateReader reader(state);
  stage.state(reader);
  if (const Status fits = reader.finish(); !fits || !file.tensors.contains(kGenerator)) {
    is_unfit_ = true;
    return fail(ErrorCode::kCorrupt, "checkpoint {} does not fit this program: {}", path().string(),
                fits ? "it has no generator" : fits.error().message);
  }
  set_generator_state(file.tensors.at(kGenerator));
  if (is_main_rank()) {
    say(fmt::format("resumed at epoch {} of {}, from {}", epoch + 1, stage.n_in_all, path().string()));
    if (options_.on_resume) options_.on_resume(epoch, stage.n_in_all);
  }
  return epoch - stage.n_before;
}

Status FileCheckpointer::end_epoch(const models::Stage& stage, std::int64_t epoch) {
  if (!is_main_rank()) return {};
  const bool is_last = stage.n_before + epoch == stage.n_in_all;
  const bool stops = !is_last && options_.stop != nullptr && options_.stop->load();
  const std::chrono::duration<double, std::ratio<60>> since_saved = SteadyClock::now() - saved_;
  if (!stops && since_saved.count() < options_.minutes) return {};
  const Status saved = save(stage, epoch);
  if (!saved)
    say(fmt::format("no checkpoint after epoch {}: {}", stage.n_before + epoch, saved.error().message));
  saved_ = SteadyClock::now();  // of a try, too: a full disk is not asked again after every epoch
  if (!stops) return {};
  return fail(ErrorCode::kInterrupted, "asked to stop: stopped after epoch {} of {}{}",
              stage.n_before + epoch, stage.n_in_all,
              saved ? ", whose checkpoint the next attempt goes on from" : "");
}

Status FileCheckpointer::save(const models::Stage& stage, std::int64_t epoch) {
  models::StateWriter writer;
  stage.state(writer);
  TensorFile file{.tensors = std::move(writer.tensors), .metadata = options_.belongs_to};
  file.tensors[kGenerator] = generator_state();
  file.metadata[kEpoch] = fmt::format("{}", stage.n_before + epoch);
  file.metadata[kSeconds] = fmt::format("{}", seconds());
  file.metadata[kDigest] = digest_of(file);
  GAUNTLET_CHECK_OK(make_directories(options_.folder));
  return save_tensors(path(), file.tensors, file.metadata);
}

void FileCheckpointer::discard() const {
  if (!is_main_rank()) return;
  std::error_code error;
  fs::remove_all(options_.folder, error);  // what stays is removed by `gauntlet gc`
}

}  // namespace gauntlet::train
