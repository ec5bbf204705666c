// gauntlet data inspect: facts about a prepared folder or an array file, and contact sheets of pictures.
#include <numeric>

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/data/inspect.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string path;
  std::string sheet;
  std::vector<std::int64_t> rows;
  std::int64_t n_rows = 20;
  bool json = false;
};

std::vector<std::int64_t> chosen_rows(const Options& options, std::int64_t n_items) {
  if (!options.rows.empty()) return options.rows;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(options.n_rows, n_items)));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

Status write_contact_sheet(const Options& options) {
  if (std::filesystem::is_directory(options.path)) {
    GAUNTLET_TRY(const data::PreparedSet set, data::PreparedSet::open(options.path));
    return data::write_sheet(set, chosen_rows(options, set.n_items()), options.sheet);
  }
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(options.path));
  const std::int64_t n_items = array.shape.empty() ? 0 : array.shape[0];
  return data::sheet_of_npy(options.path, chosen_rows(options, n_items), options.sheet);
}

std::string as_text(const Json& value, int depth) {
  std::string text;
  for (const auto& [name, inner] : value.items()) {
    if (depth == 0 && name == "format") continue;
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    if (inner.is_object()) {
      text += fmt::format("{}{}\n{}", indent, name, as_text(inner, depth + 1));
    } else {
      text += fmt::format("{}{:<{}} {}\n", indent, name, 28 - depth * 2, inner.dump());
    }
  }
  return text;
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const Json facts, data::inspect(options.path));
  if (!options.sheet.empty()) {
    GAUNTLET_CHECK_OK(write_contact_sheet(options));
    note(fmt::format("wrote {}\n", options.sheet));
  }
  GAUNTLET_CHECK_OK(options.json ? print_json(facts) : print(as_text(facts, 0)));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("path", options->path, "Prepared folder or .npy file")->required()->type_name("FILE|DIR");
  app.add_option("--sheet", options->sheet, "Write a contact sheet of the pictures")->type_name("PNG");
  app.add_option("--rows", options->rows, "Rows on the sheet, e.g. 0,5,17")->delimiter(',');
  app.add_option("--n", options->n_rows, "Rows on the sheet, counted from the first (default 20)")
      ->check(number_between(1, 10000));
  add_json(app, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb data_inspect_verb;
constinit const Verb data_inspect_verb{
    .name = "data inspect",
    .summary = "Facts about a prepared folder or an array file; contact sheets",
    .examples =
        "  gauntlet data inspect prepared/picto\n"
        "  gauntlet data inspect prepared/picto --sheet sheet.png --rows 0,5,17\n"
        "  gauntlet data inspect gauntlet-runs/artifacts/craft/ab/abcd…/inputs.npy --sheet adversarial.png\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
