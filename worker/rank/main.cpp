// gauntlet-rank: one DDP rank, kept warm by the agent between jobs; and the author of the catalog.
#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/attacks/attack.hpp"
#include "core/base/version.hpp"
#include "core/collective/device_transport.hpp"
#include "core/data/dataset.hpp"
#include "core/defenses/defense.hpp"
#include "core/metrics/metric.hpp"
#include "core/models/hashing_model.hpp"
#include "core/run/bench_data.hpp"
#include "core/run/bench_ddp.hpp"
#include "core/run/bench_methods.hpp"
#include "core/run/check_backbone.hpp"
#include "core/run/self_test.hpp"
#include "core/run/torch_runner.hpp"
#include "worker/executor/executor.hpp"

namespace {

constexpr char kHelp[] =
    "gauntlet-rank --catalog        write the catalog of every registered entry (schemas/catalog.json)\n"
    "gauntlet-rank --bench-methods [--quick]  measure every method; `gauntlet bench methods` does this\n"
    "gauntlet-rank --bench-ddp [--quick] [--loop NAME]  measure two ranks against one; `gauntlet bench ddp` "
    "does this\n"
    "gauntlet-rank --bench-data FOLDER THREADS [--quick]\n"
    "                               measure reading; `gauntlet bench data` does this\n"
    "gauntlet-rank --check-backbone FILE PHOTO.png...\n"
    "                               classify photos with a file of published weights\n"
    "gauntlet-rank --self-test      say which libraries load and which devices there are\n"
    "gauntlet-rank --version        print version and revision\n"
    "gauntlet-rank --fd N           run attempts told over socket N; the worker agent does this\n";

int write_catalog() {
  const gauntlet::Json catalog = {{"format", 1},
                                  {"datasets", gauntlet::data::dataset_registry().describe_all()},
                                  {"models", gauntlet::models::model_registry().describe_all()},
                                  {"attacks", gauntlet::attacks::attack_registry().describe_all()},
                                  {"defenses", gauntlet::defenses::describe_defenses()},
                                  {"metrics", gauntlet::metrics::metric_registry().describe_all()}};
  std::printf("%s\n", catalog.dump(2).c_str());
  return 0;
}

/// What this build has for devices; null when it is for processors.
std::unique_ptr<gauntlet::collective::DeviceTransport> make_transport() {
#ifdef GAUNTLET_CUDA
  return gauntlet::collective::make_nccl_transport();
#else
  return nullptr;
#endif
}

void tell(const std::string& figure) { std::fprintf(stderr, "%s\n", figure.c_str()); }

int print_figures(const gauntlet::Result<gauntlet::Json>& figures) {
  if (!figures) {
    std::fprintf(stderr, "gauntlet: %s\n", figures.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", figures->dump().c_str());
  return 0;
}

/// The rest of the line: [--quick]
int bench_methods(int n_arguments, char** arguments) {
  const bool quick = n_arguments == 1 && std::strcmp(arguments[0], "--quick") == 0;
  return print_figures(gauntlet::run::bench_methods({.quick = quick, .n_threads = 1, .on_figure = &tell}));
}

/// The rest of the line: [--quick] [--loop NAME]
int bench_ddp(int n_arguments, char** arguments) {
  gauntlet::run::DdpBench bench{.on_figure = &tell};
  for (int at = 0; at < n_arguments; ++at) {
    if (std::strcmp(arguments[at], "--quick") == 0) bench.quick = true;
    if (std::strcmp(arguments[at], "--loop") == 0 && at + 1 < n_arguments) bench.loop = arguments[at + 1];
  }
  return print_figures(gauntlet::run::bench_ddp(bench));
}

/// The rest of the line: FOLDER THREADS [--quick]
int bench_data(int n_arguments, char** arguments) {
  const bool quick = n_arguments == 3 && std::strcmp(arguments[2], "--quick") == 0;
  return print_figures(gauntlet::run::bench_data({.quick = quick,
                                                  .n_threads = std::max(1, std::atoi(arguments[1])),
                                                  .folder = arguments[0],
                                                  .on_figure = &tell}));
}

int check_backbone(int n_arguments, char** arguments) {
  const std::vector<std::filesystem::path> pictures(arguments + 1, arguments + n_arguments);
  const auto text = gauntlet::run::check_backbone(arguments[0], pictures);
  if (!text) {
    std::fprintf(stderr, "gauntlet-rank: %s\n", text.error().message.c_str());
    return gauntlet::exit_code_of(text.error().code);
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

/// Tensors of a few MB come and go at every step. glibc returns such memory to the kernel and takes it anew,
/// page by page: a fifth of an attack on Picto was spent there. Up to 256 MB that are free stay with the
/// process.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // its largest
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const bool with_value = argc == 3 && std::strcmp(argv[1], "--fd") == 0;
  if (argc == 2 && std::strcmp(argv[1], "--catalog") == 0) return write_catalog();
  if (argc >= 2 && argc <= 3 && std::strcmp(argv[1], "--bench-methods") == 0)
    return bench_methods(argc - 2, argv + 2);
  if (argc >= 2 && std::strcmp(argv[1], "--bench-ddp") == 0) return bench_ddp(argc - 2, argv + 2);
  if (argc >= 4 && argc <= 5 && std::strcmp(argv[1], "--bench-data") == 0)
    return bench_data(argc - 2, argv + 2);
  if (argc >= 3 && std::strcmp(argv[1], "--check-backbone") == 0) return check_backbone(argc - 2, argv + 2);
  if (argc == 2 && std::strcmp(argv[1], "--self-test") == 0) {
    const auto transport = make_transport();
    return print_figures(gauntlet::run::self_test(transport.get()));
  }
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    const std::string_view version = gauntlet::version();
    const std::string_view revision = gauntlet::revision();
    std::printf("gauntlet-rank %.*s (%.*s)\n", static_cast<int>(version.size()), version.data(),
                static_cast<int>(revision.size()), revision.data());
    return 0;
  }
  int fd = -1;
  if (with_value) {
    const char* end = argv[2] + std::strlen(argv[2]);
    const auto [stop, error] = std::from_chars(argv[2], end, fd);
    if (error != std::errc{} || stop != end || fd < 0) fd = -1;
  }
  if (fd < 0) {
    std::fputs(kHelp, argc == 2 && std::strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc == 2 && std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
  }
  const auto transport = make_transport();
  gauntlet::run::TorchRunner runner(transport.get());
  return gauntlet::worker::run_executor(fd, runner);
}
