// gauntlet data prepare: a dataset's sources become a prepared folder.
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/data/dataset.hpp"
#include "core/data/inspect.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string name;
  std::string out;
  std::string source;
  std::string split;
  std::int64_t seed = -1;
  std::string map;
  bool strict = false;
  std::vector<std::string> set;
  int threads = 0;
  bool json = false;
};

/// "field=value" pairs as an object; values are read as JSON where they are, else as text.
Result<Json> assignments(const std::vector<std::string>& pairs) {
  Json options = Json::object();
  for (const std::string& pair : pairs) {
    const std::size_t at = pair.find('=');
    if (at == std::string::npos || at == 0) {
      return fail(ErrorCode::kInvalid, "--set {}: expected FIELD=VALUE", pair);
    }
    const std::string value = pair.substr(at + 1);
    const Json parsed = Json::parse(value, nullptr, false);
    options[pair.substr(0, at)] = parsed.is_discarded() ? Json(value) : parsed;
  }
  return options;
}

/// Sets the field that an option stands for. Errors (kInvalid): the dataset has no such field.
Status set_field(const data::DatasetEntry& entry, std::string_view field, Json value, Json& chosen) {
  for (const FieldInfo& each : entry.about.fields()) {
    if (each.name != field) continue;
    chosen[std::string(field)] = std::move(value);
    return {};
  }
  return fail(ErrorCode::kInvalid, "dataset {} takes no --{}; 'gauntlet catalog {}' shows what can be chosen",
              entry.about.name, field, entry.about.name);
}

Result<Json> config_from(const data::DatasetEntry& entry, const Options& options) {
  GAUNTLET_TRY(Json chosen, assignments(options.set));
  if (!options.source.empty()) GAUNTLET_CHECK_OK(set_field(entry, "source", options.source, chosen));
  if (!options.split.empty()) GAUNTLET_CHECK_OK(set_field(entry, "split", options.split, chosen));
  if (options.seed >= 0) GAUNTLET_CHECK_OK(set_field(entry, "seed", options.seed, chosen));
  if (!options.map.empty()) GAUNTLET_CHECK_OK(set_field(entry, "map", options.map, chosen));
  if (options.strict) GAUNTLET_CHECK_OK(set_field(entry, "strict", true, chosen));
  return complete_config(entry.about.fields(), chosen, options.name);
}

Status check_target(const std::filesystem::path& out) {
  if (out.empty()) return fail(ErrorCode::kInvalid, "--out is empty; give the folder to fill");
  std::error_code error;
  if (std::filesystem::exists(out, error) && !std::filesystem::is_empty(out, error) &&
      !data::is_unfinished(out)) {
    return fail(ErrorCode::kInvalid, "{} exists and is not an empty folder; choose another --out",
                out.string());
  }
  return make_directories(out);
}

/// What an interruption says, made before it comes: a signal handler may only write.
struct Farewell {
  std::string journal;
  std::string goes_on;
  std::string is_over;
};
const Farewell* farewell = nullptr;

/// Every finished block is on its way to the disk and in the journal, so ending at once loses nothing else.
void end_at_once(int) {
  const std::string& text =
      ::access(farewell->journal.c_str(), F_OK) == 0 ? farewell->goes_on : farewell->is_over;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(exit_code_of(ErrorCode::kInterrupted));
}

void say_farewell_when_interrupted(const std::filesystem::path& out) {
  const std::string line = can_animate() ? "\r\x1b[K" : "";
  static Farewell texts;
  texts = {(out / data::kJournalName).string(),
           fmt::format("{}interrupted; the same command goes on where {} stopped\n", line, out.string()),
           fmt::format("{}interrupted; {} holds nothing yet\n", line, out.string())};
  farewell = &texts;
  struct sigaction action {};
  action.sa_handler = &end_at_once;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// A bar with what is being done and the time that is left, redrawn in place.
class Bar {
 public:
  void update(double fraction, std::string_view phase) {
    if (phase != phase_) {
      phase_ = phase;
      started_ = std::chrono::steady_clock::now();
      first_ = fraction;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const double done = fraction - first_;
    const std::string left =
        done > 0 && seconds > 2 ? ", " + human_duration(seconds * (1 - fraction) / done) + " left" : "";
    const auto filled = static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * kWidth);
    note(fmt::format("\r\x1b[K[{}{}] {:3.0f} %  {}{}", std::string(filled, '='),
                     std::string(kWidth - filled, ' '), fraction * 100, phase, left));
  }

 private:
  static constexpr std::size_t kWidth = 30;
  std::string phase_;
  std::chrono::steady_clock::time_point started_;
  double first_ = 0;
};

/// What was left out, on stderr; the list itself is in dataset.json.
Status tell_warnings(const std::filesystem::path& out, Json& facts) {
  GAUNTLET_TRY(const data::PreparedSet set, data::PreparedSet::open(out));
  for (const char* key : {"dropped", "remarks"}) {
    if (set.about().contains(key)) facts[key] = set.about()[key];
  }
  for (const Json& warning : set.about().value("warnings", Json::array())) {
    if (warning.is_string()) note(fmt::format("warning: {}\n", warning.get<std::string>()));
  }
  if (facts.contains("dropped") || facts.contains("remarks")) {
    note(fmt::format("{} lists them\n", (out / "dataset.json").string()));
  }
  return {};
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const data::DatasetEntry* entry, data::dataset_registry().find(options.name));
  GAUNTLET_TRY(const Json config, config_from(*entry, options));
  GAUNTLET_CHECK_OK(check_target(options.out));
  const int n_threads = options.threads > 0
                            ? options.threads
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const bool animate = can_animate();
  say_farewell_when_interrupted(options.out);
  if (data::is_unfinished(options.out)) note(fmt::format("going on in {}\n", options.out));
  Bar bar;
  GAUNTLET_CHECK_OK(
      entry->prepare(config, options.out, n_threads, [&](double fraction, std::string_view phase) {
        if (animate) bar.update(fraction, phase);
      }));
  if (animate) note("\r\x1b[K");
  GAUNTLET_TRY(Json facts, data::inspect(options.out));
  GAUNTLET_CHECK_OK(tell_warnings(options.out, facts));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(facts));
  } else {
    GAUNTLET_CHECK_OK(print(io::harmless(fmt::format("prepared {} in {}\n", options.name, options.out))));
  }
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("name", options->name, "Dataset").required();
  arguments.add_option("--out", options->out, "Folder to fill; new or empty").required().type_name("DIR");
  arguments
      .add_option("--source", options->source, "Where the sources are, for datasets that read files of yours")
      .type_name("FILE|DIR");
  arguments
      .add_option("--split", options->split,
                  "How queries and training items are chosen, e.g. random, row_order, per_class")
      .type_name("KIND");
  arguments.add_option("--seed", options->seed, "Draws the split, or the set itself where it is generated")
      .number_between(0, 9e15);
  arguments.add_option("--map", options->map,
                       "Which array, and which of its axes, is what; for files of other people");
  arguments.add_flag("--strict", options->strict,
                     "A picture that cannot be read is an error; else its item is left out");
  arguments
      .add_option("--set", options->set,
                  "A field of the dataset, as in --set preset=quick (gauntlet catalog NAME lists them)")
      .type_name("FIELD=VALUE");
  arguments.add_option("--threads", options->threads, "Threads (default: all processors)")
      .number_between(1, 1024);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb data_prepare_verb;
constinit const Verb data_prepare_verb{
    .name = "data prepare",
    .summary = "Turn a dataset's sources into a prepared folder",
    .examples =
        "  gauntlet data prepare picto_scenes --set preset=quick --set image_px=48 --out prepared/scenes\n"
        "  gauntlet data prepare flickr25k --source ~/mirflickr25k --split random --seed 6 --out "
        "prepared/flickr\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
