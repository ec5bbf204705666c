// What the process's exit code says; for --help and the manual page.
#pragma once

#include <array>
#include <string_view>

namespace gauntlet::cli {

struct ExitCode {
  int number;
  std::string_view meaning;
};

inline constexpr std::array kExitCodes = {ExitCode{0, "ok"},
                                          ExitCode{1, "internal error"},
                                          ExitCode{2, "usage or invalid spec"},
                                          ExitCode{3, "waited-for jobs or checks failed"},
                                          ExitCode{4, "not found"},
                                          ExitCode{5, "coordinator unreachable"},
                                          ExitCode{6, "refused"},
                                          ExitCode{7, "table incomplete"},
                                          ExitCode{8, "timed out"},
                                          ExitCode{130, "interrupted"}};

}  // namespace gauntlet::cli
