#include "cli/support/bench_report.hpp"

#include <fmt/core.h>

#include <string>

#include "cli/support/bench_machine.hpp"
#include "cli/support/output.hpp"

namespace gauntlet::cli {

Json bench_document(std::string_view bench, const std::filesystem::path& workdir, const Json& figures) {
  return {{"format", 1}, {"bench", bench}, {"machine", bench_machine(workdir)}, {"figures", figures}};
}

Result<int> report_figures(std::string_view bench, const std::filesystem::path& workdir, const Json& figures,
                           bool as_json) {
  const Json document = bench_document(bench, workdir, figures);
  if (as_json) {
    GAUNTLET_CHECK_OK(print_json(document));
    return 0;
  }
  const Json& machine = document["machine"];
  std::string text = fmt::format("{}, {} cores, {}\n", machine["cpu"].get<std::string>(),
                                 machine["cores"].dump(), machine["features"].dump());
  for (const auto& [name, value] : figures.items()) {
    text += value.is_string() ? fmt::format("{:<56} {:>14}\n", name, value.get<std::string>())
                              : fmt::format("{:<56} {:>14.4f}\n", name, value.get<double>());
  }
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

}  // namespace gauntlet::cli
