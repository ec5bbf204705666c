#include "cli/support/selection.hpp"

namespace gauntlet::cli {

void SelectionOptions::add_to(Arguments& arguments) {
  arguments.add_option("sweep", sweep, "Name or number of a sweep (default: any)");
  arguments.add_option("--key", key, "Only the job whose key starts so").type_name("DIGITS");
  arguments
      .add_option(
          "--where", where,
          "Only jobs of cells that match, e.g. \"attack=pgd and seed=2\"; `kind` is the job's own, and "
          "`cause` why it failed: out_of_memory (oom), diverged (nan), timed_out (timeout), collective "
          "(nccl), process_died (killed), lost, io, invalid, ...")
      .type_name("CONDITION");
}

Result<proto::Selection> SelectionOptions::resolve(client::Client& client) const {
  proto::Selection selection;
  GAUNTLET_TRY(const std::uint64_t sweep_id, resolve_sweep(client, sweep));
  selection.set_sweep_id(sweep_id);
  selection.set_key_prefix(key);
  selection.set_where(where);
  return selection;
}

}  // namespace gauntlet::cli
