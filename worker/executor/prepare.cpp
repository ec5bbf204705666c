#include "core/artifacts/stand_in.hpp"
#include "core/data/dataset.hpp"
#include "core/data/validation_split.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::worker {
namespace {

/// The config as the entry reads it: without the sources' identity, with their place.
Json entry_config(const spec::JobSpec& job) {
  Json config = job.config;
  config.erase("source");
  if (job.locations.is_object()) config.update(job.locations);
  return config;
}

Status check_sources(const data::DatasetEntry& entry, const AttemptContext& attempt, const Json& config) {
  const auto planned = attempt.job.config.find("source");
  if (planned == attempt.job.config.end()) return {};
  GAUNTLET_TRY(const std::string found, entry.content_id(config));
  if (*planned == found) return {};
  return fail(ErrorCode::kInvalid,
              "the sources of {} are not those the job was planned for: content id {} here, {} in the job; "
              "submit the "
              "sweep again",
              attempt.job.entry, found, planned->dump());
}

/// The validation split of input "data".
Status prepare_validation(const AttemptContext& attempt, const std::filesystem::path& folder) {
  const spec::JobInput* const input = attempt.job.find_input("data");
  if (input == nullptr) return fail(ErrorCode::kInvalid, "the job of a validation split has no input 'data'");
  GAUNTLET_TRY(const artifacts::Artifact data,
               artifacts::open_made(attempt.store, spec::JobKind::kPrepare, input->key));
  const Json& config = attempt.job.config["validation"];
  return data::write_validation_split(
      data.folder, folder, input->key.hex(),
      {config.value("items", std::int64_t{0}), config.value("seed", std::uint64_t{0})});
}

Status prepare_entry(const AttemptContext& attempt, const std::filesystem::path& folder,
                     ProgressSink& progress) {
  GAUNTLET_TRY(const data::DatasetEntry* const entry, data::dataset_registry().find(attempt.job.entry));
  if (entry->about.version != attempt.job.version) {
    return fail(ErrorCode::kInvalid, "dataset {} has version {} here; the job asks for version {}",
                attempt.job.entry, entry->about.version, attempt.job.version);
  }
  const Json config = entry_config(attempt.job);
  GAUNTLET_CHECK_OK(check_sources(*entry, attempt, config));
  return entry->prepare(config, folder, attempt.threads, [&](double fraction, std::string_view phase) {
    progress.update({.fraction = fraction, .phase = std::string(phase)});
  });
}

}  // namespace

Result<AttemptResult> run_prepare(const AttemptContext& attempt, ProgressSink& progress) {
  // An attempt that published and was lost before its report could be sent has done the work already.
  if (attempt.store.contains(spec::JobKind::kPrepare, attempt.key)) {
    if (const auto made = attempt.store.open(spec::JobKind::kPrepare, attempt.key)) {
      return AttemptResult{.manifest_hash = made->manifest_hash};
    }
  }
  const bool is_validation = attempt.job.config.contains("validation");
  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(is_validation ? prepare_validation(attempt, draft.folder())
                                  : prepare_entry(attempt, draft.folder(), progress));
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, Json::object()));
  return AttemptResult{.manifest_hash = artifact.manifest_hash};
}

}  // namespace gauntlet::worker
