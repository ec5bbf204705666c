// Slurm's srun, inside an allocation: a step of the job that the agent itself runs in. Ranks learn their
// number from Slurm, and where rank 0 listens from the agent.
#include <cstdlib>

#include "core/base/files.hpp"
#include "worker/launch/launcher.hpp"
#include "worker/launch/strays.hpp"

namespace gauntlet::worker {
namespace {

Result<std::string> reach(const LauncherSettings& settings) {
  if (const auto program = launcher_program(settings.program, "srun"); !program)
    return fail(ErrorCode::kInvalid, "the launcher srun cannot be used: {}", program.error().message);
  const char* const job = std::getenv("SLURM_JOB_ID");
  if (job == nullptr || *job == '\0') {
    return fail(ErrorCode::kInvalid,
                "the launcher srun cannot be used: SLURM_JOB_ID is not set, so this is not inside a Slurm "
                "allocation");
  }
  return fmt::format("srun {}", job);
}

std::string node_name(const std::string& address) {
  const char* const name = std::getenv("SLURMD_NODENAME");
  return name == nullptr || *name == '\0' ? address : name;
}

Result<Command> command(const LauncherSettings& settings, const GangLayout& layout, const Command& guard) {
  Command made;
  GAUNTLET_TRY(made.program, launcher_program(settings.program, "srun"));
  std::string hosts;  // one line a rank: with --distribution=arbitrary ranks go exactly there, in this order
  for (const GangNode& node : layout.nodes) {
    for (std::size_t rank = 0; rank < node.ranks; ++rank) hosts += node.address + '\n';
  }
  GAUNTLET_CHECK_OK(write_file_atomic(layout.host_file, hosts));
  made.environment = guard.environment;
  made.environment.emplace_back("SLURM_HOSTFILE", layout.host_file.string());
  made.death_signal = SIGTERM;
  made.speaks = false;
  made.mark = kGangMarkVariable;
  // Overlap: the agent is a step of the same job and has its processors already.
  made.arguments = {"--ntasks",
                    fmt::format("{}", layout.world()),
                    "--nodes",
                    fmt::format("{}", layout.nodes.size()),
                    "--distribution=arbitrary",
                    "--overlap",
                    "--export=ALL",
                    "--cpu-bind=none",
                    "--kill-on-bad-exit=1",
                    "--input=none",
                    "--unbuffered"};
  made.arguments.insert(made.arguments.end(), settings.arguments.begin(), settings.arguments.end());
  made.arguments.push_back(guard.program.string());
  made.arguments.insert(made.arguments.end(), guard.arguments.begin(), guard.arguments.end());
  return made;
}

class SlurmSeat final : public Seat {
 public:
  SlurmSeat(int rank, int world) : rank_(rank), world_(world) {}
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int world() const override { return world_; }
  [[nodiscard]] Result<std::string> from_first(const std::string&) override { return std::string(); }

 private:
  int rank_, world_;
};

Result<std::unique_ptr<Seat>> take_seat() {
  GAUNTLET_TRY(const int rank, number_from_environment("SLURM_PROCID", "srun"));
  GAUNTLET_TRY(const int world, number_from_environment("SLURM_NTASKS", "srun"));
  return std::make_unique<SlurmSeat>(rank, world);
}

}  // namespace

extern const Launcher srun_launcher;
constinit const Launcher srun_launcher{.name = "srun",
                                       .summary = "start ranks with srun, inside a Slurm allocation",
                                       .reach = &reach,
                                       .node_name = &node_name,
                                       .command = &command,
                                       .take_seat = &take_seat};

}  // namespace gauntlet::worker
