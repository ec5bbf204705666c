// Jobs and cells of a packed graph as everybody else knows them.
#include "core/base/check.hpp"
#include "core/spec/detail/packed_graph.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::string_view kNoopPrecision = "fp32";

std::string text_at(const Json& config, const char* field) { return config.at(field).get<std::string>(); }

}  // namespace

std::string_view name_of(InputRole role) {
  static constexpr std::array<std::string_view, kInputRoleCount> kNames = {"attack",
                                                                           "base_query_codes",
                                                                           "base_retrieval_codes",
                                                                           "clean_query_codes",
                                                                           "codes_image",
                                                                           "codes_text",
                                                                           "crafted",
                                                                           "crafted_image",
                                                                           "crafted_text",
                                                                           "data",
                                                                           "defense",
                                                                           "features",
                                                                           "model",
                                                                           "query_codes",
                                                                           "retrieval_codes"};
  return kNames[static_cast<std::size_t>(role)];
}

std::string PackedGraph::ranked_role(const Group& group, std::uint32_t index) {
  if (!group.n_candidates) return fmt::format("worst_of_{:03}", index);
  if (index < *group.n_candidates) return fmt::format("candidate_{:03}", index);
  return fmt::format("score_{:04}", index - *group.n_candidates);
}

template <class Visit>
void PackedGraph::for_each_input(const Job& job, Visit visit) const {
  std::size_t at = job.inputs;
  InputJobs::for_each_role(groups_[job.group].roles,
                           [&](InputRole role) { visit(name_of(role), keys_[inputs_[at++]]); });
  for (std::uint32_t index = 0; index < groups_[job.group].n_ranked; ++index) {
    visit(std::string_view(ranked_role(groups_[job.group], index)), keys_[inputs_[at++]]);
  }
}

const std::string& PackedGraph::write_canonical(std::size_t index, CanonicalWriter& writer) const {
  if (noops_) return writer.start(noop_config(index), "").finish(noops_->kind(), kNoopPrecision, 0, 1);
  const Job& job = jobs_[index];
  const Group& group = groups_[job.group];
  writer.start(configs_.text(job.config), group.entry);
  for_each_input(job, [&](std::string_view role, const JobKey& key) { writer.input(role, key); });
  return writer.finish(group.kind, configs_.precision(job.config), seeds_[job.seed], group.version);
}

std::string PackedGraph::canonical(std::size_t job) const {
  CanonicalWriter writer;
  return write_canonical(job, writer);
}

/// Canonical text.
std::string PackedGraph::noop_config(std::size_t index) const {
  if (noops_->kind() == JobKind::kNoop) return fmt::format(R"({{"index":{},"ms":{}}})", index, noops_->ms);
  const Result<std::string> run = canonical_json(noops_->run);
  GAUNTLET_CHECK(run.has_value());  // the reader takes nothing but UTF-8
  return fmt::format(R"({{"index":{},"run":{}}})", index, *run);
}

JobSpec PackedGraph::noop(std::size_t index) const {
  JobSpec job;
  job.kind = noops_->kind();
  job.version = 1;
  job.config = {{"index", index}};
  if (job.kind == JobKind::kNoop) {
    job.config["ms"] = noops_->ms;
  } else {
    job.config["run"] = noops_->run;
  }
  job.resources = resources_.at(job.kind);
  job.title = fmt::format("{} {}", name_of(job.kind), index);
  return job;
}

JobSpec PackedGraph::job(std::size_t index) const {
  GAUNTLET_CHECK(index < n_jobs());
  if (noops_) return noop(index);
  const Job& packed = jobs_[index];
  const Group& group = groups_[packed.group];
  JobSpec job;
  job.kind = group.kind;
  job.entry = group.entry;
  job.version = group.version;
  job.config = configs_.value(packed.config);
  for_each_input(packed, [&](std::string_view role, const JobKey& key) {
    job.inputs.push_back({std::string(role), key});
  });
  job.seed = seeds_[packed.seed];
  job.resources = resources_.at(group.kind);
  if (group.locations) job.locations = configs_.value(*group.locations);
  job.title = title_of(index);
  return job;
}

std::string PackedGraph::title_of(std::size_t index) const {
  const Job& job = jobs_[index];
  const Group& group = groups_[job.group];
  const Json& config = configs_.value(job.config);
  const auto subject = subjects_.find(index);
  const Point& point = subject == subjects_.end() ? cells_[job.cell].point : subject->second;
  const auto value = [&](Axis axis) -> const AxisValue& {
    return values_[static_cast<std::size_t>(axis)][at(point, axis)];
  };
  const std::string about = fmt::format("{} {} bits seed {}", value(Axis::kModel).name,
                                        value(Axis::kBits).number, value(Axis::kSeed).number);
  switch (group.kind) {
    case JobKind::kPrepare:
      if (group.entry.empty())
        return fmt::format("prepare validation split of {}", value(Axis::kDataset).name);
      return fmt::format("prepare {}", group.entry);
    case JobKind::kFeatures:
      return fmt::format("features {} {}", text_at(config, "backbone"), value(Axis::kDataset).name);
    case JobKind::kTrainModel:
      return fmt::format("train_model {}", about);
    case JobKind::kTrainAttack:
      return fmt::format("train_attack {} {} {}", group.entry, text_at(config, "modality"), about);
    case JobKind::kCraft:
      return fmt::format("craft {} {} {} {} {}", group.entry, text_at(config, "modality"),
                         text_at(config, "part"), text_at(config, "protocol"), about);
    case JobKind::kTrainDefense:
      return fmt::format("train_defense {} {} {}", group.entry, text_at(config, "modality"), about);
    case JobKind::kEncode:
      return fmt::format("encode {} {} {} {} {}", group.entry, text_at(config, "modality"),
                         text_at(config, "part"), text_at(config, "source"), about);
    case JobKind::kEvaluate: {
      if (group.n_candidates) {
        return fmt::format("select {} {} {}", group.entry, text_at(config.at("select"), "modality"), about);
      }
      const Cell cell = axes_of(cells_[job.cell]);
      return fmt::format("evaluate {} {} {} {} {}{}{}", cell.direction, cell.dataset, cell.defense,
                         cell.attack, about, cell.variant.empty() ? "" : " ", cell.variant);
    }
    case JobKind::kCommand: {
      std::string title = fmt::format("{} {}", text_at(config, "does"), group.entry);
      for (const char* part : {"modality", "part", "source", "direction"}) {
        if (config.contains(part)) title += " " + text_at(config, part);
      }
      return fmt::format("{} {}", title, about);
    }
    case JobKind::kExplain:
      return fmt::format("explain {} {} {} {}", group.entry, text_at(config, "modality"),
                         value(Axis::kAttack).label, about);
    case JobKind::kNoop:
      break;
  }
  GAUNTLET_CHECK(!"cells have no such jobs");
  return {};
}

Cell PackedGraph::axes_of(const PackedCell& packed) const {
  const auto value = [&](Axis axis) -> const AxisValue& {
    return values_[static_cast<std::size_t>(axis)][at(packed.point, axis)];
  };
  const Shape& shape = shapes_[packed.shape];
  Cell cell;
  cell.dataset = value(Axis::kDataset).label;
  cell.model = value(Axis::kModel).label;
  cell.bits = static_cast<std::int64_t>(value(Axis::kBits).number);
  cell.defense = value(Axis::kDefense).label;
  cell.attack = value(Axis::kAttack).label;
  cell.protocol = shape.protocol;
  cell.direction = value(Axis::kDirection).label;
  cell.variant = variants_[shape.variant];
  cell.seed = value(Axis::kSeed).number;
  return cell;
}

PlannedCell PackedGraph::cell(std::size_t index) const {
  GAUNTLET_CHECK(index < n_cells());
  const PackedCell& packed = cells_[index];
  const Shape& shape = shapes_[packed.shape];
  PlannedCell cell{axes_of(packed), {}, metric_sets_[shape.metric_set]};
  cell.jobs.reserve(shape.roles.size());
  for (std::size_t part = 0; part < shape.roles.size(); ++part) {
    cell.jobs.push_back({cell_jobs_[packed.jobs + part], shape.roles[part]});
  }
  return cell;
}

}  // namespace gauntlet::spec::detail

namespace gauntlet::spec {

Expansion::Expansion(const std::shared_ptr<const detail::PackedGraph>& graph) {
  jobs.graph_ = graph;
  cells.graph_ = graph;
}

std::size_t PlannedJobs::size() const { return graph_ ? graph_->n_jobs() : 0; }
PlannedJob PlannedJobs::operator[](std::size_t index) const {
  return {graph_->job(index), graph_->key(index)};
}
const JobKey& PlannedJobs::key(std::size_t index) const { return graph_->key(index); }
std::string PlannedJobs::canonical(std::size_t index) const { return graph_->canonical(index); }
std::size_t PlannedJobs::group(std::size_t index) const { return graph_->group(index); }
std::size_t PlannedJobs::n_groups() const { return graph_ ? graph_->n_groups() : 0; }

std::size_t PlannedCells::size() const { return graph_ ? graph_->n_cells() : 0; }
PlannedCell PlannedCells::operator[](std::size_t index) const { return graph_->cell(index); }

}  // namespace gauntlet::spec
