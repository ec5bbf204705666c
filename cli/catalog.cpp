// gauntlet catalog: what can stand in a sweep file.
#include <fmt/format.h>

#include "cli/support/external_entries.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"
#include "core/spec/catalog.hpp"

namespace gauntlet::cli {
namespace {

constexpr spec::EntryKind kKinds[] = {spec::EntryKind::kDataset, spec::EntryKind::kModel,
                                      spec::EntryKind::kAttack, spec::EntryKind::kDefense,
                                      spec::EntryKind::kMetric};

struct Options {
  std::string name;
  std::vector<std::string> external;
  bool json = false;
};

Json to_json(spec::EntryKind kind, const spec::CatalogEntry& entry) {
  Json fields = Json::array();
  for (const FieldInfo& field : entry.fields) fields.push_back(gauntlet::to_json(field));
  return {{"kind", spec::name_of(kind)},
          {"name", entry.name},
          {"external", entry.external ? Json(entry.external->descriptor.string()) : Json()},
          {"version", entry.version},
          {"summary", entry.summary},
          {"reference", entry.reference},
          {"fields", fields},
          {"dataset_defaults", entry.dataset_defaults},
          {"capabilities",
           {{"image", entry.image},
            {"text", entry.text},
            {"trains", entry.trains},
            {"targeted", entry.targeted},
            {"black_box", entry.black_box},
            {"adaptive", entry.adaptive},
            {"joint", entry.joint},
            {"replaces_model", entry.replaces_model},
            {"crafts_with", entry.crafts_with}}}};
}

std::string range_of(const FieldInfo& field) {
  if (!field.choices.empty()) return fmt::format(" ({})", fmt::join(field.choices, ", "));
  if (field.min && field.max) return fmt::format(" ({} to {})", *field.min, *field.max);
  if (field.min) return fmt::format(" (at least {})", *field.min);
  if (field.max) return fmt::format(" (at most {})", *field.max);
  return "";
}

std::string details(spec::EntryKind kind, const spec::CatalogEntry& entry) {
  std::string text = fmt::format("{} {} (version {})\n  {}\n  {}\n", spec::name_of(kind), entry.name,
                                 entry.version, entry.summary, entry.reference);
  for (const FieldInfo& field : entry.fields) {
    text += fmt::format("  {:<20} {}{}, default {}\n    {}\n", field.name, name_of(field.type),
                        range_of(field), field.default_value.dump(), field.doc);
  }
  return text;
}

Result<spec::Catalog> catalog_with(const std::vector<std::string>& paths) {
  ExternalEntries all;
  for (const std::string& path : paths) {
    GAUNTLET_TRY(ExternalEntries entries, read_descriptors(path));
    all.insert(all.end(), entries.begin(), entries.end());
  }
  return spec::with_external(spec::Catalog::builtin(), all);
}

Result<int> show_one(const Options& options) {
  GAUNTLET_TRY(const spec::Catalog catalog, catalog_with(options.external));
  std::string text;
  Json found = Json::array();
  std::vector<std::string> names;
  for (const spec::EntryKind kind : kKinds) {
    for (const spec::CatalogEntry& entry : catalog.entries(kind)) {
      names.push_back(entry.name);
      if (entry.name != options.name) continue;
      text += details(kind, entry);
      found.push_back(to_json(kind, entry));
    }
  }
  if (found.empty())
    return fail(ErrorCode::kNotFound, "{}", unknown_name_message("entry", options.name, names));
  GAUNTLET_CHECK_OK(options.json ? print_json(Json{{"format", 1}, {"entries", found}}) : print(text));
  return 0;
}

Result<int> show_all(const Options& options) {
  GAUNTLET_TRY(const spec::Catalog catalog, catalog_with(options.external));
  std::string text;
  Json document = {{"format", 1}};
  for (const spec::EntryKind kind : kKinds) {
    Json entries = Json::array();
    text += fmt::format("{}{}s\n", text.empty() ? "" : "\n", spec::name_of(kind));
    for (const spec::CatalogEntry& entry : catalog.entries(kind)) {
      text += fmt::format("  {:<16} {}{}\n", entry.name, entry.summary, entry.external ? " (external)" : "");
      entries.push_back(to_json(kind, entry));
    }
    document[fmt::format("{}s", spec::name_of(kind))] = std::move(entries);
  }
  GAUNTLET_CHECK_OK(options.json ? print_json(document) : print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("name", options->name, "An entry, shown with its fields");
  arguments
      .add_option("--external", options->external,
                  "Descriptors of external entries, or folders of them, shown too")
      .type_name("PATH")
      .existing_path();
  add_json(arguments, options->json);
  return [options] { return options->name.empty() ? show_all(*options) : show_one(*options); };
}

}  // namespace

extern const Verb catalog_verb;
constinit const Verb catalog_verb{
    .name = "catalog",
    .summary = "Datasets, target models, attacks, defenses and metrics that a sweep can name",
    .examples =
        "  gauntlet catalog\n"
        "  gauntlet catalog pgd            fields, ranges and defaults of one entry\n"
        "  gauntlet catalog --external examples/numpy_attack/attack.yaml\n"
        "  gauntlet catalog --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
