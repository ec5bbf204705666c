// The sweep language: a YAML file becomes a SweepSpec, checked as a whole, or a list of everything wrong with
// it. docs/sweeps.md is the language on one page. Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/spec/attack_scope.hpp"
#include "core/spec/catalog.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::spec {

inline constexpr std::size_t kMaxSweepBytes = std::size_t{64} << 20;
inline constexpr std::uint64_t kMaxCells =
    10'000'000;  ///< points before `when` and `exclude`; also noop jobs
inline constexpr std::size_t kMaxYamlNodes =
    2'000'000;  ///< values of a file, aliases counted as what they stand for
inline constexpr std::int64_t kMaxCodeBits = 4096;

/// Where something was written; both count from 1, 0 = nowhere in particular.
struct Place {
  int line = 0;
  int column = 0;
  bool operator==(const Place&) const = default;
};

/// One thing wrong with a sweep file: one sentence with the value seen and what is allowed.
struct Problem {
  int line = 0;
  int column = 0;
  std::string message;
  bool operator==(const Problem&) const = default;
};

/// "sweeps/a.yaml:3:12: unknown attack 'pdg'; did you mean 'pgd'? (known: none, pgd)"
[[nodiscard]] std::string to_text(const Problem& problem, std::string_view file);

enum class Axis : std::uint8_t { kDataset, kModel, kBits, kDefense, kAttack, kDirection, kSeed };
inline constexpr std::size_t kAxisCount = 7;
[[nodiscard]] std::string_view name_of(Axis axis);  // "dataset", "model", "bits", …
[[nodiscard]] std::optional<Axis> axis_from(std::string_view name);
/// The kind of entry an axis names; nullopt for bits, direction, seed.
[[nodiscard]] std::optional<EntryKind> entry_kind_of(Axis axis);

/// A condition on a point: every axis named has one of the texts as its value's name or label. Empty matches
/// all.
struct Selector {
  std::map<Axis, std::vector<std::string>> any_of;
};

/// One value of an axis. Labels are unique on an axis.
struct AxisValue {
  std::string name;   ///< of the entry; the number's digits for bits and seed; "i2t", "t2i"
  std::string label;  ///< what cells, tables and conditions call it; the name unless the file says otherwise
  std::uint64_t number = 0;       ///< bits, seed
  Json options = Json::object();  ///< the fields the file sets, normal
  std::string protocol;           ///< attacks: "static", "retrained", "adaptive", or "" when not stated
  /// Attacks: the model, bits, defense or seed the inputs are made for, as labels of these axes, where they
  /// differ from the cell's. Empty: made for what is measured.
  std::map<Axis, std::string> source;
  AttackScope scope;  ///< of attacks
  Selector when;      ///< points of the product this value takes part in
  Place place;
  /// Same value, wherever it is written.
  [[nodiscard]] bool same_as(const AxisValue& other) const;
};

/// Axes that advance together: one row is one choice of value (an index into SweepSpec::values) for each of
/// them.
struct Dimension {
  std::vector<Axis> axes;
  std::vector<std::vector<std::uint32_t>> rows;
};

/// A cross product of dimensions that covers every axis once, ordered by their first axis.
struct PointSet {
  std::vector<Dimension> dimensions;
  Place place;
  /// Number of points; UINT64_MAX when it does not fit.
  [[nodiscard]] std::uint64_t size() const;
};

/// "defense.lr: 1e-4"
struct Assignment {
  EntryKind kind = EntryKind::kAttack;
  std::string field;  ///< "protocol" is the attack's protocol
  Json value;         ///< as written; it becomes normal by the field of the entry it is applied to
  Place place;
};

struct Setting {
  Selector match;
  std::vector<Assignment> set;
};

struct Variant {
  std::string name;
  std::vector<Assignment> set;
};

/// Named differences from base rows, which are run too.
struct Ablation {
  std::string name;
  PointSet base;  ///< the product with the base's values; `when` and `exclude` apply
  std::vector<Variant> variants;
  Place place;
};

/// Options of an entry that are chosen among candidates by a metric on validation items, items of the
/// retrieval set outside train; never by one on queries.
struct Selection {
  std::string name;
  Selector match;                         ///< cells it is for
  EntryKind kind = EntryKind::kDefense;   ///< whose options are tried: kModel or kDefense
  std::vector<std::string> fields;        ///< these options
  std::vector<Variant> candidates;        ///< the cross product of their values, the first option slowest
  std::string metric;                     ///< in its shortest form
  std::vector<std::uint32_t> attacks;     ///< what candidates are measured under; of SweepSpec::values
  std::vector<std::uint32_t> directions;  ///< of SweepSpec::values; empty: those of the cells it is for
  std::vector<std::uint32_t> seeds;       ///< likewise
  std::vector<Axis> per;                  ///< one choice for each combination of values of these axes
  std::int64_t n_items = 0;               ///< size of the validation split
  std::uint64_t split_seed = 0;           ///< draws it
  Place place;
};
inline constexpr std::size_t kMaxCandidates = 256;
inline constexpr std::size_t kMaxScores = 10'000;  ///< of one choice: candidates × what each is measured on

/// Queries of attacked cells that people want to look at.
struct Explanation {
  Selector match;
  std::uint64_t n_queries = 8;     ///< drawn from the cell's seed; of no meaning with `rows`
  std::vector<std::int64_t> rows;  ///< rows of the data set, sorted, unique; empty: n_queries are drawn
  std::int64_t stage = 0;          ///< of the defense's encoder, from 1; 0: what the defense chooses
  Place place;
};
inline constexpr std::uint64_t kMaxExplainedQueries = 64;  ///< what a sheet can show

/// Jobs without cells: noops, or plain commands where `run` names a program.
struct NoopPlan {
  std::uint64_t jobs = 0;
  std::int64_t ms = 0;                ///< what each noop sleeps
  std::vector<std::string> run = {};  ///< program and arguments of each command job

  [[nodiscard]] JobKind kind() const { return run.empty() ? JobKind::kNoop : JobKind::kCommand; }
};

struct SweepSpec {
  std::string file;  ///< as given, for messages
  std::string name;
  /// Every value named anywhere, by axis; those of `axes` come first.
  std::array<std::vector<AxisValue>, kAxisCount> values;
  PointSet product;
  std::vector<Selector> exclude;
  std::vector<PointSet> include;  ///< neither `when` nor `exclude` apply to them
  std::vector<Setting> settings;
  std::vector<Ablation> ablations;
  std::vector<Selection> selections;
  std::vector<Explanation> explain;        ///< the first that matches a cell counts
  std::uint32_t on_queries = 0;            ///< of attacks that do not say it themselves; 0: all queries
  std::vector<std::string> metrics;        ///< in their shortest form, unique, sorted
  std::map<JobKind, Resources> resources;  ///< every kind, defaults filled in
  std::vector<std::string> tables;         ///< paths as written
  std::optional<NoopPlan> noop;            ///< instead of axes

  [[nodiscard]] const std::vector<AxisValue>& of(Axis axis) const {
    return values[static_cast<std::size_t>(axis)];
  }
};

/// What a job of a kind asks for when the sweep does not say.
[[nodiscard]] Resources default_resources(JobKind kind);

/// The name a text gives itself where it is a sweep file (it has the key `gauntlet`); nothing otherwise.
/// Checks no more than that.
[[nodiscard]] std::optional<std::string> sweep_name_in(std::string_view text);

struct ParsedSweep {
  std::optional<SweepSpec> spec;  ///< present exactly when there is no problem
  std::vector<Problem> problems;  ///< in the order of the file
};

/// Whether a metric's name means something, beyond its base being in the catalog (its @K, kind and ties). The
/// metrics box knows; without it only the form of the name is checked.
using MetricCheck = std::function<Status(std::string_view name)>;

/// Reads and checks a sweep file. `file` is its path for messages; nothing is opened.
[[nodiscard]] ParsedSweep parse_sweep(std::string_view text, std::string_view file, const Catalog& catalog,
                                      const MetricCheck& check_metric = {});

}  // namespace gauntlet::spec
