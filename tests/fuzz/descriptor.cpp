// A descriptor of an external entry: refused in words, or an entry whose promises hold.
#include "core/base/check.hpp"
#include "core/spec/external.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {

void descriptor(Bytes bytes) {
  const auto entry = spec::parse_external(text_of(bytes), "fuzz.yaml");
  if (!entry) {
    GAUNTLET_CHECK(!entry.error().message.empty());
    return;
  }
  // A command that leaves files, or files that are there already, under a budget.
  if (entry->given.empty()) {
    GAUNTLET_CHECK(!entry->command.empty() && !entry->outputs.empty());
  } else {
    GAUNTLET_CHECK(entry->command.empty() && !entry->budget.empty());
  }
  GAUNTLET_CHECK(entry->limits.time_s > 0 && entry->limits.disk_mb > 0 && entry->limits.log_bytes > 0);
  for (const std::string& file : entry->files) GAUNTLET_CHECK(file.front() != '/' && !file.starts_with(".."));
  for (const std::string& name : entry->outputs) GAUNTLET_CHECK(name.find('/') == std::string::npos);
  // Defaults are values the fields themselves take.
  Json defaults = Json::object();
  for (const FieldInfo& field : entry->about.fields) defaults[field.name] = field.default_value;
  GAUNTLET_CHECK(complete_config(entry->about.fields, defaults, "fuzz").has_value());
}

}  // namespace gauntlet::fuzz
