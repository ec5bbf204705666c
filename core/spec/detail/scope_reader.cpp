// What an attack of the sweep may change: `sides`, `database_fraction`, `on_queries`.
#include <cmath>

#include "core/base/text.hpp"
#include "core/spec/detail/axis_reader.hpp"
#include "core/spec/external.hpp"
#include "core/spec/swap.hpp"

namespace gauntlet::spec::detail {
namespace {

const FieldInfo& fraction_field() {
  static const FieldInfo kField{.name = "database_fraction",
                                .type = FieldType::kReal,
                                .default_value = 1.0,
                                .min = 1.0 / AttackScope::kWholeDatabase,
                                .max = 1.0,
                                .choices = {},
                                .doc = "",
                                .location = false};
  return kField;
}

/// Why an attack cannot be told to change database items; "" where it can.
std::string why_queries_only(const CatalogEntry& entry) {
  if (entry.name == "none") return "changes nothing";
  if (entry.ensemble) {
    return "reports for every query the attack that hurts it most, and all queries meet one database; name "
           "the "
           "attacks one by one";
  }
  if (entry.name == kSwapAttack) return "replaces queries";
  if (entry.external && !entry.external->given.empty())
    return "is made of inputs that were given for queries";
  if (entry.targeted) return "aims at targets, which queries have and database items have not";
  return "";
}

}  // namespace

bool AxisReader::read_scope(const YamlNode::Member& member, const CatalogEntry& entry, AttackScope& scope) {
  const std::string& key = member.key->text;
  const YamlNode& node = *member.value;
  if (key == "sides") {
    const auto name = text_of(node, key, report_);
    const auto sides = name ? sides_from(*name) : std::nullopt;
    if (name && !sides) report_.add(node.place, "{}", unknown_name_message("sides", *name, kSides));
    scope.sides = sides.value_or(scope.sides);
    return true;
  }
  if (key == "on_queries") {
    scope.on_queries = read_on_queries(node, fmt::format("on_queries of attack '{}'", entry.name), report_);
    return true;
  }
  if (key != "database_fraction") return false;
  const auto written = scalar_value(node);
  const auto fraction =
      written ? normalize_field(fraction_field(), *written)
              : Result<Json>(fail(ErrorCode::kInvalid, "'{}' is {}; allowed: a number", key, seen(node)));
  if (fraction) {
    scope.database_millionths =
        static_cast<std::uint32_t>(std::lround(fraction->get<double>() * AttackScope::kWholeDatabase));
  } else {
    report_.add(node.place, "{}: {}", entry.name, fraction.error().message);
  }
  return true;
}

void AxisReader::check_scope(const YamlNode& node, const CatalogEntry& entry, const AxisValue& value) {
  const YamlNode* fraction = node.find("database_fraction");
  if (!value.scope.attacks_database()) {
    if (fraction != nullptr) {
      report_.add(fraction->place,
                  "{}: 'database_fraction' says how much of the database is attacked; add sides: database or "
                  "sides: both",
                  entry.name);
    }
    return;
  }
  if (const std::string why = why_queries_only(entry); !why.empty())
    report_.add(node.find("sides")->place, "{} {}; allowed: sides: query", entry.name, why);
}

/// What a label says of it beyond the attack's name.
std::string AxisReader::scope_words(const AttackScope& scope) {
  std::string words;
  if (scope.attacks_database()) {
    words = scope.attacks_queries() ? " on queries and " : " on ";
    if (scope.database_millionths < AttackScope::kWholeDatabase)
      words += fmt::format("{:g} % of ", 100 * scope.database_fraction());
    words += "the database";
  }
  if (scope.on_queries > 0) words += fmt::format(" ({} queries)", scope.on_queries);
  return words;
}

std::uint32_t read_on_queries(const YamlNode& node, std::string_view what, Report& report) {
  return static_cast<std::uint32_t>(integer_of(node, what, 1, kMaxOnQueries, report).value_or(0));
}

}  // namespace gauntlet::spec::detail
