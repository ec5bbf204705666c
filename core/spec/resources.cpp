// What an attempt asks of a worker, as value, JSON and text.
#include <algorithm>
#include <cctype>
#include <set>

#include "core/base/text.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::spec {
namespace {

constexpr std::size_t kMaxLabelBytes = 64;

/// Reads one non-negative integer member; absent keeps the default.
Status read_amount(const Json& value, std::string_view name, std::int64_t& amount) {
  const auto found = value.find(name);
  if (found == value.end()) return {};
  if (!found->is_number_integer() || *found < 0) {
    return fail(ErrorCode::kCorrupt, "resources: '{}' is {}; allowed: an integer of at least 0", name,
                found->dump());
  }
  amount = found->get<std::int64_t>();
  return {};
}

Status read_labels(const Json& value, std::map<std::string, std::string>& labels) {
  const auto found = value.find("labels");
  if (found == value.end()) return {};
  const bool are_texts =
      found->is_object() &&
      std::all_of(found->begin(), found->end(), [](const Json& label) { return label.is_string(); });
  if (!are_texts) return fail(ErrorCode::kCorrupt, "resources: 'labels' is no mapping of names to texts");
  labels = found->get<std::map<std::string, std::string>>();
  return {};
}

Status read_amounts(const Json& value, Resources& resources) {
  if (!value.is_object()) return fail(ErrorCode::kCorrupt, "resources must be a mapping of names to amounts");
  GAUNTLET_CHECK_OK(read_amount(value, "cpus", resources.cpus));
  GAUNTLET_CHECK_OK(read_amount(value, "gpus", resources.gpus));
  GAUNTLET_CHECK_OK(read_amount(value, "ranks", resources.ranks));
  GAUNTLET_CHECK_OK(read_amount(value, "memory_mb", resources.memory_mb));
  return read_amount(value, "time_s", resources.time_s);
}

std::string amounts_text(const Resources& resources) {
  std::string text =
      resources.gpus > 0 ? count_of(static_cast<std::size_t>(resources.gpus), "gpu") + ", " : std::string();
  text += count_of(static_cast<std::size_t>(resources.cpus), "cpu");
  if (resources.gpus == 0 && resources.ranks > 1) text += fmt::format(", {} ranks", resources.ranks);
  if (resources.memory_mb > 0) text += fmt::format(", {} MB", resources.memory_mb);
  return text;
}

}  // namespace

const Resources& Resources::with_gpus(std::int64_t n_gpus) const {
  for (const Resources& other : or_else) {
    if (other.gpus == n_gpus && gpus != n_gpus) return other;
  }
  return *this;
}

bool is_label_word(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabelBytes &&
         std::all_of(text.begin(), text.end(), [](char letter) {
           return std::isalnum(static_cast<unsigned char>(letter)) != 0 ||
                  std::string_view("._-/").find(letter) != std::string_view::npos;
         });
}

Status check_variants(const Resources& resources) {
  if (resources.n_variants() > kMaxVariants) {
    return fail(ErrorCode::kInvalid, "resources: {} variants; at most {} are allowed", resources.n_variants(),
                kMaxVariants);
  }
  std::set<std::int64_t> gpus{resources.gpus};
  for (const Resources& other : resources.or_else) {
    if (!gpus.insert(other.gpus).second) {
      return fail(ErrorCode::kInvalid,
                  "resources: two variants ask for {} gpus; each must ask for another number of them",
                  other.gpus);
    }
    if (!other.labels.empty() || !other.or_else.empty() || other.time_s != resources.time_s) {
      return fail(ErrorCode::kInvalid, "resources: labels and time belong to the first variant");
    }
  }
  if (resources.labels.size() > kMaxLabels) {
    return fail(ErrorCode::kInvalid, "resources: {} labels; at most {} are allowed", resources.labels.size(),
                kMaxLabels);
  }
  for (const auto& [name, value] : resources.labels) {
    if (is_label_word(name) && is_label_word(value)) continue;
    return fail(ErrorCode::kInvalid,
                "resources: label '{}={}' is malformed; names and values are 1 to {} letters, digits or ._-/",
                name, value, kMaxLabelBytes);
  }
  return {};
}

Json to_json(const Resources& resources) {
  Json value = {{"cpus", resources.cpus},
                {"gpus", resources.gpus},
                {"ranks", resources.ranks},
                {"memory_mb", resources.memory_mb},
                {"time_s", resources.time_s}};
  if (!resources.labels.empty()) value["labels"] = resources.labels;
  for (const Resources& other : resources.or_else) value["or_else"].push_back(to_json(other));
  return value;
}

Result<Resources> resources_from_json(const Json& value) {
  Resources resources;
  GAUNTLET_CHECK_OK(read_amounts(value, resources));
  GAUNTLET_CHECK_OK(read_labels(value, resources.labels));
  const auto others = value.find("or_else");
  if (others == value.end()) return resources;
  for (const Json& other : *others) {
    GAUNTLET_CHECK_OK(read_amounts(other, resources.or_else.emplace_back()));
  }
  GAUNTLET_CHECK_OK(check_variants(resources));
  return resources;
}

std::string text_of(const Resources& resources) {
  std::string text = amounts_text(resources);
  for (const Resources& other : resources.or_else) text += " or " + amounts_text(other);
  for (const auto& [name, value] : resources.labels) text += fmt::format(", label {}={}", name, value);
  if (resources.time_s > 0)
    text += fmt::format(", up to {}", human_duration(static_cast<double>(resources.time_s)));
  return text;
}

}  // namespace gauntlet::spec
