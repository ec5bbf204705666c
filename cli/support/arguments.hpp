// What a verb may be given: its options and places, as it declares them, and the words of a line read into
// them. The parser behind it (CLI11) is compiled in arguments.cpp alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gauntlet::cli {

/// One declared option or place; a handle that may be copied, valid while its Arguments live. What it
/// declares returns itself, so that calls chain.
class Argument {
 public:
  explicit Argument(CLI::Option* option) : option_(option) {}

  /// What help shows for the value, e.g. "FILE"; without it a name of the variable's type.
  Argument& type_name(const std::string& name);
  Argument& required();
  /// Taken from this variable of the environment where the line has no such option.
  Argument& from_environment(const std::string& variable);
  /// In neither help nor manual nor completions.
  Argument& hidden();
  /// The option stands on a line only beside `other`.
  Argument& needs(const Argument& other);

  /// One of these words; they are shown in help and completed.
  Argument& one_of(const std::vector<std::string>& words);
  /// A number from `least` to `most`; the refusal shows both in short form.
  Argument& number_between(double least, double most);
  /// A number ≥ 0.
  Argument& non_negative();
  /// Names a file that is there.
  Argument& existing_file();
  /// Names a file or folder that is there.
  Argument& existing_path();

  /// A word holds several values with this between them. Lists only.
  Argument& delimiter(char separator);
  /// Takes the one word behind it, not every word up to the next option; may be given again. Lists only.
  Argument& one_at_a_time();
  /// Help shows one value, without "..."; may be given again. Lists only.
  Argument& shown_as_one();

  /// As typed, e.g. "-f,--follow"; the name of a place.
  [[nodiscard]] std::string names() const;
  /// The first long name, without dashes, else a short one; the name of a place.
  [[nodiscard]] std::string name() const;
  /// "--name" of every long name.
  [[nodiscard]] std::vector<std::string> long_names() const;
  [[nodiscard]] std::string help() const;
  [[nodiscard]] std::string type_name() const;
  /// The words of one_of; none without it.
  [[nodiscard]] std::vector<std::string> choices() const;
  [[nodiscard]] bool is_place() const;  ///< has no dashes
  [[nodiscard]] bool is_hidden() const;
  [[nodiscard]] bool takes_value() const;
  [[nodiscard]] bool takes_many() const;  ///< several values

 private:
  CLI::Option* option_;
};

/// The options and places of one verb. What they are read into must outlive it.
class Arguments {
 public:
  /// `program`: what the line of usage starts with, e.g. "gauntlet run".
  explicit Arguments(const std::string& program);
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  ~Arguments();

  /// Declares an option ("-f,--follow": both names) or, without dashes, a place on the line; places are
  /// filled in the order of their declaration. `value` keeps what it has where the line says nothing. A list
  /// takes every word up to the next option. One more type = one more line here and in arguments.cpp.
  Argument add_option(const std::string& names, std::string& value, const std::string& help);
  Argument add_option(const std::string& names, std::filesystem::path& value, const std::string& help);
  Argument add_option(const std::string& names, int& value, const std::string& help);
  Argument add_option(const std::string& names, double& value, const std::string& help);
  Argument add_option(const std::string& names, std::int64_t& value, const std::string& help);
  Argument add_option(const std::string& names, std::uint16_t& value, const std::string& help);
  Argument add_option(const std::string& names, std::uint32_t& value, const std::string& help);
  Argument add_option(const std::string& names, std::uint64_t& value, const std::string& help);
  Argument add_option(const std::string& names, std::optional<int>& value, const std::string& help);
  Argument add_option(const std::string& names, std::optional<double>& value, const std::string& help);
  Argument add_option(const std::string& names, std::optional<std::uint64_t>& value, const std::string& help);
  Argument add_option(const std::string& names, std::vector<std::string>& value, const std::string& help);
  Argument add_option(const std::string& names, std::vector<std::filesystem::path>& value,
                      const std::string& help);
  Argument add_option(const std::string& names, std::vector<std::int64_t>& value, const std::string& help);

  /// An option without a value: true where it is given.
  Argument add_flag(const std::string& names, bool& value, const std::string& help);

  /// By a name with its dashes, or by that of a place.
  [[nodiscard]] std::optional<Argument> find(const std::string& name) const;
  /// In the order of declaration, after --help.
  [[nodiscard]] std::vector<Argument> all() const;
  /// Usage, places and options, as --help shows them below the examples.
  [[nodiscard]] std::string help() const;

  /// Reads the words behind the verb. Errors (kInvalid): a word that nothing takes, a value that is not
  /// allowed, one that is missing.
  [[nodiscard]] Status parse(std::vector<std::string> words);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace gauntlet::cli
