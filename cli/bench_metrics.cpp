// gauntlet bench metrics: full, exact evaluations of codes like a trained model's, by instruction set.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
#include <optional>

#include "cli/support/bench_report.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/synthetic_codes.hpp"
#include "cli/verb.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kBestOf = 3;                  ///< other programs share the machine: the fastest of so many
constexpr std::int64_t kPlainQueries = 20;  ///< the plain calculation takes seconds per hundred

struct Options {
  FolderOptions folder;
  std::string path;
  bool quick = false;
  bool base = false;
  bool json = false;
};

struct Size {
  std::int64_t queries, items, bits;
  [[nodiscard]] std::string text() const { return fmt::format("q{}_n{}_k{}", queries, items, bits); }
};

/// Other programs may share the processors: what all threads computed says more there than the clock.
struct Seconds {
  double wall = 0;
  double cpu = 0;
};

double cpu_seconds() {
  std::timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
Seconds seconds_of(const Work& work) {
  const auto start = SteadyClock::now();
  const double cpu_start = cpu_seconds();
  work();
  return {std::chrono::duration<double>(SteadyClock::now() - start).count(), cpu_seconds() - cpu_start};
}

Seconds least(const Seconds& a, const Seconds& b) {
  return {std::min(a.wall, b.wall), std::min(a.cpu, b.cpu)};
}

/// MAP, the curve and P@100 … P@1000, all from one sweep.
std::vector<std::string> measured_metrics() {
  std::vector<std::string> names = {"map", "pr"};
  for (int n = 100; n <= 1000; n += 100) names.push_back(fmt::format("precision@{}", n));
  return names;
}

Result<Seconds> best_seconds(const SyntheticCodes& data, metrics::SimdPath path, int n_threads, int n_runs) {
  const std::vector<std::string> names = measured_metrics();
  Seconds best;
  for (int repeat = 0; repeat < n_runs; ++repeat) {
    std::optional<Result<metrics::Evaluation>> evaluation;
    const Seconds seconds = seconds_of([&] {
      evaluation = metrics::evaluate({data.query_codes, data.query_labels}, data.items(), names,
                                     {.n_threads = n_threads, .path = path});
    });
    if (!*evaluation) return fail(evaluation->error());
    best = repeat == 0 ? seconds : least(best, seconds);
  }
  return best;
}

/// The same numbers from arrays as people hold them: i8 codes of -1 and 1, u8 labels.
Result<double> seconds_from_arrays(const Size& size, const SyntheticCodes& data, metrics::SimdPath path) {
  const std::vector<std::int8_t> codes = data.code_values();
  const std::vector<std::uint8_t> labels = data.label_values();
  double best = 0;
  for (int repeat = 0; repeat < kBestOf; ++repeat) {
    Status status;
    const Seconds seconds = seconds_of([&] {
      status = [&]() -> Status {
        GAUNTLET_TRY(const metrics::PackedCodes packed,
                     metrics::PackedCodes::from_values(std::span<const std::int8_t>(codes), size.bits));
        GAUNTLET_TRY(
            const metrics::LabelSets sets,
            metrics::LabelSets::from_values(std::span<const std::uint8_t>(labels), SyntheticCodes::kLabels));
        GAUNTLET_CHECK_OK(metrics::evaluate({data.query_codes, data.query_labels},
                                            metrics::ItemsInMemory(packed, sets), measured_metrics(),
                                            {.n_threads = 1, .path = path}));
        return {};
      }();
    });
    GAUNTLET_CHECK_OK(status);
    best = repeat == 0 ? seconds.wall : std::min(best, seconds.wall);
  }
  return best;
}

/// What most code does for one query: a distance and a label test per item, a stable sort, a walk down the
/// list. Average precision.
double plain_average_precision(const SyntheticCodes& data, std::int64_t query) {
  const std::size_t n = static_cast<std::size_t>(data.items().n());
  std::vector<int> distances(n);
  std::vector<std::uint8_t> relevant(n);
  for (std::size_t item = 0; item < n; ++item) {
    distances[item] = data.distance(query, item);
    relevant[item] = data.shares_label(query, item) ? 1 : 0;
  }
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return distances[a] < distances[b]; });
  double hits = 0;
  double sum = 0;
  for (std::size_t rank = 0; rank < n; ++rank) {
    if (relevant[order[rank]] == 0) continue;
    hits += 1;
    sum += hits / static_cast<double>(rank + 1);
  }
  return hits == 0 ? 0 : sum / hits;
}

/// Seconds for all queries at the plain calculation's rate, measured on the first ones; and it must agree.
Result<double> plain_seconds(const SyntheticCodes& data) {
  const std::vector<std::string> names = {"map/stable"};
  GAUNTLET_TRY(const metrics::Evaluation evaluation,
               metrics::evaluate({data.query_codes, data.query_labels}, data.items(), names, {}));
  const std::int64_t n_queries = std::min(kPlainQueries, data.query_codes.n());
  double worst_difference = 0;
  const Seconds seconds = seconds_of([&] {
    for (std::int64_t query = 0; query < n_queries; ++query) {
      const double ours = evaluation.metrics[0].per_query[static_cast<std::size_t>(query)];
      worst_difference = std::max(worst_difference, std::abs(ours - plain_average_precision(data, query)));
    }
  });
  if (worst_difference > 1e-9) {
    return fail(ErrorCode::kInternal, "the plain calculation differs by {}", worst_difference);
  }
  return seconds.wall * static_cast<double>(data.query_codes.n()) / static_cast<double>(n_queries);
}

/// "<name>_s", and "<name>_cpu_s".
Status add_best(Json& figures, const std::string& name, const Result<Seconds>& best) {
  if (!best) return fail(best.error());
  figures[name + "_s"] = best->wall;
  figures[name + "_cpu_s"] = best->cpu;
  return {};
}

Status measure_sizes(const Options& options, metrics::SimdPath path, Json& figures) {
  const auto add = [&](const Size& size) -> Status {
    GAUNTLET_TRY(const SyntheticCodes data, SyntheticCodes::make(size.queries, size.items, size.bits));
    return add_best(figures, "map_" + size.text(), best_seconds(data, path, 1, kBestOf));
  };
  if (options.quick) return add({100, 10'000, 64});
  for (const Size& size : {Size{1000, 121'287, 32}, Size{2000, 60'643, 32}, Size{2000, 121'287, 16},
                           Size{2000, 121'287, 64}, Size{2000, 121'287, 128}, Size{200, 121'287, 1024}}) {
    GAUNTLET_CHECK_OK(add(size));
  }
  return {};
}

Status measure_large(const std::vector<metrics::SimdPath>& paths, Json& figures) {
  const Size large{1000, 10'000'000, 32};
  GAUNTLET_TRY(const SyntheticCodes data, SyntheticCodes::make(large.queries, large.items, large.bits));
  for (const metrics::SimdPath path : paths) {
    if (path == metrics::SimdPath::kScalar) continue;
    GAUNTLET_CHECK_OK(add_best(figures, fmt::format("map_{}_2_threads_{}", large.text(), name_of(path)),
                               best_seconds(data, path, 2, 1)));
  }
  return {};
}

Result<Json> measure(const Options& options) {
  std::vector<metrics::SimdPath> paths = metrics::available_simd_paths();
  if (!options.path.empty()) {
    GAUNTLET_TRY(const metrics::SimdPath only, metrics::simd_path_from(options.path));
    paths = {only};
  }
  Json figures = {{"path", name_of(paths.back())}};
  const Size base = options.quick ? Size{200, 20'000, 32} : Size{2000, 121'287, 32};
  {
    GAUNTLET_TRY(const SyntheticCodes data, SyntheticCodes::make(base.queries, base.items, base.bits));
    for (const metrics::SimdPath path : paths) {
      GAUNTLET_CHECK_OK(add_best(figures, fmt::format("map_{}_{}", base.text(), name_of(path)),
                                 best_seconds(data, path, 1, kBestOf)));
    }
    figures[fmt::format("map_{}_s", base.text())] =
        figures[fmt::format("map_{}_{}_s", base.text(), name_of(paths.back()))];
    GAUNTLET_TRY(figures[fmt::format("map_{}_from_arrays_s", base.text())],
                 seconds_from_arrays(base, data, paths.back()));
    GAUNTLET_TRY(figures[fmt::format("plain_{}_s", base.text())], plain_seconds(data));
  }
  figures["plain_ratio"] = figures[fmt::format("plain_{}_s", base.text())].get<double>() /
                           figures[fmt::format("map_{}_s", base.text())].get<double>();
  if (options.base) return figures;
  GAUNTLET_CHECK_OK(measure_sizes(options, paths.back(), figures));
  if (!options.quick) GAUNTLET_CHECK_OK(measure_large(paths, figures));
  return figures;
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const Json figures, measure(options));
  return report_figures("metrics", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments
      .add_option("--path", options->path,
                  "One instruction set only: scalar, sse4, avx2, avx512, avx512_vpopcntdq, neon")
      .type_name("NAME");
  arguments.add_flag("--quick", options->quick, "Small sets only");
  arguments.add_flag("--base", options->base, "Only 2,000 queries against 121,287 items of 32 bits");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_metrics_verb;
constinit const Verb bench_metrics_verb{
    .name = "bench metrics",
    .summary = "Measure full evaluations (MAP, PR, P@n) by instruction set, beside a plain calculation",
    .examples = "  gauntlet bench metrics\n  gauntlet bench metrics --path avx2 --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
