#include "core/spec/detail/interning.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace gauntlet::spec::detail {

ConfigId ConfigTable::intern(Json value) {
  auto text = canonical_json(value);
  GAUNTLET_CHECK(text.has_value());  // the reader lets only finite numbers and UTF-8 through
  const auto known = by_text_.find(*text);
  if (known != by_text_.end()) return known->second;
  JobSpec probe;
  probe.config = value;
  const auto id = static_cast<ConfigId>(configs_.size());
  configs_.push_back({std::move(value), *text, canonical_form(probe).at("precision").get<std::string>()});
  by_text_.emplace(std::move(*text), id);
  return id;
}

std::string_view name_of(InputRole role) {
  switch (role) {
    case InputRole::kAttack:
      return "attack";
    case InputRole::kCodesImage:
      return "codes_image";
    case InputRole::kCodesText:
      return "codes_text";
    case InputRole::kCrafted:
      return "crafted";
    case InputRole::kCraftedImage:
      return "crafted_image";
    case InputRole::kCraftedText:
      return "crafted_text";
    case InputRole::kData:
      return "data";
    case InputRole::kDefense:
      return "defense";
    case InputRole::kFeatures:
      return "features";
    case InputRole::kModel:
      return "model";
    case InputRole::kQueryCodes:
      return "query_codes";
    case InputRole::kRetrievalCodes:
      return "retrieval_codes";
  }
  return "unknown";
}

JobTable::Added JobTable::add(JobDraft draft) {
  std::ranges::sort(draft.inputs, {}, &InputJob::role);
  const auto entry = reinterpret_cast<std::uintptr_t>(draft.entry);
  content_ = {static_cast<std::uint32_t>(draft.kind), draft.config,
              static_cast<std::uint32_t>(entry),      static_cast<std::uint32_t>(std::uint64_t{entry} >> 32U),
              static_cast<std::uint32_t>(draft.seed), static_cast<std::uint32_t>(draft.seed >> 32U)};
  for (const InputJob& input : draft.inputs) {
    content_.push_back(static_cast<std::uint32_t>(input.role));
    content_.push_back(input.job);
  }
  const auto known = by_content_.find(content_);
  if (known != by_content_.end()) return {known->second, false};

  PlannedJob planned;
  JobSpec& job = planned.job;
  job.kind = draft.kind;
  job.entry = draft.entry == nullptr ? "" : draft.entry->name;
  job.version = draft.entry == nullptr ? 1 : draft.entry->version;
  job.config = configs_.value(draft.config);
  job.seed = draft.seed;
  job.resources = spec_.resources.at(draft.kind);
  for (const InputJob& input : draft.inputs)
    job.inputs.push_back({std::string(name_of(input.role)), jobs_[input.job].key});
  planned.key =
      JobKey{sha256(canonical_text(job, configs_.text(draft.config), configs_.precision(draft.config)))};
  const auto index = static_cast<JobIndex>(jobs_.size());
  jobs_.push_back(std::move(planned));
  by_content_.emplace(content_, index);
  return {index, true};
}

}  // namespace gauntlet::spec::detail
