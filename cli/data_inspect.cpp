// gauntlet data inspect: what a prepared folder or a data file holds, and contact sheets of pictures.
#include <numeric>

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/data/inspect.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string path;
  std::string map;
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

Status write_contact_sheet(const Options& options, const Json& facts) {
  if (facts["kind"] == "prepared") {
    GAUNTLET_TRY(const data::PreparedSet set, data::PreparedSet::open(options.path));
    return data::write_sheet(set, chosen_rows(options, set.n_items()), options.sheet);
  }
  if (facts["kind"] == "npy") {
    const std::int64_t n_items = facts["shape"].empty() ? 0 : facts["shape"][0].get<std::int64_t>();
    return data::sheet_of_npy(options.path, chosen_rows(options, n_items), options.sheet);
  }
  const std::int64_t n_items = facts.value("n_rows", options.n_rows);
  return data::sheet_of_source(options.path, options.map, chosen_rows(options, n_items), options.sheet);
}

std::string as_text(const Json& value, int depth) {
  std::string text;
  for (const auto& [name, inner] : value.items()) {
    if (depth == 0 && name == "format") continue;
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    if (inner.is_object()) {
      text += fmt::format("{}{}\n{}", indent, name, as_text(inner, depth + 1));
    } else if (inner.is_array() && !inner.empty() && inner.front().is_object()) {
      for (const Json& one : inner) text += fmt::format("{}{}\n{}", indent, name, as_text(one, depth + 1));
    } else {
      text += fmt::format("{}{:<{}} {}\n", indent, name, 28 - depth * 2, inner.dump());
    }
  }
  return text;
}

Status check_sheet(const std::filesystem::path& sheet) {
  if (sheet.empty() || sheet.extension() == ".png") return {};
  return fail(ErrorCode::kInvalid, "--sheet writes .png, not '{}'", sheet.string());
}

Result<int> run(const Options& options) {
  GAUNTLET_CHECK_OK(check_sheet(options.sheet));
  GAUNTLET_TRY(const Json facts, data::inspect(options.path, options.map));
  if (!options.sheet.empty()) {
    GAUNTLET_CHECK_OK(write_contact_sheet(options, facts));
    note(io::harmless(fmt::format("wrote {}\n", options.sheet)));
  }
  GAUNTLET_CHECK_OK(options.json ? print_json(facts) : print(as_text(facts, 0)));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("path", options->path, "Prepared folder, or a file or folder of arrays or lists")
      .required()
      .type_name("FILE|DIR");
  arguments.add_option("--map", options->map, "What the arrays are, as in data prepare custom --map")
      .type_name("ROLE=KEY[:AXES],...");
  arguments.add_option("--sheet", options->sheet, "Write a contact sheet of the pictures").type_name("PNG");
  arguments.add_option("--rows", options->rows, "Rows on the sheet, e.g. 0,5,17").delimiter(',');
  arguments.add_option("--n", options->n_rows, "Rows on the sheet, counted from the first (default 20)")
      .number_between(1, 10000);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb data_inspect_verb;
constinit const Verb data_inspect_verb{
    .name = "data inspect",
    .summary = "What a prepared folder or a data file holds and is taken for; contact sheets",
    .examples =
        "  gauntlet data inspect prepared/picto\n"
        "  gauntlet data inspect prepared/picto --sheet sheet.png --rows 0,5,17\n"
        "  gauntlet data inspect FLICKR-25K.mat --sheet sheet.png\n"
        "  gauntlet data inspect gauntlet-runs/artifacts/craft/ab/abcd…/inputs.npy --sheet adversarial.png\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
