#include "core/spec/job_spec.hpp"

#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "core/spec/detail/canonical_parts.hpp"

namespace gauntlet::spec {
namespace {

constexpr std::array<std::string_view, kJobKindCount> kKindNames = {
    "prepare", "features", "train_model", "train_attack", "craft", "train_defense",
    "encode",  "evaluate", "explain",     "command",      "noop"};

constexpr std::string_view kDefaultPrecision = "fp32";

/// The member of a config under which its job keeps the entry's own options; a job has one of them.
constexpr std::array<std::string_view, 3> kOwnOptions = {"attack", "defense", "model"};

std::string_view precision_of(const Json& config) {
  const auto stated_in = [](const Json& options) -> const std::string* {
    if (!options.is_object()) return nullptr;
    const auto stated = options.find("precision");
    return stated != options.end() && stated->is_string() ? &stated->get_ref<const std::string&>() : nullptr;
  };
  if (const std::string* own = stated_in(config)) return *own;
  for (const std::string_view member : kOwnOptions) {
    const auto options = config.find(member);
    const std::string* nested = options == config.end() ? nullptr : stated_in(*options);
    if (nested != nullptr) return *nested;
  }
  return kDefaultPrecision;
}

Result<std::vector<JobInput>> inputs_from(const Json& inputs) {
  std::vector<JobInput> all;
  for (const auto& [role, hex] : inputs.items()) {
    GAUNTLET_TRY(const Digest digest, digest_from_hex(hex.get_ref<const std::string&>()));
    all.push_back({role, JobKey{digest}});
  }
  return all;
}

Result<JobSpec> read_form(const Json& form) {
  JobSpec job;
  GAUNTLET_TRY(job.kind, job_kind_from(form.at("kind").get<std::string>()));
  job.entry = form.at("entry").get<std::string>();
  for (const char* name : {"version", "seed"}) {
    if (form.at(name).is_number_integer()) continue;
    return fail(ErrorCode::kCorrupt, "a stored job's {} is {}; it must be an integer", name,
                form.at(name).dump());
  }
  job.version = form.at("version").get<std::int64_t>();
  job.seed = form.at("seed").get<std::uint64_t>();
  job.config = form.at("config");
  GAUNTLET_TRY(job.inputs, inputs_from(form.at("inputs")));
  if (canonical_form(job) != form) {
    return fail(ErrorCode::kCorrupt, "a stored job has fields that no {} job has", name_of(job.kind));
  }
  return job;
}

}  // namespace

std::string_view name_of(JobKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

Result<JobKind> job_kind_from(std::string_view name) {
  const auto found = std::ranges::find(kKindNames, name);
  if (found != kKindNames.end()) return static_cast<JobKind>(found - kKindNames.begin());
  const std::vector<std::string> known(kKindNames.begin(), kKindNames.end());
  return fail(ErrorCode::kNotFound, "{}", unknown_name_message("kind of job", name, known));
}

bool needs_torch(JobKind kind) {
  switch (kind) {
    case JobKind::kPrepare:
    case JobKind::kEvaluate:
    case JobKind::kCommand:
    case JobKind::kNoop:
      return false;
    case JobKind::kFeatures:
    case JobKind::kTrainModel:
    case JobKind::kTrainAttack:
    case JobKind::kCraft:
    case JobKind::kTrainDefense:
    case JobKind::kEncode:
    case JobKind::kExplain:
      return true;
  }
  return true;
}

const JobInput* JobSpec::find_input(std::string_view role) const {
  const auto found = std::ranges::find(inputs, role, &JobInput::role);
  return found == inputs.end() ? nullptr : &*found;
}

Json canonical_form(const JobSpec& job) {
  Json inputs = Json::object();
  for (const JobInput& input : job.inputs) inputs[input.role] = input.key.hex();
  return {{"kind", name_of(job.kind)},
          {"entry", job.entry},
          {"version", job.version},
          {"config", job.config},
          {"inputs", inputs},
          {"seed", job.seed},
          {"precision", precision_of(job.config)}};
}

std::string canonical_text(const JobSpec& job, std::string_view config_text, std::string_view precision) {
  detail::CanonicalWriter writer;
  writer.start(config_text, job.entry);
  for (const JobInput& input : job.inputs) writer.input(input.role, input.key);
  return writer.finish(job.kind, precision, job.seed, job.version);
}

Result<std::string> canonical_text(const JobSpec& job) {
  GAUNTLET_TRY(const std::string config, canonical_json(job.config));
  return canonical_text(job, config, precision_of(job.config));
}

Result<JobKey> key_of(const JobSpec& job) {
  GAUNTLET_TRY(const std::string text, canonical_json(canonical_form(job)));
  return JobKey{sha256(text)};
}

Result<JobSpec> job_from_canonical(const Json& form) {
  try {
    auto job = read_form(form);
    if (!job) return fail(ErrorCode::kCorrupt, "{}", job.error().message);
    return job;
  } catch (const Json::exception& error) {  // a member that is missing or of another type
    return fail(ErrorCode::kCorrupt, "a stored job is malformed: {}", error.what());
  }
}

}  // namespace gauntlet::spec
