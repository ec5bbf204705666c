// Open MPI. Its processes learn rank and size from MPI, and where rank 0 listens by MPI_Bcast; then they have
// no further use for MPI and leave it, so that an attempt depends on nothing but its own sockets.
#include <dlfcn.h>
#include <unistd.h>

#include <array>

#include "core/base/files.hpp"
#include "worker/launch/launcher.hpp"
#include "worker/launch/mpi_bridge.h"
#include "worker/launch/strays.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "libgauntlet_mpi.so";
constexpr std::size_t kMaxText = 256;

fs::path bridge_library() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& candidate : {folder / kLibrary, folder / ".." / "lib" / kLibrary}) {
    if (fs::exists(candidate, error)) return candidate;
  }
  return {};
}

Result<std::string> reach(const LauncherSettings& settings) {
  if (const auto program = launcher_program(settings.program, "mpirun"); !program)
    return fail(ErrorCode::kInvalid, "the launcher mpirun cannot be used: {}", program.error().message);
  if (bridge_library().empty()) {
    return fail(ErrorCode::kInvalid,
                "the launcher mpirun cannot be used: {} is not beside this program, which was built without "
                "Open MPI (libopenmpi-dev)",
                kLibrary);
  }
  return std::string("mpirun");
}

std::string node_name(const std::string& address) { return address; }

Result<Command> command(const LauncherSettings& settings, const GangLayout& layout, const Command& guard) {
  Command made;
  GAUNTLET_TRY(made.program, launcher_program(settings.program, "mpirun"));
  std::string hosts;
  for (const GangNode& node : layout.nodes) hosts += fmt::format("{} slots={}\n", node.address, node.ranks);
  GAUNTLET_CHECK_OK(write_file_atomic(layout.host_file, hosts));
  made.environment = guard.environment;
  made.death_signal = SIGTERM;  // it ends what it has started elsewhere; SIGKILL would leave that to others
  made.speaks = false;
  made.mark = kGangMarkVariable;
  if (::geteuid() == 0) made.arguments.emplace_back("--allow-run-as-root");
  made.arguments.insert(made.arguments.end(), settings.arguments.begin(), settings.arguments.end());
  made.arguments.insert(made.arguments.end(),
                        {"--hostfile", layout.host_file.string(), "-np", fmt::format("{}", layout.world()),
                         "--map-by", "slot", "--bind-to", "none", "-x", kGangMarkVariable});
  for (const auto& [name, value] : guard.environment)
    made.arguments.insert(made.arguments.end(), {"-x", name});
  made.arguments.push_back(guard.program.string());
  made.arguments.insert(made.arguments.end(), guard.arguments.begin(), guard.arguments.end());
  return made;
}

class MpiSeat final : public Seat {
 public:
  static Result<std::unique_ptr<Seat>> take() {
    const fs::path path = bridge_library();
    void* const library = ::dlopen(path.empty() ? kLibrary : path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr)
      return fail(ErrorCode::kInvalid, "MPI cannot be loaded on this machine: {}", ::dlerror());
    std::unique_ptr<MpiSeat> seat(new MpiSeat);
    const auto join = reinterpret_cast<gauntlet_mpi_join_fn*>(::dlsym(library, "gauntlet_mpi_join"));
    seat->from_first_ =
        reinterpret_cast<gauntlet_mpi_from_first_fn*>(::dlsym(library, "gauntlet_mpi_from_first"));
    seat->leave_ = reinterpret_cast<gauntlet_mpi_leave_fn*>(::dlsym(library, "gauntlet_mpi_leave"));
    if (join == nullptr || seat->from_first_ == nullptr || seat->leave_ == nullptr)
      return fail(ErrorCode::kInvalid, "{} is of another version of this program", path.string());
    if (const int error = join(&seat->rank_, &seat->world_); error != 0)
      return fail(ErrorCode::kCollective, "MPI_Init failed with {}", error);
    return seat;
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int world() const override { return world_; }

  [[nodiscard]] Result<std::string> from_first(const std::string& text) override {
    std::array<char, kMaxText> bytes{};
    if (text.size() >= bytes.size())
      return fail(ErrorCode::kInvalid, "'{}' is longer than {} bytes", text, bytes.size() - 1);
    if (rank_ == 0) std::copy(text.begin(), text.end(), bytes.begin());
    if (const int error = from_first_(bytes.data(), static_cast<int>(bytes.size())); error != 0)
      return fail(ErrorCode::kCollective, "MPI_Bcast failed with {}", error);
    if (const int error = leave_(); error != 0)
      return fail(ErrorCode::kCollective, "MPI_Finalize failed with {}", error);
    return std::string(bytes.data());
  }

 private:
  MpiSeat() = default;
  gauntlet_mpi_from_first_fn* from_first_ = nullptr;
  gauntlet_mpi_leave_fn* leave_ = nullptr;
  int rank_ = 0;
  int world_ = 1;
};

Result<std::unique_ptr<Seat>> take_seat() {
  if (const auto started = number_from_environment("OMPI_COMM_WORLD_RANK", "Open MPI's mpirun"); !started)
    return fail(started.error().code, "{}", started.error().message);
  return MpiSeat::take();
}

}  // namespace

extern const Launcher mpirun_launcher;
constinit const Launcher mpirun_launcher{.name = "mpirun",
                                         .summary = "start ranks with Open MPI, on several machines too",
                                         .reach = &reach,
                                         .node_name = &node_name,
                                         .command = &command,
                                         .take_seat = &take_seat};

}  // namespace gauntlet::worker
