// The jobs of one cell: which there are, what goes into each, what part each plays.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/spec/detail/effective_config.hpp"
#include "core/spec/detail/interning.hpp"
#include "core/spec/detail/packed_graph.hpp"
#include "core/spec/external.hpp"
#include "core/spec/swap.hpp"

namespace gauntlet::spec::detail {

enum class Side : std::uint8_t { kImage, kText, kBoth };  ///< kBoth: a defense whose branches train together
enum class Part : std::uint8_t { kQuery, kTrain, kRetrieval };
[[nodiscard]] std::string_view name_of(Side side);
[[nodiscard]] std::string_view name_of(Part part);

/// Options of an entry that are chosen when the candidates have been measured.
struct Choice {
  const Selection* rule = nullptr;
  std::vector<const Variant*> candidates;  ///< what each sets, that of an ablation included
  std::vector<JobIndex> scores;            ///< evaluations on validation items, candidate by candidate
};

/// A cell as its jobs see it. What it points to outlives the call.
struct CellPlan {
  const Chosen* dataset = nullptr;
  const Chosen* model = nullptr;
  const Chosen* attack = nullptr;
  const Chosen* defense = nullptr;
  std::uint32_t bits = 0;
  std::uint64_t seed = 0;
  bool image_queries = true;     ///< direction i2t
  std::uint32_t metric_set = 0;  ///< number of `metrics`
  const std::vector<std::string>* metrics = nullptr;
  Point point{};
  AttackScope scope{};                       ///< of the attack
  const Explanation* explanation = nullptr;  ///< what to show of it, if anything
  const CellPlan* source = nullptr;  ///< what the attack's inputs are made for, if that is another target
  /// Where options are chosen; the options tried are then not in the config of the model, the defense.
  const Choice* model_choice = nullptr;
  const Choice* defense_choice = nullptr;
  const Selection* validates = nullptr;  ///< measured on validation items, for this selection

  [[nodiscard]] Side query_side() const { return image_queries ? Side::kImage : Side::kText; }
  [[nodiscard]] Side retrieval_side() const { return image_queries ? Side::kText : Side::kImage; }
  [[nodiscard]] bool is_ensemble() const { return attack->entry->ensemble; }
  [[nodiscard]] bool swaps() const { return attack->entry->name == kSwapAttack; }
  [[nodiscard]] bool is_attacked() const { return attack->entry->name != "none"; }
  /// There is one set of adversarial inputs, and a pipeline of this program's they go through.
  [[nodiscard]] bool can_be_explained() const {
    return is_attacked() && scope.attacks_queries() && !is_ensemble() && !swaps() &&
           !model->entry->external && !defense->entry->external;
  }
};

/// Builds the graph cell by cell; what cells share is built once. Not thread-safe.
class CellGraph {
 public:
  CellGraph(const SweepSpec& spec, const Catalog& catalog, const ContentIdFn& content_id,
            EffectiveConfigs& effective, PackedGraph& graph)
      : spec_(spec),
        catalog_(catalog),
        content_id_(content_id),
        configs_(graph.configs()),
        effective_(effective),
        graph_(graph) {}

  /// The cell's jobs, each once with the part it plays first. Of no use when take_problems() has any.
  /// Valid until the next call.
  [[nodiscard]] std::span<const CellJob> plan(const CellPlan& cell);
  [[nodiscard]] std::vector<Problem> take_problems() { return std::move(problems_); }

 private:
  using MaybeJob = std::optional<JobIndex>;

  /// What several jobs of a cell take as input.
  struct Common {
    JobIndex data = 0;
    JobIndex model = 0;
    MaybeJob features;                 ///< image features that models with a frozen backbone share
    MaybeJob codes_image, codes_text;  ///< clean retrieval codes of the bare model; see need_codes
    MaybeJob trained_on = {};          ///< data to train on where `data` is a validation split
  };
  /// What is trained before the attack of a cell comes in: the same for all attacks on it.
  struct Trained {
    struct From {
      const Chosen* dataset = nullptr;
      const Chosen* model = nullptr;
      const Chosen* defense = nullptr;
      std::uint64_t seed = 0;
      bool image_queries = false;
      std::uint32_t bits = 0;
      bool operator==(const From&) const = default;
    };
    From from;
    Common common;
    MaybeJob defense;            ///< its training
    std::vector<CellJob> roles;  ///< of these jobs
  };
  struct Encoding {
    const Chosen* defense;
    Side side;
    Part part;
    MaybeJob crafted = std::nullopt;
    MaybeJob trained = std::nullopt;
    std::int64_t draw = 0;         ///< of a random defense: which of its reporting draws
    std::uint32_t on_queries = 0;  ///< clean queries that are encoded; 0: all
  };
  struct Crafting {
    const Chosen* attack;
    Side side;
    Part part;
    std::int64_t limit = 0;
    std::string protocol = "static";
    const Chosen* defense = nullptr;  ///< null under the static protocol
    MaybeJob trained = std::nullopt;  ///< the defense's training job
    AttackScope scope = {};           ///< how many of the part's items
  };
  struct Roles {
    std::string_view train, craft, select;
  };
  /// One craft and one encode of a cell whose attack is an ensemble.
  struct EnsembleMember {
    std::string name;  ///< "apgd-main", and "static/apgd-main" beside its adaptive form
    Chosen attack;     ///< with its protocol
  };
  using Ensemble = std::vector<EnsembleMember>;

  const Trained* trained_for(const CellPlan& cell);
  MaybeJob prepare(const CellPlan& cell);
  MaybeJob features(const CellPlan& cell, JobIndex data);
  JobIndex train_model(const CellPlan& cell, JobIndex data, MaybeJob features);
  JobIndex encode(const CellPlan& cell, const Common& common, const Encoding& what);
  JobIndex train_attack(const CellPlan& cell, const Common& common, const Crafting& what);
  JobIndex craft(const CellPlan& cell, Common& common, const Crafting& what);
  /// Inputs that were made for another target: the queries, database items, or both.
  struct Transfer {
    MaybeJob queries, database;
  };
  std::optional<Transfer> craft_for_source(const CellPlan& source);
  JobIndex craft_query(const CellPlan& cell, Common& common, MaybeJob trained);
  JobIndex craft_database(const CellPlan& cell, Common& common, const Encoding& clean);
  MaybeJob craft_train(const CellPlan& cell, Common& common, Side side);
  // cell_graph_select.cpp
  Common on_validation(const CellPlan& cell, const Common& common);
  static Common on_training_data(const Common& common);
  JobIndex choose_model(const CellPlan& cell, JobIndex data, MaybeJob features);
  MaybeJob choose_defense(const CellPlan& cell, Common& common, Side side, const Roles& roles);
  JobIndex select(const CellPlan& cell, const Choice& choice, std::string_view modality,
                  std::vector<JobIndex> inputs);

  MaybeJob train_defense(const CellPlan& cell, Common& common, Side side, const Roles& roles);
  /// `transferred`: its attacked items, where they were made for another target.
  JobIndex encode_retrieval(const CellPlan& cell, Common& common, MaybeJob trained,
                            MaybeJob transferred = std::nullopt);
  Encoding retrieval_of(const CellPlan& cell, Common& common, MaybeJob trained);
  /// The cell's clean queries.
  [[nodiscard]] static Encoding clean_queries(const CellPlan& cell, const Chosen& defense, MaybeJob trained);
  struct CellMetrics {
    std::vector<std::string> built_in;
    std::vector<const CatalogEntry*> external;
  };
  [[nodiscard]] CellMetrics metrics_of(const CellPlan& cell) const;
  /// What an evaluate job reads of a cell.
  struct Measured {
    JobIndex query = 0;
    JobIndex retrieval = 0;
    MaybeJob crafted = std::nullopt;
    MaybeJob clean = std::nullopt;         ///< clean codes of attacked queries that may be refused
    std::span<const JobIndex> draws = {};  ///< of the queries, after the first
  };
  void evaluate(const CellPlan& cell, const Common& common, const Measured& what);
  // Random defenses are measured over several draws; cell_graph_draws.cpp.
  std::vector<JobIndex> further_draws(const CellPlan& cell, const Common& common, MaybeJob crafted,
                                      MaybeJob trained);
  ConfigId drawn_config(const CellPlan& cell, const std::vector<std::string>& metrics);
  void explain(const CellPlan& cell, const Common& common, JobIndex crafted, MaybeJob trained);

  std::span<const CellJob> plan_ensemble(const CellPlan& cell, Common& common, MaybeJob trained);
  std::span<const CellJob> plan_swap(const CellPlan& cell, Common& common, MaybeJob trained);
  const Ensemble* ensemble_of(const CellPlan& cell);
  std::optional<Ensemble> choose_ensemble(const CellPlan& cell, const AttackSet& set);
  Result<Chosen> member_of(const CellPlan& cell, const SetMember& member);
  ConfigId worst_config(const CellPlan& cell, const AttackSet& set, const Ensemble& ensemble);
  const AttackSet& set_of(const CellPlan& cell) const;

  void need_codes(const CellPlan& cell, Common& common);
  const Chosen& bare(const CellPlan& cell);
  const Chosen* crafter(const CellPlan& cell);
  ConfigId describe_defense(const Chosen& defense);
  ConfigId craft_config(const Crafting& what);
  ConfigId train_attack_config(const Crafting& what);
  ConfigId evaluate_config(const CellPlan& cell, const std::vector<std::string>& metrics);
  ConfigId explain_config(const CellPlan& cell);

  // The same steps as `command` jobs; external_jobs.cpp.
  struct Command {
    const Chosen* chosen;
    ExternalTask task;
    Json config;  ///< what else its config says
  };
  JobDraft command(const CellPlan& cell, const Common& common, Command what);
  /// Adds the inputs that the entry's groups of files are made of.
  void add_groups(const CellPlan& cell, Common& common, const std::vector<std::string>& groups,
                  JobDraft& draft);
  JobIndex train_external_model(const CellPlan& cell, JobIndex data);
  JobIndex encode_externally(const CellPlan& cell, const Common& common, const Encoding& what);
  JobIndex craft_externally(const CellPlan& cell, Common& common, const Crafting& what);
  JobIndex train_externally(const CellPlan& cell, Common& common, Side side, std::string_view role);
  /// Queries as an external defense leaves them.
  JobIndex purify(const CellPlan& cell, Common common, const Encoding& what);
  /// Whether the cell's defense may refuse queries.
  bool may_refuse(const CellPlan& cell);
  void measure(const CellPlan& cell, const JobDraft& evaluate, const CatalogEntry& metric);
  Json metric_versions(const std::vector<std::string>& metrics) const;

  void play(JobIndex job, std::string_view role);
  void refuse(const CellPlan& cell, Axis axis, std::string message);

  const SweepSpec& spec_;
  const Catalog& catalog_;
  const ContentIdFn& content_id_;
  ConfigTable& configs_;
  EffectiveConfigs& effective_;
  PackedGraph& graph_;
  std::map<std::pair<ConfigId, ConfigId>, MaybeJob> prepared_;
  std::map<std::tuple<const CatalogEntry*, ConfigId, std::uint32_t>, std::optional<Chosen>> crafters_;
  /// By the ensemble's config, dataset value, whether adaptive, whether images ask; nothing after a problem.
  /// By name of the entry, since two may have equal settings, and by what members depend on.
  std::map<std::pair<std::string, std::array<std::uint32_t, 4>>, std::optional<Ensemble>> ensembles_;
  std::map<const CatalogEntry*, bool> random_;   ///< defenses by whether they draw
  std::map<const CatalogEntry*, bool> refuses_;  ///< defenses by whether they refuse queries
  std::map<std::uint32_t, Chosen> bare_;         ///< defense "none" by dataset value
  std::vector<Trained> trained_{8192};           ///< a cache: attacks vary faster than what they attack
  std::vector<CellJob> roles_;                   ///< of the cell at hand
  std::vector<Problem> problems_;
};

}  // namespace gauntlet::spec::detail
