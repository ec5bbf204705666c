#include "cli/support/page_address.hpp"

#include "coordinator/client/client.hpp"
#include "core/base/files.hpp"
#include "core/base/json.hpp"

namespace gauntlet::cli {

Result<PageAddress> find_page(const std::filesystem::path& workdir) {
  GAUNTLET_TRY(const client::Endpoint endpoint, client::find_coordinator(workdir));
  GAUNTLET_TRY(const std::string text, read_file(workdir / "coordinator.json", 4096));
  GAUNTLET_TRY(const Json address, parse_json(text, (workdir / "coordinator.json").string()));
  if (!address.contains("http") || !address["http"].is_string()) {
    return fail(ErrorCode::kUnreachable,
                "the coordinator of {} serves no page; start it with --http PORT (0: any free one)",
                workdir.string());
  }
  return PageAddress{address["http"].get<std::string>(), endpoint.token};
}

}  // namespace gauntlet::cli
