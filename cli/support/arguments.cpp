#include "cli/support/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

namespace gauntlet::cli {
namespace {

CLI::Validator number_from_to(double least, double most) {
  return CLI::Validator(
      [least, most](std::string& text) -> std::string {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool is_number = error == std::errc{} && end == text.data() + text.size();
        if (is_number && value >= least && value <= most) return "";
        return fmt::format("'{}' is not a number from {} to {}", text, least, most);
      },
      "");
}

}  // namespace

Argument& Argument::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Argument& Argument::required() {
  option_->required();
  return *this;
}

Argument& Argument::from_environment(const std::string& variable) {
  option_->envname(variable);
  return *this;
}

Argument& Argument::hidden() {
  option_->group("");
  return *this;
}

Argument& Argument::needs(const Argument& other) {
  option_->needs(other.option_);
  return *this;
}

Argument& Argument::one_of(const std::vector<std::string>& words) {
  option_->check(CLI::IsMember(words));
  return *this;
}

Argument& Argument::number_between(double least, double most) {
  option_->check(number_from_to(least, most));
  return *this;
}

Argument& Argument::non_negative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}

Argument& Argument::existing_file() {
  option_->check(CLI::ExistingFile);
  return *this;
}

Argument& Argument::existing_path() {
  option_->check(CLI::ExistingPath);
  return *this;
}

Argument& Argument::delimiter(char separator) {
  option_->delimiter(separator);
  return *this;
}

Argument& Argument::one_at_a_time() {
  option_->allow_extra_args(false);
  return *this;
}

Argument& Argument::shown_as_one() {
  option_->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return *this;
}

std::string Argument::names() const { return option_->get_name(/*positional=*/true, /*all_options=*/true); }

std::string Argument::name() const { return option_->get_single_name(); }

std::vector<std::string> Argument::long_names() const {
  std::vector<std::string> names;
  for (const std::string& name : option_->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Argument::help() const { return option_->get_description(); }

std::string Argument::type_name() const { return option_->get_type_name(); }

std::vector<std::string> Argument::choices() const {
  try {
    // The parser describes such a check as "{a,b}".
    const std::string listed = option_->get_validator(0)->get_description();
    if (listed.starts_with("{") && listed.ends_with("}"))
      return CLI::detail::split(listed.substr(1, listed.size() - 2), ',');
  } catch (const CLI::OptionNotFound&) {  // it is not checked
  }
  return {};
}

bool Argument::is_place() const { return !option_->nonpositional(); }

bool Argument::is_hidden() const { return option_->get_group().empty(); }

bool Argument::takes_value() const { return option_->get_items_expected_max() > 0; }

bool Argument::takes_many() const { return option_->get_items_expected_max() > 1; }

Arguments::Arguments(const std::string& program) : app_(std::make_unique<CLI::App>("", program)) {}

Arguments::~Arguments() = default;

// Each body compiles the parser's template for another type.
#define GAUNTLET_ADD_OPTION(...)                                                                          \
  Argument Arguments::add_option(const std::string& names, __VA_ARGS__& value, const std::string& help) { \
    return Argument(app_->add_option(names, value, help));                                                \
  }
GAUNTLET_ADD_OPTION(std::string)
GAUNTLET_ADD_OPTION(std::filesystem::path)
GAUNTLET_ADD_OPTION(int)
GAUNTLET_ADD_OPTION(double)
GAUNTLET_ADD_OPTION(std::int64_t)
GAUNTLET_ADD_OPTION(std::uint16_t)
GAUNTLET_ADD_OPTION(std::uint32_t)
GAUNTLET_ADD_OPTION(std::uint64_t)
GAUNTLET_ADD_OPTION(std::optional<int>)
GAUNTLET_ADD_OPTION(std::optional<double>)
GAUNTLET_ADD_OPTION(std::optional<std::uint64_t>)
GAUNTLET_ADD_OPTION(std::vector<std::string>)
GAUNTLET_ADD_OPTION(std::vector<std::filesystem::path>)
GAUNTLET_ADD_OPTION(std::vector<std::int64_t>)
#undef GAUNTLET_ADD_OPTION

Argument Arguments::add_flag(const std::string& names, bool& value, const std::string& help) {
  return Argument(app_->add_flag(names, value, help));
}

std::optional<Argument> Arguments::find(const std::string& name) const {
  CLI::Option* const option = app_->get_option_no_throw(name);
  if (option == nullptr) return std::nullopt;
  return Argument(option);
}

std::vector<Argument> Arguments::all() const {
  std::vector<Argument> arguments;
  for (CLI::Option* const option : app_->get_options()) arguments.emplace_back(option);
  return arguments;
}

std::string Arguments::help() const { return app_->help(); }

Status Arguments::parse(std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // as the parser takes them
  try {
    app_->parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return fail(ErrorCode::kInvalid, "{}", error.what());
  }
  return {};
}

}  // namespace gauntlet::cli
